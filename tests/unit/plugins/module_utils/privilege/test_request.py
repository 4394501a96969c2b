# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sent to the gate is read within bounds, as what ansible-core writes, or refused."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.knowledge.privilege import request

SHELL = ["/bin/sh", "-c"]
START = "echo BECOME-SUCCESS-abc ; /usr/bin/python3"
FILE = "/home/autoglm/.ansible/tmp/ansible-tmp-1.2-3-4/AnsiballZ_fence.py"
OPTIONS = {"ANSIBLE_MODULE_ARGS": {"host": "a"}}


def written(**lines: str) -> str:
    """Return a file as ansible-core 2.19 to 2.21 writes it, but for the code, which is not looked at."""
    texts = {
        "ansible_module": "'fence'",
        "module_fqn": "'a.fence'",
        "profile": "'legacy'",
        "rlimit_nofile": "0",
        "params": repr(json.dumps(OPTIONS)),
        "zip_data": "'UEs='",
        **lines,
    }
    body = "\n".join(f"{name}={value}," for name, value in texts.items())
    return f'code\n\nif __name__ == "__main__":\n    _ansiballz_main(\n{body}\n)\n'


@pytest.mark.parametrize("before", [[], ["-u", "root"], ["-H", "-S", "-n", "-u", "root"]])
def test_the_start_of_a_module_is_understood(before: list[str]) -> None:
    piped = request.asked([*before, *SHELL, START])
    assert (piped.word, piped.file) == ("BECOME-SUCCESS-abc", None)
    assert request.asked([*before, *SHELL, f"{START} {FILE}"]).file == FILE


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["id"],
        [*SHELL, "id"],
        [*SHELL, f"{START} ; id"],
        [*SHELL, f"{START} {FILE} ; id"],
        [*SHELL, f"{START} {FILE}\nid"],
        [*SHELL, f"{START} -c pass"],
        [*SHELL, f"{START} /home/autoglm/evil.py"],
        [*SHELL, f"{START} /home/autoglm/../root/AnsiballZ_a.py"],
        [*SHELL, f"{START} $(id)/AnsiballZ_a.py"],
        [*SHELL, f"A=b {START}"],
        [*SHELL, START.replace("/usr/bin", "/tmp")],
        [*SHELL, START, "more"],
        ["-u", "llama", *SHELL, START],
        ["/bin/bash", "-c", START],
    ],
)
def test_any_other_command_line_is_refused(words: list[str]) -> None:
    with pytest.raises(request.GateRefused, match="only modules are run as root"):
        request.asked(words)


def test_module_options_and_archive_are_read() -> None:
    found = request.parse(written())
    assert (found.module, found.options, found.archive, found.profile) == ("a.fence", {"host": "a"}, b"PK", "legacy")


@pytest.mark.parametrize(
    "file",
    [
        "",
        "import os; os.system('id')",
        written(params="open('/root/owned', 'w').write('a')"),
        written(params="'a' + 'b'"),
        written(params="'{}'"),
        written(params="'" + "[" * 100000 + "'"),
        written(params=repr(json.dumps({"ANSIBLE_MODULE_ARGS": []}))),
        written(module_fqn="f'{1}'"),
        written(zip_data="'%%%'"),
        written(params=r"'\x'"),
        written(params="'\0'"),
        written(zip_data=r"'\ud800'"),
    ],
)
def test_any_other_file_is_refused(file: str) -> None:
    with pytest.raises(request.GateRefused):
        request.parse(file)


@given(st.text() | st.builds(lambda value: written(params=value), st.text()))
def test_rubbish_is_refused_and_raises_nothing_else(file: str) -> None:
    with contextlib.suppress(request.GateRefused):
        request.parse(file)


@given(st.binary(max_size=200))
def test_an_archive_of_rubbish_is_another_one(archive: bytes) -> None:
    assert request.differs(archive, lambda _: None)


@pytest.mark.parametrize("packed", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED])
def test_a_damaged_archive_and_one_that_asks_for_much_is_another_one(packed: int) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", packed) as archive:
        archive.writestr("a.py", "same " * 1000)
    content = bytearray(held.getvalue())
    assert (request.differs(bytes(content), lambda _: b"same " * 1000) is None) == (packed == zipfile.ZIP_DEFLATED)
    content[40:44] = b"\xff\xff\xff\xff"
    assert request.differs(bytes(content), lambda _: b"same " * 1000)


def test_a_file_of_somebody_else_s_a_link_and_a_pipe_are_not_read(tmp_path: Path) -> None:
    file = tmp_path / "AnsiballZ_a.py"
    file.write_text("a")
    link, pipe = tmp_path / "AnsiballZ_link.py", tmp_path / "AnsiballZ_pipe.py"
    link.symlink_to(file)
    os.mkfifo(pipe)
    assert request.sent(str(file), os.getuid()) == "a"
    for path, owner in ((file, os.getuid() + 1), (link, os.getuid()), (pipe, os.getuid()), (tmp_path, os.getuid())):
        with pytest.raises(request.GateRefused):
            request.sent(str(path), owner)


def test_what_is_too_long_is_not_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "AnsiballZ_a.py"
    with file.open("wb") as opened:
        opened.truncate(request.MOST_BYTES + 1)
    with pytest.raises(request.GateRefused, match="longer than 8 MiB"):
        request.sent(str(file), os.getuid())


@pytest.mark.parametrize("part", ["a", "\\a"], ids=["plain", "escapes"])
def test_a_long_file_takes_memory_in_proportion(part: str) -> None:
    """The gate is root's, and whoever may ask it chooses what it reads."""
    text = written(zip_data="'" + part * (2**20 // len(part)) + "'")
    tracemalloc.start()
    try:
        with contextlib.suppress(request.GateRefused):
            request.parse(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 24 * len(text)
