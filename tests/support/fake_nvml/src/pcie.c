/* Copyright: (c) 2026, autoglm.recovery maintainers
 * GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */

/* The PCIe link, and who reaches whom over what. */
#include "fake.h"

NUMBER_GETTER(nvmlDeviceGetCurrPcieLinkGeneration, u32, "pcie.gen", 5)
NUMBER_GETTER(nvmlDeviceGetMaxPcieLinkGeneration, u32, "pcie.gen.max", 5)
NUMBER_GETTER(nvmlDeviceGetGpuMaxPcieLinkGeneration, u32, "pcie.gen.gpumax", 5)
NUMBER_GETTER(nvmlDeviceGetCurrPcieLinkWidth, u32, "pcie.width", 16)
NUMBER_GETTER(nvmlDeviceGetMaxPcieLinkWidth, u32, "pcie.width.max", 16)
NUMBER_GETTER(nvmlDeviceGetPcieReplayCounter, u32, "pcie.replay", 0)
NUMBER_GETTER(nvmlDeviceGetPcieSpeed, u32, "pcie.speed", 32000)

EXPORT nvml_return nvmlDeviceGetPcieThroughput(device_t device, u32 counter, u32 *kib_per_second) {
    ENTER_DEVICE(device);
    NEED(kib_per_second && counter <= 1);
    *kib_per_second = (u32)state_number(device->gpu, 0, "pcie.throughput.%u", counter);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetP2PStatus(device_t device, device_t other, u32 capability, u32 *status) {
    ENTER_DEVICE(device);
    NEED(is_device(other) && status);
    *status = (u32)state_number(device->gpu, 0, "p2p.%u.%d", capability, other->gpu);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetTopologyCommonAncestor(device_t device, device_t other, u32 *level) {
    ENTER_DEVICE(device);
    NEED(is_device(other) && level);
    *level = (u32)state_number(device->gpu, device->gpu / 4 == other->gpu / 4 ? 40 : 50, "topology.%d", other->gpu);
    return NVML_SUCCESS;
}
