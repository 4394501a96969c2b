# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Chromium without a window, driven by Playwright: from PATH, else installed from Debian's packages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from tests.support.tooling import debian

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PACKAGE = "chromium"
# It is given nothing to do but the pages of a test, on machines without a GPU and often without a network.
SWITCHES = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def program() -> str:
    """Return the path of the browser.

    Raises debian.NotInstalledError where there is none and none can be installed.
    """
    debian.install(lambda: [] if _found() else [PACKAGE])
    found = _found()
    assert found is not None
    return found


def _found() -> str | None:
    return next((path for path in map(shutil.which, PROGRAMS) if path), None)


@contextmanager
def running() -> Iterator[Browser]:
    """Run one browser, in which each test opens windows of its own."""
    # Chromium's sandbox refuses to be root's.
    switches = [*SWITCHES, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=switches)
        try:
            yield browser
        finally:
            browser.close()
