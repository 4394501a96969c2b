# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``autoglm xid``: what a code means, who says what about it, what we do and why."""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from autoglm_recovery.cli.exit_codes import ExitCode
from autoglm_recovery.cli.refusing import refuse
from autoglm_recovery.knowledge.host.plain import one_line
from autoglm_recovery.policy import Policy, PolicyError, load_policy

_NUMBER = re.compile(r"\d{1,7}\Z", re.ASCII)
_LABEL = 12


def xid(
    code: Annotated[
        list[str] | None, typer.Argument(metavar="[xid|sxid] CODE", help="The number, as in 79 or sxid 20034.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="List all codes, one a line.")] = False,
    sxid: Annotated[bool, typer.Option("--sxid", help="The number is an NVSwitch's SXid.")] = False,
    policy: Annotated[
        Path | None, typer.Option("--policy", help="A policy file whose own word on codes is to be shown.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
) -> None:
    """Explain an Xid or SXid: what it means, what NVIDIA and others say, what we do and why."""
    from autoglm_recovery.xids import explain  # noqa: PLC0415 - other commands start faster without

    kind, number = _asked(code or [], sxid, everything)
    try:
        own = (load_policy(policy) if policy else Policy()).faults.overrides()
    except PolicyError as error:
        refuse(error)
    if number is None:
        entries = explain.sxids(own) if kind == "sxid" else explain.xids(own)
        typer.echo(json.dumps(entries, indent=2) if as_json else "\n".join(_table(entries)))
        return
    told = explain.explain_sxid(number, own) if kind == "sxid" else explain.explain_xid(number, own)
    typer.echo(json.dumps(told, indent=2) if as_json else "\n".join(_page(told)))
    if not told["known"] and not told["overridden"]:
        raise typer.Exit(ExitCode.no)


def _asked(words: list[str], sxid: bool, everything: bool) -> tuple[str, int | None]:
    """Which code is asked for; None for all of them."""
    kind = "sxid" if sxid else "xid"
    rest = list(words)
    if rest and rest[0].lower() in ("xid", "sxid"):
        kind = rest.pop(0).lower()
    if everything:
        if rest:
            raise typer.BadParameter("--all takes no code")
        return kind, None
    if len(rest) != 1:
        raise typer.BadParameter("give one code, as in 'autoglm xid 79' or 'autoglm xid sxid 20034', or --all")
    if not _NUMBER.match(rest[0]):
        raise typer.BadParameter(f"{rest[0][:40]!r} is no code; write the number, as in 79")
    return kind, int(rest[0])


def _width() -> int:
    return max(40, min(100, shutil.get_terminal_size((80, 24)).columns))


def _table(entries: list[dict[str, Any]]) -> Iterator[str]:
    """One line a code, cut to the width."""
    yield f"{'code':>5} {'class':10} {'severity':8} {'action':16} meaning"
    for entry in entries:
        mark = "*" if entry["overridden"] else " "
        line = (
            f"{entry['code']:>5}{mark}{entry['failure_class'] or '-':10} {entry['severity']:8} {entry['action']:16}"
            f" {entry['title']}"
        )
        yield line if len(line) <= _width() else f"{line[: _width() - 3].rstrip()}..."
    if any(entry["overridden"] for entry in entries):
        yield "* the policy's own word"


def _page(told: dict[str, Any]) -> Iterator[str]:
    """A page about one code."""
    name = "SXid" if told["kind"] == "sxid" else "Xid"
    yield from _wrapped("", f"{name} {told['code']}: {told['title']}")
    if told["mnemonic"]:
        yield from _line("name", told["mnemonic"])
    yield ""
    yield from _line("class", told["failure_class"] or "no failure")
    yield from _line("severity", told["severity"])
    drained = ", once it is drained" if told["action"] in ("reset_gpu", "reboot_node") else ""
    yield from _line("action", f"{told['action']}{drained}")
    yield from _line("why", told["why"])
    if told["overridden"]:
        reason = told["override_reason"] or "no reason is given"
        yield from _line("policy", f"your policy has its own word on this code, shown above: {reason}")
    yield from _nvidia(told.get("nvidia") or {})
    yield from _decoding(told.get("decode"))
    if told.get("peers"):
        yield ""
        for peer, words in told["peers"].items():
            yield from _line("", f"{peer}: {words}", first="others" if peer == next(iter(told["peers"])) else "")
    for number, words in enumerate(told.get("disagreements", [])):
        yield from _line("", words, first="disagree" if number == 0 else "")
    for number, words in enumerate(told.get("sources", [])):
        yield from _line("", words, first="sources" if number == 0 else "")


def _nvidia(nvidia: dict[str, Any]) -> Iterator[str]:
    if not nvidia:
        return
    yield ""
    if "class" in nvidia:
        printed = str(nvidia["class"] or "not in the Fabric Manager guide").replace("_", " ")
        yield from _line("NVIDIA", "; ".join(filter(None, [printed, nvidia["recovery"], f"unit {nvidia['unit']}"])))
        return
    bucket = nvidia["immediate_action"]
    words = f"{bucket} ({nvidia['immediate_words']})" if nvidia["immediate_words"] else bucket
    yield from _line("NVIDIA", words or "publishes no action")
    if nvidia["investigatory_action"] not in (None, bucket):
        yield from _line("", f"then {nvidia['investigatory_action']}")
    yield from _line("GPUs", ", ".join(nvidia["applies_to"]) or "none since Ampere, or not said")
    if nvidia["driver_verdict_since"]:
        yield from _line("Xid 154", f"the driver also says its own verdict ({nvidia['driver_verdict_since']})")


def _decoding(decode: dict[str, Any] | None) -> Iterator[str]:
    if decode is None:
        return
    yield ""
    yield from _line("decoded", decode["how"])
    if "register" in decode["rules"][0]:
        for rule in decode["rules"]:
            bits = ", ".join(map(str, rule["bits"]))
            yield from _line("", f"register {rule['register']} bits {bits}: {rule['says']}")
        return
    counted = Counter((rule["unit"], rule["severity"], rule["says"], rule["says_if_fatal"]) for rule in decode["rules"])
    for (unit, severity, says, if_fatal), times in counted.items():
        promoted = f", {if_fatal} once the line says fatal" if if_fatal else ""
        yield from _line("", f"{unit}, {severity}: {says}{promoted}" + (f" ({times} rules)" if times > 1 else ""))


def _line(label: str, text: str, first: str = "") -> Iterator[str]:
    yield from _wrapped(f"{label or first:{_LABEL - 2}}  ", text)


def _wrapped(prefix: str, text: str) -> Iterator[str]:
    """Text in the width of the terminal.  It comes from our own files and from a policy: never across lines."""
    told = textwrap.wrap(one_line(text), _width(), initial_indent=prefix, subsequent_indent=" " * len(prefix))
    yield from told or [prefix.rstrip()]


def override_notes(policy: Policy) -> list[str]:
    """What a policy's own word on codes changes, for ``autoglm check``."""
    from autoglm_recovery.knowledge.faults.catalogue.numbers import FAULT_ACTIONS, lookup_xid  # noqa: PLC0415

    notes = []
    for code, own in sorted(policy.faults.xid.items()):
        entry = lookup_xid(code)
        if not entry.known:
            notes.append(f"faults.xid.{code}: no catalogue has this number")
        elif own.action and FAULT_ACTIONS.index(own.action) < FAULT_ACTIONS.index(entry.action):
            notes.append(f"faults.xid.{code}: {own.action} is less than the catalogue's {entry.action}")
    return notes
