# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The prefix of a kernel message in a log: removed part by part, and its clock read.

A prefix is known by its structure.  Parts of it are stamps (clocks.py), marks by which the kernel's log is known
(C(kernel:), a priority, a facility, the kernel's own clock), and labels that tools put before each line (a host, a
file, a container).  Once a mark is there the message begins where the parts end, whatever words it holds: names that
users choose stand inside of messages.  A line that another program wrote is known by its tag, whatever it quotes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .clocks import Stamp, read_stamp
from .heads import HEAD, HEAD_WITHIN
from .prefixes import (
    ESCAPED,
    GLOG,
    HOST_LABEL,
    KERNEL_TAG,
    KMSG,
    LABELS,
    LEVEL,
    LEVEL_AGAIN,
    LEVEL_WORD,
    MARK_WITHIN,
    OTHERS,
    PLACE,
    PRIORITY,
    PROGRAM,
    PROMPT,
    QUOTING,
    RFC5424,
    ROW,
    SEGFAULT,
    TAGGED,
    WORLD,
)
from .wrappers import FIELD, KERNEL_NAMES, as_text, by_another, unwrap

_BLANK = " \t\r\0\f\v\ufeff"
_MOST_PARTS = 16
_LONGEST_STRANGE = 300
# A message may stand behind many fields of an object.
_LONGEST_OBJECT = 2000


@dataclass(frozen=True)
class Framed:
    """A message without its prefix.  C(at) is in seconds of C(clock) (see clocks.py), where the line tells.

    C(foreign): another program wrote it.  C(strange): what stands before the message is no prefix that is known.
    C(bare): nothing stands before it.  C(outer_at), C(outer_clock): what a log wrote before the
    kernel's own clock.
    """

    text: str
    at: float | None = None
    clock: str | None = None
    foreign: bool = False
    strange: bool = False
    bare: bool = False
    outer_at: float | None = None
    outer_clock: str | None = None


def unframe(line: str | bytes) -> Framed:
    """Remove every prefix. Never raises."""
    text = as_text(line).lstrip(_BLANK)
    if "{" in text[:200]:
        start = text.index("{")
        start -= text[:start].endswith("[")
        wrapped = unwrap(text[start:])
        if wrapped is not None:
            inner = _PrefixReader(wrapped.message.lstrip(_BLANK)).read()
            at, clock = _outer_clock(inner, wrapped.boot, wrapped.wall)
            foreign = inner.foreign or wrapped.foreign or _PrefixReader(text[:start]).ends_with_another()
            outer = (inner.outer_at, inner.outer_clock)
            if clock == "boot" and wrapped.wall is not None:
                outer = (wrapped.wall, "wall")
            return Framed(inner.text, at, clock, foreign, inner.strange, False, *outer)
    return _PrefixReader(text).read()


def _outer_clock(inner: Framed, boot: float | None, wall: float | None) -> tuple[float | None, str | None]:
    if inner.clock == "boot" or (boot is None and wall is None):
        return inner.at, inner.clock
    return (boot, "boot") if boot is not None else (wall, "wall")


class _PrefixReader:
    """One line whose prefix is removed from left to right."""

    def __init__(self, text: str) -> None:
        self.rest = text
        self.at: float | None = None
        self.clock: str | None = None
        self.outer: tuple[float | None, str | None] = (None, None)
        self.marked = False  # the kernel's own log begins here or before
        self.dated = False  # a log wrote a date, after which it names host and program
        self.foreign = False
        self.strange = False
        self.quoted = False
        self.whole = False  # a record told where its message begins, and nothing of it is a prefix

    def read(self) -> Framed:
        """Remove all parts."""
        before = self.rest
        self._take_csv_columns()
        for _round in range(_MOST_PARTS):
            if not self._take_part():
                break
        text = self.rest
        if self.quoted:
            text = re.sub(r"(?:\\n)?[\"'`]{1,3}[\]},\s]{0,8}\Z", "", text)
        # rsyslog writes a newline inside of a message as #012.
        text = text.replace("#012", "\n").strip(_BLANK + "\n")
        bare = self.rest == before
        return Framed(text, self.at, self.clock, self.foreign, self.strange, bare, *self.outer)

    def ends_with_another(self) -> bool:
        """Whether the prefix is that of another program's line: HOST PROGRAM[PID]."""
        for _round in range(_MOST_PARTS):
            if not (self._take_stamp() or self._take_mark()):
                break
        words = f"{self.rest.strip()} "
        return self.foreign or TAGGED.search(words) is not None or PROGRAM.fullmatch(words) is not None

    def _take_part(self) -> bool:
        """Remove one part. Returns whether there was one."""
        if self.whole or not self.rest or HEAD.match(self.rest):
            return False
        if self.marked:
            return self._take_stamp() or self._take_mark()
        return (
            self._take_record()
            or self._take_stamp()
            or self._take_mark()
            or self._take_label()
            or self._skip_unknown_words()
        )

    def _take_record(self) -> bool:
        """A record of /dev/kmsg, or the head of a message of RFC 5424: both say where the message begins."""
        kmsg = KMSG.match(self.rest) if ";" in self.rest else None
        if kmsg is not None:
            self.at, self.clock, self.marked, self.whole = int(kmsg[1]) / 1e6, "boot", True, True
            # What the kernel escaped was part of a text, and begins no line of its own.
            self.rest = ESCAPED.sub(_unescape_match, self.rest[kmsg.end() :])
            return True
        syslog = RFC5424.match(self.rest) if "1 " in self.rest[:16] else None
        if syslog is None:
            return False
        stamp = read_stamp(syslog["at"])
        if stamp is not None and stamp.clock is not None:
            self.at, self.clock = stamp.at, stamp.clock
        program = syslog["program"].rstrip(":").lower()
        self.marked = program in KERNEL_NAMES
        self.foreign = self.foreign or not (self.marked or program == "-")
        self._advance(syslog.end())
        return True

    def _take_csv_columns(self) -> None:
        """The columns of CSV before a message in quotes; one of them may tell who wrote it."""
        row = ROW.match(self.rest) if '"' in self.rest[:_LONGEST_STRANGE] else None
        if row is None:
            return
        head = HEAD_WITHIN.search(self.rest[row.end() : row.end() + _LONGEST_STRANGE])
        if head is None:
            return
        columns = [column.strip('" :') for column in re.split(r"[,;\t]", row["columns"])]
        stamp = next((stamp for stamp in map(read_stamp, columns) if stamp is not None), None)
        if stamp is not None and stamp.clock is not None:
            self.at, self.clock = stamp.at, stamp.clock
        kernels = any(column.lower() in KERNEL_NAMES for column in columns)
        # A time and a line alone is what most exports have; of more columns nobody knows which names the author.
        self.strange = head.start() == 0 and len(columns) > 1 and not kernels
        self.marked, self.quoted = kernels, True
        self._advance(row.end())

    def _take_stamp(self) -> bool:
        stamp: Stamp | None = read_stamp(self.rest)
        if stamp is None:
            return False
        self._advance(stamp.length)
        # The innermost stamp is the kernel's own, hence a boot clock wins over what syslog wrote.
        # How long it was since the line before says less than any moment.
        better = self.clock is None or (self.clock != "boot" and stamp.clock != "delta") or stamp.clock == "boot"
        if stamp.clock is not None and better:
            if stamp.clock == "boot" and self.clock in ("wall", "date"):
                self.outer = (self.at, self.clock)
            self.at, self.clock = stamp.at, stamp.clock
        self.dated = stamp.follows_host
        # Behind the kernel's clock a number in brackets is a caller's, or a task's in a table of them.
        if stamp.clock in ("boot", "delta") or (stamp.clock is None and self.clock == "boot"):
            self._end_after_kernel_clock()
        return True

    def _end_after_kernel_clock(self) -> None:
        """After the kernel's clock the message begins; but the journal writes that clock before each program's line."""
        if KERNEL_TAG.match(self.rest) or HEAD.match(self.rest) or read_stamp(self.rest) is not None:
            return
        if OTHERS.match(self.rest) and not SEGFAULT.match(self.rest):
            self.foreign = True
            return
        prompt = PROMPT.match(self.rest)
        if prompt is not None and HEAD.match(self.rest, prompt.end()):
            self._advance(prompt.end())
        self.marked = True

    def _take_mark(self) -> bool:
        """A mark by which the kernel's log is known."""
        priority = PRIORITY.match(self.rest)
        if priority is not None:
            self._advance(priority.end())
            return True
        level = LEVEL.match(self.rest)
        if level is not None:
            self.foreign = self.foreign or level["facility"] != "kern"
            self._advance(level.end())
            return True
        for pattern in (KERNEL_TAG, WORLD):
            mark = pattern.match(self.rest)
            if mark is not None:
                self.marked, self.dated = True, False
                self._advance(mark.end())
                return True
        again = LEVEL_AGAIN.match(self.rest) if self.marked else None
        if again is not None:
            self._advance(again.end())
        return again is not None

    def _take_label(self) -> bool:
        """A label that a tool put before the line."""
        if self._take_json_field():
            return True
        for pattern in LABELS:
            # Python's loggers write DATE - NAME - LEVEL - MESSAGE, and no list.
            label = None if self.dated and self.rest.startswith("- ") else pattern.match(self.rest)
            if label is not None:
                self.quoted = self.quoted or label[0].endswith(('"', "'", "`"))
                self.dated = False
                self._advance(label.end())
                return True
        host = None if self.dated else HOST_LABEL.match(self.rest)
        if host is not None:
            behind = self.rest[host.end() :].lstrip(_BLANK)
            if any(p.match(behind) for p in (KERNEL_TAG, LEVEL, HEAD, KMSG, GLOG)) or read_stamp(behind):
                self._advance(host.end())
                return True
        glog = GLOG.match(self.rest)
        if glog is not None:
            # A program's own line, unless the kernel's mark follows.
            self._advance(glog.end())
            self.dated = True
            self.foreign = KERNEL_TAG.match(self.rest) is None and read_stamp(self.rest) is None
            return True
        return False

    def _take_json_field(self) -> bool:
        """Remove the fields before the message in an incomplete JSON object."""
        if '"' not in self.rest[:_LONGEST_OBJECT]:
            return False
        fields = [*FIELD.finditer(self.rest[:_LONGEST_OBJECT])]
        fields = [field for field in fields if HEAD_WITHIN.search(self.rest[field.end() :][:_LONGEST_STRANGE])]
        if not fields:
            return False
        words = self.rest[: fields[-1].start()]
        anothers = TAGGED.search(words) or (self.dated and PROGRAM.match(words)) or by_another(self.rest)
        self.foreign = self.foreign or bool(anothers)
        self.quoted, self.dated = True, False
        self._advance(fields[-1].end())
        return True

    def _skip_unknown_words(self) -> bool:
        """Skip words of an unknown form, if the kernel's log or one of its messages can follow them."""
        near = self.rest[:_LONGEST_STRANGE]
        mark, head = MARK_WITHIN.search(near), HEAD_WITHIN.search(near)
        at = min((found.start() for found in (mark, head) if found is not None), default=-1)
        if at < 0:
            return False
        words = near[:at]
        to_mark = mark is not None and mark.start() == at
        if (
            TAGGED.search(words)
            or QUOTING.search(words)
            or (self.dated and PROGRAM.match(words))
            or (not to_mark and LEVEL_WORD.search(words) and (self.dated or PLACE.search(words)))
        ):
            self.foreign = True
        elif to_mark:
            at_length = len(words.split()) > 6
            # A program that tells what it saw in the kernel's log says first how grave that is.
            tells = self.dated and (at_length or words.startswith("- "))
            self.foreign = tells and LEVEL_WORD.search(words) is not None
            self.strange = at_length and not self.foreign
        elif self.dated:
            # A host name alone, as some relays write it.
            self.strange = len(words.split()) != 1 or words.rstrip().endswith(":")
        else:
            label = HOST_LABEL.fullmatch(words)
            self.strange = label is None or LEVEL_WORD.search(words) is not None
        if self.foreign or self.strange:
            return False
        self.rest = self.rest[at:]
        self.dated = False
        return True

    def _advance(self, length: int) -> None:
        self.rest = self.rest[length:].lstrip(_BLANK)


def _unescape_match(match: re.Match[str]) -> str:
    return chr(int(match[1], 16))
