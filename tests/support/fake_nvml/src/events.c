/* Copyright: (c) 2026, autoglm.recovery maintainers
 * GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */

/* The event set. Xids are lines "<gpu> <xid> [gpu instance, compute instance]" that a test appends to the events
 * file, <state file>.events; a set sees those that come after it was made. */
#define _GNU_SOURCE
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

typedef struct {
    long offset;
    u64 wanted[MAX_GPUS];
} event_set;

static const char *events_path(void) {
    static char path[4200];
    snprintf(path, sizeof path, "%s.events", state_path());
    return path;
}

NUMBER_GETTER(nvmlDeviceGetSupportedEventTypes, u64, "events.supported", 0x1f9f)

EXPORT nvml_return nvmlEventSetCreate(event_set **set) {
    struct stat now;
    ENTER();
    NEED(set);
    *set = calloc(1, sizeof **set);
    (*set)->offset = stat(events_path(), &now) == 0 ? (long)now.st_size : 0;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlEventSetFree(event_set *set) {
    ENTER();
    free(set);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceRegisterEvents(device_t device, u64 types, event_set *set) {
    ENTER_DEVICE(device);
    NEED(set);
    set->wanted[device->gpu] |= types;
    return NVML_SUCCESS;
}

/* One whole line that this set has not seen; a line without its end is not there yet. */
static int next_line(event_set *set, char *text, int size) {
    FILE *file = fopen(events_path(), "r");
    int found = 0;
    if (!file)
        return 0;
    if (fseek(file, set->offset, SEEK_SET) == 0 && fgets(text, size, file) && strchr(text, '\n')) {
        set->offset = ftell(file);
        found = 1;
    }
    fclose(file);
    return found;
}

EXPORT nvml_return nvmlEventSetWait_v2(event_set *set, event_data *event, u32 timeout_ms) {
    const struct timespec pause = {0, 5000000};
    const u64 deadline = microseconds() + (u64)timeout_ms * 1000;
    char text[128];
    u32 gpu, xid, gi, ci;

    ENTER();
    NEED(set && event);
    for (;;) {
        while (next_line(set, text, sizeof text)) {
            gi = ci = NO_INSTANCE;
            if (sscanf(text, "%u %u %u %u", &gpu, &xid, &gi, &ci) < 2 || gpu >= MAX_GPUS)
                return NVML_UNKNOWN;
            if (!(set->wanted[gpu] & EVENT_XID))
                continue;
            *event = (event_data){device_of((int)gpu, -1), EVENT_XID, xid, gi, ci};
            return NVML_SUCCESS;
        }
        /* As NVML does when a GPU of the set falls off the bus. */
        for (int i = 0; i < MAX_GPUS; i++)
            if (set->wanted[i] && state_number(i, 0, "lost.events"))
                return NVML_GPU_IS_LOST;
        if (microseconds() >= deadline)
            return NVML_TIMEOUT;
        nanosleep(&pause, NULL);
    }
}
