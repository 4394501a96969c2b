# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a login without root has sudo give to the gate: a command line, a module's file, and the archive in it."""

from __future__ import annotations

import base64
import io
import json
import zipfile

from autoglm_recovery.knowledge.privilege import request, rules
from tests.fuzz.target import Target, text

_FILE = b"/home/autoglm/.ansible/tmp/ansible-tmp-1.2-3-4/AnsiballZ_fence.py"
# Words are parted by zero bytes, as in /proc/PID/cmdline.
_COMMANDS = (
    b"-H\0-S\0-n\0-u\0root\0/bin/sh\0-c\0echo BECOME-SUCCESS-abc ; /usr/bin/python3.11 " + _FILE,
    b"/bin/sh\0-c\0echo BECOME-SUCCESS-xyz ; /usr/bin/python3",
)
_OPTIONS = {"ANSIBLE_MODULE_ARGS": {"host": "node-a", "service": "llama", "token": 7, "_ansible_check_mode": False}}
_OURS = {"ansible/module_utils/basic.py": b"basic = 1\n" * 30, "ansible_collections/a/b.py": b"b = 2\n"}
_DECLARED = {"services": [{"unit": "llama.service", "url": "http://127.0.0.1:8080"}], "notes": [{"path": "/var/x"}]}


def _asked(data: bytes) -> object:
    found = request.asked(text(data).split("\0"))
    if found.file is not None:
        assert ".." not in found.file.split("/"), "a file is taken from elsewhere"
        assert "\n" not in found.file
        assert " " not in found.file
    assert found.word.isascii()
    return found


def _archive(method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in {"ansible/__init__.py": b"", **_OURS}.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return packed.getvalue()


def _file(**given: object) -> bytes:
    """A module's file as ansible-core 2.19 to 2.21 writes it, but for the code, which is not looked at."""
    texts = {
        "ansible_module": "fence",
        "module_fqn": f"{rules.OURS}fence",
        "profile": "legacy",
        "params": json.dumps(_OPTIONS),
        "zip_data": base64.b64encode(_archive()).decode(),
        **given,
    }
    body = "\n".join(f"{name}={value!r}," for name, value in texts.items())
    return f'code\n\nif __name__ == "__main__":\n    _ansiballz_main(\n{body}\n    rlimit_nofile=0,\n)\n'.encode()


def _sent(data: bytes) -> object:
    """All that happens to a file before the gate decides."""
    wanted = request.parse(request.text_of(io.BytesIO(data).read))
    options = {name: value for name, value in wanted.options.items() if not name.startswith("_ansible_")}
    return [wanted, request.differs(wanted.archive, _OURS.get), rules.refusal(wanted.module, options, _DECLARED)]


def _differs(data: bytes) -> object:
    return request.differs(data, _OURS.get)


def _differs_holds(data: bytes, found: object) -> None:
    """What is said to be ours has each file as it is here."""
    if found is None:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                assert entry.filename.endswith("__init__.py") or archive.read(entry) == _OURS[entry.filename]


TARGETS = (
    Target(
        "gate-command-line", _asked, lambda: _COMMANDS, (request.GateRefused,), words=(b"/../", b"/./", b"\0", b" ; ")
    ),
    Target("gate-file", _sent, lambda: [_file(), _file(params='{"a": "\\\\"}')], (request.GateRefused,), growth=64),
    Target("gate-archive", _differs, lambda: [_archive(), _archive(zipfile.ZIP_STORED)], holds=_differs_holds),
)
