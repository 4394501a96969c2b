# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says that a reboot depends on: whatever is not read is told, and never taken for a no."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.host.command import CommandResult
from ansible_collections.autoglm.recovery.plugins.module_utils.rebooting import reading

BOOT = "5d2f1a9e-7d0e-4b58-8c52-3a6f0d5b1c11"
INHIBITED = 'a(ssssuu) 2 "shutdown:sleep" "dpkg" "an \\"upgrade\\"" "block" 0 77 "shutdown" "nm" "off" "delay" 0 9\n'


class FakeSystemd:
    """systemd's programs, in states that no test brings a real one into. Answers as systemd 252 and 257 give them."""

    def __init__(self, **answers: tuple[int, str]) -> None:
        self.asked: list[Sequence[str]] = []
        self.answers = {
            "is-system-running": (0, "running\n"),
            "show autoglm-reboot.timer": (0, "ActiveState=inactive\n"),
            "show systemd-logind.service": (0, "LoadState=loaded\n"),
            "call": (0, "a(ssssuu) 0\n"),
            "systemd-run": (0, ""),
            **answers,
        }

    def __call__(self, argv: Sequence[str], _timeout: float) -> CommandResult:
        self.asked.append(argv)
        words = [argv[0] if argv[0] == "systemd-run" else argv[1 if argv[0] == "systemctl" else 2]]
        words += [argv[-1]] if words == ["show"] else []
        rc, said = self.answers[" ".join(words)]
        return CommandResult(rc, said.encode(), b"" if rc == 0 else b"Failed to connect to bus")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The files of a host whose init is systemd."""
    for path, text in (("proc/1/comm", "systemd\n"), ("proc/sys/kernel/random/boot_id", f"{BOOT}\n")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    return tmp_path


def test_a_host_at_rest(root: Path) -> None:
    assert reading.look(FakeSystemd(), 1.0, root) == reading.HostSeen(BOOT, systemd=True)
    degraded = FakeSystemd(**{"is-system-running": (1, "degraded\n")})
    assert reading.look(degraded, 1.0, root) == reading.HostSeen(BOOT, systemd=True)


@pytest.mark.parametrize(
    "answers", [{"is-system-running": (1, "stopping\n")}, {"show autoglm-reboot.timer": (0, "ActiveState=active\n")}]
)
def test_a_host_that_goes_down_or_is_about_to(root: Path, answers: dict[str, tuple[int, str]]) -> None:
    assert reading.look(FakeSystemd(**answers), 1.0, root).stopping


def test_a_planned_shutdown_is_told_with_who_and_when(root: Path) -> None:
    folder = root / "run/systemd/shutdown"
    folder.mkdir()
    (folder / "scheduled").write_text(
        "USEC=1796040000000000\nWARN_WALL=1\nMODE=poweroff\nUID=1000\nWALL_MESSAGE=new\tRAM\n"
    )
    told = reading.look(FakeSystemd(), 1.0, root).scheduled
    assert told == "poweroff at 2026-11-30 12:00:00 UTC by user 1000, new RAM"


def test_who_forbids_a_shutdown_is_named_and_who_only_delays_it_is_not(root: Path) -> None:
    seen = reading.look(FakeSystemd(call=(0, INHIBITED)), 1.0, root)
    assert len(seen.blocked_by) == 1
    assert seen.blocked_by[0].startswith("dpkg (process 77 of user 0): an")


@pytest.mark.parametrize(
    "answers",
    [
        {"is-system-running": (1, "offline\n")},
        {"is-system-running": (1, "")},
        {"show autoglm-reboot.timer": (1, "")},
        {"show autoglm-reboot.timer": (0, "")},
        {"call": (1, "")},
        {"call": (0, "a(ssss) 0\n")},
        {"call": (0, 'a(ssssuu) 1 "shutdown" "dpkg"\n')},
        {"call": (0, "")},
    ],
)
def test_what_is_not_read_is_told(root: Path, answers: dict[str, tuple[int, str]]) -> None:
    assert reading.look(FakeSystemd(**answers), 1.0, root).unread


def test_a_plan_for_a_shutdown_that_cannot_be_read_is_told(root: Path) -> None:
    (root / "run/systemd/shutdown/scheduled").mkdir(parents=True)
    assert "scheduled: " in reading.look(FakeSystemd(), 1.0, root).unread[0]


@pytest.mark.parametrize("loaded", ["not-found", "masked"])
def test_without_logind_nobody_forbids_anything(root: Path, loaded: str) -> None:
    systemd = FakeSystemd(call=(1, ""), **{"show systemd-logind.service": (0, f"LoadState={loaded}\n")})
    assert reading.look(systemd, 1.0, root).unread == ()


@pytest.mark.parametrize("told", ["", "no id\n", "5D2F1A9E-7D0E-4B58-8C52-3A6F0D5B1C11\n"])
def test_a_boot_id_that_is_none_is_not_known(root: Path, told: str) -> None:
    (root / "proc/sys/kernel/random/boot_id").write_text(told)
    assert reading.look(FakeSystemd(), 1.0, root).boot is None


def test_another_init_is_not_asked(root: Path) -> None:
    (root / "proc/1/comm").write_text("dumb-init\n")
    systemd = FakeSystemd()
    assert not reading.look(systemd, 1.0, root).systemd
    assert systemd.asked == []


def test_the_order_comes_after_the_answer_and_no_shell_reads_it() -> None:
    systemd = FakeSystemd()
    assert reading.order(systemd, 1.0).complaint() == ""
    (argv,) = systemd.asked
    assert argv[-2:] == ("systemctl", "reboot")
    assert "--on-active=2s" in argv
    refused = FakeSystemd(**{"systemd-run": (1, "")})
    assert "Failed to connect to bus" in reading.order(refused, 1.0).complaint()
