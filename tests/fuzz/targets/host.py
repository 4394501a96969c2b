# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's own files and programs say: /proc, control groups, PID files, systemd, containers, marks, baselines."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoglm_recovery.exporter import services as exported
from autoglm_recovery.exporter import state as exporter_state
from autoglm_recovery.exporter.processes import Processes
from autoglm_recovery.knowledge.evidence import bundle, last_words
from autoglm_recovery.knowledge.fencing import mark
from autoglm_recovery.knowledge.gpu.nvlink import baseline as nvlink_baseline
from autoglm_recovery.knowledge.gpu.reading import answers, presence
from autoglm_recovery.knowledge.host import cgroups, clocks, processes, redaction
from autoglm_recovery.knowledge.host.command import CommandResult
from autoglm_recovery.knowledge.host.unread import Unread
from autoglm_recovery.knowledge.leftovers import processes as left
from autoglm_recovery.knowledge.leftovers import selection
from autoglm_recovery.knowledge.locks import host_lock
from autoglm_recovery.knowledge.locks.holding import Holder, HostNow, why_not
from autoglm_recovery.knowledge.services import identity, inspection, ownership, process
from autoglm_recovery.knowledge.services.systemd import Unit
from tests.fuzz.target import RECORDED, Target, files, text

_STAT = (
    b"1234 (vllm) worker) S 1 1234 1234 0 -1 4194560 123 456 7 8 900 100 0 0 20 0 33 0 123456 99999 1234 "
    b"18446744073709551615"
    b" 1 1 0 0 0 0 0 0 0 0 0 0 17 3 0 0 0 0 0\n"
)
_STATUS = b"Name:\tvllm\nState:\tS (sleeping)\nPPid:\t1\nThreads:\t33\nUid:\t1000\t1000\t1000\t1000\nVmRSS:\t 123 kB\n"
_MEMBERSHIP = (
    b"0::/system.slice/vllm.service\n",
    b"12:memory:/system.slice/vllm.service/inner\n5:cpu,cpuacct:/a\n"
    b"1:name=systemd:/user.slice/user-0.slice/session-3.scope\n",
)
_MOUNTS = (
    b"31 23 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
    b"33 24 0:29 /a\\040b /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)
_SHOWN = (
    b"Id=a.service\nActiveState=failed\nSubState=failed\nLoadState=loaded\nMainPID=0\nExecMainPID=7\nExecMainCode=2\n"
    b"ExecMainStatus=9\nResult=oom-kill\nExecMainExitTimestampMonotonic=123456789\nRestart=on-failure\nNRestarts=3\n"
    b"ExecStart={ path=/usr/bin/vllm ; argv[]=/usr/bin/vllm serve }\nControlGroup=/system.slice/a.service\nJob=0\n"
)


class _Proc:
    """A /proc with one process, whose files say what they are given."""

    def __init__(self, **contents: bytes) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.path = Path(self._folder.name)
        root = self.path / "1234"
        (root / "task/1234").mkdir(parents=True)
        (root / "fd").mkdir()
        for name, content in {"stat": _STAT, "status": _STATUS, "cgroup": _MEMBERSHIP[0], **contents}.items():
            (root / name).write_bytes(content)
            (root / "task/1234" / name).write_bytes(content)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_error: object) -> None:
        self._folder.cleanup()


def _process(proc: Path) -> object:
    try:
        return process.read(proc, 1234)
    except Unread as error:
        return str(error).replace(str(proc), "")


def _stat(data: bytes) -> list[object]:
    with _Proc(stat=data) as proc:
        services = exported.Services([exported.NodeService("vllm", "chat", "vllm.service")])
        seen = Processes(services, proc).look()
        found = [_process(proc), process.state_of(proc, 1234), sorted(map(repr, seen.items()))]
        return [*found, processes.threads(proc, 1234).text.replace(str(proc), "")]


def _status(data: bytes) -> list[object]:
    with _Proc(status=data) as proc:
        found = [_process(proc), processes.overview(proc).text]
        return [*found, processes.threads(proc, 1234).text.replace(str(proc), "")]


_PCI = "0000:3b:00.0"


def _presence(data: bytes) -> object:
    """A host with one GPU, each of whose files in turn says what it is given."""
    contents = {
        "sys/vendor": b"0x10de\n",
        "sys/class": b"0x030200\n",
        "sys/config": b"\xde\x10\x01\x23",
        "gpu": b"Model: \t\t NVIDIA H100\nDevice Minor: \t 0\n",
        "version": b"NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.158.01  Mon\n",
        "uptime": b"1234.5 999.0\n",
    }
    found = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        device, driver = root / "sys/bus/pci/devices" / _PCI, root / "proc/driver/nvidia"
        for place in (device, driver / "gpus" / _PCI, root / "dev"):
            place.mkdir(parents=True)
        where = {
            **{f"sys/{name}": device / name for name in ("vendor", "class", "config")},
            "gpu": driver / "gpus" / _PCI / "information",
            "version": driver / "version",
            "uptime": root / "proc/uptime",
        }
        for name, content in contents.items():
            where[name].write_bytes(content)
        for name, content in contents.items():
            where[name].write_bytes(data)
            host = presence.read_host(presence.Roots(root / "proc", root / "sys", root / "dev"))
            minors = presence.minors(host)
            for part in host.values():
                part["error"] = part["error"] and part["error"].replace(folder, "")
            found.append([host, minors])
            where[name].write_bytes(content)
    return found


def _presence_holds(_data: bytes, found: object) -> None:
    """A value or why there is none, and no figure that is no number."""
    assert isinstance(found, list)
    for host, minors in found:
        for part in host.values():
            assert part["error"] is None or part["value"] is None
        json.dumps([host, minors], allow_nan=False)
        assert all(number < 1 << 32 for number in minors.values())


def _left(data: bytes) -> object:
    """What is left of a dead service, of processes whose control group and name say what they are given."""
    with _Proc(cgroup=data, comm=data) as proc:
        found = left.read(proc)
        owners = (left.Ownership(unit_group="/system.slice/vllm.service"), left.Ownership(container_id="a" * 64))
        return [selection.select(found, owner) for owner in owners]


def _left_holds(data: bytes, found: object) -> None:
    assert isinstance(found, list)
    if found[0].own:
        assert b"/system.slice/vllm.service" in data, "a process is ended that is not the service's own"


def _last_words(data: bytes) -> object:
    return last_words.last_words(text(data), ("hunter2-hunter2",))


def _last_words_hold(_data: bytes, found: object) -> None:
    assert isinstance(found, list)
    assert len(found) <= last_words.MOST
    for words in found:
        assert len(words) <= last_words.LONGEST
        assert words.isprintable()
        assert "hunter2-hunter2" not in words


_LAST = (
    b"2026-11-28T17:00:00.123456+00:00 host vllm[42]: Traceback (most recent call last):\n"
    b'2026-11-28T17:00:00.123457+00:00 host vllm[42]:   File "/a.py", line 7, in <module>\n'
    b"2026-11-28T17:00:00.123458+00:00 host vllm[42]: torch.OutOfMemoryError: CUDA out of memory. Tried 2 GiB\n"
    b"2026-11-28T17:00:01.000000+00:00 host systemd[1]: vllm.service: Main process exited, code=killed\n",
    b"0.00.036.862 E llama_model_load: error loading model: token hunter2-hunter2\n"
    b"[2026-11-28 17:00:00,123] fatal: x\n",
)


_HOST_FILES = (
    b"NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.158.01  Mon\nGCC version: 12\n",
    b"Model: \t\t NVIDIA H100\nDevice Minor: \t 0\n",
    b"1234.5 999.0\n",
    b"0x10de\n",
)


def _said(data: bytes) -> object:
    """Each line of what the child says that asks NVML."""
    return [answers.read(line, 1) for line in data.splitlines()]


_SAID = (
    b'{"step": "host"}\n{"gpu": 0, "step": "groups:layout"}\n'
    b'{"gpu": 0, "values": {"temperature_c": 41}, "errors": {"a": {"error": "NVML_X", "kind": "lost", "text": "t"}}}\n'
    b'{"gpu": 0, "done": true}\n{"error": {"error": "NVML_X", "kind": "lost", "text": "t"}}\n{"done": true}\n'
)


def _membership(data: bytes) -> list[object]:
    read = text(data)
    services = exported.Services([exported.NodeService("vllm", "chat", "vllm.service")])
    return [
        cgroups.parse_membership(read),
        ownership.own_group(read),
        ownership.systemd_groups(read),
        services.of_membership(read),
    ]


def _membership_holds(data: bytes, found: object) -> None:
    """A group is a service's by the whole path that the kernel wrote, and by no part of a name in it."""
    assert isinstance(found, list)
    if found[3] is not None:
        assert "/vllm.service" in text(data)


def _mounts(data: bytes) -> list[object]:
    return [(mount, str(mount.locate("/a/b"))) for mount in cgroups.parse_mounts(text(data))]


def _group(data: bytes) -> list[object]:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("memory.events", "cgroup.procs"):
            Path(folder, name).write_bytes(data)
        return [cgroups.oom_kills([Path(folder)]), cgroups.processes_in(Path(folder))]


def _unit(data: bytes) -> list[object]:
    unit = Unit("a", 1.0, lambda _argv, _timeout: CommandResult(0, data, b""), Path("/nowhere"))
    try:
        owned: object = unit.ownership()
    except Unread as error:
        owned = str(error)
    return [unit.status(), owned]


def _unit_holds(_data: bytes, found: object) -> None:
    assert isinstance(found, list)
    status = found[0]
    assert status.readable or status.reason
    assert status.readable or not status.process_gone


def _container(data: bytes) -> list[object]:
    found = inspection.parse(text(data))
    told = (inspection.state, inspection.main_pid, inspection.restart_policy, inspection.manager)
    # Moments are told by the clock of now.
    end = replace(inspection.last_end(found), since=None, at=None)
    return [end, *(each(found) for each in (*told, inspection.stop_signal, inspection.container_id))]


def _mark(data: bytes) -> object:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mark")
        path.write_bytes(data)
        path.with_name("mark.by").write_bytes(b'{"token": 7, "run": "r", "incident": "1"}')
        found = mark._read_mark(path)
        return None if found is None else (found.token, found.run, found.incident)


def _mark_holder(data: bytes) -> object:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "mark").write_bytes(b"7\n")
        Path(folder, "mark.by").write_bytes(data)
        found = mark._read_mark(Path(folder, "mark"))
        return None if found is None else (found.token, found.run, found.incident)


def _lock(data: bytes) -> object:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, host_lock._RECORD).write_bytes(data)
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            held = host_lock._read_record(place)
        finally:
            os.close(place)
    if held is None:
        return None
    asking = Holder("q", "bob", "a", None, 1.0, 2.0, "b", {})
    moments = [HostNow(1.0, "b", False), HostNow(9e9, "other", True)]
    return [held, *(bool(why_not(held, asking, now, None)) for now in moments)]


_IDENTITY = {"boot_id": "b", "driver": "1"}


def _baseline(data: bytes) -> object:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / nvlink_baseline.FILE).write_bytes(data)
        found = nvlink_baseline.load(path, _IDENTITY, 100.0)
        now = nvlink_baseline.CounterSample(100.0, {"gpu": {"crc": 5}})
        nvlink_baseline.deltas(found.reference, now)
        again = nvlink_baseline.advance(found, now, {}, 3600.0)
        nvlink_baseline.save(path, again)
        read = nvlink_baseline.load(path, _IDENTITY, 200.0)
        assert read.note is None, f"what was written is not read again: {read.note}"
        return [found.reference, found.next, found.up, bool(found.note)]


def _bundle(data: bytes) -> object:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bundle")
        path.mkdir()
        (path / bundle.MANIFEST).write_bytes(data)
        (path / "a.log").write_bytes(b"x\n" * 100)
        return [bundle.read_manifest(path), bundle.excerpts(path, 4096)]


def _exporter_state(data: bytes) -> object:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "state")
        path.write_bytes(data)
        document, why = exporter_state.load(path)
        return [document, bool(why)]


def _services_file(data: bytes) -> object:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "services.yml")
        path.write_bytes(data)
        try:
            return [(s.name, s.pool, s.unit) for s in exported.load_services(path).all]
        except exported.ServicesError as error:
            raise exported.ServicesError(str(error).replace(folder, "")) from error


def _redacted(data: bytes) -> object:
    read = text(data)
    once = redaction.redact_text(read, ["hunter2-hunter2"])
    assert "hunter2-hunter2" not in once
    return [once, redaction.redact_argv(read.split(" ")), redaction.redact_environment(data)]


_SECRETS = (
    b"curl -H 'Authorization: Bearer abcdefghijklmnop' https://user:p@ss@host/x?sig=abcdef&y=1 "
    b"--api-key=sk-abcdefghijklmnopq\n",
    b"HF_TOKEN=hf_abcdefghijklmnopqrst\0PGPASSWORD=hunter2-hunter2\0PATH=/bin\0",
    b"-----BEGIN RSA PRIVATE KEY-----\nMIIabc\nDEK\n-----END RSA PRIVATE KEY-----\n"
    b"token = \"abc def\" password: 'x' EOS token = 2\n",
)


_LOCK = (
    b'{"run": "r", "who": "ann", "host": "a", "token": 7, "since": 1.5, "until": 2.5, "boot": "b",'
    b'"process": {"host": "c", "boot": "d", "pid": 4, "began": 3}}'
)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


_KEPT = {
    "format": nvlink_baseline.FORMAT,
    "identity": _IDENTITY,
    "reference": {"at": 10.0, "counters": {"gpu": {"crc": 3}}},
    "next": {"at": 50.0, "counters": {"gpu": {"crc": 4}}},
    "up": {"gpu": {"0": True}},
}

TARGETS = (
    Target("proc-stat", _stat, lambda: [_STAT], growth=64, costly=True),
    Target("proc-status", _status, lambda: [_STATUS], growth=64),
    Target("proc-cgroup", _membership, lambda: _MEMBERSHIP, holds=_membership_holds),
    Target("proc-mountinfo", _mounts, lambda: [_MOUNTS], growth=64),
    Target("cgroup-files", _group, lambda: [b"low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\n", b"1\n23\n4567\n"]),
    Target("systemctl-show", _unit, lambda: [_SHOWN], holds=_unit_holds),
    Target("container-inspection", _container, lambda: files(RECORDED / "services", "*.json"), (Unread,)),
    Target("gpu-presence", _presence, lambda: _HOST_FILES, holds=_presence_holds, growth=256, costly=True),
    Target("gpu-child", _said, lambda: [_SAID], (ValueError,)),
    Target("leftovers", _left, lambda: [*_MEMBERSHIP, b"0::/a\n"], holds=_left_holds, growth=64, costly=True),
    Target("last-words", _last_words, lambda: _LAST, holds=_last_words_hold),
    Target("pid-file", lambda data: identity.parse_pid(text(data)), lambda: [b"1234\n", b"77\nmore\n"], (ValueError,)),
    Target("timestamp", lambda data: clocks.parse_rfc3339(text(data)), lambda: [b"2026-11-28T12:00:00.123456789Z"]),
    Target("fencing-mark", _mark, lambda: [b"1764300000000000\n"], (mark.MarkUnreadable,)),
    Target(
        "fencing-holder", _mark_holder, lambda: [b'{"token": 7, "run": "r", "incident": "1"}'], (mark.MarkUnreadable,)
    ),
    Target("host-lock", _lock, lambda: [_LOCK], (host_lock.HostLockUnusable,)),
    Target("nvlink-baseline", _baseline, lambda: [_json(_KEPT)], growth=64),
    Target(
        "evidence-manifest",
        _bundle,
        lambda: [_json({"format": bundle.FORMAT, "parts": [{"name": "a.log"}]})],
        growth=64,
    ),
    Target("exporter-state", _exporter_state, lambda: [_json({"version": 1, "boot_id": "b", "counters": {"a": 1}})]),
    Target(
        "exporter-services",
        _services_file,
        lambda: [b"- {name: vllm, pool: chat, unit: vllm}\n- name: b\n  unit: b.service\n"],
        (exported.ServicesError,),
        largest=12 << 10,
    ),
    Target(
        "redaction",
        _redacted,
        lambda: _SECRETS,
        words=(b"token=", b"://", b"@", b"-----BEGIN PRIVATE KEY-----", b"bearer ", b"--key "),
    ),
)
