/* Copyright: (c) 2026, autoglm.recovery maintainers
 * GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */

/* The fabric: what the fabric manager has made of this GPU. */
#include "fake.h"

#include <string.h>

/* In bit pairs: nothing is degraded, and the configuration is right. */
#define MASK_ALL_FALSE 0x1aaU

enum { NOT_SUPPORTED_STATE = 0, COMPLETED = 3, SUMMARY_HEALTHY = 1 };

static u32 fabric_number(int gpu, const char *key, u32 otherwise) {
    return (u32)state_number(gpu, otherwise, "fabric.%s", key);
}

EXPORT nvml_return nvmlDeviceGetGpuFabricInfo(device_t device, fabric_info *info) {
    ENTER_DEVICE(device);
    NEED(info);
    memset(info, 0, sizeof *info);
    info->state = fabric_number(device->gpu, "state", COMPLETED);
    info->status = fabric_number(device->gpu, "status", 0);
    info->clique = fabric_number(device->gpu, "clique", 0);
    return NVML_SUCCESS;
}

#ifndef FAKE_OLD_SYMBOLS
EXPORT nvml_return nvmlDeviceGetGpuFabricInfoV(device_t device, u32 *versioned) {
    fabric_info_v3 info;
    ENTER_DEVICE(device);
    NEED(versioned);
    memset(&info, 0, sizeof info);
    info.version = *versioned;
    info.state = fabric_number(device->gpu, "state", COMPLETED);
    info.status = fabric_number(device->gpu, "status", 0);
    info.clique = fabric_number(device->gpu, "clique", 0);
    info.health_mask = fabric_number(device->gpu, "mask", MASK_ALL_FALSE);
    info.health_summary = (unsigned char)fabric_number(device->gpu, "summary", SUMMARY_HEALTHY);
    if (*versioned == STRUCT_VERSION(fabric_info_v3, 3) && fabric_number(HOST, "v3", 1))
        memcpy(versioned, &info, sizeof(fabric_info_v3));
    else if (*versioned == STRUCT_VERSION(fabric_info_v2, 2))
        memcpy(versioned, &info, sizeof(fabric_info_v2));
    else
        return NVML_VERSION_MISMATCH;
    return NVML_SUCCESS;
}
#endif
