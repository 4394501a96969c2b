# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the cause is over for which load was shed, by the templates of look_at_cause.yml as they stand."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2.nativetypes import NativeEnvironment

from tests.support.servers.plays import PLAYBOOKS, load

(NOTED,) = (
    task["ansible.builtin.set_fact"]
    for task in load(PLAYBOOKS / "tasks/look_at_cause.yml")
    if "ansible.builtin.set_fact" in task
)
SKIPPED = {"skipped": True, "changed": False}


def service(waiting: int | None = 0, failure_class: str | None = None, verdict: str = "healthy") -> dict[str, Any]:
    """What inference_health answers."""
    unread = {"waiting": "it has no metrics"} if waiting is None else {}
    stats = {"waiting": waiting, "unread": unread}
    return {
        "verdict": verdict,
        "failure_class": failure_class,
        "reasons": ["its reason"],
        "inference": {"stats": stats},
    }


def gpus(verdict: str, *reasons: str) -> dict[str, Any]:
    return {"verdict": verdict, "reasons": list(reasons)}


@pytest.mark.parametrize(
    ("cause", "of_service", "of_gpus", "over", "said"),
    [
        ("overload", service(), SKIPPED, True, "0 wait in its queue"),
        ("overload", service(waiting=2), SKIPPED, True, "2 wait in its queue"),
        ("overload", service(waiting=3), SKIPPED, False, "3 wait in its queue"),
        ("overload", service(waiting=None), SKIPPED, False, "how many wait in its queue is unknown: it has no metrics"),
        ("overload", service(failure_class="overload"), SKIPPED, False, "its reason"),
        ("overload", service(verdict="unknown", failure_class="unknown"), SKIPPED, False, "its reason"),
        ("thermal", service(), gpus("healthy"), True, "nothing is wrong"),
        ("thermal", service(waiting=None), gpus("healthy"), True, "nothing is wrong"),
        ("thermal", service(), gpus("unhealthy", "GPU 3 throttles"), False, "GPU 3 throttles"),
        ("thermal", service(), gpus("unknown", "no driver"), False, "no driver"),
        ("thermal", service(verdict="unhealthy", failure_class="crash"), gpus("healthy"), False, "its reason"),
    ],
)
def test_a_cause_is_over_where_that_was_read_and_nowhere_else(
    cause: str, of_service: dict[str, Any], of_gpus: dict[str, Any], over: bool, said: str
) -> None:
    known = {
        "autoglm_shed_cause": cause,
        "autoglm_under_load": of_service,
        "autoglm_gpus_now": of_gpus,
        "autoglm_max_waiting": "2",
    }
    rendered = {name: NativeEnvironment().from_string(text).render(known) for name, text in NOTED.items()}
    assert rendered == {"autoglm_cause_is_over": over, "autoglm_cause_said": said}
