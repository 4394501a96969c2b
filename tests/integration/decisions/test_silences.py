# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Silences of a real Alertmanager."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import httpx

from autoglm_recovery.policy import parse_policy
from autoglm_recovery.receiver.observe.silences import SilenceWatch


def silence(alertmanager, *matchers: tuple[str, str, bool, bool]) -> str:
    """Make a silence for an hour; return its id."""
    now = datetime.now(UTC)
    body = {
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "ann",
        "comment": "swapping the card",
        "matchers": [dict(zip(("name", "value", "isRegex", "isEqual"), each, strict=True)) for each in matchers],
    }
    answer = httpx.post(f"{alertmanager.url}/api/v2/silences", json=body, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.json()["silenceID"]


def covering(watch: SilenceWatch, **labels: str):
    """Return what the watch says about one alert."""
    return watch.now.covering([labels], time.time() + 1)


def test_a_silence_is_seen_and_its_end_and_the_end_of_alertmanager(alertmanager):
    policy = parse_policy(f"guardrails: {{silences: {{alertmanager: '{alertmanager.url}', timeout: 2s}}}}")
    watch = SilenceWatch(lambda: policy.guardrails.silences)
    watch.look()
    assert covering(watch, host="node-a") == (None, False)
    number = silence(alertmanager, ("host", "node-.", True, True), ("team", "x", False, False))
    watch.look()
    found, unknown = covering(watch, host="node-a", team="y")
    assert (found.id, found.by, found.comment, unknown) == (number, "ann", "swapping the card", False)
    assert covering(watch, host="node-a", team="x")[0] is None
    assert covering(watch, host="other")[0] is None
    alertmanager.stop()
    watch.look()
    # A person's word counts up to its end, also when nobody can be asked.
    assert covering(watch, host="node-a")[0] is not None
    assert covering(watch, host="other") == (None, True)
    alertmanager.start()
    alertmanager.until_ready()
    answer = httpx.delete(f"{alertmanager.url}/api/v2/silence/{number}", trust_env=False)
    assert answer.status_code == 200
    watch.look()
    assert covering(watch, host="node-a") == (None, False)


def test_an_alertmanager_that_is_none_is_unknown_and_stops_nothing(alertmanager, tmp_path):
    for setting in ("http://127.0.0.1:1", f"{alertmanager.url}/nowhere", "https://" + alertmanager.url[7:]):
        policy = parse_policy(f"guardrails: {{silences: {{alertmanager: '{setting}', timeout: 1s}}}}")
        watch = SilenceWatch(lambda policy=policy: policy.guardrails.silences)
        watch.look()
        assert covering(watch, host="node-a") == (None, True)
    policy = parse_policy(
        f"guardrails: {{silences: {{alertmanager: '{alertmanager.url}', token_file: {tmp_path}/none}}}}"
    )
    watch = SilenceWatch(lambda: policy.guardrails.silences)
    watch.look()
    assert covering(watch, host="node-a") == (None, True)
