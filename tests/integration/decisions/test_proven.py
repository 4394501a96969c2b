# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An alert on a window over a counter ends by itself a minute after any OOM kill, whatever became of the service."""

from __future__ import annotations

from pathlib import Path

from tests.integration.receiver.running import now, payload, serving
from tests.support.servers.waiting import until

LABELS = {"alertname": "HostOomKillDetected", "instance": "10.20.0.11:9100", "job": "node", "nodename": "node-a"}
FIRING = {"status": "firing", "labels": LABELS, "annotations": {}, "endsAt": "0001-01-01T00:00:00Z"}


def test_the_end_of_an_event_resolves_nothing_while_the_service_is_ill_and_its_own_word_does(tmp_path: Path) -> None:
    policy = "recovery: {strategies: {oom: {delay: 0s, retries: 3, backoff: 3s}}}"
    with serving(tmp_path, policy=policy) as receiver:
        (receiver.scratch / "fail").touch()
        (receiver.scratch / "sick").touch()
        fired = {**FIRING, "startsAt": now()}
        receiver.post(payload(fired))
        until("the run to fail", lambda: receiver.incidents("waiting"))
        assert [run["state"] for run in receiver.runs(1)] == ["failed"]
        receiver.post(payload({**fired, "status": "resolved", "endsAt": now()}))
        until("the service to be asked", lambda: receiver.incidents("verifying"))
        told = until(
            "its word",
            lambda: [e for e in receiver.get("/api/v1/incidents/1")["timeline"] if "check_service failed" in e["text"]],
        )
        assert len(told) >= 1
        assert receiver.incidents("resolved") == []
        # The ladder goes on though no alert fires. Then somebody repairs it by hand: the service says so, and no alert.
        until("another run", lambda: [run for run in receiver.runs(1) if run["action"] == "restart_process"][1:])
        (receiver.scratch / "sick").unlink()
        (receiver.scratch / "fail").unlink()
        until("the incident to end", lambda: receiver.incidents("resolved"))
        assert "its own probe says so" in receiver.incidents("resolved")[0]["reason"]
