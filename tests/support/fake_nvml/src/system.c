/* Copyright: (c) 2026, autoglm.recovery maintainers
 * GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */

/* Start, end, versions, words for errors. */
#include "fake.h"

#include <stddef.h>
#include <stdio.h>

EXPORT nvml_return nvmlInitWithFlags(u32 flags) {
    (void)flags;
    ENTER();
    set_initialised(1);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlInit_v2(void) {
    return nvmlInitWithFlags(0);
}

EXPORT nvml_return nvmlShutdown(void) {
    ENTER();
    set_initialised(-1);
    return NVML_SUCCESS;
}

EXPORT const char *nvmlErrorString(nvml_return result) {
    static const struct {
        u32 code;
        const char *words;
    } known[] = {
        {0, "Success"},
        {1, "Uninitialized"},
        {2, "Invalid Argument"},
        {3, "Not Supported"},
        {4, "Insufficient Permissions"},
        {6, "Not Found"},
        {7, "Insufficient Size"},
        {8, "Insufficient External Power"},
        {9, "Driver Not Loaded"},
        {10, "Timeout"},
        {11, "Interrupt Request Issue"},
        {12, "NVML Shared Library Not Found"},
        {13, "Function Not Found"},
        {14, "Corrupted infoROM"},
        {15, "GPU is lost"},
        {16, "GPU requires reset"},
        {17, "GPU access blocked by the operating system"},
        {18, "Driver/library version mismatch"},
        {19, "In use by another client"},
        {20, "Insufficient Memory"},
        {21, "No data"},
        {25, "Argument version mismatch"},
        {27, "Not ready"},
        {28, "GPU not found"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].code == (u32)result)
            return known[i].words;
    return "Unknown Error";
}

EXPORT nvml_return nvmlSystemGetDriverVersion(char *version, u32 length) {
    ENTER();
    return give_text(HOST, version, length, "570.158.01", "driver");
}

EXPORT nvml_return nvmlSystemGetNVMLVersion(char *version, u32 length) {
    ENTER();
    return give_text(HOST, version, length, "12.570.158.01", "nvml");
}

EXPORT nvml_return nvmlSystemGetCudaDriverVersion_v2(int *version) {
    ENTER();
    NEED(version);
    *version = (int)state_number(HOST, 12080, "cuda");
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlSystemGetCudaDriverVersion(int *version) {
    return nvmlSystemGetCudaDriverVersion_v2(version);
}

EXPORT nvml_return nvmlSystemGetProcessName(u32 pid, char *name, u32 length) {
    char key[32];
    ENTER();
    snprintf(key, sizeof key, "process.%u", pid);
    return give_text(HOST, name, length, "python3", key);
}
