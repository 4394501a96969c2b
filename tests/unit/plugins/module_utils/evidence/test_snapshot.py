# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs into the evidence of an incident, and where it goes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.registry import open_engine
from ansible_collections.autoglm.recovery.plugins.module_utils.evidence import (
    bundle,
    engine_state,
    python_stacks,
    snapshot,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.host.command import CommandResult
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread
from ansible_collections.autoglm.recovery.plugins.module_utils.services.containers import Container
from ansible_collections.autoglm.recovery.plugins.module_utils.services.systemd import Unit

UNIT = "llama-server.service"
ACTIVE = f"ActiveState=active\nMainPID=7\nControlGroup=/system.slice/{UNIT}\nEnvironment=HF_TOKEN=s3cret-value\n"


INCIDENT = snapshot.Incident("3f-42", 1, "node-a")


def runner(argv, _timeout):
    if argv[:2] == ["systemctl", "show"]:
        return CommandResult(0, ACTIVE.encode(), b"")
    if argv[0] == "journalctl" and "-u" in argv:
        return CommandResult(0, b"2026-11-22 llama-server[7]: started with --api-key s3cret-value\n", b"")
    return CommandResult(None, b"", b"", f"{argv[0]} cannot be run: not here")


def scope(tmp_path: Path, **more) -> snapshot.Scope:
    (tmp_path / "7" / "task" / "7").mkdir(parents=True, exist_ok=True)
    (tmp_path / "7" / "environ").write_bytes(b"HF_TOKEN=s3cret-value\0")
    return snapshot.Scope(service=Unit(UNIT, 1.0, runner, tmp_path), proc=tmp_path, run=runner, **more)


def test_what_matters_most_comes_first(tmp_path: Path, fake_transport) -> None:
    engine = open_engine("llama_cpp", "http://127.0.0.1:1", transport=fake_transport({"GET /health": "timeout"}))
    names = [part.name for part in snapshot.plan(scope(tmp_path, engine=engine), INCIDENT, tmp_path)]
    assert names[:5] == ["SUMMARY.txt", "unit.txt", "cgroups.txt", "journal.log", "connections.txt"]
    assert names[5:7] == ["programs.txt", "kernel.log"]
    assert names[7:10] == ["process-7.txt", "process-7-threads.txt", "process-7-memory-map.txt"]
    assert "engine.json" in names
    assert len(names) == len(set(names))


def test_a_whole_bundle_holds_no_secret_and_tells_what_is_missing(tmp_path: Path, fake_transport) -> None:
    engine = open_engine("llama_cpp", "http://127.0.0.1:1", transport=fake_transport({"GET /health": "timeout"}))
    proc = tmp_path / "proc"
    proc.mkdir()
    what = scope(proc, engine=engine)
    incident = snapshot.Incident("../{{ x }}", 2, "node-a")
    limits = bundle.BundleLimits(10**7, 60.0)
    path = tmp_path / "ev" / snapshot.bundle_name(incident, 0.0)
    written = bundle.write(
        path, snapshot.head(incident, what, limits), snapshot.plan(what, incident, path.parent), limits
    )
    assert written.path.parent == tmp_path / "ev"
    assert all(b"s3cret-value" not in file.read_bytes() for file in written.path.iterdir())
    assert "cgroups.txt" in written.unreadable
    assert "timeout" in (written.path / "engine.json").read_text()


def test_a_bundle_is_found_again_by_its_very_incident(tmp_path: Path) -> None:
    incident = snapshot.Incident("a/b", 1, "node-a")
    limits = bundle.BundleLimits(10**6, 60.0)
    path = tmp_path / snapshot.bundle_name(incident, 0.0)
    bundle.write(path, snapshot.head(incident, snapshot.Scope(), limits), [], limits)
    assert snapshot.existing(tmp_path, incident) == path
    for other in (("a_b", 1, "node-a"), ("a/b", 2, "node-a"), ("a/b", 1, "node-b")):
        assert snapshot.existing(tmp_path, snapshot.Incident(*other)) is None


def test_what_podman_tells_holds_no_secret(tmp_path: Path, recorded) -> None:
    (told,) = json.loads(recorded("services/podman-running.json"))
    told["Args"] = ["serve", "--api-key", "s3cret-value"]
    told["Config"]["Env"].append("DB_PASSWORD=s3cret-value")
    told["Config"]["Annotations"] = {"api_key": "s3cret-value", "note": "postgres://u:s3cret-value@h/db"}
    told["Config"]["CreateCommand"] = ["podman", "run", "-e", "HF_TOKEN=s3cret-value"]

    def run(argv, _timeout):
        known = argv[:3] == ["podman", "container", "inspect"]
        return (
            CommandResult(0, json.dumps([told], indent=4).encode(), b"")
            if known
            else CommandResult(None, b"", b"", "not here")
        )

    what = snapshot.Scope(service=Container("a", "podman", 1.0, run, tmp_path), proc=tmp_path, run=run)
    (part,) = (part for part in snapshot.plan(what, INCIDENT, tmp_path) if part.name == "container.json")
    text = part.read().text
    assert "s3cret-value" not in text
    assert json.loads(text)[0]["Args"] == ["serve", "--api-key", "[redacted]"]
    assert json.loads(text)[0]["State"]["Pid"] == 23752


@pytest.mark.parametrize(
    ("outcomes", "text", "remarks"),
    [
        ([CommandResult(0, b"Thread 7 (idle)", b"")], "Thread 7 (idle)", 0),
        ([CommandResult(1, b"", b"Failed to suspend"), CommandResult(0, b"Thread 7", b"")], "Thread 7", 1),
        (
            [CommandResult(None, b"", b"", "py-spy did not end within 1 s"), CommandResult(0, b"Thread 7", b"")],
            "Thread 7",
            1,
        ),
    ],
)
def test_python_stacks_are_had_with_or_without_holding_the_process(outcomes, text, remarks) -> None:
    asked = []

    def run(argv, _timeout):
        asked.append(argv)
        return outcomes[len(asked) - 1]

    piece = python_stacks.dump(7, "py-spy", run, 1.0)
    assert (piece.text, len(piece.remarks)) == (text, remarks)
    assert ["--nonblocking" in argv for argv in asked] == [False, True][: len(outcomes)]


def test_without_py_spy_it_is_tried_once_and_said() -> None:
    asked = []

    def run(argv, _timeout):
        asked.append(argv)
        return CommandResult(None, b"", b"", "py-spy cannot be run: No such file or directory")

    with pytest.raises(Unread, match="cannot be run"):
        python_stacks.dump(7, "py-spy", run, 1.0)
    assert len(asked) == 1


def test_requests_are_told_without_what_they_say() -> None:
    slot = {"id": 0, "is_processing": True, "prompt": "my secret diary", "tokens": [1, 2, 3], "n_ctx": 8192,
            "params": {"stop": ["x"], "temperature": 0.8}, "next": [{"text": "and so on"}]}  # fmt: skip
    assert engine_state.without_texts([slot]) == [
        {
            "id": 0,
            "is_processing": True,
            "prompt": {"characters": 15},
            "tokens": {"entries": 3},
            "n_ctx": 8192,
            "params": {"stop": {"entries": 1}, "temperature": 0.8},
            "next": [{"text": {"characters": 9}}],
        }
    ]


def test_names_of_bundles() -> None:
    name = snapshot.bundle_name(snapshot.Incident("inc-42", 1, "node-a"), 1795381140.0)
    assert name == "inc-42-node-a-20261122T205900Z"


def test_without_a_unit_the_host_is_shown(tmp_path: Path) -> None:
    names = [part.name for part in snapshot.plan(snapshot.Scope(proc=tmp_path, run=runner), INCIDENT, tmp_path)]
    assert names == [
        "SUMMARY.txt",
        "kernel.log",
        "gpu.json",
        "host.txt",
        "sockets.txt",
        "processes.txt",
        "command-lines.txt",
    ]
