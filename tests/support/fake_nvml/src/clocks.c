/* Copyright: (c) 2026, autoglm.recovery maintainers
 * GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */

/* Temperature, power, clocks, and what holds the clocks back. */
#include "fake.h"

EXPORT nvml_return nvmlDeviceGetTemperature(device_t device, u32 sensor, u32 *temperature) {
    ENTER_DEVICE(device);
    NEED(sensor == 0 && temperature);
    *temperature = (u32)state_number(device->gpu, 34, "temp");
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetTemperatureThreshold(device_t device, u32 kind, u32 *temperature) {
    static const u32 usual[] = {92, 89, 95, 87};
    ENTER_DEVICE(device);
    NEED(temperature);
    if (kind >= sizeof usual / sizeof *usual)
        return NVML_NOT_SUPPORTED;
    *temperature = (u32)state_number(device->gpu, usual[kind], "temp.threshold.%u", kind);
    return NVML_SUCCESS;
}

#ifndef FAKE_OLD_SYMBOLS
EXPORT nvml_return nvmlDeviceGetTemperatureV(device_t device, temperature_v1 *temperature) {
    ENTER_DEVICE(device);
    NEED(temperature);
    if (temperature->version != STRUCT_VERSION(temperature_v1, 1))
        return NVML_VERSION_MISMATCH;
    NEED(temperature->sensor == 0);
    temperature->temperature = (int)state_number(device->gpu, 34, "temp");
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetMarginTemperature(device_t device, margin_temperature_v1 *margin) {
    ENTER_DEVICE(device);
    NEED(margin);
    if (margin->version != STRUCT_VERSION(margin_temperature_v1, 1))
        return NVML_VERSION_MISMATCH;
    margin->margin = (int)state_number(device->gpu, 53, "temp.margin");
    return NVML_SUCCESS;
}

NUMBER_GETTER(nvmlDeviceGetCurrentClocksEventReasons, u64, "clocks.reasons", 1)
NUMBER_GETTER(nvmlDeviceGetSupportedClocksEventReasons, u64, "clocks.reasons.supported", 0x1ff)
#endif

NUMBER_GETTER(nvmlDeviceGetCurrentClocksThrottleReasons, u64, "clocks.reasons", 1)
NUMBER_GETTER(nvmlDeviceGetSupportedClocksThrottleReasons, u64, "clocks.reasons.supported", 0x1ff)
NUMBER_GETTER(nvmlDeviceGetPowerUsage, u32, "power", 71000)
NUMBER_GETTER(nvmlDeviceGetEnforcedPowerLimit, u32, "power.limit", 700000)
NUMBER_GETTER(nvmlDeviceGetPowerManagementLimit, u32, "power.limit", 700000)
NUMBER_GETTER(nvmlDeviceGetPowerManagementDefaultLimit, u32, "power.default", 700000)
NUMBER_GETTER(nvmlDeviceGetVirtualizationMode, u32, "virtualization", 0)
NUMBER_GETTER(nvmlDeviceGetDisplayActive, u32, "display.active", 0)
NUMBER_GETTER(nvmlDeviceGetPowerManagementMode, u32, "power.management", 1)
NUMBER_GETTER(nvmlDeviceGetTotalEnergyConsumption, u64, "energy", 1000000)
NUMBER_GETTER(nvmlDeviceGetPerformanceState, u32, "pstate", 0)
NUMBER_GETTER(nvmlDeviceGetPersistenceMode, u32, "persistence", 1)

EXPORT nvml_return nvmlDeviceSetPersistenceMode(device_t device, u32 mode) {
    ENTER_DEVICE(device);
    NEED(mode <= 1);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetClockInfo(device_t device, u32 kind, u32 *clock) {
    ENTER_DEVICE(device);
    NEED(clock);
    *clock = (u32)state_number(device->gpu, kind == 2 ? 2619 : 345, "clock.%u", kind);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetMaxClockInfo(device_t device, u32 kind, u32 *clock) {
    ENTER_DEVICE(device);
    NEED(clock);
    *clock = (u32)state_number(device->gpu, kind == 2 ? 2619 : 1980, "clock.max.%u", kind);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetViolationStatus(device_t device, u32 policy, violation_time *time) {
    ENTER_DEVICE(device);
    NEED(time);
    time->reference_time = microseconds();
    time->violation_time = state_number(device->gpu, 0, "violation.%u", policy);
    return NVML_SUCCESS;
}
