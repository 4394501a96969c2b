/* Copyright: (c) 2026, autoglm.recovery maintainers
 * GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */

/* MIG: mig=1, mig.count devices, each with mig.<K>.gi, mig.<K>.ci, mig.<K>.profile, mig.<K>.mem.total. */
#include "fake.h"

static nvml_return need_mig_capable(device_t device) {
    return state_number(device->gpu, 1, "mig.capable") ? NVML_SUCCESS : NVML_NOT_SUPPORTED;
}

static u32 mig_count(int gpu) {
    u64 count = state_number(gpu, 0, "mig") ? state_number(gpu, 0, "mig.count") : 0;
    return count > MAX_MIG ? MAX_MIG : (u32)count;
}

EXPORT nvml_return nvmlDeviceGetMigMode(device_t device, u32 *current, u32 *pending) {
    ENTER_DEVICE(device);
    NEED(current && pending);
    TRY(need_mig_capable(device));
    *current = (u32)state_number(device->gpu, 0, "mig");
    *pending = (u32)state_number(device->gpu, *current, "mig.pending");
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetMaxMigDeviceCount(device_t device, u32 *count) {
    ENTER_DEVICE(device);
    NEED(count);
    *count = state_number(device->gpu, 1, "mig.capable") ? 7 : 0;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetMigDeviceHandleByIndex(device_t device, u32 index, device_t *mig) {
    ENTER_DEVICE(device);
    NEED(mig);
    TRY(need_mig_capable(device));
    if (index >= mig_count(device->gpu))
        return NVML_NOT_FOUND;
    *mig = device_of(device->gpu, (int)index);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetDeviceHandleFromMigDeviceHandle(device_t mig, device_t *device) {
    ENTER_ANY_DEVICE(mig);
    NEED(device && mig->mig >= 0);
    *device = device_of(mig->gpu, -1);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceIsMigDeviceHandle(device_t device, u32 *is_mig) {
    ENTER_ANY_DEVICE(device);
    NEED(is_mig);
    *is_mig = device->mig >= 0;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetGpuInstanceId(device_t device, u32 *id) {
    ENTER_ANY_DEVICE(device);
    NEED(id && device->mig >= 0);
    *id = (u32)state_number(device->gpu, (u64)device->mig + 1, "mig.%d.gi", device->mig);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetComputeInstanceId(device_t device, u32 *id) {
    ENTER_ANY_DEVICE(device);
    NEED(id && device->mig >= 0);
    *id = (u32)state_number(device->gpu, 0, "mig.%d.ci", device->mig);
    return NVML_SUCCESS;
}
