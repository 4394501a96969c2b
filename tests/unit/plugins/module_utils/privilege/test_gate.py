# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gate reads of root's and of the asking user's, and whose it must be."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from autoglm_recovery.knowledge.privilege import gate
from autoglm_recovery.knowledge.privilege.request import GateRefused
from autoglm_recovery.knowledge.privilege.rules import BUILTIN, OURS
from autoglm_recovery.root.declared import declaration
from tests.lab.places import CHECKOUT

from .test_request import written

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has files of root")


@as_root
def test_a_declaration_is_root_s_and_a_table_of_lists(tmp_path: Path) -> None:
    file = tmp_path / "root.json"
    file.write_text(json.dumps({"services": [{"unit": "a.service"}]}))
    assert gate.declaration(str(file)) == {"services": [{"unit": "a.service"}]}
    for mode in (0o620, 0o602):
        file.chmod(mode)
        with pytest.raises(GateRefused, match="root alone may write"):
            gate.declaration(str(file))
    file.chmod(0o600)
    os.chown(file, 12345, 0)
    with pytest.raises(GateRefused, match="root alone may write"):
        gate.declaration(str(file))


@as_root
@pytest.mark.parametrize("text", ["", "[]", "{", '{"services": {}}', '{"services": ["a"]}', "[" * 100000])
def test_any_other_declaration_admits_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "root.json"
    file.write_text(text)
    with pytest.raises(GateRefused, match=re.escape(str(file))):
        gate.declaration(str(file))


def test_without_a_declaration_nothing_is_admitted(tmp_path: Path) -> None:
    with pytest.raises(GateRefused, match="cannot be read"):
        gate.declaration(str(tmp_path / "none"))


def test_no_name_that_was_sent_ends_a_line_of_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(gate.syslog, "syslog", lambda _, line: lines.append(line))
    with pytest.raises(SystemExit):
        gate.refuse("autoglm", "a\nsshd: b\x00\x1b[2J\ud800 is no module", listening=True)
    (line,) = lines
    assert line.isprintable()
    assert json.loads(capsys.readouterr().out)["failed"] is True


# The gate as root starts it, but for where it finds its declaration and keeps what lives as long as a module.
GATE = """
import json, sys
told = json.loads(sys.argv[1])
sys.path[:], sys.argv[1:] = told["path"], told["words"]
from ansible_collections.autoglm.recovery.plugins.module_utils.privilege import gate
gate.DECLARATION, gate._TMP = told["declaration"], told["tmp"]
gate.main(told["archive"])
"""


@dataclass
class Host:
    """A host with one service behind a balancer of its own; the note on it lies in ``notes``."""

    folder: Path
    notes: Path

    @property
    def note(self) -> str:
        """The path of the note on its service."""
        return str(self.notes / f"{hashlib.sha256(b'llama').hexdigest()}.json")

    @property
    def socket(self) -> str:
        """The path of its balancer's socket."""
        return str(self.folder / "haproxy.sock")

    @property
    def balancer(self) -> dict[str, str]:
        """Its balancer, as the inventory has it."""
        return {"kind": "haproxy", "socket": self.socket, "backend": "llm"}

    def asks(self, module: str, **options: Any) -> dict[str, Any]:
        """Ask the gate for a module as Ansible does, and return what it or the module answers."""
        variables = {
            "autoglm_services": [{"name": "llama", "pool": "chat"}],
            "autoglm_pools": {"chat": {"balancer": self.balancer}},
            "autoglm_taken_out_dir": str(self.notes),
        }
        declared = declaration("a", {"a": variables})
        file, archive = self.folder / "root.json", self.folder / "archive"
        file.write_text(json.dumps(declared))
        with zipfile.ZipFile(archive, "w"):
            pass
        told = {
            "path": [str(CHECKOUT / "src"), *sys.path],
            "words": ["/bin/sh", "-c", "echo BECOME-SUCCESS-abc ; /usr/bin/python3"],
            "declaration": str(file),
            "tmp": str(self.folder / "tmp"),
            "archive": str(archive),
        }
        text = written(
            module_fqn=repr(module),
            params=repr(json.dumps({"ANSIBLE_MODULE_ARGS": options})),
            zip_data=repr(base64.b64encode(archive.read_bytes()).decode()),
        )
        done = subprocess.run(
            [sys.executable, "-c", GATE, json.dumps(told)], input=text, text=True, capture_output=True, check=False,
            env={**os.environ, "SUDO_USER": "autoglm", "SUDO_UID": str(os.getuid())}, timeout=60,
        )  # fmt: skip
        assert done.stdout.startswith("BECOME-SUCCESS-abc\n"), done
        answer: dict[str, Any] = json.loads(done.stdout.partition("\n")[2])
        return answer


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "victim").mkdir()
    return Host(tmp_path, tmp_path / "taken-out")


@as_root
def test_nobody_puts_a_file_of_his_elsewhere_by_the_note_s_path(host: Host) -> None:
    """Ansible's file makes a directory of it, and Ansible's copy puts something there by a name that is a path."""
    source, target = host.folder / ".source.json", host.folder / "victim" / "x"
    source.write_text("* * * * * root id\n")
    name = {"_original_basename": str(target)}
    asked: list[tuple[str, dict[str, Any]]] = [
        ("file", {"path": str(host.notes), "state": "directory", "mode": "0700"}),
        ("file", {"path": host.note, "state": "directory", "mode": "0700", "_original_basename": "x"}),
        (
            "file",
            {"path": str(host.notes), "state": "directory", "mode": "0700", "_original_basename": Path(host.note).name},
        ),
        ("copy", {"src": str(source), "dest": host.note, "mode": "0600", **name}),
        ("file", {"dest": host.note, "state": "file", "mode": "0600", **name}),
    ]
    answers = [host.asks(f"{BUILTIN}{module}", **options) for module, options in asked]
    assert list(target.parent.iterdir()) == []
    assert not host.notes.exists()
    assert all("is no module that is run as root here" in answer["msg"] for answer in answers), answers


@as_root
def test_the_note_is_written_where_it_was_declared_and_through_no_link_of_others(host: Host) -> None:
    note = {"path": host.note, "state": "present", "service": "llama", "incident": "../../x"}
    assert host.asks(f"{OURS}taken_out", **note)["changed"] is True
    assert json.loads(Path(host.note).read_text())["incident"] == "../../x"
    shutil.rmtree(host.notes)
    others = host.folder / "of-others"
    others.mkdir()
    os.chown(others, 12345, 12345)
    host.notes = others / "taken-out"
    host.notes.symlink_to(host.folder / "victim")
    assert host.asks(f"{OURS}taken_out", **{**note, "path": host.note})["failed"]
    assert list((host.folder / "victim").iterdir()) == []


@as_root
def test_a_link_in_a_socket_s_place_is_told_and_not_read(host: Host) -> None:
    secret = host.folder / "secret"
    secret.write_text("of root")
    Path(host.socket).symlink_to(secret)
    told = host.asks(f"{OURS}drain_inference", state="queried", balancer=host.balancer)
    assert told["outcome"] == "refused"
    assert any("is no socket" in obstacle["what"] for obstacle in told["obstacles"])
    assert "of root" not in json.dumps(told)
    other = {**host.balancer, "socket": str(secret)}
    refused = host.asks(f"{OURS}drain_inference", state="queried", balancer=other)["msg"]
    assert "no one of the declared drains" in refused
