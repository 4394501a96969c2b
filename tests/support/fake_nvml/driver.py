# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hand that a test lays on the fake library: which GPUs there are, and what is wrong with them, while others read.

    fake = FakeNvml(tmp_path, profile="h100", gpus=8)
    fake.set("gpu3.lost", 1)
    fake.hang("nvmlDeviceGetTemperature", gpu=4)
    subprocess.run([sys.executable, "-c", "import pynvml; ..."], env=fake.environment())

What is set applies from the next call on, in every process that has the library open.

Two ways lead a reader to the library.  LD_LIBRARY_PATH (``environment()``) is read by the dynamic linker when a process
starts, so it must be there before: setting os.environ in a Python that runs already is too late.  Loading the path
``library`` first (ctypes.CDLL) works at any time, and is what an option ``nvml_library`` does; become and sudo take
LD_LIBRARY_PATH away, and they cannot take an option.  Either way the library finds its state file without any
environment: it lies beside it, as ``<library>.state``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from tests.support.fake_nvml.build import SONAME, build

PROFILES = Path(__file__).parent / "profiles"
FOREVER = 10**9
# The last field value that a driver branch knows, as nearly as matters: 230, the recovery action, came with R570.
LAST_FIELD = {525: 172, 535: 199, 550: 229, 570: 273, 575: 288, 580: 300}


class FakeNvml:
    """One host's GPUs."""

    def __init__(
        self,
        folder: Path,
        profile: str = "h100",
        gpus: int = 8,
        driver: str = "570.158.01",
        symbols: str = "new",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # A copy: a library that is loaded twice under two names of one file would be one library, with one state.
        self.library = folder / SONAME
        shutil.copyfile(build(symbols), self.library)
        self.state_file = folder / f"{SONAME}.state"
        self.events_file = folder / f"{SONAME}.state.events"
        self._values: dict[str, str] = {}
        self._generation = 0
        self.profile = _read(profile)
        branch = int(driver.partition(".")[0])
        self.set_many(
            {
                "count": gpus,
                "driver": driver,
                "nvml": f"12.{driver}",
                "fields.last": LAST_FIELD.get(branch, 308 if branch > max(LAST_FIELD) else LAST_FIELD[525]),
            }
        )

    def environment(self) -> dict[str, str]:
        """The environment for a process that finds the library as it finds a real one."""
        path = os.pathsep.join(filter(None, [str(self.library.parent), os.environ.get("LD_LIBRARY_PATH")]))
        return {**os.environ, "LD_LIBRARY_PATH": path}

    def set(self, key: str, value: object) -> None:
        """Set one key, such as ``count``, ``gpu3.temp`` or ``gpu*.temp``. README.md lists them."""
        self.set_many({key: value})

    def set_many(self, values: dict[str, object]) -> None:
        """Set several at once: no reader sees one without the others."""
        for key, value in values.items():
            self._values.pop(key, None)  # the line moves to the end; among rules about functions, the last one counts
            self._values[key] = str(value)
        self._write()

    def unset(self, *keys: str) -> None:
        """Back to what the profile says."""
        for key in keys:
            self._values.pop(key, None)
        self._write()

    def fail(self, function: str, error: int, gpu: int | str | None = None) -> None:
        """Make a function return an error; its name may be a pattern. gpu: a number, ``"*"``, or None for every
        call."""
        self.set(f"{_owner(gpu)}err.{function}", error)

    def hang(self, function: str, gpu: int | str | None = None, seconds: int = FOREVER) -> None:
        """Make a function block, deaf to every signal but SIGKILL, until ``release()`` or the time is over."""
        self.set(f"{_owner(gpu)}hang.{function}", seconds)

    def release(self) -> None:
        """End every hang."""
        self.unset(*[key for key in self._values if ".hang." in f".{key}"])

    def latency(self, milliseconds: int, function: str = "nvmlDevice*", serial: bool = False) -> None:
        """Make calls take time. serial: those of all processes wait for one another, as at a driver's global lock."""
        self.set_many({f"latency_ms.{function}": milliseconds, "latency.serial": int(serial)})

    def fail_field(self, field: int, error: int, gpu: int | str = "*", scope: int | None = None) -> None:
        """Make one item of nvmlDeviceGetFieldValues fail."""
        self.set(f"gpu{gpu}.field.{field}{'' if scope is None else f'.{scope}'}.ret", error)

    def link_down(self, gpu: int, link: int, knows_remote: bool = False) -> None:
        """A link that is down or disabled: NVML does not tell one from the other."""
        self.set_many({f"gpu{gpu}.nvlink.{link}.state": 0, f"gpu{gpu}.nvlink.{link}.remote.known": int(knows_remote)})

    def xid(self, gpu: int, code: int, gpu_instance: int | None = None, compute_instance: int | None = None) -> None:
        """An event for those who wait on an event set, in any process."""
        words = [gpu, code] + ([] if gpu_instance is None else [gpu_instance, compute_instance or 0])
        with self.events_file.open("a", encoding="ascii") as events:
            events.write(" ".join(map(str, words)) + "\n")

    def _write(self) -> None:
        self._generation += 1
        lines = [f"{key}={value}" for key, value in {**self.profile, **self._values}.items()]
        # Files that follow one another differ in size, even where the clock is too coarse to tell them apart.
        lines.append("#" * (1 + self._generation % 61))
        temporary = self.state_file.with_suffix(".new")
        temporary.write_text("\n".join(lines) + "\n", encoding="ascii")
        temporary.replace(self.state_file)

    def close(self) -> None:
        """Let go of whoever still hangs."""
        with contextlib.suppress(OSError):
            self.release()


def _owner(gpu: int | str | None) -> str:
    return "" if gpu is None else f"gpu{gpu}."


def _read(profile: str) -> dict[str, str]:
    lines = (PROFILES / f"{profile}.txt").read_text(encoding="ascii").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
