# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often HAProxy helped the users of the lab."""

from __future__ import annotations

import httpx


def retried(balancer_metrics: str) -> int:
    """How often HAProxy sent a request again, by its own count."""
    text = httpx.get(balancer_metrics, timeout=5, trust_env=False).text
    names = ("haproxy_backend_retry_warnings_total{", "haproxy_backend_redispatch_warnings_total{")
    return sum(int(float(line.split()[-1])) for line in text.splitlines() if line.startswith(names))
