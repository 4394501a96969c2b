# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a delivery tells about an alert of which something is known already: news, a late copy, or nobody can say yet.

An alert may end and fire again without another ``startsAt``: Prometheus, cut off from Alertmanager, sends it on as it
was, and Alertmanager, which had let it expire, tells of it again (provider/mem/mem.go keeps the start that is sent, and
merges only what overlaps).  The same words come late from a second Alertmanager that had not heard of the end.  A
webhook has no time of its own (template/template.go), so that only the order tells the two apart:

- One Alertmanager tells of one group in order, each notification ending before the next begins (dispatch/dispatch.go,
  ``aggrGroup.run``).  That is a *stream*: the sender's name and address, with the group key.
- Between streams there is no order.  What one tells was seen by it before it waited for its peers and tried again, at
  most ``max(10 s, group_interval)`` and ``--cluster.peer-timeout`` for each peer before it (app/app.go, ``waitFunc``).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from autoglm_recovery.receiver.values.alerts import AlertDelivery

# How long a delivery may be on its way: the least that Alertmanager gives a notification, 10 s, and its wait for three
# peers, 15 s each, rounded up.
LATE_AT_MOST_S = 60.0


class DeliveryKind(StrEnum):
    """What a delivery is: ``news`` is acted on, ``late`` repeats what is over, ``doubted`` may be either."""

    news = "news"
    late = "late"
    doubted = "doubted"


def judge_firing(told: AlertDelivery, before: Iterable[AlertDelivery], now: float) -> DeliveryKind:
    """Say what a delivery of a firing alert is, given those before it."""
    same = [each for each in before if each.starts_at == told.starts_at and each.counts]
    ends = [each for each in same if each.status == "resolved"]
    if not ends:
        return DeliveryKind.news
    end = max(ends, key=lambda each: each.number)
    fired = [each.number for each in same if each.status == "firing"]
    if any(number > end.number for number in fired):
        return DeliveryKind.news  # it fires again already
    in_order = told.stream == end.stream and any(number < end.number for number in fired)
    if in_order or told.committed_at >= end.committed_at + LATE_AT_MOST_S:
        return DeliveryKind.news
    # A late copy is followed by the end that its sender knows; what really fires is not.
    return DeliveryKind.news if now >= told.committed_at + LATE_AT_MOST_S else DeliveryKind.doubted


def judge_end(told: AlertDelivery, before: Iterable[AlertDelivery]) -> DeliveryKind:
    """Say whether the end of an alert ends what fires now, or tells late of what fired before."""
    seen = [each for each in before if each.counts]
    fired = [each for each in seen if each.status == "firing"]
    if not fired or told.ends_at is None:
        return DeliveryKind.news
    last = max(fired, key=lambda each: each.number)
    if told.ends_at < last.starts_at or any(each.starts_at > told.ends_at and _goes_on(each, seen) for each in fired):
        return DeliveryKind.late
    known = any(
        each.status == "resolved" and each.number < last.number and (each.ends_at or 0.0) >= told.ends_at
        for each in seen
    )
    return DeliveryKind.late if known and told.stream != last.stream else DeliveryKind.news


def _goes_on(firing: AlertDelivery, seen: Iterable[AlertDelivery]) -> bool:
    """Say whether nobody has told the end of what began to fire then."""
    return not any(
        each.status == "resolved" and each.starts_at == firing.starts_at and each.number > firing.number
        for each in seen
    )
