# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alertmanager configurations that somebody else writes, and into which ours is put."""

from __future__ import annotations

from ansible_collections.autoglm.recovery.plugins.plugin_utils import alertmanager_config

from tests.fuzz.target import RECORDED, Target, files, text

_OURS = ['failure_class=~".+"']
_ROUTES = [{"receiver": "autoglm", "matchers": _OURS}]
_RECEIVER = {"name": "autoglm", "webhook_configs": [{"url": "http://192.0.2.1:9470/api/v1/alerts"}]}


def _added(data: bytes) -> str:
    return alertmanager_config.with_ours(text(data), _ROUTES, _RECEIVER, [_OURS])


def _added_holds(data: bytes, added: object) -> None:
    """What was added is taken out again, and is not added twice."""
    assert isinstance(added, str)
    assert alertmanager_config.without_ours(added) == alertmanager_config.without_ours(text(data))
    assert _added(added.encode("utf-8", "surrogatepass")) == added


TARGETS = (
    Target(
        "alertmanager-configuration",
        _added,
        lambda: [
            *files(RECORDED / "alertmanager", "*.txt"),
            _added(b"route: {receiver: a}\nreceivers: [{name: a}]").encode(),
        ],
        (alertmanager_config.CannotEdit,),
        _added_holds,
        words=(
            *(b"routes:", b"receivers:", b"route:", b"continue: true", b"*id", b"&id", b"<<: ", b"!!null", b"!!set"),
            *(alertmanager_config.BEGIN.encode(), alertmanager_config.END.encode()),
        ),
        growth=64,
        costly=True,
    ),
)
