/* Copyright: (c) 2026, autoglm.recovery maintainers
 * GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */

/* What the field values need to know of NVLink. */
#ifndef FAKE_NVML_NVLINK_H
#define FAKE_NVML_NVLINK_H

#include "fake.h"

enum { REMOTE_GPU = 0, REMOTE_SWITCH = 2 };

u32 link_count(int gpu);
u32 link_state(int gpu, u32 link);
u32 link_remote_type(int gpu, u32 link);
u64 link_errors(int gpu, u32 link, u32 counter);

#endif
