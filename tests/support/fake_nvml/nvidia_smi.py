# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program nvidia-smi as far as a reset asks for it, on the GPUs of the fake library: -pm, -pl and --gpu-reset.

Run by smi.FakeSmi, with the path of its settings. Not kinder than the real one: it refuses a GPU that anybody has open
or whose persistence mode is on (NVIDIA/NVSentinel#1690, measured), and one that it does not know. Words and exit codes:
the manual of nvidia-smi, NVIDIA/NVSentinel#1690, logs of NVIDIA/mig-parted; for "primary GPU" reports of users.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from pathlib import Path

IN_USE = """The following GPUs could not be reset:
{listed}

{count} device(s) is/are currently being used by one or more other processes (e.g., Fabric Manager, CUDA application,
graphics application such as an X server, or a monitoring application such as another instance of nvidia-smi)."""
# What a reset leaves behind: volatile counters and what waited for it are gone, persistence mode and limits are kept by
# whoever set them, which is nobody any more.
REPAIRED = {
    "remap.pending": "0",
    "retired.pending": "0",
    "recovery": "0",
    "reset.status": "0",
    "drain.status": "0",
    "ecc.vol.dbe": "0",
    "persistence": "0",
}


class Driver:
    """The state that the fake library reads."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.state = Path(settings["state"])
        self.play = settings["play"]

    def value(self, gpu: int, key: str, otherwise: str) -> str:
        found = otherwise
        for line in self.state.read_text("ascii").splitlines():
            name, _, value = line.partition("=")
            if name in (f"gpu*.{key}", f"gpu{gpu}.{key}"):
                found = value
        return found

    def set(self, values: dict[str, str]) -> None:
        text = self.state.read_text("ascii") + "".join(f"{key}={value}\n" for key, value in values.items())
        new = self.state.with_suffix(".smi")
        new.write_text(text, "ascii")
        new.replace(self.state)

    def gpus(self) -> list[int]:
        counts = [line[6:] for line in self.state.read_text("ascii").splitlines() if line.startswith("count=")]
        return [gpu for gpu in range(int(counts[-1])) if self.value(gpu, "gone", "0") == "0"]

    def find(self, words: str) -> list[int]:
        known = {self.value(gpu, "uuid", f"GPU-00000000-0000-4000-8000-{gpu:012d}"): gpu for gpu in self.gpus()}
        return [known[word] for word in words.split(",")]

    def held(self, gpu: int) -> bool:
        """Whether anybody has its device file open, or persistence mode keeps it."""
        if self.value(gpu, "persistence", "1") != "0":
            return True
        node = f"/dev/nvidia{self.value(gpu, 'minor', str(gpu))}"
        return any(_links_to(link, node) for link in Path("/proc").glob("[0-9]*/fd/*"))


def address(gpu: int) -> str:
    return f"00000000:{0x0B + gpu * 0x0F:02X}:00.0"


def _links_to(link: Path, node: str) -> bool:
    try:
        return os.readlink(link) == node
    except OSError:
        return False


def reset(driver: Driver, gpus: list[int]) -> int:
    if driver.play == "hangs":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(3600)
    held = [gpu for gpu in gpus if driver.held(gpu)]
    if driver.play == "in_use" or held:
        listed = "\n".join(f"  GPU {address(gpu)}: In use by another client" for gpu in held or gpus)
        print(IN_USE.format(listed=listed, count=len(held or gpus)))
        return 255
    if driver.play == "not_supported":
        print(
            "\n".join(
                ["The following GPUs could not be reset:", *(f"  GPU {address(gpu)}: Not Supported" for gpu in gpus)]
            )
        )
        return 255
    changes = {f"gpu{gpu}.{key}": value for gpu in gpus for key, value in REPAIRED.items()}
    if driver.play == "still_pending":
        changes = {key: value for key, value in changes.items() if not key.endswith("remap.pending")}
    if driver.play == "not_back":
        changes[f"gpu{gpus[0]}.gone"] = "1"
    if driver.play == "forgets_power":
        changes |= {f"gpu{gpu}.power.limit": "500000" for gpu in gpus}
    driver.set(changes)
    for gpu in gpus:
        print(f"GPU {address(gpu)} was successfully reset.")
    print("All done.")
    return 0


def main(arguments: list[str]) -> int:
    settings = json.loads(Path(arguments[0]).read_text("utf-8"))
    with Path(settings["log"]).open("a", encoding="utf-8") as log:
        log.write(" ".join(arguments[1:]) + "\n")
    driver = Driver(settings)
    words = arguments[1:]
    try:
        gpus = driver.find(words[words.index("-i") + 1]) if "-i" in words else driver.gpus()
    except KeyError:
        print("No devices were found")
        return 6
    if "--gpu-reset" in words:
        return reset(driver, gpus)
    for option, key, factor in (("-pm", "persistence", 1), ("-pl", "power.limit", 1000)):
        if option in words:
            value = words[words.index(option) + 1]
            if not re.fullmatch(r"[0-9.]+", value):
                return 2
            driver.set({f"gpu{gpu}.{key}": str(int(float(value) * factor)) for gpu in gpus})
            print("All done.")
            return 0
    print("Invalid combination of input arguments.")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
