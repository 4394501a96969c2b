# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A receiver that has seen a bad night, and a browser that looks at it.

Receivers and the browser serve all tests of this package, and end with it (Playwright keeps an event loop in this
thread, with which no other can be run): what only reads looks at one that has seen a bad night, and what orders
something does so about a host of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.servers import chromium

from .night import OPERATOR, VIEWER, large, night, quiet

# A busy machine is no fault of a page.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items):
    """Run these once: what a browser shows does not depend on the version of Ansible."""
    if Path(sys.prefix).name == ".venv-newest":
        skip = pytest.mark.skip(reason="was run with .venv already")
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(skip)


@pytest.fixture(scope="package")
def browser():
    """Return the browser."""
    with chromium.running() as running:
        yield running


@pytest.fixture(scope="package")
def eventful(tmp_path_factory):
    """Return a receiver with an incident in each of most states, and an anonymous operator."""
    with night(tmp_path_factory.mktemp("night")) as receiver:
        yield receiver


@pytest.fixture(scope="package")
def crowded(tmp_path_factory):
    """Return a receiver of 500 hosts, on which repairs have failed."""
    with large(tmp_path_factory.mktemp("large")) as receiver:
        yield receiver


@pytest.fixture(scope="package")
def day(tmp_path_factory):
    """Return a receiver that tests do something to, which asks before a deadlock is dealt with."""
    with quiet(tmp_path_factory.mktemp("day")) as running:
        yield running


@pytest.fixture
def receiver(day):
    """Return it, and let its playbooks go on after the test."""
    yield day
    day.let_go()


@pytest.fixture(scope="package")
def guarded(tmp_path_factory):
    """Return the same where people must say who they are."""
    with quiet(
        tmp_path_factory.mktemp("guarded"), tokens=(f"alice operator {OPERATOR}", f"bob viewer {VIEWER}")
    ) as running:
        yield running


@pytest.fixture
def window(browser):
    """Return a function that opens a window; all are closed after the test.

    None may have met an error, unless the test says that it provokes one: browsers tell of each answer of 400 and more.
    """
    opened, wrong, provoked = [], [], []

    def opens(**settings):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings})
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        opened.append(context)
        return page

    opens.wrong = wrong
    opens.provokes_errors = lambda: provoked.append(True)
    yield opens
    for context in opened:
        context.close()
    assert provoked or not wrong
