# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a module in this process, as ansible-core's own tests do."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible_collections.autoglm.recovery.plugins.module_utils.locks import host_lock


def run_in_process(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    module: Any,
    check: bool = False,
    **arguments: Any,
) -> dict[str, Any]:
    """Call a module's main() with arguments; its result, with ``failed`` as Ansible would have it."""
    arguments["_ansible_check_mode"] = check
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    # Until its process ends a module is at work on the host, and ours would only end with all tests.
    monkeypatch.setattr(host_lock, "at_work", lambda: None)
    before = os.umask(0)
    os.umask(before)
    try:
        with pytest.raises(SystemExit):
            module.main()
    finally:
        os.umask(before)  # some take one of their own, which would be that of all later tests
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result
