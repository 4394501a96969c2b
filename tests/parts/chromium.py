# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Chromium without a window, driven by Playwright: from PATH, else installed from Debian's packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

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


class BrowserMissingError(Exception):
    """There is no browser and none can be installed; the message says how to get one."""


def program() -> str:
    """Return the path of the browser."""
    found = _found()
    if found is None:
        _install()
        found = _found()
    if found is None:
        raise BrowserMissingError(f"{PACKAGE} was installed, but none of {', '.join(PROGRAMS)} is on PATH")
    return found


def _found() -> str | None:
    return next((path for path in map(shutil.which, PROGRAMS) if path), None)


def _install() -> None:
    """Try with the package lists as they are; a fresh machine has none, an old one has stale ones."""
    command = f"apt-get install -y --no-install-recommends {PACKAGE}"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise BrowserMissingError(f"Chromium is needed on PATH (on Debian or Ubuntu, as root: {command})")
    print(f"Missing on this machine, will be installed: {PACKAGE}", file=sys.stderr)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    said = ""
    for attempt in (command, f"apt-get update && {command}"):
        done = subprocess.run(  # noqa: S602  (our own words only)
            attempt, shell=True, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
        if done.returncode == 0:
            return
        said = (done.stderr or done.stdout).strip()[-400:]
    raise BrowserMissingError(f"`{command}` failed: {said}")


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
