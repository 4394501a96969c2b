# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the receiver and Prometheus, as whoever will ask them at night.  No finding repeats a password of an address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from autoglm_recovery import bounded_http
from autoglm_recovery.knowledge.prometheus import answers
from autoglm_recovery.policy.proof import Prometheus
from autoglm_recovery.receiver.doctor import targets
from autoglm_recovery.receiver.doctor.finding import DoctorFinding, FindingLevel, wrong
from autoglm_recovery.receiver.fleet import fleet_http
from autoglm_recovery.receiver.fleet.fleet_http import shown

ASK_WITHIN = timedelta(seconds=10)
# Enough for some ten thousand targets.
LARGEST_ANSWER = 64 << 20
_FAILS = (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError)


@dataclass(frozen=True)
class _HttpAccess:
    """Implements ``fleet_http.Setting``."""

    token_file: Path | None = None
    ca_path: Path | None = None
    timeout: timedelta = ASK_WITHIN


def receiver(url: str, ca_path: Path | None) -> Iterator[DoctorFinding]:
    """Find out whether a receiver is ready."""
    do = "is autoglm serve running there; does it serve TLS, by a certificate of --ca-file for this name?"
    try:
        status, said = _get(url, "/readyz", _HttpAccess(ca_path=ca_path))
    except _FAILS as error:
        yield wrong("receiver", f"{shown(url)} does not answer: {_error_in_words(error)}", do=do)
        return
    if status != httpx.codes.OK:
        yield wrong("receiver", f"is not ready: {said[:300].decode('utf-8', 'replace')}", shown(url))
    else:
        yield DoctorFinding("receiver", FindingLevel.ok, "is ready", shown(url))


def active_targets(
    policy: Prometheus | None, named: str | None, ca_path: Path | None
) -> tuple[list[Any] | None, list[DoctorFinding]]:
    """Return what Prometheus scrapes (``activeTargets`` of its API), None where it cannot be asked, and why.

    A Prometheus that is ``named`` on the command line gets no token of the policy's: it may be another one.
    """
    url = named or (policy.url if policy is not None else None)
    if url is None:
        do = "give --prometheus URL, or monitoring.prometheus in the policy"
        return None, [
            DoctorFinding(targets.CHECK, FindingLevel.note, "was not asked: nobody has said where it is", do=do)
        ]
    asked = _HttpAccess(ca_path=ca_path)
    if policy is not None:
        token = policy.token_file if named is None else None
        asked = _HttpAccess(token, ca_path or policy.ca_path, policy.timeout)
    try:
        status, said = _get(url, "/api/v1/targets?state=active", asked)
    except _FAILS as error:
        return None, [_unknown(url, _error_in_words(error))]
    if status != httpx.codes.OK:
        return None, [_unknown(url, f"it answers {status}")]
    active = _active(said)
    return active, [] if active is not None else [_unknown(url, "its answer is none of Prometheus'")]


def _active(said: bytes) -> list[Any] | None:
    try:
        return [*answers.active_targets(bounded_http.document(said))]
    except ValueError:
        return None


def _unknown(url: str, why: str) -> DoctorFinding:
    return DoctorFinding(targets.CHECK, FindingLevel.unknown, f"{shown(url)} cannot be asked for its targets: {why}")


def _get(url: str, path: str, asked: _HttpAccess) -> tuple[int, bytes]:
    with fleet_http.client(url, asked) as client, client.stream("GET", path) as answer:
        return answer.status_code, bounded_http.whole(answer, LARGEST_ANSWER, asked.timeout.total_seconds())


def _error_in_words(error: BaseException) -> str:
    # What is wrong with an address may be told with the address.
    return "that is no address" if isinstance(error, httpx.InvalidURL) else str(error) or type(error).__name__
