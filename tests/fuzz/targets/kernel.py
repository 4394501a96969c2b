# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's log, as bytes of any origin."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path

from autoglm_recovery.exporter.kmsg import KernelLogReader
from autoglm_recovery.knowledge.faults.arbitration.by_catalogue import judge_faults
from autoglm_recovery.knowledge.faults.joining.joining import LineJoiner
from autoglm_recovery.knowledge.faults.lines.framing import unframe
from autoglm_recovery.knowledge.faults.lines.heads import must_be_read
from autoglm_recovery.knowledge.faults.lines.reading import KINDS, TRIGGERS, parse_line
from autoglm_recovery.knowledge.faults.lines.stream import encode_block, encode_stream
from autoglm_recovery.knowledge.health.oom import oom_evidence
from autoglm_recovery.knowledge.host import kernel_log
from autoglm_recovery.knowledge.services.protocol import ProcessEnd
from tests.fuzz.target import FIXTURES, Target, files, text

_JOURNAL = (
    b'{"MESSAGE":"NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.","_TRANSPORT":"kernel",'
    b'"_SOURCE_MONOTONIC_TIMESTAMP":"12345678901","__REALTIME_TIMESTAMP":"1700000000000000"}',
    b'{"MESSAGE":[78,86,82,77,58,32,88,105,100],"_TRANSPORT":"kernel","SYSLOG_IDENTIFIER":"kernel"}',
)


@functools.cache
def lines() -> tuple[bytes, ...]:
    """The lines of all our specimens, each as a log has it."""
    found = []
    for content in files(FIXTURES / "kernel", "*.jsonl"):
        for row in content.decode().splitlines():
            entry = json.loads(row)
            line = entry.get("line") or "\n".join(entry.get("lines", []))
            found.append(line.encode("utf-8", "surrogatepass"))
    return tuple(line for line in found if line) + _JOURNAL


def blocks() -> list[bytes]:
    """Some lines after each other, as a log has them."""
    every = lines()
    return [b"\n".join(every[at : at + 6]) + b"\n" for at in range(0, len(every), 6)]


def _line_holds(data: bytes, event: object) -> None:
    assert isinstance(event, dict)
    assert event["kind"] in KINDS
    json.dumps(event, allow_nan=False)
    framed = unframe(data)
    if not framed.foreign and must_be_read(framed.text, anywhere=framed.strange) is not None:
        assert event["kind"] != "none", "a line with a head that must be read was passed over"


def _block_holds(data: bytes, found: object) -> None:
    assert isinstance(found, bytes)
    events = [json.loads(line) for line in found.splitlines()]
    assert len(events) == data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
    assert all(event["kind"] in KINDS for event in events)


def _stream(data: bytes) -> bytes:
    return b"".join(encode_stream(data[at : at + 700] for at in range(0, len(data), 700)))


def _stream_holds(data: bytes, found: object) -> None:
    # However it arrives.
    assert found == b"".join(encode_stream(iter([data]))), "the answer depends on how the stream was cut"


def _faults(data: bytes) -> list[dict[str, object]]:
    joiner = LineJoiner()
    ended = [joined for line in data.split(b"\n")[:200] for joined in joiner.feed(line, 1.0)]
    return [fault.as_dict() for fault in [*ended, *joiner.flush()]]


def _judged(data: bytes) -> object:
    """What the catalogue says of each line, whatever driver there is."""
    read = [parse_line(line) for line in data.split(b"\n")[:50]]
    return [judge_faults(read, driver) for driver in (None, "570.86.15", "575.57.08")]


def _printed(data: bytes) -> list[str]:
    whole = kernel_log._join_continuations(text(data).split("\n"))
    end = ProcessEnd("killed", None, None, 9, "", 4242, 12345.0, groups=("a.service",), programs=("vllm",))
    return [*map(str, whole), *oom_evidence(end, whole)]


_EXPORTED = (
    b"__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=1700000000000000\n_TRANSPORT=kernel\nSYSLOG_IDENTIFIER=kernel\n"
    b"MESSAGE=NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.\n\n"
    b"MESSAGE\n\x1b\x00\x00\x00\x00\x00\x00\x00Out of memory: Killed proc\xff\n_TRANSPORT=kernel\n\n"
)


def _records(data: bytes) -> list[object]:
    """The records of a /dev/kmsg, one after the other, through a pipe as the exporter reads them."""
    reader = KernelLogReader(Path("/dev/null"), wall=lambda: 1e9, since_boot=lambda: 1e5)
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.write(writable, data[:8192])
    os.close(writable)
    reader._descriptor = readable
    try:
        return [record.text for record in reader.read()]
    finally:
        reader.close()


TARGETS = (
    Target("kernel-line", parse_line, lines, holds=_line_holds, words=tuple(word.encode() for word in TRIGGERS)),
    Target("kernel-block", encode_block, blocks, holds=_block_holds, growth=64),
    Target("kernel-stream", _stream, blocks, holds=_stream_holds, growth=64),
    Target("kernel-faults", _faults, blocks, growth=400),
    Target("kernel-verdict", _judged, blocks, growth=400),
    Target("kernel-printed", _printed, blocks, growth=64),
    Target("kernel-record", lambda data: kernel_log.parse_kmsg_record(text(data)), lines, largest=8192),
    Target("journal-export", encode_block, lambda: [_EXPORTED], holds=_block_holds, growth=64),
    Target("kernel-kmsg", _records, blocks, largest=8192, growth=64),
)
