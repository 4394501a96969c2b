/* Copyright: (c) 2026, autoglm.recovery maintainers
 * GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */

/* NVLink, link by link. nvlink.count links; nvlink.<link>.state is 0 for one that is down or disabled. */
#include "nvlink.h"

#include <stdio.h>
#include <string.h>

u32 link_count(int gpu) {
    return (u32)state_number(gpu, 18, "nvlink.count");
}

u32 link_state(int gpu, u32 link) {
    return (u32)state_number(gpu, 1, "nvlink.%u.state", link);
}

u32 link_remote_type(int gpu, u32 link) {
    u64 usual = state_number(gpu, REMOTE_SWITCH, "nvlink.remote.type");
    return (u32)state_number(gpu, usual, "nvlink.%u.remote.type", link);
}

u64 link_errors(int gpu, u32 link, u32 counter) {
    return state_number(gpu, 0, "nvlink.%u.errors.%u", link, counter);
}

/* A GPU without NVLink answers NOT_SUPPORTED, whatever the link; one that has some, INVALID_ARGUMENT past the last. */
static nvml_return need_link(device_t device, u32 link) {
    u32 count = link_count(device->gpu);
    if (count == 0)
        return NVML_NOT_SUPPORTED;
    return link < count ? NVML_SUCCESS : NVML_INVALID_ARGUMENT;
}

EXPORT nvml_return nvmlDeviceGetNvLinkState(device_t device, u32 link, u32 *state) {
    ENTER_DEVICE(device);
    NEED(state);
    TRY(need_link(device, link));
    *state = link_state(device->gpu, link) != 0;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetNvLinkVersion(device_t device, u32 link, u32 *version) {
    ENTER_DEVICE(device);
    NEED(version);
    TRY(need_link(device, link));
    *version = (u32)state_number(device->gpu, 6, "nvlink.version");
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetNvLinkCapability(device_t device, u32 link, u32 capability, u32 *value) {
    ENTER_DEVICE(device);
    NEED(value && capability < 6);
    TRY(need_link(device, link));
    *value = capability != 4; /* all but an SLI bridge */
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetNvLinkErrorCounter(device_t device, u32 link, u32 counter, u64 *count) {
    ENTER_DEVICE(device);
    NEED(count && counter < 5);
    TRY(need_link(device, link));
    *count = link_errors(device->gpu, link, counter);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceResetNvLinkErrorCounters(device_t device, u32 link) {
    ENTER_DEVICE(device);
    return need_link(device, link);
}

/* A link that is not up does not know its other end. */
static nvml_return need_remote(device_t device, u32 link) {
    TRY(need_link(device, link));
    return link_state(device->gpu, link) || state_number(device->gpu, 0, "nvlink.%u.remote.known", link)
               ? NVML_SUCCESS
               : NVML_NOT_SUPPORTED;
}

EXPORT nvml_return nvmlDeviceGetNvLinkRemotePciInfo_v2(device_t device, u32 link, pci_info *pci) {
    char text[64];
    u32 domain = 0, bus, slot = 0;
    ENTER_DEVICE(device);
    NEED(pci);
    TRY(need_remote(device, link));
    memset(pci, 0, sizeof *pci);
    /* Links are spread over four switches, as on an HGX board; nvlink.<link>.remote says otherwise. */
    if (!state_text(device->gpu, text, sizeof text, "nvlink.%u.remote", link) ||
        sscanf(text, "%x:%x:%x", &domain, &bus, &slot) != 3)
        bus = 0xc0 + link % 4;
    pci->domain = domain;
    pci->bus = bus;
    pci->device = slot;
    pci->pci_device_id = link_remote_type(device->gpu, link) == REMOTE_SWITCH ? 0x22a310de : 0x233010de;
    snprintf(pci->bus_id_legacy, sizeof pci->bus_id_legacy, "%04X:%02X:%02X.0", domain & 0xffff, bus & 0xff,
             slot & 0xff);
    snprintf(pci->bus_id, sizeof pci->bus_id, "%08X:%02X:%02X.0", domain, bus & 0xff, slot & 0xff);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetNvLinkRemoteDeviceType(device_t device, u32 link, u32 *type) {
    ENTER_DEVICE(device);
    NEED(type);
    TRY(need_remote(device, link));
    *type = link_remote_type(device->gpu, link);
    return NVML_SUCCESS;
}
