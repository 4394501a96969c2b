/* Copyright: (c) 2026, autoglm.recovery maintainers
 * GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */

/* The state file: "key=value" lines; '#' begins a comment. It is read anew whenever another file is there, so that a
 * test injures a GPU while the reader runs. The writer replaces the file (rename), so no reader sees half of one. */
#define _GNU_SOURCE
#include "fake.h"

#include <dlfcn.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_LINES 4096

typedef struct {
    char *key, *value;
} line;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static line lines[MAX_LINES];
static int line_count;
static struct stat seen;

/* The environment's file; without one the file beside the library, which a caller that lost its environment finds. */
const char *state_path(void) {
    static char path[4096];
    const char *named = getenv("FAKE_NVML_STATE");
    if (named && *named)
        return named;
    if (!*path) {
        Dl_info library;
        if (dladdr((void *)(uintptr_t)state_path, &library) && library.dli_fname)
            snprintf(path, sizeof path, "%s.state", library.dli_fname);
    }
    return path;
}

static int is_seen(const struct stat *now) {
    return now->st_ino == seen.st_ino && now->st_size == seen.st_size && now->st_mtim.tv_sec == seen.st_mtim.tv_sec &&
           now->st_mtim.tv_nsec == seen.st_mtim.tv_nsec;
}

static void forget(void) {
    for (int i = 0; i < line_count; i++) {
        free(lines[i].key);
        free(lines[i].value);
    }
    line_count = 0;
}

static void reload(void) {
    struct stat now;
    FILE *file;
    char text[4096];

    if (stat(state_path(), &now) != 0 || is_seen(&now) || !(file = fopen(state_path(), "r")))
        return;
    if (fstat(fileno(file), &now) == 0)
        seen = now;
    forget();
    while (line_count < MAX_LINES && fgets(text, sizeof text, file)) {
        char *equals = strchr(text, '=');
        text[strcspn(text, "\n")] = '\0';
        if (*text == '#' || !equals)
            continue;
        *equals = '\0';
        lines[line_count].key = strdup(text);
        lines[line_count++].value = strdup(equals + 1);
    }
    fclose(file);
}

static const char *last_value(const char *key) {
    for (int i = line_count - 1; i >= 0; i--)
        if (strcmp(lines[i].key, key) == 0)
            return lines[i].value;
    return NULL;
}

static const char *find(int gpu, const char *key) {
    char full[256];
    const char *value;

    if (gpu == HOST)
        return last_value(key);
    snprintf(full, sizeof full, "gpu%d.%s", gpu, key);
    if ((value = last_value(full)))
        return value;
    snprintf(full, sizeof full, "gpu*.%s", key);
    return last_value(full);
}

int state_text(int gpu, char *text, u32 size, const char *key, ...) {
    char full[192];
    const char *value;
    va_list arguments;

    va_start(arguments, key);
    vsnprintf(full, sizeof full, key, arguments);
    va_end(arguments);
    pthread_mutex_lock(&lock);
    reload();
    if ((value = find(gpu, full)))
        snprintf(text, size, "%s", value);
    pthread_mutex_unlock(&lock);
    return value != NULL;
}

u64 state_number(int gpu, u64 otherwise, const char *key, ...) {
    char full[192], text[64];
    va_list arguments;

    va_start(arguments, key);
    vsnprintf(full, sizeof full, key, arguments);
    va_end(arguments);
    return state_text(gpu, text, sizeof text, "%s", full) ? strtoull(text, NULL, 0) : otherwise;
}

/* A rule about functions, gpu3.err.nvmlDeviceGetNvLink*=999: the name may be a pattern; the last that fits counts. */
int state_rule(int gpu, const char *verb, const char *function, u64 *value) {
    char wanted[160], own[16];
    int found = 0;

    snprintf(own, sizeof own, "gpu%d.", gpu);
    snprintf(wanted, sizeof wanted, "%s.%s", verb, function);
    pthread_mutex_lock(&lock);
    reload();
    for (int i = line_count - 1; i >= 0 && !found; i--) {
        const char *key = lines[i].key;
        if (gpu != HOST && strncmp(key, own, strlen(own)) == 0)
            key += strlen(own);
        else if (gpu != HOST && strncmp(key, "gpu*.", 5) == 0)
            key += 5;
        if (strncmp(key, verb, strlen(verb)) == 0 && fnmatch(key, wanted, 0) == 0) {
            *value = strtoull(lines[i].value, NULL, 0);
            found = 1;
        }
    }
    pthread_mutex_unlock(&lock);
    return found;
}
