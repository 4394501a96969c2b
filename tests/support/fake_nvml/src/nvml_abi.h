/* Copyright: (c) 2026, autoglm.recovery maintainers
 * GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */

/* The binary interface: what NVIDIA publishes in nvml.h, as far as the fake speaks it. */
#ifndef FAKE_NVML_ABI_H
#define FAKE_NVML_ABI_H

#include <stdint.h>

typedef unsigned int u32;
typedef unsigned long long u64;

typedef enum {
    NVML_SUCCESS = 0,
    NVML_UNINITIALIZED = 1,
    NVML_INVALID_ARGUMENT = 2,
    NVML_NOT_SUPPORTED = 3,
    NVML_NOT_FOUND = 6,
    NVML_INSUFFICIENT_SIZE = 7,
    NVML_TIMEOUT = 10,
    NVML_GPU_IS_LOST = 15,
    NVML_VERSION_MISMATCH = 25,
    NVML_UNKNOWN = 999
} nvml_return;

/* What callers know as an opaque pointer. A MIG device has mig >= 0. */
typedef struct {
    int gpu;
    int mig;
} fake_device;
typedef const fake_device *device_t;

#define STRUCT_VERSION(type, version) ((u32)(sizeof(type) | ((u32)(version) << 24)))

typedef struct {
    char bus_id_legacy[16];
    u32 domain, bus, device, pci_device_id, pci_subsystem_id;
    char bus_id[32];
} pci_info;

typedef struct {
    u64 total, free, used;
} memory_v1;

typedef struct {
    u32 version;
    u64 total, reserved, free, used;
} memory_v2;

typedef struct {
    u32 gpu, memory;
} utilization;

typedef struct {
    u32 version, sensor;
    int temperature;
} temperature_v1;

typedef struct {
    u32 version;
    int margin;
} margin_temperature_v1;

typedef struct {
    u64 reference_time, violation_time;
} violation_time;

typedef struct {
    u64 l1_cache, l2_cache, device_memory, register_file;
} ecc_counts;

typedef struct {
    u32 version;
    u64 aggregate_unc_parity, aggregate_unc_secded, aggregate_cor;
    u64 volatile_unc_parity, volatile_unc_secded, volatile_cor;
    u64 bucket_l2, bucket_sm, bucket_pcie, bucket_mcu, bucket_other;
    u32 threshold_exceeded;
} sram_status_v1;

typedef struct {
    u32 max, high, partial, low, none;
} remapper_histogram;

/* The library's own v2 of the remapped rows has no version field. */
typedef struct {
    u32 cor_active, cor_inactive, unc_active, unc_inactive, pending, failure;
} remapped_rows_v2;

typedef struct {
    u32 pid;
    u64 used_memory;
    u32 gpu_instance, compute_instance;
} process_info;

typedef struct {
    u32 field, scope;
    int64_t timestamp, latency;
    u32 type;
    u32 result;
    union {
        double d;
        u32 u;
        unsigned long ul;
        u64 ull;
        long long sll;
        int s;
        unsigned short us;
    } value;
} field_value;

enum { TYPE_DOUBLE, TYPE_U32, TYPE_ULONG, TYPE_U64, TYPE_S64, TYPE_S32, TYPE_U16 };

typedef struct {
    unsigned char cluster[16];
    u32 status, clique, state;
} fabric_info;

typedef struct {
    u32 version;
    unsigned char cluster[16];
    u32 status, clique, state, health_mask;
} fabric_info_v2;

typedef struct {
    u32 version;
    unsigned char cluster[16];
    u32 status, clique, state, health_mask;
    unsigned char health_summary;
} fabric_info_v3;

typedef struct {
    device_t device;
    u64 type, data;
    u32 gpu_instance, compute_instance;
} event_data;

#define EVENT_XID 0x8ULL
#define NO_INSTANCE 0xffffffffU

#endif
