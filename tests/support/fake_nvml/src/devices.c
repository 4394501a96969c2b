/* Copyright: (c) 2026, autoglm.recovery maintainers
 * GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */

/* Which GPUs there are, their handles and names. */
#include "fake.h"

#include <stdio.h>
#include <string.h>

static fake_device gpus[MAX_GPUS], migs[MAX_GPUS][MAX_MIG];

__attribute__((constructor)) static void number_devices(void) {
    for (int gpu = 0; gpu < MAX_GPUS; gpu++) {
        gpus[gpu] = (fake_device){gpu, -1};
        for (int mig = 0; mig < MAX_MIG; mig++)
            migs[gpu][mig] = (fake_device){gpu, mig};
    }
}

device_t device_of(int gpu, int mig) {
    return mig < 0 ? &gpus[gpu] : &migs[gpu][mig];
}

int is_device(device_t device) {
    const fake_device *end = &migs[MAX_GPUS - 1][MAX_MIG - 1];
    return (device >= gpus && device < gpus + MAX_GPUS) || (device >= &migs[0][0] && device <= end);
}

static int physical_count(void) {
    u64 count = state_number(HOST, 8, "count");
    return count > MAX_GPUS ? MAX_GPUS : (int)count;
}

/* gpu3.gone=1: the driver does not list it at all, and those behind it move up. */
int is_present(int gpu) {
    return gpu < physical_count() && !state_number(gpu, 0, "gone");
}

EXPORT nvml_return nvmlDeviceGetCount_v2(u32 *count) {
    ENTER();
    NEED(count);
    *count = 0;
    for (int gpu = 0; gpu < MAX_GPUS; gpu++)
        *count += (u32)is_present(gpu);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetHandleByIndex_v2(u32 index, device_t *device) {
    TRY(need_initialised());
    NEED(device);
    for (int gpu = 0; gpu < MAX_GPUS; gpu++)
        if (is_present(gpu) && index-- == 0) {
            TRY(enter_device(__func__, &gpus[gpu], 0));
            *device = &gpus[gpu];
            return NVML_SUCCESS;
        }
    return NVML_INVALID_ARGUMENT;
}

EXPORT nvml_return nvmlDeviceGetIndex(device_t device, u32 *index) {
    ENTER_DEVICE(device);
    NEED(index);
    *index = 0;
    for (int gpu = 0; gpu < device->gpu; gpu++)
        *index += (u32)is_present(gpu);
    return NVML_SUCCESS;
}

static void uuid_of(device_t device, char *text, u32 size) {
    if (device->mig >= 0)
        snprintf(text, size, "MIG-00000000-0000-4000-8000-%06d%06d", device->gpu, device->mig);
    else if (!state_text(device->gpu, text, size, "uuid"))
        snprintf(text, size, "GPU-00000000-0000-4000-8000-%012d", device->gpu);
}

static void place_of(int gpu, u32 *domain, u32 *bus, u32 *slot) {
    char text[64];
    if (!state_text(gpu, text, sizeof text, "pci") || sscanf(text, "%x:%x:%x", domain, bus, slot) != 3) {
        *domain = *slot = 0;
        *bus = 0x0b + (u32)gpu * 0x0f;
    }
}

EXPORT nvml_return nvmlDeviceGetUUID(device_t device, char *uuid, u32 length) {
    char text[96];
    ENTER_ANY_DEVICE(device);
    NEED(uuid);
    uuid_of(device, text, sizeof text);
    if (strlen(text) + 1 > length)
        return NVML_INSUFFICIENT_SIZE;
    strcpy(uuid, text);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetHandleByUUID(const char *uuid, device_t *device) {
    char text[96];
    TRY(need_initialised());
    NEED(uuid && device);
    for (int gpu = 0; gpu < MAX_GPUS; gpu++)
        for (int mig = -1; mig < MAX_MIG && is_present(gpu); mig++) {
            uuid_of(device_of(gpu, mig), text, sizeof text);
            if (strcmp(text, uuid) == 0) {
                TRY(enter_device(__func__, device_of(gpu, mig), 1));
                *device = device_of(gpu, mig);
                return NVML_SUCCESS;
            }
        }
    return NVML_NOT_FOUND;
}

EXPORT nvml_return nvmlDeviceGetPciInfo_v3(device_t device, pci_info *pci) {
    ENTER_DEVICE(device);
    NEED(pci);
    memset(pci, 0, sizeof *pci);
    place_of(device->gpu, &pci->domain, &pci->bus, &pci->device);
    pci->pci_device_id = (u32)state_number(device->gpu, 0x233010de, "pci.device");
    pci->pci_subsystem_id = (u32)state_number(device->gpu, 0x16c110de, "pci.subsystem");
    snprintf(pci->bus_id_legacy, sizeof pci->bus_id_legacy, "%04X:%02X:%02X.0", pci->domain & 0xffff, pci->bus & 0xff,
             pci->device & 0xff);
    snprintf(pci->bus_id, sizeof pci->bus_id, "%08X:%02X:%02X.0", pci->domain, pci->bus & 0xff, pci->device & 0xff);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, device_t *device) {
    u32 domain, bus, slot, d, b, s;
    TRY(need_initialised());
    NEED(bus_id && device && sscanf(bus_id, "%x:%x:%x", &domain, &bus, &slot) == 3);
    for (int gpu = 0; gpu < MAX_GPUS; gpu++) {
        place_of(gpu, &d, &b, &s);
        if (is_present(gpu) && d == domain && b == bus && s == slot) {
            TRY(enter_device(__func__, &gpus[gpu], 0));
            *device = &gpus[gpu];
            return NVML_SUCCESS;
        }
    }
    return NVML_NOT_FOUND;
}

EXPORT nvml_return nvmlDeviceGetName(device_t device, char *name, u32 length) {
    char base[96], profile[64], full[192];
    ENTER_ANY_DEVICE(device);
    if (device->mig < 0)
        return give_text(device->gpu, name, length, "NVIDIA H100 80GB HBM3", "name");
    if (!state_text(device->gpu, base, sizeof base, "name"))
        strcpy(base, "NVIDIA H100 80GB HBM3");
    if (!state_text(device->gpu, profile, sizeof profile, "mig.%d.profile", device->mig))
        strcpy(profile, "1g.10gb");
    snprintf(full, sizeof full, "%s MIG %s", base, profile);
    NEED(name && strlen(full) < length);
    strcpy(name, full);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetSerial(device_t device, char *serial, u32 length) {
    char otherwise[32];
    ENTER_DEVICE(device);
    snprintf(otherwise, sizeof otherwise, "165032%07d", device->gpu);
    return give_text(device->gpu, serial, length, otherwise, "serial");
}

EXPORT nvml_return nvmlDeviceGetVbiosVersion(device_t device, char *version, u32 length) {
    ENTER_DEVICE(device);
    return give_text(device->gpu, version, length, "96.00.89.00.01", "vbios");
}

EXPORT nvml_return nvmlDeviceGetBoardPartNumber(device_t device, char *number, u32 length) {
    ENTER_DEVICE(device);
    return give_text(device->gpu, number, length, "692-2G520-0200-000", "part");
}

EXPORT nvml_return nvmlDeviceGetGspFirmwareVersion(device_t device, char *version) {
    ENTER_DEVICE(device);
    return give_text(HOST, version, 64, "570.158.01", "driver");
}

EXPORT nvml_return nvmlDeviceGetMinorNumber(device_t device, u32 *minor) {
    ENTER_DEVICE(device);
    NEED(minor);
    *minor = (u32)state_number(device->gpu, (u64)device->gpu, "minor");
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetCudaComputeCapability(device_t device, int *major, int *minor) {
    ENTER_DEVICE(device);
    NEED(major && minor);
    *major = (int)state_number(device->gpu, 9, "cc.major");
    *minor = (int)state_number(device->gpu, 0, "cc.minor");
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetGspFirmwareMode(device_t device, u32 *enabled, u32 *standard) {
    ENTER_DEVICE(device);
    NEED(enabled && standard);
    *enabled = *standard = (u32)state_number(device->gpu, 1, "gsp");
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceValidateInforom(device_t device) {
    ENTER_DEVICE(device);
    return NVML_SUCCESS;
}

NUMBER_GETTER(nvmlDeviceGetArchitecture, u32, "architecture", 9)
NUMBER_GETTER(nvmlDeviceGetBrand, u32, "brand", 14)
NUMBER_GETTER(nvmlDeviceGetBoardId, u32, "board", 0)
NUMBER_GETTER(nvmlDeviceGetNumGpuCores, u32, "cores", 16896)
NUMBER_GETTER(nvmlDeviceGetComputeMode, u32, "compute_mode", 0)
