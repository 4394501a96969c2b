/* Copyright: (c) 2026, autoglm.recovery maintainers
 * GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */

/* Memory, utilisation, processes. */
#include "fake.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PROCESSES 256

static u64 memory_number(device_t device, const char *what, u64 otherwise) {
    if (device->mig >= 0)
        return state_number(device->gpu, otherwise / 7, "mig.%d.%s", device->mig, what);
    return state_number(device->gpu, otherwise, "%s", what);
}

static u64 memory_total(device_t device) {
    return memory_number(device, "mem.total", 85520809984ULL);
}

EXPORT nvml_return nvmlDeviceGetMemoryInfo(device_t device, memory_v1 *memory) {
    u64 reserved;
    ENTER_ANY_DEVICE(device);
    NEED(memory);
    /* The old call counts what the driver reserves as used. */
    reserved = memory_number(device, "mem.reserved", 0);
    memory->total = memory_total(device);
    memory->used = memory_number(device, "mem.used", 629145600) + reserved;
    memory->free = memory->total - memory->used;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetMemoryInfo_v2(device_t device, memory_v2 *memory) {
    ENTER_ANY_DEVICE(device);
    NEED(memory);
    if (memory->version != STRUCT_VERSION(memory_v2, 2))
        return NVML_VERSION_MISMATCH;
    memory->total = memory_total(device);
    memory->reserved = memory_number(device, "mem.reserved", 0);
    memory->used = memory_number(device, "mem.used", 629145600);
    memory->free = memory->total - memory->used - memory->reserved;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetBAR1MemoryInfo(device_t device, memory_v1 *memory) {
    ENTER_DEVICE(device);
    NEED(memory);
    memory->total = state_number(device->gpu, 137438953472ULL, "bar1.total");
    memory->used = state_number(device->gpu, 5177344, "bar1.used");
    memory->free = memory->total - memory->used;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetUtilizationRates(device_t device, utilization *rates) {
    ENTER_DEVICE(device);
    NEED(rates);
    if (state_number(device->gpu, 0, "mig"))
        return NVML_NOT_SUPPORTED;
    rates->gpu = (u32)state_number(device->gpu, 0, "util.gpu");
    rates->memory = (u32)state_number(device->gpu, 0, "util.mem");
    return NVML_SUCCESS;
}

/* procs=pid:bytes[:gpu instance:compute instance],... */
static u32 parse_processes(device_t device, const char *key, process_info *processes) {
    char text[4096], *rest = text, *item;
    u32 count = 0;

    if (!state_text(device->gpu, text, sizeof text, "%s", key))
        return 0;
    while (count < MAX_PROCESSES && (item = strsep(&rest, ","))) {
        char *part = item;
        process_info *process = &processes[count];
        if (!*item)
            continue;
        *process = (process_info){0, 0, NO_INSTANCE, NO_INSTANCE};
        process->pid = (u32)strtoul(strsep(&part, ":"), NULL, 0);
        if (part)
            process->used_memory = strtoull(strsep(&part, ":"), NULL, 0);
        if (part)
            process->gpu_instance = (u32)strtoul(strsep(&part, ":"), NULL, 0);
        if (part)
            process->compute_instance = (u32)strtoul(part, NULL, 0);
        count++;
    }
    return count;
}

/* The first call, with no room, learns how many there are. */
static nvml_return list_processes(device_t device, const char *key, u32 *count, process_info *processes) {
    process_info all[MAX_PROCESSES];
    u32 there = parse_processes(device, key, all), room;

    NEED(count);
    room = *count;
    *count = there;
    if (there == 0)
        return NVML_SUCCESS;
    if (!processes || room < there)
        return NVML_INSUFFICIENT_SIZE;
    memcpy(processes, all, there * sizeof *all);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetComputeRunningProcesses_v3(device_t device, u32 *count, process_info *processes) {
    ENTER_DEVICE(device);
    return list_processes(device, "procs", count, processes);
}

EXPORT nvml_return nvmlDeviceGetGraphicsRunningProcesses_v3(device_t device, u32 *count, process_info *processes) {
    ENTER_DEVICE(device);
    return list_processes(device, "procs.graphics", count, processes);
}

EXPORT nvml_return nvmlDeviceGetMPSComputeRunningProcesses_v3(device_t device, u32 *count, process_info *processes) {
    ENTER_DEVICE(device);
    return list_processes(device, "procs.mps", count, processes);
}
