# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module gpu_reset on a library and a program nvidia-smi that play GPUs that a reset repairs, or not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.presence import Roots
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.resetting import hands, note, operation
from ansible_collections.autoglm.recovery.plugins.module_utils.host import command
from ansible_collections.autoglm.recovery.plugins.module_utils.host.command import CommandResult
from ansible_collections.autoglm.recovery.plugins.module_utils.services import registry
from ansible_collections.autoglm.recovery.plugins.module_utils.services.systemd import Unit
from ansible_collections.autoglm.recovery.plugins.modules import gpu_reset

from tests.support.fake_nvml import FakeNvml, HostTree
from tests.support.fake_nvml.plugin import make_fake_nvml
from tests.support.fake_nvml.smi import FakeSmi

__all__ = ["make_fake_nvml"]

FIRST, SECOND = (f"GPU-00000000-0000-4000-8000-{gpu:012d}" for gpu in (0, 1))
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="the note is kept where only root writes")
pytestmark = as_root


class Host:
    """A host of two GPUs, of which the first waits for a reset; with systemd, where units are told."""

    def __init__(self, folder: Path, fake: FakeNvml, run_module: Callable[..., dict[str, Any]]) -> None:
        self.fake, self.smi, self.tree = fake, FakeSmi(folder / "smi", fake), HostTree(folder / "host", gpus=2)
        self.note, self.units, self.asked = folder / "notes/note.json", {}, []  # type: ignore[var-annotated]
        self.log: list[str] = []
        self.fails = ""  # an order to systemd that it refuses
        self._run = run_module
        self._proc(2, "kthreadd", "/")
        (self.tree.proc / "modules").write_text("nvidia 5 1 - Live 0x0\n")

    def _proc(self, pid: int, comm: str, group: str, *files: str) -> None:
        folder = self.tree.proc / str(pid)
        (folder / "fd").mkdir(parents=True)
        (folder / "comm").write_text(f"{comm}\n")
        (folder / "cgroup").write_text(f"0::{group}\n")
        (folder / "stat").write_text(f"{pid} ({comm}) S 1\n")
        for number, file in enumerate(files):
            (folder / "fd" / str(number)).symlink_to(file)

    def process(self, pid: int, comm: str, group: str) -> None:
        """Somebody who has the first GPU open."""
        self._proc(pid, comm, group, "/dev/nvidia0", "/dev/nvidiactl")

    def systemd(self, **units: str) -> None:
        """What runs under systemd here: units with a process of their own each."""
        (self.tree.root / "run/systemd/system").mkdir(parents=True)
        for number, (unit, state) in enumerate(units.items()):
            self.units[unit.replace("__", ".").replace("_", "-")] = state
            self.process(100 + number, unit[:15], f"/system.slice/{unit.replace('__', '.').replace('_', '-')}")

    def run(self, argv: Sequence[str], timeout: float) -> CommandResult:
        """systemctl by the table, anything else for real."""
        if argv[0] != "systemctl":
            return command.run(argv, timeout)
        verb, unit = argv[1], argv[-1]
        state = self.units.get(unit)
        if verb == "show":
            group = f"/system.slice/{unit}" if state else ""
            return CommandResult(0, f"ActiveState={state or 'inactive'}\nControlGroup={group}\n".encode(), b"")
        self.asked.append(f"{verb} {unit}")
        if f"{verb} {unit}" == self.fails:
            return CommandResult(1, b"", b"Job failed.")
        self.units[unit] = "" if verb == "stop" else "active"
        for folder in self.tree.proc.glob("1[0-9][0-9]"):
            if verb == "stop" and unit in (folder / "cgroup").read_text():
                (folder / "fd/0").unlink()
                (folder / "fd/1").unlink()
        return CommandResult(0, b"", b"")

    def act(self, state: str = "reset", check: bool = False, **options: Any) -> dict[str, Any]:
        given = {
            "state": state,
            "gpus": [] if state == "restored" else [FIRST],
            "nvml_library": str(self.fake.library),
            "executable": str(self.smi.program),
            "kernel_lines": "never",
            "device_timeout": 60,
            "note": str(self.note),
        }
        return self._run(gpu_reset, check, **{**given, **options})


@pytest.fixture
def host(
    tmp_path: Path,
    make_fake_nvml: Callable[..., FakeNvml],
    run_module: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> Host:
    fake = make_fake_nvml("l40s", gpus=2)
    fake.set_many({"gpu0.remap.pending": 1, "gpu*.ecc.mode": 1, "gpu*.ecc.mode.pending": 1})
    one = Host(tmp_path, fake, run_module)
    roots = Roots(one.tree.proc, one.tree.sys, one.tree.dev)
    monkeypatch.setattr(gpu_reset, "Hands", partial(hands.Hands, roots=roots, run=one.run, pause=lambda _seconds: None))
    monkeypatch.setattr(registry, "Unit", partial(Unit, run_command=one.run, proc=one.tree.proc))
    monkeypatch.setattr(operation.reset, "__defaults__", (one.log.append,))
    return one


def test_it_says_what_a_reset_would_take(host: Host) -> None:
    told = host.act("planned")
    assert (told["outcome"], told["changed"]) == ("planned", False)
    (gpu,) = told["plan"]["gpus"]
    assert (gpu["uuid"], gpu["pci"], gpu["persistence"]) == (FIRST, "0000:0b:00.0", True)
    assert host.smi.orders == []


def test_it_resets_and_puts_back_what_a_reset_loses(host: Host) -> None:
    host.smi.plays("forgets_power")
    host.systemd(
        nvidia_persistenced__path="active", nvidia_persistenced__service="active", nvidia_dcgm__service="active"
    )
    told = host.act()
    assert (told.get("failed"), told["outcome"], told["left"]) == (None, "done", [])
    limit = told["plan"]["gpus"][0]["power_limit_mw"] / 1000
    assert host.smi.orders == [
        f"-i {FIRST} -pm 0",
        f"--gpu-reset -i {FIRST}",
        f"-i {FIRST} -pm 1",
        f"-i {FIRST} -pl {limit:g}",
    ]
    units = ["nvidia-dcgm.service", "nvidia-persistenced.path", "nvidia-persistenced.service"]
    assert host.asked == [*(f"stop {unit}" for unit in units), *(f"start {unit}" for unit in reversed(units))]
    assert host.act("planned")["outcome"] == "not_needed"
    before, after = host.log
    assert before == f"about to reset GPU {FIRST} (0000:0b:00.0)"
    assert after.startswith(f"reset of GPU {FIRST} (0000:0b:00.0): done: GPU 00000000:0B:00.0 was successfully reset.")


def test_in_check_mode_it_says_so_and_changes_nothing(host: Host) -> None:
    host.systemd(nvidia_dcgm__service="active")
    told = host.act(check=True)
    assert (told["outcome"], told["changed"]) == ("planned", True)
    assert told["diff"]["after"] == f"nvidia-dcgm.service: stopped\n{FIRST}: reset\n"
    host.act("prepared", check=True)
    assert (host.smi.orders, host.asked, host.log, host.note.exists()) == ([], [], [], False)


def test_one_that_is_well_is_left_alone_unless_a_person_wants_it(host: Host) -> None:
    host.fake.set("gpu0.remap.pending", 0)
    assert host.act("planned")["outcome"] == "not_needed"
    refused = host.act()
    assert refused["failed"]
    assert host.smi.orders == []
    assert host.act(recommended_only=False)["outcome"] == "done"


@pytest.mark.parametrize("play", ["in_use", "not_supported"])
def test_refused_by_nvidia_smi_everything_is_as_it_was(host: Host, play: str) -> None:
    host.smi.plays(play)
    host.systemd(nvidia_persistenced__service="active")
    told = host.act()
    assert (told["failed"], told["outcome"], told["left"], told["reset_at"]) == (True, "refused", [], None)
    assert host.smi.orders[-1] == f"-i {FIRST} -pm 1"
    assert host.asked[-1] == "start nvidia-persistenced.service"


def test_one_that_does_not_come_back_has_failed(host: Host) -> None:
    host.smi.plays("not_back")
    told = host.act(back_timeout=0.1)
    assert (told["failed"], told["outcome"]) == (True, "failed")
    assert f"{FIRST} does not answer any more" in told["msg"]
    assert f"{FIRST} is not there: its persistence mode" in told["msg"]


def test_one_that_hangs_is_asked_nothing_more_and_gets_no_second_reset(host: Host) -> None:
    host.smi.plays("hangs")
    host.systemd(nvidia_persistenced__service="active")
    told = host.act(reset_timeout=1)
    assert (told["failed"], told["outcome"]) == (True, "hung")
    assert "nvidia-persistenced.service is stopped" in told["msg"]
    before = host.smi.orders
    host.smi.plays("repairs")
    for state in ("planned", "prepared", "reset", "restored"):
        again = host.act(state)
        assert again["failed"]
        assert "hangs in the driver" in again["msg"]
    assert (host.smi.orders, host.asked) == (before, ["stop nvidia-persistenced.service"])


def test_after_a_reboot_it_hangs_no_more(host: Host) -> None:
    host.smi.plays("hangs")
    host.act(reset_timeout=1)
    host.smi.plays("repairs")
    told = json.loads(host.note.read_text())
    host.note.write_text(json.dumps({**told, "boot": "another", "services": ["chat"]}))
    assert host.act("planned")["left_down"] == ["chat"]
    assert host.act("restored")["left_down"] == ["chat"]
    assert not host.note.exists()


def test_a_stranger_is_named_and_nothing_is_touched(host: Host) -> None:
    host.process(500, "nv-hostengine", "/user.slice/nvidia-dcgm.service")
    host.systemd()
    for state in ("planned", "prepared", "reset"):
        told = host.act(state, recommended_only=False)
        assert told["failed"]
        assert "process 500 (nv-hostengine, nvidia-dcgm.service)" in told["msg"]
    assert (host.smi.orders, host.asked, host.note.exists()) == ([], [], False)


def test_a_declared_service_has_to_be_stopped_before(host: Host) -> None:
    host.systemd(vllm__service="active")
    services = [{"name": "chat", "unit": "vllm.service"}]
    assert "used by what is no service" in host.act("planned")["msg"]
    assert host.act("planned", services=services)["plan"]["services"] == ["chat"]
    assert "chat still uses them" in host.act(services=services)["msg"]
    assert host.asked == []


def test_who_comes_after_the_agents_were_stopped_is_seen(host: Host) -> None:
    """Its own look right before, not the one of a minute ago."""
    host.systemd(nvidia_dcgm__service="active")
    stop = host.run

    def run(argv: Sequence[str], timeout: float) -> CommandResult:
        if "-pm" in argv and argv[-1] == "0":
            host.process(600, "python", "/user.slice/session-1.scope")
        return stop(argv, timeout)

    host.run = run  # type: ignore[method-assign]
    told = gpu_reset_with(host)
    assert (told["failed"], told["outcome"]) == (True, "refused")
    assert "process 600" in told["msg"]
    assert not any("--gpu-reset" in order for order in host.smi.orders)
    assert (host.smi.orders[-1], host.asked[-1]) == (f"-i {FIRST} -pm 1", "start nvidia-dcgm.service")


def gpu_reset_with(host: Host) -> dict[str, Any]:
    """Act with the host's present way to run commands."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu_reset, "Hands", partial(gpu_reset.Hands, run=host.run))
        return host.act()


def test_an_agent_that_cannot_be_stopped_keeps_the_reset_from_beginning(host: Host) -> None:
    host.systemd(nvidia_dcgm__service="active")
    host.fails = "stop nvidia-dcgm.service"
    told = host.act()
    assert (told["failed"], told["outcome"]) == (True, "refused")
    assert "systemctl stop nvidia-dcgm.service: exit status 1: Job failed." in told["msg"]
    assert host.smi.orders == []


def test_an_agent_that_does_not_start_again_is_told_and_kept_in_the_note(host: Host) -> None:
    host.systemd(nvidia_dcgm__service="active")
    host.fails = "start nvidia-dcgm.service"
    told = host.act()
    assert told["outcome"] == "done"
    assert "systemctl start nvidia-dcgm.service" in told["left"][0]
    assert note.read(str(host.note)).agents == ("nvidia-dcgm.service",)  # type: ignore[union-attr]
    host.fails = ""
    assert not host.act("restored").get("failed")
    assert host.units["nvidia-dcgm.service"] == "active"
    assert not host.note.exists()


def test_a_run_that_was_killed_leaves_a_note_that_the_next_one_mends(host: Host) -> None:
    """As after the agents were stopped and persistence mode was switched off."""
    host.systemd(nvidia_persistenced__service="active", vllm__service="active")
    services = [{"name": "chat", "unit": "vllm.service"}]
    assert host.act("prepared", services=services)["changed"]
    host.run(["systemctl", "stop", "--", "nvidia-persistenced.service"], 1)
    host.run(["systemctl", "stop", "--", "vllm.service"], 1)
    command.run([str(host.smi.program), "-i", FIRST, "-pm", "0"], 10)
    next_run = host.act("planned", services=services)
    assert (next_run["left_down"], next_run["plan"]["services"], next_run["plan"]["agents"]) == (["chat"], [], [])
    host.act("prepared", services=services)
    assert host.act(services=services)["outcome"] == "done"
    assert host.smi.orders[-1] == f"-i {FIRST} -pm 1"
    assert host.units["nvidia-persistenced.service"] == "active"
    assert host.act("restored")["left_down"] == ["chat"]
    assert host.act("restored") == {**host.act("restored"), "changed": False, "left_down": []}


def test_a_note_that_is_none_of_ours_is_refused(host: Host) -> None:
    host.note.parent.mkdir(mode=0o700)
    for text in ("", "[]", "{", '{"power": 7}'):
        host.note.write_text(text)
        assert "is no note of ours" in host.act()["msg"]
    assert host.smi.orders == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gpus": [SECOND.replace("1", "7")]}, "lists no GPU"),
        ({"gpus": ["0000:0b:00.0"]}, "name all of them by UUID"),
        ({"executable": "/no/such/nvidia-smi"}, "no program"),
        ({"reset_timeout": 0}, "above 0"),
        ({"services": [{"name": "chat"}]}, "a service is needed"),
        ({"nvml_library": "/no/such/libnvidia-ml.so.1"}, "the driver does not answer"),
    ],
)
def test_what_cannot_be(host: Host, options: dict[str, Any], words: str) -> None:
    told = host.act(**options)
    assert told["failed"]
    assert words in told["msg"]
    assert (host.smi.orders, host.note.exists()) == ([], False)
