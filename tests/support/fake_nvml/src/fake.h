/* Copyright: (c) 2026, autoglm.recovery maintainers
 * GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */

/* What the files of the fake share: the state that a test has set, and the door through which each call goes. */
#ifndef FAKE_NVML_H
#define FAKE_NVML_H

#include "nvml_abi.h"

#define EXPORT __attribute__((visibility("default")))
#define PRINTF_LIKE(at, first) __attribute__((format(printf, at, first)))

#define MAX_GPUS 16
#define MAX_MIG 8
#define HOST (-1) /* in place of a GPU's number: a key of the host */

/* state.c: the text file. Every look-up sees the newest file.
 * A GPU's key is looked for as gpu<N>.<key>, then gpu*.<key>, and of several such lines the last one counts. */
const char *state_path(void);
int state_text(int gpu, char *text, u32 size, const char *key, ...) PRINTF_LIKE(4, 5);
u64 state_number(int gpu, u64 otherwise, const char *key, ...) PRINTF_LIKE(3, 4);
int state_rule(int gpu, const char *verb, const char *function, u64 *value);

/* entry.c: latency, hang, injected error, lost GPU; in this order. */
nvml_return need_initialised(void);
nvml_return enter_host(const char *function);
nvml_return enter_device(const char *function, device_t device, int mig_too);
void set_initialised(int by);

/* devices.c */
device_t device_of(int gpu, int mig);
int is_device(device_t device);
int is_present(int gpu);

/* Common endings of getters. */
nvml_return give_text(int gpu, char *text, u32 size, const char *otherwise, const char *key);
u64 microseconds(void);

#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        nvml_return result_ = (call);                                                                                  \
        if (result_ != NVML_SUCCESS)                                                                                   \
            return result_;                                                                                            \
    } while (0)

#define ENTER() TRY(enter_host(__func__))
#define ENTER_DEVICE(device) TRY(enter_device(__func__, device, 0))
#define ENTER_ANY_DEVICE(device) TRY(enter_device(__func__, device, 1))
#define NEED(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return NVML_INVALID_ARGUMENT;                                                                              \
    } while (0)

/* A getter of one number of the whole GPU, kept under one key. */
#define NUMBER_GETTER(function, type, key, otherwise)                                                                  \
    EXPORT nvml_return function(device_t device, type *value) {                                                        \
        ENTER_DEVICE(device);                                                                                          \
        NEED(value);                                                                                                   \
        *value = (type)state_number(device->gpu, otherwise, key);                                                      \
        return NVML_SUCCESS;                                                                                           \
    }

#endif
