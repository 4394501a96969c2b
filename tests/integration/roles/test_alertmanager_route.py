# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role alertmanager_route adds the receiver to the configuration of a real Alertmanager, and takes it out again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from ansible_collections.autoglm.recovery.plugins.plugin_utils.alertmanager_config import with_ours, without_ours

from tests.support.servers.http_answers import Asked, Reply, answering_http
from tests.support.servers.waiting import until
from tests.support.tooling.prometheus_tools import tool

from .running import PROGRAMS, Played, Server, alertmanager, play

# What Alertmanager's templates look like to Ansible, and a secret of somebody else beside the place of our receiver.
THEIRS = """\
route:
  # whoever is on duty
  receiver: 'duty'
  group_wait: 0s
receivers:
- name: 'duty'
  webhook_configs:
  - url: 'http://{address}/duty?token=hunter2'
- name: 'chat'
  slack_configs:
  - api_url: 'http://{address}/chat'
    title: '{{{{ range .Alerts }}}}{{{{ .Labels.alertname }}}}{{{{ end }}}}'
"""


class Site:
    """An Alertmanager, somebody who is told already, and the variables of the role."""

    def __init__(self, directory: Path, address: str) -> None:
        self.directory = directory
        self.theirs = THEIRS.format(address=address)
        self.server: Server = alertmanager(directory, self.theirs)
        self.config = self.server.configuration
        self.config.chmod(0o640)
        self.token = directory / "token"
        self.token.write_text("secret-of-ours\n")
        self.webhook = f"http://{address}/autoglm"

    def play(self, *options: str, **variables: Any) -> Played:
        """Play the role."""
        mine = {
            "autoglm": str(PROGRAMS / "autoglm"),
            "amtool": tool("amtool"),
            "config": str(self.config),
            "reload": "http",
            "url": self.server.url,
            "webhook_url": self.webhook,
            "token_file": str(self.token),
            **variables,
        }
        named = {f"alertmanager_route_{name}": value for name, value in mine.items()}
        return play(self.directory, "alertmanager_route", named, *options)

    def text(self) -> str:
        return self.config.read_text()

    def receivers(self) -> set[str]:
        """Return whom Alertmanager knows."""
        answer = self.server.get("/api/v2/receivers")
        assert answer is not None
        return {each["name"] for each in answer.json()}


class Told:
    """Whoever is told of alerts, by path, with what they were told."""

    def __init__(self) -> None:
        self.asked: dict[str, Asked] = {}

    def __call__(self, asked: Asked) -> Reply:
        self.asked[asked.path] = asked
        return Reply(200)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def site(tmp_path: Path, told: Told) -> Iterator[Site]:
    with answering_http(told) as server:
        yield Site(tmp_path, server.url.removeprefix("http://"))


def test_the_receiver_is_added_and_taken_out_and_whoever_was_told_is_told_still(site: Site, told: Told) -> None:
    # As on a host on which the same playbook would install Alertmanager before.
    site.play("--check", config="/nowhere/alertmanager.yml").went_well(changed=False)
    with site.server:
        adding = site.play("--diff")
        adding.went_well(changed=True)
        assert "failure_class=~" in adding.said
        assert "hunter2" not in adding.said
        added = site.text()
        assert without_ours(added) == site.theirs
        assert site.config.stat().st_mode & 0o777 == 0o640
        assert site.receivers() == {"autoglm", "duty", "chat"}
        webhook = yaml.safe_load(added)["receivers"][0]["webhook_configs"][0]
        assert webhook == {
            "url": site.webhook,
            "send_resolved": True,
            "max_alerts": 0,
            "http_config": {
                "authorization": {"type": "Bearer", "credentials_file": str(site.token)},
                "follow_redirects": False,
            },
        }
        (backup,) = site.directory.glob("alertmanager.yml.*~")
        assert backup.read_text() == site.theirs

        alert = {"labels": {"alertname": "InferenceOOMKilled", "failure_class": "oom", "host": "node-a"}}
        httpx.post(f"{site.server.url}/api/v2/alerts", json=[alert], trust_env=False).raise_for_status()
        until("both to be told", lambda: told.asked.keys() >= {"/autoglm", "/duty"})
        assert told.asked["/autoglm"].headers["Authorization"] == "Bearer secret-of-ours"
        assert told.asked["/autoglm"].json()["alerts"][0]["labels"] == alert["labels"]

        site.play().went_well(changed=False)
        # Something that amtool does not look at: Alertmanager itself refuses it.
        secured = {"token_file": "", "username": "alertmanager", "password_file": str(site.token)}
        secured |= {"webhook_url": "https://127.0.0.1:1/autoglm", "ca_file": "/nowhere/ca.pem"}
        site.play(check_files=False, **secured).refused("alertmanager.yml is as it was", "/nowhere/ca.pem")
        assert site.text() == added
        assert site.receivers() == {"autoglm", "duty", "chat"}

        assert site.server.process is not None
        signal = {"reload": "command", "reload_command": ["kill", "-HUP", str(site.server.process.pid)]}
        site.play(state="absent", **signal).went_well(changed=True)
        assert site.text() == site.theirs
        assert site.receivers() == {"duty", "chat"}


def test_what_a_run_that_died_has_written_is_read_by_the_next_one(site: Site) -> None:
    with site.server:
        site.play(reload="none").went_well(changed=True)
        assert site.receivers() == {"duty", "chat"}
        site.play().went_well(changed=True)
        assert site.receivers() == {"autoglm", "duty", "chat"}
        site.play().went_well(changed=False)


def test_what_amtool_does_not_take_is_not_put_in_place(site: Site) -> None:
    # Somebody has routes of his own to our receiver, which may not go then.
    added = with_ours(site.theirs, [{"receiver": "autoglm", "matchers": ["team=gpu"]}], {"name": "autoglm"})
    added = added.replace("receiver: 'duty'", "receiver: autoglm")
    site.config.write_text(added)
    site.play(state="absent", reload="none").refused("alertmanager.yml is as it was: failed to validate", "autoglm")
    assert site.text() == added


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"config": "/nowhere/alertmanager.yml"},
            ["has no file /nowhere/alertmanager.yml", "alertmanager_route_config"],
        ),
        ({"token_file": "/nowhere/token"}, ["has no file /nowhere/token", "cannot reach the receiver"]),
    ],
)
def test_what_is_missing_is_said_before_anything_is_changed(site: Site, variables: Any, words: list[str]) -> None:
    site.play(**variables).refused("nothing was changed", *words)
    assert site.text() == site.theirs
