# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet for programs."""

from __future__ import annotations

from .serving import SENDER, VIEWER, serving


def test_nothing_is_in_service_that_nobody_has_heard_of(tmp_path):
    with serving(tmp_path) as served:
        answer = served.ask("GET", "/api/v1/fleet", VIEWER)
        assert answer.status_code == 200
        hosts = answer.json()["hosts"]
        assert [(host["host"], host["stands"], host["presence"]) for host in hosts] == [
            ("node-a", "unknown", "unknown"),
            ("ops", "unknown", "unknown"),
        ]
        (service,) = hosts[0]["services"]
        assert (service["service"], service["pool"], service["stands"]) == ("llama", "chat", "unknown")
        assert "monitoring.prometheus" in service["why"]
        assert served.ask("GET", "/api/v1/fleet", SENDER).status_code == 403
        assert served.ask("GET", "/api/v1/fleet").status_code == 401
