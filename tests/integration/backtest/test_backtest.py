# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``autoglm backtest`` against a real Prometheus with thirty days of history."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime

import pytest

from tests.support.servers.http_answers import Reply, answering_http

from .recorded import DAY, STEP, autoglm, prometheus, write_history

# A fixed past would fall out of any retention one day.
END = int(datetime.now(UTC).timestamp()) // STEP * STEP
START = END - 30 * DAY

INVENTORY = """\
inference:
  hosts:
    node-a: {autoglm_services: [{name: llama, pool: chat}]}
    node-b: {autoglm_services: [{name: llama, pool: chat}]}
"""


def alert(host: str, name: str, failure_class: str) -> dict[str, str]:
    """Return the labels of an alert, as our rules write them: its end says that the fault is over."""
    named = {"alertname": name, "failure_class": failure_class, "host": host, "service": "llama"}
    return {**named, "nature": "state"}


def during(after: int, lasting: int) -> range:
    """Return the moments from so many seconds after the start on."""
    return range(START + after, START + after + lasting, STEP)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """Return a directory with an inventory and a history: 27 days, a hole of an hour, and the rest."""
    directory = tmp_path_factory.mktemp("history")
    (directory / "inventory.yml").write_text(INVENTORY)
    fired = [(alert("node-a", "Oom", "oom"), during(day * DAY + 600, 120)) for day in range(30)]
    fired += [(alert("node-b", "Crash", "crash"), during(3 * DAY, 3 * 3600))]
    fired += [(alert("nobody", "Oom", "oom"), during(5 * DAY, 300))]
    fired += [({"alertname": "Watchdog", "severity": "none"}, during(DAY, 300))]
    write_history(
        directory, (range(START, START + 27 * DAY, STEP), range(START + 27 * DAY + 3600, END + 1, STEP)), fired
    )
    return directory


@pytest.fixture(scope="module")
def url(fleet):
    """Return the address of a Prometheus that has it."""
    with prometheus(fleet) as address:
        yield address


def backtest(fleet, url, *options):
    """Run the backtest over all that was recorded."""
    until = datetime.fromtimestamp(END, UTC).isoformat()
    return autoglm(fleet, "backtest", "--prometheus", url, "--until", until, *options)


def test_thirty_days_are_replayed(fleet, url):
    result = backtest(fleet, url, "--since", "30d", "-i", "inventory.yml", "--json")
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["record"]["fired"], told["record"]["resolved"]) == (32, 32)
    assert told["hosts"]["node-a"] == {"incidents": 30, "runs": 30, "held": 0, "escalated": 0, "resolved": 30}
    assert told["actions"]["restart_process"]["by_state"] == {"succeeded": 30, "unverified": 6}
    assert {stop["host"] for stop in told["escalated"]} == {"node-b"}
    (refused,) = told["alerts"]["refused_because"]
    assert refused["times"] == 1
    (hole,) = told["record"]["holes"]
    assert datetime.fromisoformat(hole["from"]).timestamp() == START + 27 * DAY
    first = next(run for run in told["runs"] if run["host"] == "node-a")
    assert 0 <= datetime.fromisoformat(first["at"]).timestamp() - (START + 600) < STEP


def test_a_policy_changes_what_would_have_been(fleet, url):
    (fleet / "watch.yaml").write_text("recovery: {autonomy: {default: act, classes: {oom: watch}}}")
    result = backtest(fleet, url, "--since", "30d", "-i", "inventory.yml", "--policy", "watch.yaml", "--json")
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["hosts"]["node-a"]["runs"], told["hosts"]["node-a"]["held"]) == (0, 30)
    assert told["guardrails"][0]["rule"] == "autonomy"


def test_without_an_inventory_the_alerts_name_the_fleet(fleet, url):
    result = backtest(fleet, url, "--since", "30d")
    assert result.returncode == 0, result.stderr
    assert "no inventory was given: the fleet is the 3 hosts" in result.stdout
    assert "nobody" in result.stdout
    assert "1 times more one of our own fired that is for people" in result.stdout
    assert "\x1b" not in result.stdout


def test_a_prometheus_that_is_asked_too_much_is_asked_in_pieces(fleet):
    with prometheus(fleet, "--query.max-samples=3000") as small:
        result = backtest(fleet, small, "--since", "3d", "-i", "inventory.yml", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["record"]["fired"] == 3


def test_the_token_is_sent_and_never_shown(fleet):
    # A fake: some proxy before a Prometheus, which itself knows no tokens and answers in this form (tests/FAKES.md).
    refusal = Reply(401, b'{"status": "error", "error": "token expired"}', {"Content-Type": "application/json"})
    (fleet / "token").write_text("s3cret-token\n")
    with answering_http(lambda _asked: refusal) as server:
        result = backtest(fleet, server.url, "--token-file", "token")
    assert result.returncode == 3
    assert [asked.headers["Authorization"] for asked in server.asked] == ["Bearer s3cret-token"]
    assert "(401): token expired" in result.stderr
    assert "s3cret" not in result.stderr + result.stdout


def test_what_is_no_prometheus_is_told_so(fleet):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        result = backtest(fleet, f"http://127.0.0.1:{nobody.getsockname()[1]}")
    assert result.returncode == 3
    assert "cannot be asked" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--since", "30"], "is not a duration"),
        (["--step", "10ms"], "at least 1s"),
        (["--since", "1s", "--step", "1m"], "longer than a step"),
        (["--until", "yesterday"], "is no moment"),
        (["--until", "2026-01-01T00:00:00"], "no offset"),
    ],
)
def test_wrong_usage_exits_2(tmp_path, options, said):
    result = autoglm(tmp_path, "backtest", "--prometheus", "http://127.0.0.1:1", *options)
    assert result.returncode == 2
    assert said in " ".join(result.stderr.replace("│", "").split())
