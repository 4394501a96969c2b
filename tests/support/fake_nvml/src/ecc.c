/* Copyright: (c) 2026, autoglm.recovery maintainers
 * GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */

/* ECC, row remapping, page retirement. */
#include "fake.h"

#include <string.h>

enum { CORRECTED, UNCORRECTED };
enum { L1, L2, DRAM, REGISTERS };

EXPORT nvml_return nvmlDeviceGetEccMode(device_t device, u32 *current, u32 *pending) {
    ENTER_DEVICE(device);
    NEED(current && pending);
    *current = (u32)state_number(device->gpu, 1, "ecc.mode");
    *pending = (u32)state_number(device->gpu, *current, "ecc.mode.pending");
    return NVML_SUCCESS;
}

static const char *span(u32 aggregate) {
    return aggregate ? "agg" : "vol";
}

static const char *kind(u32 uncorrected) {
    return uncorrected ? "dbe" : "sbe";
}

static nvml_return need_ecc(device_t device) {
    return state_number(device->gpu, 1, "ecc.mode") ? NVML_SUCCESS : NVML_NOT_SUPPORTED;
}

EXPORT nvml_return nvmlDeviceGetTotalEccErrors(device_t device, u32 uncorrected, u32 aggregate, u64 *count) {
    ENTER_DEVICE(device);
    NEED(count && uncorrected <= UNCORRECTED && aggregate <= 1);
    TRY(need_ecc(device));
    *count = state_number(device->gpu, 0, "ecc.%s.%s", span(aggregate), kind(uncorrected));
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetMemoryErrorCounter(device_t device, u32 uncorrected, u32 aggregate, u32 location,
                                                   u64 *count) {
    u64 total;
    ENTER_DEVICE(device);
    NEED(count && uncorrected <= UNCORRECTED && aggregate <= 1);
    TRY(need_ecc(device));
    /* What is not said by location happened in device memory, as most does. */
    total = location == DRAM ? state_number(device->gpu, 0, "ecc.%s.%s", span(aggregate), kind(uncorrected)) : 0;
    *count = state_number(device->gpu, total, "ecc.%s.%s.%u", span(aggregate), kind(uncorrected), location);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetDetailedEccErrors(device_t device, u32 uncorrected, u32 aggregate, ecc_counts *counts) {
    u64 total;
    ENTER_DEVICE(device);
    NEED(counts && uncorrected <= UNCORRECTED && aggregate <= 1);
    TRY(need_ecc(device));
    total = state_number(device->gpu, 0, "ecc.%s.%s", span(aggregate), kind(uncorrected));
    counts->l1_cache = state_number(device->gpu, 0, "ecc.%s.%s.%d", span(aggregate), kind(uncorrected), L1);
    counts->l2_cache = state_number(device->gpu, 0, "ecc.%s.%s.%d", span(aggregate), kind(uncorrected), L2);
    counts->device_memory = state_number(device->gpu, total, "ecc.%s.%s.%d", span(aggregate), kind(uncorrected), DRAM);
    counts->register_file = state_number(device->gpu, 0, "ecc.%s.%s.%d", span(aggregate), kind(uncorrected), REGISTERS);
    return NVML_SUCCESS;
}

#ifndef FAKE_OLD_SYMBOLS
EXPORT nvml_return nvmlDeviceGetSramEccErrorStatus(device_t device, sram_status_v1 *status) {
    ENTER_DEVICE(device);
    NEED(status);
    if (status->version != STRUCT_VERSION(sram_status_v1, 1))
        return NVML_VERSION_MISMATCH;
    status->aggregate_unc_parity = state_number(device->gpu, 0, "sram.agg.parity");
    status->aggregate_unc_secded = state_number(device->gpu, 0, "sram.agg.secded");
    status->aggregate_cor = state_number(device->gpu, 0, "sram.agg.cor");
    status->volatile_unc_parity = state_number(device->gpu, 0, "sram.vol.parity");
    status->volatile_unc_secded = state_number(device->gpu, 0, "sram.vol.secded");
    status->volatile_cor = state_number(device->gpu, 0, "sram.vol.cor");
    status->bucket_l2 = state_number(device->gpu, 0, "sram.bucket.l2");
    status->bucket_sm = state_number(device->gpu, 0, "sram.bucket.sm");
    status->bucket_pcie = state_number(device->gpu, 0, "sram.bucket.pcie");
    status->bucket_mcu = state_number(device->gpu, 0, "sram.bucket.mcu");
    status->bucket_other = state_number(device->gpu, 0, "sram.bucket.other");
    status->threshold_exceeded = (u32)state_number(device->gpu, 0, "sram.exceeded");
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetRemappedRows_v2(device_t device, remapped_rows_v2 *rows) {
    ENTER_DEVICE(device);
    NEED(rows);
    rows->cor_active = (u32)state_number(device->gpu, 0, "remap.cor");
    rows->cor_inactive = (u32)state_number(device->gpu, 0, "remap.cor.inactive");
    rows->unc_active = (u32)state_number(device->gpu, 0, "remap.unc");
    rows->unc_inactive = (u32)state_number(device->gpu, 0, "remap.unc.inactive");
    rows->pending = (u32)state_number(device->gpu, 0, "remap.pending");
    rows->failure = (u32)state_number(device->gpu, 0, "remap.failed");
    return NVML_SUCCESS;
}
#endif

EXPORT nvml_return nvmlDeviceGetRemappedRows(device_t device, u32 *cor, u32 *unc, u32 *pending, u32 *failure) {
    ENTER_DEVICE(device);
    NEED(cor && unc && pending && failure);
    *cor = (u32)state_number(device->gpu, 0, "remap.cor");
    *unc = (u32)state_number(device->gpu, 0, "remap.unc");
    *pending = (u32)state_number(device->gpu, 0, "remap.pending");
    *failure = (u32)state_number(device->gpu, 0, "remap.failed");
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetRowRemapperHistogram(device_t device, remapper_histogram *banks) {
    ENTER_DEVICE(device);
    NEED(banks);
    banks->max = (u32)state_number(device->gpu, 2560, "remap.bank.max");
    banks->high = (u32)state_number(device->gpu, 0, "remap.bank.high");
    banks->partial = (u32)state_number(device->gpu, 0, "remap.bank.partial");
    banks->low = (u32)state_number(device->gpu, 0, "remap.bank.low");
    banks->none = (u32)state_number(device->gpu, 0, "remap.bank.none");
    return NVML_SUCCESS;
}

/* Page retirement ended with Ampere: the profiles answer NOT_SUPPORTED by a rule; a test may take the rule away. */
static nvml_return list_pages(device_t device, u32 cause, u32 *count, u64 *pages, u64 *times) {
    u32 there = (u32)state_number(device->gpu, 0, "retired.%u", cause), room;
    NEED(count && cause <= 1);
    room = *count;
    *count = there;
    if (there && (!pages || room < there))
        return NVML_INSUFFICIENT_SIZE;
    for (u32 i = 0; i < there; i++) {
        pages[i] = 0x1000ULL * (i + 1);
        if (times)
            times[i] = microseconds();
    }
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetRetiredPages(device_t device, u32 cause, u32 *count, u64 *pages) {
    ENTER_DEVICE(device);
    return list_pages(device, cause, count, pages, NULL);
}

EXPORT nvml_return nvmlDeviceGetRetiredPages_v2(device_t device, u32 cause, u32 *count, u64 *pages, u64 *times) {
    ENTER_DEVICE(device);
    return list_pages(device, cause, count, pages, times);
}

NUMBER_GETTER(nvmlDeviceGetRetiredPagesPendingStatus, u32, "retired.pending", 0)
