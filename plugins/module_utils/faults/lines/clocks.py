# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clocks that stand before kernel messages, recognised by their structure and not by a language.

A stamp is read from where a text begins.  Its clock is one of

    boot    seconds since the machine started: C([12345.678901]), with or without dmesg's C(<delta>)
    wall    seconds since the epoch
    date    a date that has no year, in seconds of a leap year: only differences count
    delta   seconds since the line before: C([  +0.000012]), C([<    0.000012>])

Source of the forms: util-linux C(dmesg.c) (print_record), systemd C(logs-show.c), rsyslog's built-in templates.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone

# How months are abbreviated where people keep logs, without the dot. Chinese, Japanese and Korean number them.
_MONTHS = {
    word: number
    for number, words in enumerate(
        (
            "jan janv ene gen janvier januar january янв sty led oca tammi",
            "feb fev fév févr febr februar february fevrier février фев lut úno şub helmi",
            "mar mär mars mrz märz march mrt мар mar. bře maalis",
            "apr avr abr avril april апр kwi dub nis huhti",
            "may mai mei maj mag мая май kvě touko",
            "jun juin june juni giu июн cze čer haz kesä",
            "jul juil juill juillet july juli lug июл lip čvc tem heinä",
            "aug aoû août ago août. august авг sie srp ağu elo",
            "sep sept set september septembre сен wrz zář eyl syys",
            "oct okt out ott october octobre oktober окт paź říj eki loka",
            "nov november novembre ноя lis kas marras",
            "dec déc dez dic december décembre dezember дек gru pro ara joulu",
        ),
        1,
    )
    for word in words.split()
}
_TIME = r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?"
_BRACKET = re.compile(r"\[([^\[\]\n]{1,64})\]:?(?=\s|$|[^\w\s])")
_BOOT = re.compile(r" {0,12}(\d{1,12}\.\d{1,9})(?: {0,12}<[ \d.,+-]{1,24}>)?\Z")
_DELTA = re.compile(r" {0,12}(?:\+ {0,12}(\d{1,9}[.,]\d{1,9})|< {0,12}([+-]?\d{1,9}[.,]\d{1,9}) {0,2}>)\Z")
_CALLER = re.compile(r" {0,12}(?:[TC]\d{1,10}|\d[\d.]{0,20}|\.\.\.)\Z")
# A zone has three to five letters, and so have the levels of a program's own log.
_ZONE = r"Z|[+-]\d\d:?\d\d|(?!TRACE|DEBUG|INFO|NOTE|WARN|ERROR|FATAL|CRIT|ALERT|EMERG)[A-Z]{3,5}(?=\s|\]|$)"
_ISO = re.compile(
    rf"(?:[^\W\d]{{2,12}}\.? )?(?P<year>\d{{4}})[-/](?P<month>\d\d)[-/](?P<day>\d\d)[T ]{_TIME}"
    rf"(?: ?(?P<zone>{_ZONE}))?(?: <[ \d.,+-]{{1,24}}>)?"
)
_WORD = r"(?:[^\W\d]{1,12}[.,]? {1,3})?"
# What may follow a time of day: AM or PM, a zone, the year, dmesg's delta.
_LATER = (
    rf"(?: (?P<half>[AaPp])\.?[Mm]\b\.?)?(?:(?: {{1,3}}(?:{_ZONE}))? {{1,3}}(?P<late>\d{{4}}))?(?: (?:{_ZONE}))?"
    r"(?: <[ \d.,+-]{1,24}>)?"
)
# A month as a word, or as a number with the sign that East Asian languages put behind it.
_DATE = re.compile(
    rf"{_WORD}(?:(?P<month>[^\W\d]{{3,10}})\.?|(?P<number>\d{{1,2}})[月월])(?: {{1,3}}|(?=\d))"
    rf"(?P<day>\d{{1,2}})[.日일]? {{1,3}}(?:(?P<early>\d{{4}}) {{1,3}})?{_TIME}{_LATER}"
)
_DAY_FIRST = re.compile(
    rf"{_WORD}(?P<day>\d{{1,2}})\.? (?P<month>[^\W\d]{{3,10}})[.,]{{0,2}} {{1,3}}"
    rf"(?:(?P<early>\d{{4}}),? {{1,3}})?{_TIME}{_LATER}"
)
# Brackets that hold a time of day, in whatever language its date is written.
_SOME_CLOCK = re.compile(r"[^\[\]\n]{0,40}?(?<!\d)\d{1,2}:\d\d:\d\d(?!\d)[^\[\]\n]{0,30}\Z")
_UNIX = re.compile(r"(\d{9,10}\.\d{3,9})(?=\s)")


@dataclass(frozen=True)
class Stamp:
    """What a clock says: C(at) seconds of C(clock), both None where a stamp is there and says nothing to us.

    C(length): how many characters it takes.  C(follows_host): whether a log that writes it writes a host name next.
    """

    length: int
    at: float | None = None
    clock: str | None = None
    follows_host: bool = False


def read_stamp(text: str) -> Stamp | None:
    """The stamp at the beginning of a text, or None."""
    first = text[:1]
    if first == "[":
        bracket = _BRACKET.match(text)
        return None if bracket is None else _stamp_in_brackets(bracket[1], bracket.end())
    if first.isdigit() or first.isalpha():
        return _stamp_without_brackets(text)
    return None


def _stamp_in_brackets(inner: str, length: int) -> Stamp | None:
    """What brackets hold, if it is a clock or a caller's id and no word of a message."""
    boot = _BOOT.match(inner)
    if boot is not None:
        return Stamp(length, float(boot[1]), "boot")
    delta = _DELTA.match(inner)
    if delta is not None:
        return Stamp(length, float((delta[1] or delta[2]).replace(",", ".")), "delta")
    if _CALLER.match(inner):
        return Stamp(length)
    for pattern, read in ((_ISO, _read_iso), (_DATE, _read_date), (_DAY_FIRST, _read_date)):
        match = pattern.match(inner)
        if match is not None and match.end() == len(inner):
            at, clock = read(match)
            return Stamp(length, at, clock)
    return Stamp(length) if _SOME_CLOCK.match(inner) else None


def _stamp_without_brackets(text: str) -> Stamp | None:
    iso = _ISO.match(text)
    if iso is not None and not text[iso.end() : iso.end() + 1].isalnum():
        # dmesg writes a comma before the fraction, and no host name; Python's loggers write the comma after a blank.
        dmesg = iso["fraction"] is not None and text[iso.start("fraction") - 1] == "," and "T" in iso[0]
        return Stamp(iso.end(), *_read_iso(iso), follows_host=not dmesg)
    unix = _UNIX.match(text)
    if unix is not None:
        return Stamp(unix.end(), float(unix[1]), "wall", follows_host=True)
    date = _DATE.match(text) or _DAY_FIRST.match(text)
    # Without seconds it is a sentence that holds a time.
    if date is not None and date["second"] is not None and text[date.end() : date.end() + 1] in (" ", "\t", ":", ""):
        at, clock = _read_date(date)
        # With the year at the end it is what "date" and dmesg -T print; syslog and the journal print it before.
        return Stamp(date.end(), at, clock, follows_host=date["late"] is None)
    return None


def _read_iso(match: re.Match[str]) -> tuple[float | None, str | None]:
    at = _to_seconds(int(match["year"]), int(match["month"]), int(match["hour"]), match)
    if at is None:
        return None, None
    at += float(f"0.{match['fraction']}") if match["fraction"] else 0.0
    zone = match["zone"]
    if zone and zone[0] in "+-":
        at -= (1 if zone[0] == "+" else -1) * (int(zone[1:3]) * 3600 + int(zone[-2:]) * 60)
    return at, "wall"


def _read_date(match: re.Match[str]) -> tuple[float | None, str | None]:
    found = match.groupdict()
    month = int(found["number"]) if found.get("number") else _MONTHS.get(found["month"].lower(), 0)
    year = found["early"] or found["late"]
    hour = int(found["hour"])
    if found["half"]:
        hour = hour % 12 + (12 if found["half"] in "Pp" else 0)
    at = _to_seconds(int(year or 2000), month, hour, match)
    return (None, None) if at is None else (at, "wall" if year else "date")


def _to_seconds(year: int, month: int, hour: int, match: re.Match[str]) -> float | None:
    day, minute, second = int(match["day"]), int(match["minute"]), int(match["second"] or 0)
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    except (ValueError, OverflowError):
        return None
    return moment.timestamp()
