/* Copyright: (c) 2026, autoglm.recovery maintainers
 * GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */

/* The door: what every call meets before it is answered. */
#define _GNU_SOURCE
#include "fake.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

static int initialised; /* as in NVML, nvmlInit is counted */

void set_initialised(int by) {
    __atomic_add_fetch(&initialised, by, __ATOMIC_SEQ_CST);
}

static void wait_ms(u64 milliseconds) {
    struct timespec left = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0) {
    }
}

/* latency.serial=1: calls of all processes wait for one another, as they do where the driver takes its global lock. */
static void spend(u64 milliseconds) {
    char path[4200];
    int file = -1;

    if (state_number(HOST, 0, "latency.serial")) {
        snprintf(path, sizeof path, "%s.lock", state_path());
        if ((file = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0666)) >= 0)
            flock(file, LOCK_EX);
    }
    wait_ms(milliseconds);
    if (file >= 0)
        close(file);
}

/* As near to a D-state as a program comes: of the signals only SIGKILL and SIGSTOP get through. Ends with the rule. */
static void hang(int gpu, const char *function) {
    sigset_t all, before;
    u64 seconds, waited = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (state_rule(gpu, "hang", function, &seconds) && waited < seconds * 1000) {
        wait_ms(50);
        waited += 50;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static nvml_return meet_rules(int gpu, const char *function) {
    u64 value;

    if (state_rule(gpu, "latency_ms", function, &value) && value)
        spend(value);
    if (state_rule(gpu, "hang", function, &value))
        hang(gpu, function);
    if (state_rule(gpu, "err", function, &value) && value)
        return (nvml_return)value;
    return NVML_SUCCESS;
}

nvml_return need_initialised(void) {
    return __atomic_load_n(&initialised, __ATOMIC_SEQ_CST) > 0 ? NVML_SUCCESS : NVML_UNINITIALIZED;
}

nvml_return enter_host(const char *function) {
    if (strncmp(function, "nvmlInit", 8) != 0)
        TRY(need_initialised());
    return meet_rules(HOST, function);
}

nvml_return enter_device(const char *function, device_t device, int mig_too) {
    TRY(need_initialised());
    if (!is_device(device) || (device->mig >= 0 && !mig_too))
        return NVML_INVALID_ARGUMENT;
    TRY(meet_rules(device->gpu, function));
    if (state_number(device->gpu, 0, "lost") || !is_present(device->gpu))
        return NVML_GPU_IS_LOST;
    return NVML_SUCCESS;
}

nvml_return give_text(int gpu, char *text, u32 size, const char *otherwise, const char *key) {
    char value[256];

    NEED(text);
    if (!state_text(gpu, value, sizeof value, "%s", key))
        snprintf(value, sizeof value, "%s", otherwise);
    if (strlen(value) + 1 > size)
        return NVML_INSUFFICIENT_SIZE;
    strcpy(text, value);
    return NVML_SUCCESS;
}

u64 microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (u64)now.tv_sec * 1000000 + (u64)now.tv_nsec / 1000;
}
