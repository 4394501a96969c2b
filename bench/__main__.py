# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m bench [NAME ...]``: figures, each beside its baseline of the same run.  Without a name, all of them."""

from __future__ import annotations

import argparse

from bench import (
    checkpoint,
    exporter,
    failure_mix,
    fault_to_serving,
    first_task,
    gpu_health,
    kernel_lines,
    launch,
    receiver_state,
    rolling_restart,
    storm,
)

BENCHES = {
    "receiver_state": receiver_state.main,
    "storm": storm.main,
    "first_task": first_task.main,
    "launch": launch.main,
    "fault_to_serving": fault_to_serving.main,
    "rolling_restart": rolling_restart.main,
    "checkpoint": checkpoint.main,
    "kernel_lines": kernel_lines.main,
    "gpu_health": gpu_health.main,
    "exporter": exporter.main,
    "failure_mix": failure_mix.main,
}


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("name", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHES)}")
    chosen = parser.parse_args().name or list(BENCHES)
    if unknown := set(chosen) - set(BENCHES):
        parser.error(f"there is no bench {', '.join(sorted(unknown))}; known: {', '.join(BENCHES)}")
    for name in chosen:
        BENCHES[name]()
        print(flush=True)


if __name__ == "__main__":
    main()
