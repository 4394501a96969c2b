# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and small files that lie on hosts and in stores: notes on drained services, ids of checkpoints, tokens."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

from autoglm_recovery.exporter import traffic
from autoglm_recovery.knowledge.checkpoints import names, retention
from autoglm_recovery.knowledge.evidence import snapshot
from autoglm_recovery.knowledge.gpu.reading import stuck
from autoglm_recovery.knowledge.gpu.reading.child import PROCESS_NAME
from autoglm_recovery.knowledge.host.token_file import first_token
from autoglm_recovery.policy import Policy
from autoglm_recovery.receiver.console.tones import tone
from autoglm_recovery.receiver.doctor.inventory import check_inventory
from autoglm_recovery.receiver.fleet.fleet import InventoryError, fleet_from
from autoglm_recovery.rules.targets import targets_of
from tests.fuzz.target import RECORDED, Target, files, text


def _note(data: bytes) -> object:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, f"{hashlib.sha256(b'llama').hexdigest()}.json").write_bytes(data)
        found = traffic.look(Path(folder), Path(folder, "no-locks"))
        return [sorted(found.out), found.readable]


def _note_holds(_data: bytes, found: object) -> None:
    assert found in ([["llama"], True], [[], False])


def _checkpoint_id(data: bytes) -> object:
    """The age of what is named as a checkpoint."""
    name = text(data)
    if not names.is_id(name):
        return None
    return [retention.taken(name), retention.surplus([name], retention.RetentionRules(max_age=60.0), 1.8e9, None)]


def _checkpoint_id_holds(data: bytes, found: object) -> None:
    assert found is None or data.isascii(), "an id in other digits sorts elsewhere"


def _evidence(data: bytes) -> str:
    """What a program said of a service, in JSON or not."""
    return snapshot._redact_log("container.json", text(data), ("hunter2-hunter2",))


def _evidence_holds(_data: bytes, found: object) -> None:
    assert isinstance(found, str)
    assert "hunter2-hunter2" not in found
    assert "hunter2-hunter2" not in found.encode().decode("unicode_escape", "replace")


def _tones(data: bytes) -> list[str]:
    """Lines of a timeline, which repeat what hosts have said."""
    return [tone(kind, text(data)) for kind in ("proof", "task", "run_finished", "held")]


def _declared(data: bytes) -> object:
    """Variables of hosts, as an inventory has them: what the doctor says of them, and what is to be scraped."""
    try:
        hosts = json.loads(data)
        listing = {"_meta": {"hostvars": hosts}, "all": {"hosts": list(hosts)}}
        fleet = fleet_from(listing)
    except (AttributeError, InventoryError, RecursionError, TypeError, ValueError):
        return None
    return [check_inventory(fleet, Policy()), targets_of(fleet.declared, "http://receiver:9099").files()]


def _stuck(data: bytes) -> object:
    """A child of ours that the driver holds, of which each file in turn says what it is given."""
    files_of = {
        "comm": f"{PROCESS_NAME}:3\n".encode(),
        "stat": b"1234 (x) D 1 1234 1234 0 -1\n",
        "status": b"Name:\tx\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000100\n",
        "wchan": b"os_acquire_rwlock_write",
        "syscall": b"16 0x3 0xc020462a 0x7ffd 0x0 0x0 0x0 0x7ffd 0x7f\n",
        "stack": b"[<0>] os_acquire_rwlock_write+0x3e/0x60 [nvidia]\n[<0>] 0xffffffffc0a0d2b1\n",
    }
    found = []
    for name in files_of:
        with tempfile.TemporaryDirectory() as folder:
            thread = Path(folder, "1234/task/1234")
            thread.mkdir(parents=True)
            for each, content in {**files_of, name: data}.items():
                (thread / each).write_bytes(content)
                (thread.parents[1] / each).write_bytes(content)
            found.append([stuck.abandoned(Path(folder)), stuck.in_the_driver(Path(folder))])
    return found


def _token(data: bytes) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "token")
        path.write_bytes(data)
        path.chmod(0o600)
        try:
            return first_token(path)
        except ValueError as error:
            raise ValueError(str(error).replace(folder, "")) from error


_INSPECTED = {"Config": {"Env": ["HF_TOKEN=hunter2-hunter2", "A=b"], "Cmd": ["--api-key", "hunter2-hunter2"]}}

_HOSTS = {
    "node-a": {
        "ansible_host": "192.0.2.11",
        "autoglm_services": [
            {
                "name": "llama",
                "pool": "chat",
                "engine": "llama_cpp",
                "url": "http://127.0.0.1:8080",
                "unit": "a.service",
            },
            {
                "name": "b",
                "engine": "vllm",
                "url": "https://[::1]:8443/v1",
                "pid_file": "/run/b",
                "start_command": ["/b"],
            },
        ],
        "autoglm_pools": {
            "chat": {"balancers": [{"kind": "haproxy", "backend": "b", "metrics_url": "http://127.0.0.1:8404/metrics"}]}
        },
    },
    "192.0.2.12": {"autoglm_aliases": ["fe80::1"], "autoglm_servces": 7},
}
_LINES = (
    b"Restart: failed, and the playbook goes on (1.5 s): no",
    b"llama is unhealthy: it is gone",
    b"restart_process failed after 3 s",
)

TARGETS = (
    Target("timeline-tone", _tones, lambda: _LINES),
    Target("inventory-variables", _declared, lambda: [json.dumps(_HOSTS).encode()], growth=400),
    Target(
        "gpu-stuck",
        _stuck,
        lambda: [b"D", b"SigPnd:\t0000000000000100\n", f"{PROCESS_NAME}".encode()],
        growth=64,
        costly=True,
    ),
    Target("taken-out-note", _note, lambda: [b'{"service": "llama"}'], holds=_note_holds),
    Target(
        "checkpoint-id",
        _checkpoint_id,
        lambda: [b"20261128T120000.000000Z-0123abcd"],
        holds=_checkpoint_id_holds,
        words=(b"99", b"13", "٣".encode(), "٣".encode() * 8),
        largest=64,
    ),
    Target(
        "evidence-document",
        _evidence,
        lambda: [json.dumps(_INSPECTED).encode(), *files(RECORDED / "services", "*.json")],
        holds=_evidence_holds,
        growth=64,
    ),
    Target(
        "token-file",
        _token,
        lambda: [b"correct-horse-battery-staple\n", b"# of Alertmanager\nabcdefgh\n"],
        (ValueError,),
    ),
)
