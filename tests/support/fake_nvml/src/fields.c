/* Copyright: (c) 2026, autoglm.recovery maintainers
 * GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */

/* nvmlDeviceGetFieldValues: each item has a result and a value type of its own.
 * field.<id>[.<scope>]=<value> says otherwise than below; field.<id>[.<scope>].ret=<code> makes the item fail;
 * field.<id>.type=<type> changes its type; fields.unsupported=205-222,231 lists what this GPU does not know;
 * fields.last=<id> is the last field that this driver knows; fields.unknown=<code> what it says to a later one. */
#define _GNU_SOURCE
#include "nvlink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIELD_LINK_COUNT = 91,
    FIELD_SWITCH_LINK_COUNT = 147,
    FIELD_DL_REPLAY = 161,
    FIELD_DL_RECOVERY = 162,
    FIELD_DL_CRC = 163,
    FIELD_LINK_SPEED = 164,
    FIELD_LINK_STATE = 165,
    FIELD_LINK_VERSION = 166,
    FIELD_NVLINK5_FIRST = 201,
    FIELD_NVLINK5_LAST = 222,
    FIELD_EFFECTIVE_BER = 220,
    FIELD_SYMBOL_BER = 222,
    FIELD_FEC_FIRST = 235,
    FIELD_FEC_LAST = 250,
    NO_ERRORS_BER = 0xfff /* 15e-255: what a link without errors reports */
};

/* Fields that are another face of what has a key already. */
static const struct {
    u32 field;
    u32 type;
    const char *key;
} faces[] = {
    {1, TYPE_U32, "ecc.mode"},        {2, TYPE_U32, "ecc.mode.pending"}, {3, TYPE_U64, "ecc.vol.sbe"},
    {4, TYPE_U64, "ecc.vol.dbe"},     {5, TYPE_U64, "ecc.agg.sbe"},      {6, TYPE_U64, "ecc.agg.dbe"},
    {82, TYPE_U32, "temp.memory"},    {83, TYPE_U64, "energy"},          {94, TYPE_U32, "pcie.replay"},
    {95, TYPE_U32, "pcie.rollover"},  {142, TYPE_U32, "remap.cor"},      {143, TYPE_U32, "remap.unc"},
    {144, TYPE_U32, "remap.pending"}, {145, TYPE_U32, "remap.failed"},   {170, TYPE_U32, "c2c.count"},
    {185, TYPE_U32, "power"},         {186, TYPE_U32, "power"},          {191, TYPE_U64, "energy"},
    {226, TYPE_U32, "reset.status"},  {227, TYPE_U32, "drain.status"},   {230, TYPE_U32, "recovery"},
    {301, TYPE_U32, "remap.cor.inactive"}, {302, TYPE_U32, "remap.unc.inactive"},
};

/* Fields that are zero on a good day. */
static const struct {
    u32 first, last, type;
} zeroes[] = {
    {7, 31, TYPE_U64}, {74, 81, TYPE_U64}, {92, 93, TYPE_U32}, {169, 169, TYPE_U32}, {171, 172, TYPE_U32},
    {173, 183, TYPE_U32}, {184, 184, TYPE_U32}, {197, 198, TYPE_U32}, {231, 234, TYPE_U32}, {269, 271, TYPE_U64},
};

static nvml_return need_field(int gpu, u32 field) {
    char text[1024], *rest = text, *item;

    if (field > state_number(HOST, 308, "fields.last"))
        return (nvml_return)state_number(HOST, NVML_INVALID_ARGUMENT, "fields.unknown");
    if (!state_text(gpu, text, sizeof text, "fields.unsupported"))
        return NVML_SUCCESS;
    while ((item = strsep(&rest, ","))) {
        u32 first, end;
        int numbers = sscanf(item, "%u-%u", &first, &end);
        if (numbers > 0 && field >= first && field <= (numbers == 2 ? end : first))
            return NVML_NOT_SUPPORTED;
    }
    return NVML_SUCCESS;
}

static nvml_return link_field(int gpu, field_value *item) {
    u32 link = item->scope, switches = 0;

    if (link_count(gpu) == 0)
        return NVML_NOT_SUPPORTED;
    item->type = TYPE_U32;
    if (item->field == FIELD_LINK_COUNT) {
        item->value.u = link_count(gpu);
        return NVML_SUCCESS;
    }
    if (item->field == FIELD_SWITCH_LINK_COUNT) {
        for (u32 i = 0; i < link_count(gpu); i++)
            switches += link_state(gpu, i) && link_remote_type(gpu, i) == REMOTE_SWITCH;
        item->value.u = switches;
        return NVML_SUCCESS;
    }
    if (link >= link_count(gpu))
        return NVML_INVALID_ARGUMENT;
    switch (item->field) {
    case FIELD_DL_REPLAY:
    case FIELD_DL_RECOVERY:
    case FIELD_DL_CRC:
        item->value.u = (u32)link_errors(gpu, link, item->field - FIELD_DL_REPLAY);
        return NVML_SUCCESS;
    case FIELD_LINK_SPEED:
        item->value.u = link_state(gpu, link) ? (u32)state_number(gpu, 26562, "nvlink.speed") : 0;
        return NVML_SUCCESS;
    case FIELD_LINK_STATE:
        item->value.u = link_state(gpu, link);
        return NVML_SUCCESS;
    case FIELD_LINK_VERSION:
        item->value.u = (u32)state_number(gpu, 6, "nvlink.version");
        return NVML_SUCCESS;
    default:
        item->type = TYPE_U64;
        item->value.ull = item->field == FIELD_EFFECTIVE_BER || item->field == FIELD_SYMBOL_BER ? NO_ERRORS_BER : 0;
        return NVML_SUCCESS;
    }
}

static int is_link_field(u32 field) {
    return field == FIELD_LINK_COUNT || field == FIELD_SWITCH_LINK_COUNT ||
           (field >= FIELD_DL_REPLAY && field <= FIELD_LINK_VERSION) ||
           (field >= FIELD_NVLINK5_FIRST && field <= FIELD_NVLINK5_LAST) ||
           (field >= FIELD_FEC_FIRST && field <= FIELD_FEC_LAST);
}

static nvml_return usual(int gpu, field_value *item) {
    if (is_link_field(item->field))
        return link_field(gpu, item);
    for (size_t i = 0; i < sizeof faces / sizeof *faces; i++)
        if (faces[i].field == item->field) {
            item->type = faces[i].type;
            item->value.ull = state_number(gpu, 0, "%s", faces[i].key);
            return NVML_SUCCESS;
        }
    for (size_t i = 0; i < sizeof zeroes / sizeof *zeroes; i++)
        if (item->field >= zeroes[i].first && item->field <= zeroes[i].last) {
            item->type = zeroes[i].type;
            return NVML_SUCCESS;
        }
    return NVML_NOT_SUPPORTED;
}

/* In the member of the union that the type names; the rest is rubbish, so that a reader of the wrong member fails. */
static void store(field_value *item, const char *text) {
    memset(&item->value, 0xa5, sizeof item->value);
    switch (item->type) {
    case TYPE_DOUBLE:
        item->value.d = strtod(text, NULL);
        break;
    case TYPE_U32:
        item->value.u = (u32)strtoull(text, NULL, 0);
        break;
    case TYPE_S32:
        item->value.s = (int)strtoll(text, NULL, 0);
        break;
    case TYPE_S64:
        item->value.sll = strtoll(text, NULL, 0);
        break;
    case TYPE_U16:
        item->value.us = (unsigned short)strtoul(text, NULL, 0);
        break;
    default:
        item->value.ull = strtoull(text, NULL, 0);
    }
}

static void answer(int gpu, field_value *item) {
    char text[64];
    int said;

    memset(&item->value, 0, sizeof item->value);
    item->type = TYPE_U64;
    item->result = need_field(gpu, item->field);
    if (item->result == NVML_SUCCESS)
        item->result = usual(gpu, item);
    said = state_text(gpu, text, sizeof text, "field.%u.%u", item->field, item->scope) ||
           state_text(gpu, text, sizeof text, "field.%u", item->field);
    if (said)
        item->result = NVML_SUCCESS;
    item->result = (u32)state_number(gpu, state_number(gpu, item->result, "field.%u.ret", item->field),
                                     "field.%u.%u.ret", item->field, item->scope);
    item->type = (u32)state_number(gpu, item->type, "field.%u.type", item->field);
    if (!said)
        snprintf(text, sizeof text, "%llu", item->type == TYPE_U32 ? item->value.u : item->value.ull);
    store(item, text);
    item->timestamp = (int64_t)microseconds();
}

EXPORT nvml_return nvmlDeviceGetFieldValues(device_t device, int count, field_value *items) {
    ENTER_DEVICE(device);
    NEED(count > 0 && items);
    for (int i = 0; i < count; i++)
        answer(device->gpu, &items[i]);
    return NVML_SUCCESS;
}
