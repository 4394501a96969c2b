# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands before a kernel message in a log: taken off, and its clock read.

The forms: bare, C([secs.usecs]), C(dmesg -T), C(-H), C(-x) and C(--time-format iso), printk caller ids, records of
C(/dev/kmsg), a leading C(<prio>), syslog in the traditional and in the RFC 3339 form, and journalctl.  A line that
another program wrote is recognised by its syslog tag, whatever it quotes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone

# A record of /dev/kmsg has at most 8192 bytes (CONSOLE_EXT_LOG_MAX); what is longer is no kernel message.
LONGEST = 16384

_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_MONTH_NUMBER = {name: number for number, name in enumerate(_MONTHS.split("|"), 1)}

_KMSG = re.compile(r"\d{1,4},\d{1,20},(\d{1,20}),[^;\n]{0,80};")
_PRIORITY = re.compile(r"<\d{1,3}>(?:1 (?=\d{4}-))?")
_LEVEL = re.compile(r"[a-z][a-z0-9]{2,8} {0,8}:(?:emerg|alert|crit|err|warn|notice|info|debug) {0,8}: ?")
_BOOT_CLOCK = re.compile(r"\[ {0,12}(\d{1,12}\.\d{1,9})\]")
_WALL_CLOCK = re.compile(
    rf"\[(?:[A-Z][a-z]{{2}} )?({_MONTHS}) {{0,3}}(\d{{1,2}}) "
    r"(\d\d):(\d\d)(?::(\d\d)(?:[.,]\d{1,9})?)?(?: (\d{4}))?\]"
)
_OTHER_BRACKET = re.compile(r"\[(?: {0,12}[TC]\d{1,10}| {0,12}\+?[<\d][\d.]{0,20}>?|\.\.\.)\]")
_ISO = re.compile(r"\[?(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:([.,])(\d{1,9}))?(Z|[+-]\d\d:?\d\d)?\]?(?=\s|$)")
_SYSLOG = re.compile(
    rf"(?:[A-Z][a-z]{{2}} )?({_MONTHS}) {{1,2}}(\d{{1,2}}) (?:(\d{{4}}) )?(\d\d):(\d\d):(\d\d)(?:\.\d{{1,9}})?(?=\s)"
)
# HOST kernel: and kernel: alone; the head in between holds no other tag, hence no colon before a space.
_KERNEL_TAG = re.compile(r"(?:[^\s:\"'=]{1,255} )?(?:[a-z0-9]+\.[a-z]+ )?kernel(?:\[\d{1,10}\])?(?:: ?| - - (?:- )?)")
_ANY_HEAD = re.compile(r"(?:[^\s:\"'=]|:(?!\s)| ){0,120}? kernel(?:\[\d{1,10}\])?: ?")
_FOREIGN_TAG = re.compile(r"\S{1,255} [^\s\[\]:]{1,64}\[\d{1,10}\]: ")
_BARE_HOST = re.compile(
    r"[^\s:]{1,255} (?=NVRM: |nvidia-|mlx5_core |pcieport |EDAC MC|mce: |Out of memory|Memory cgroup out|oom|Kernel p)"
)
_ESCAPED = re.compile(r"\\x([0-9a-fA-F]{2})")
_BLANK = " \t\r\0\f\v\ufeff"


@dataclass(frozen=True)
class Framed:
    """A message without its prefix. C(at) is in seconds of C(clock), C(boot) or C(wall), where the line tells."""

    text: str
    at: float | None = None
    clock: str | None = None
    foreign: bool = False


def as_text(line: str | bytes) -> str:
    """The line as text, never longer than any kernel message."""
    if isinstance(line, bytes):
        line = line[:LONGEST].decode("utf-8", "replace")
    return line[:LONGEST].rstrip("\r\n\0")


def unframe(line: str | bytes) -> Framed:
    """Take every known prefix off. Never raises."""
    text = as_text(line).lstrip(_BLANK)
    at, clock = None, None
    kmsg = _KMSG.match(text)
    if kmsg is not None:
        at, clock = int(kmsg.group(1)) / 1e6, "boot"
        text = _ESCAPED.sub(_unescape, text[kmsg.end() :])
    hosted = False
    for _round in range(12):  # a prefix has a handful of parts; the rest of the line is the message
        rest, found, with_host = _take_one(text)
        if rest is None:
            break
        text, hosted = rest, hosted or with_host
        # The innermost stamp is the kernel's own, hence a boot clock wins over what syslog wrote.
        if found is not None and (clock != "boot" or found[1] == "boot"):
            at, clock = found
    foreign = hosted and _FOREIGN_TAG.match(text) is not None
    if hosted and not foreign:
        host = _BARE_HOST.match(text)
        text = text[host.end() :] if host else text
    # rsyslog writes a newline inside of a message as #012.
    return Framed(text.replace("#012", "\n").strip(_BLANK + "\n"), at, clock, foreign)


_Stamp = tuple[float, str]
# What messages begin with that are known to be no prefix: the common ones, to be done with them at once.
_MESSAGES = ("NVRM: ", "nvidia-nvswitch", "mlx5_core ", "pcieport ", "Memory cgroup ", "Out of memory", "oom", "EDAC ")


def _take_one(text: str) -> tuple[str | None, _Stamp | None, bool]:
    """One part of a prefix: the rest, a stamp if the part was one, and whether a host name must follow."""
    first = text[:1]
    if text.startswith(_MESSAGES):
        return None, None, False
    if first == "[":
        boot = _BOOT_CLOCK.match(text)
        if boot is not None:
            return text[boot.end() :].lstrip(_BLANK), (float(boot.group(1)), "boot"), False
        wall = _WALL_CLOCK.match(text)
        if wall is not None:
            month, day, hour, minute, second, year = wall.groups()
            stamp = _wall(year, _MONTH_NUMBER[month], day, hour, minute, second or "0")
            return text[wall.end() :].lstrip(_BLANK), stamp, False
    if first == "[" or first.isdigit():
        iso = _ISO.match(text)
        if iso is not None:
            # Only dmesg writes a comma before the fraction, and dmesg writes no host name.
            return text[iso.end() :].lstrip(_BLANK), _iso_stamp(iso), iso.group(7) != ","
    syslog = _SYSLOG.match(text) if first.isupper() else None
    if syslog is not None:
        month, day, year, hour, minute, second = syslog.groups()
        stamp = _wall(year, _MONTH_NUMBER[month], day, hour, minute, second)
        return text[syslog.end() :].lstrip(_BLANK), stamp, True
    other = _take_other(text, first)
    return (None if other is None else text[other:].lstrip(_BLANK)), None, False


def _take_other(text: str, first: str) -> int | None:
    """Where a part of a prefix ends that has no clock."""
    match = None
    if first == "<":
        match = _PRIORITY.match(text)
    elif first == "[":
        match = _OTHER_BRACKET.match(text)
    elif first.islower():
        match = _LEVEL.match(text)
    if match is None and "kernel" in text[:512]:
        match = _KERNEL_TAG.match(text) or _ANY_HEAD.match(text)
    return match.end() if match is not None and match.end() else None


def _unescape(match: re.Match[str]) -> str:
    return chr(int(match.group(1), 16))


def _iso_stamp(match: re.Match[str]) -> _Stamp | None:
    year, month, day, hour, minute, second, _comma, fraction, zone = match.groups()
    stamp = _wall(year, int(month), day, hour, minute, second)
    if stamp is None:
        return None
    at = stamp[0] + (float(f"0.{fraction}") if fraction else 0.0)
    if zone and zone != "Z":
        at -= (1 if zone[0] == "+" else -1) * (int(zone[1:3]) * 3600 + int(zone[-2:]) * 60)
    return at, "wall"


def _wall(year: str | None, month: int, day: str, hour: str, minute: str, second: str) -> _Stamp | None:
    """Seconds of the wall clock. Without a year a leap year stands in: only differences are of use."""
    try:
        moment = datetime(int(year or 2000), month, int(day), int(hour), int(minute), int(second), tzinfo=timezone.utc)
    except (ValueError, OverflowError):
        return None
    return moment.timestamp(), "wall"
