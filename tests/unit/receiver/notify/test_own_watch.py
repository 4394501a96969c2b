# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiver tells people itself that alerts do not get through: once, and once that it is over."""

from __future__ import annotations

import math
import threading
from collections import Counter
from datetime import timedelta

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.policy import PolicyError, parse_policy
from autoglm_recovery.policy.own_watch import OwnWatch as Setting
from autoglm_recovery.receiver.notify import own_look, own_state, own_watch, paging
from autoglm_recovery.receiver.notify.own_look import WatchdogHeard
from autoglm_recovery.receiver.notify.own_state import OpenPage, OwnObservation
from autoglm_recovery.receiver.notify.own_watch import FILE, ReceiverMonitor
from autoglm_recovery.receiver.process.worker import Worker, Workers, WorkerTrouble
from autoglm_recovery.receiver.store import heard
from tests.support.servers.fake_pager import FakePager
from tests.support.servers.http_answers import Asked, Reply, answering_http
from tests.unit.receiver.desk import desk

MINUTE = 60.0
SETTING = Setting()
NOW = 1_800_000_000.0


def verdict(at: float | None, started_at: float, setting: Setting = SETTING) -> bool | None:
    """Judge a Watchdog that was heard so many seconds ago (0 for never) by a receiver started so many ago."""
    known = WatchdogHeard(at if not at else NOW - at, NOW - started_at)
    return own_look.watchdog(setting, known, NOW).wrong


@pytest.mark.parametrize(
    ("at", "started_at", "wrong"),
    [
        (30.0, 3600.0, False),
        (299.0, 3600.0, False),
        (301.0, 3600.0, True),
        # Nobody could hear it while the receiver was down; that it is back is no proof that the Watchdog is.
        (3600.0, 60.0, None),
        (3600.0, 301.0, True),
        # Never heard: nobody knows, and after the grace that is wrong.
        (0.0, 60.0, None),
        (0.0, 899.0, None),
        (0.0, 901.0, True),
        # The database cannot be asked.
        (None, 3600.0, None),
    ],
)
def test_a_watchdog_is_silent_after_the_policys_time(at, started_at, wrong):
    assert verdict(at, started_at) is wrong


def test_the_policy_says_the_times_and_may_say_that_there_is_no_watchdog():
    policy = parse_policy("monitoring: {receiver: {watchdog: 20m, grace: 1h}}").monitoring.receiver
    assert verdict(301.0, 7200.0, policy) is False
    assert verdict(0.0, 1800.0, policy) is None
    none = parse_policy("monitoring: {receiver: {watchdog: false}}").monitoring.receiver
    assert verdict(0.0, 10**6, none) is False
    with pytest.raises(PolicyError, match="watchdog"):
        parse_policy("monitoring: {receiver: {watchdog: 0s}}")


@pytest.mark.parametrize(("failing_for", "wrong"), [(None, False), (0.0, None), (119.0, None), (121.0, True)])
def test_a_server_is_unreachable_after_the_policys_time(failing_for, wrong):
    assert own_look.reached("Prometheus", "http://p", failing_for, SETTING).wrong is wrong


@pytest.mark.parametrize(
    ("trouble", "database", "wrong"),
    [
        (None, True, False),
        (WorkerTrouble("loop", stuck=True, seconds=31), True, True),
        (WorkerTrouble("loop", stuck=True, seconds=31), False, True),
        (WorkerTrouble("loop", stuck=False, seconds=59), True, None),
        (WorkerTrouble("loop", stuck=False, seconds=61), True, True),
        # They all fail for one reason, which is told of once.
        (WorkerTrouble("loop", stuck=False, seconds=600), False, None),
    ],
)
def test_a_thread_that_hangs_or_fails_for_long_is_wrong(trouble, database, wrong):
    troubles = {} if trouble is None else {"loop": trouble}
    (seen,) = own_look.workers(["loop"], troubles, SETTING, database=database)
    assert seen.wrong is wrong


# What was seen of one thing, look by look, and how far apart the looks are.
looks = st.lists(st.tuples(st.sampled_from([True, False, None]), st.floats(1, 120)), min_size=1, max_size=60)


class Book:
    """Carries a state through looks, with an address that takes all it is sent, and counts."""

    def __init__(self) -> None:
        self.pages: dict[str, OpenPage] = {}
        self.sent: list[str] = []
        self.now = 0.0

    def look(self, wrong: bool | None, after: float) -> None:
        self.now += after
        self.pages = own_state.looked(self.pages, [OwnObservation("x", wrong, "text")], self.now)
        for key, page in list(self.pages.items()):
            if own_state.to_tell(page, ["a"]):
                self.sent.append("over" if page.over_at is not None else "wrong")
                self.pages[key] = own_state.delivered(page, ["a"])
        # What is written down and read again is the same: a restart may come at any time.
        self.pages = own_state.read(own_state.written(self.pages))


@given(looks)
def test_wrong_and_over_take_turns_and_nothing_is_told_twice(looked):
    book = Book()
    for wrong, after in looked:
        book.look(wrong, after)
    assert book.sent == ["wrong", "over"] * (len(book.sent) // 2) + ["wrong"] * (len(book.sent) % 2)


@given(looks)
def test_what_nobody_can_tell_changes_nothing(looked):
    told, untold = Book(), Book()
    for wrong, after in looked:
        told.look(wrong, after)
        untold.look(wrong, after)
        untold.look(None, 0.0)
    assert told.sent == untold.sent


@given(looks)
def test_what_is_wrong_is_told_at_once_and_what_is_well_for_a_minute_is_over(looked):
    book = Book()
    for wrong, after in looked:
        book.look(wrong, after)
    book.look(True, 1.0)
    assert book.sent[-1] == "wrong"
    book.look(False, 1.0)
    assert book.sent[-1] == "wrong"
    book.look(False, own_state.WELL_FOR_S + 1.0)
    assert book.sent[-1] == "over"
    book.look(None, 1.0)
    assert book.pages == {}


def test_what_comes_and_goes_is_one_page():
    book = Book()
    for _ in range(50):
        book.look(True, 5.0)
        book.look(False, 5.0)
    assert book.sent == ["wrong"]


def test_who_was_not_told_is_not_told_that_it_is_over():
    pages = own_state.looked({}, [OwnObservation("x", True, "text")], 0.0)
    pages = {"x": own_state.delivered(pages["x"], ["a"])}
    for now in (1.0, 62.0):
        pages = own_state.looked(pages, [OwnObservation("x", False)], now)
    assert own_state.to_tell(pages["x"], ["a", "b"]) == ["a"]
    # An address that the policy does not name any more is waited for by nobody.
    assert own_state.without_gone(pages, ["b"]) == {}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pages": [{}]}', '{"pages": 3}', "\x00", '{"pages": [{"key": 1}]}'])
def test_a_file_that_is_none_of_ours_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        own_state.read(text)


def routes(text: str):
    """Return the routes of a policy."""
    return parse_policy(f"notify: {{routes: {text}}}").notify.routes


def test_a_page_about_the_receiver_goes_to_the_routes_for_everything_and_else_to_all():
    general, chat, none = (
        "json://a",
        "{urls: ['json://b'], pools: [chat]}",
        "{urls: ['json://c'], occasions: [approval]}",
    )
    assert paging.addresses(routes(f"['{general}', {chat}, {none}]")) == (["json://a"], [])
    assert paging.addresses(routes(f"[{chat}, {none}]")) == (["json://b"], [])
    found, errors = paging.addresses(routes("[{urls_file: /none}]"))
    assert (found, len(errors)) == ([], 1)


class FakePrometheus:
    """Answers ``GET /api/v1/query`` as Prometheus does, or as one that is not ready does.  See tests/FAKES.md."""

    def __init__(self) -> None:
        self.ready = True

    def __call__(self, asked: Asked) -> Reply:
        if not self.ready:
            return Reply(503, b"Service Unavailable", {"Content-Type": "text/plain; charset=utf-8"})
        if (asked.method, asked.path) not in {("GET", "/api/v1/query"), ("POST", "/api/v1/query")}:
            return Reply(404, b"404 page not found\n", {"Content-Type": "text/plain; charset=utf-8"})
        said = b'{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}'
        return Reply(200, said, {"Content-Type": "application/json"})


class Clocks:
    """The wall's clock and the monotonic one, which tests turn together."""

    def __init__(self) -> None:
        self.passed = 0.0

    def wall(self) -> float:
        return NOW + self.passed

    def monotonic(self) -> float:
        return 1000.0 + self.passed


@pytest.fixture
def clocks(monkeypatch):
    made = Clocks()
    monkeypatch.setattr(own_watch.time, "monotonic", made.monotonic)
    return made


@pytest.fixture
def web():
    made = FakePager()
    yield made
    made.close()


@pytest.fixture
def prometheus():
    with answering_http(FakePrometheus()) as server:
        yield server


@pytest.fixture
def at(tmp_path, web, prometheus):
    monitoring = f"monitoring: {{prometheus: {{url: '{prometheus.url}'}}}}\n"
    with desk(tmp_path, f"{monitoring}notify: ['{web.url}']") as made:
        yield made


def watching(at, tmp_path, clocks, workers: Workers | None = None) -> ReceiverMonitor:
    """Return the watch of a receiver that has just been started; its thread does not run: tests look by hand."""
    return ReceiverMonitor(at.database, lambda: at.config.policy, workers or Workers(), tmp_path, "ops-1", clocks.wall)


def hear(at, moment: float) -> None:
    """Deliver a Watchdog."""
    with at.database.writing() as connection:
        heard.note(connection, moment)


def titles(web) -> list[str]:
    """Return what people were told."""
    return [told["title"] for told in web.received]


def look(watch: ReceiverMonitor, clocks: Clocks, *, times: int = 1, every: float = 5.0) -> None:
    """Have it look again and again."""
    for _ in range(times):
        clocks.passed += every
        watch.worker.attempt()
        assert watch.worker.trouble is None
        assert not watch.worker.failures


def test_a_watchdog_that_falls_silent_is_told_once_and_that_it_is_back_also_over_restarts(at, tmp_path, web, clocks):
    watch = watching(at, tmp_path, clocks)
    hear(at, clocks.wall())
    look(watch, clocks, times=4, every=MINUTE)
    assert titles(web) == []
    look(watch, clocks, times=4, every=MINUTE)
    assert titles(web) == ["[autoglm] receiver ops-1 needs you: watchdog"]
    assert "no failure of the fleet is seen" in web.received[0]["message"]
    for _ in range(3):
        watch = watching(at, tmp_path, clocks)
        look(watch, clocks, times=8, every=MINUTE)
    assert len(titles(web)) == 1
    hear(at, clocks.wall())
    look(watch, clocks, times=3)
    assert len(titles(web)) == 1
    watch = watching(at, tmp_path, clocks)
    look(watch, clocks, times=20)
    assert titles(web)[1:] == ["[autoglm] receiver ops-1: watchdog is well again"]
    assert own_state.read((tmp_path / FILE).read_text()) == {}


def test_a_watchdog_that_was_never_heard_is_told_after_the_grace(at, tmp_path, web, clocks):
    watch = watching(at, tmp_path, clocks)
    look(watch, clocks, times=14, every=MINUTE)
    assert titles(web) == []
    look(watch, clocks, times=3, every=MINUTE)
    assert titles(web) == ["[autoglm] receiver ops-1 needs you: watchdog"]
    assert "No Watchdog has ever been heard" in web.received[0]["message"]


def test_a_watchdog_that_another_receiver_of_the_database_hears_is_heard(at, tmp_path, web, clocks):
    watch = watching(at, tmp_path, clocks)
    for _ in range(30):
        hear(at, clocks.wall())
        look(watch, clocks, every=MINUTE)
    assert titles(web) == []


def test_a_prometheus_that_does_not_answer_is_told_once(at, tmp_path, web, clocks, prometheus):
    at.policy(_without_watchdog(web, prometheus))
    watch = watching(at, tmp_path, clocks)
    prometheus.answer.ready = False
    look(watch, clocks, times=5, every=20.0)
    assert titles(web) == []
    look(watch, clocks, times=10, every=20.0)
    assert titles(web) == ["[autoglm] receiver ops-1 needs you: prometheus"]
    watch = watching(at, tmp_path, clocks)
    look(watch, clocks, times=10, every=20.0)
    prometheus.answer.ready = True
    look(watch, clocks, times=5, every=20.0)
    assert titles(web)[1:] == ["[autoglm] receiver ops-1: prometheus is well again"]


def _without_watchdog(web, prometheus) -> str:
    url = prometheus.url
    return f"monitoring: {{prometheus: {{url: '{url}'}}, receiver: {{watchdog: false}}}}\nnotify: ['{web.url}']"


def test_a_thread_that_hangs_is_told_by_name(at, tmp_path, web, clocks, prometheus):
    at.policy(_without_watchdog(web, prometheus))
    begun, let_go = threading.Event(), threading.Event()

    def step() -> float:
        begun.set()
        let_go.wait(MINUTE)
        return 3600.0

    workers, patience = Workers(), [3600.0]
    worker = Worker("loop", step, stuck_after=lambda: patience[0])
    workers.take(worker)
    worker.start()
    assert begun.wait(MINUTE)
    watch = watching(at, tmp_path, clocks, workers)
    look(watch, clocks, times=3)
    assert titles(web) == []
    patience[0] = -3600.0
    look(watch, clocks, times=3)
    patience[0] = 3600.0 + clocks.passed
    assert titles(web) == ["[autoglm] receiver ops-1 needs you: worker loop"]
    assert "Alerts are stored and not acted on" in web.received[0]["message"]
    let_go.set()
    worker.stop(MINUTE)
    look(watch, clocks, times=20)
    assert titles(web)[1:] == ["[autoglm] receiver ops-1: worker loop is well again"]


def test_a_database_that_is_away_is_told_without_it(at, tmp_path, web, clocks, prometheus, monkeypatch):
    at.policy(_without_watchdog(web, prometheus))
    watch = watching(at, tmp_path, clocks)

    def away(_connection):
        raise OSError("no route to host")

    monkeypatch.setattr(heard, "last", away)
    look(watch, clocks, times=30)
    assert titles(web) == ["[autoglm] receiver ops-1 needs you: database"]


def test_who_could_not_be_told_is_told_later_and_the_others_are_not_told_again(at, tmp_path, web, clocks, prometheus):
    second = FakePager()
    try:
        url = prometheus.url
        at.policy(f"monitoring: {{prometheus: {{url: '{url}'}}}}\nnotify: ['{web.url}', '{second.url}']")
        second.status = 500
        watch = watching(at, tmp_path, clocks)
        look(watch, clocks, times=20, every=MINUTE)
        assert titles(web) == ["[autoglm] receiver ops-1 needs you: watchdog"]
        tried = len(second.received)
        assert tried > 1
        second.status = 200
        watch = watching(at, tmp_path, clocks)
        look(watch, clocks, times=20, every=MINUTE)
        assert Counter(titles(web)) == {"[autoglm] receiver ops-1 needs you: watchdog": 1}
        assert len(second.received) == tried + 1
    finally:
        second.close()


@pytest.mark.slow
def test_an_address_that_fails_delays_no_other_page_and_no_other_address(at, tmp_path, web, clocks, prometheus):
    """An address that has failed for an hour has its pause; whoever can be reached hears at once of what is new."""
    gone = "json://127.0.0.1:1/x"
    monitoring = f"monitoring: {{prometheus: {{url: '{prometheus.url}'}}}}"
    at.policy(f"{monitoring}\nnotify: ['{gone}', '{web.url}']")
    watch = watching(at, tmp_path, clocks)
    look(watch, clocks, times=60, every=MINUTE)
    assert titles(web) == ["[autoglm] receiver ops-1 needs you: watchdog"]
    hear(at, clocks.wall() + 61 * MINUTE)
    look(watch, clocks)
    prometheus.answer.ready = False
    look(watch, clocks, times=int(SETTING.unreachable.total_seconds() // 5) + 2)
    assert titles(web)[-1] == "[autoglm] receiver ops-1 needs you: prometheus"


def test_an_address_that_hangs_costs_a_look_its_time_only_once_and_no_page_starves(at, tmp_path, clocks, monkeypatch):
    at.policy("notify: ['json://x']")
    (tmp_path / FILE).write_text(own_state.written({key: OpenPage(key, key, NOW) for key in ("a", "b", "c")}))
    tried = []

    def hangs(letters):
        tried.extend(letter.title[-1] for letter in letters.values())
        return [paging.PageResult(url, "json: no answer in 30 s") for url in letters]

    monkeypatch.setattr(own_watch, "send_each", hangs)
    watch = watching(at, tmp_path, clocks)
    look(watch, clocks, times=3)
    assert tried == ["a", "b", "c"]
    look(watch, clocks, times=100)
    assert Counter(tried).keys() == {"a", "b", "c"}
    assert len(tried) < 40


def test_a_page_for_which_no_address_can_be_read_is_an_error_until_there_is_one(at, tmp_path, web, clocks):
    file = tmp_path / "urls"
    file.touch()
    at.policy(f"notify: [{{urls_file: {file}}}]")
    watch = watching(at, tmp_path, clocks)
    with structlog.testing.capture_logs() as logs:
        look(watch, clocks, times=30, every=MINUTE)
    told = [line for line in logs if line["event"] == "people could not be told about the receiver"]
    assert 2 < len(told) < 15
    assert told[0]["wrong"] == ["route 1: urls_file holds no address"]
    file.write_text(f"{web.url}\n")
    look(watch, clocks)
    assert titles(web) == ["[autoglm] receiver ops-1 needs you: watchdog"]


def test_a_state_directory_that_cannot_be_written_keeps_nobody_from_being_told(at, tmp_path, web, clocks):
    (tmp_path / FILE).mkdir()  # nothing that is written takes its place, not even as root
    watch = watching(at, tmp_path, clocks)
    look(watch, clocks, times=20, every=MINUTE)
    assert titles(web) == ["[autoglm] receiver ops-1 needs you: watchdog"]


def test_where_nobody_is_named_nothing_is_told_and_nothing_fails(at, tmp_path, clocks):
    at.policy("")
    look(watching(at, tmp_path, clocks), clocks, times=20, every=MINUTE)


def test_the_watchdog_is_written_down_with_its_delivery_and_its_end_is_none(database):
    from autoglm_recovery.receiver.intake.commit import Delivery, Intake  # noqa: PLC0415
    from autoglm_recovery.receiver.values.model import Alert  # noqa: PLC0415 - for this test alone

    def deliver(status: str, moment: float) -> None:
        alert = Alert(status, {"alertname": "Watchdog"}, {}, 1.0, None, "f")
        Intake(database, lambda: None, lambda: moment)._commit([Delivery("g", (alert,))])

    def last() -> float:
        with database.reading() as connection:
            return heard.last(connection)

    def unbroken() -> tuple[float, float]:
        with database.reading() as connection:
            stretch = heard.stretch(connection)
        return stretch.since, stretch.at

    assert last() == 0.0
    assert unbroken() == (math.inf, 0.0)
    deliver("firing", 100.0)
    deliver("firing", 160.0)  # the same news, delivered again: it was heard again
    deliver("firing", 130.0)  # by a receiver whose clock is behind
    assert last() == 160.0
    assert unbroken() == (100.0, 160.0)
    deliver("resolved", 300.0)
    assert last() == 160.0
    assert unbroken() == (math.inf, 0.0)
    deliver("firing", 310.0)
    deliver("firing", 370.0)
    assert unbroken() == (310.0, 370.0)
    # Nobody has told of its end, and nobody has told of it.
    deliver("firing", 370.0 + heard.LONGEST_SILENCE_S + 1)
    assert unbroken() == (671.0, 671.0)


def test_the_times_have_safe_defaults():
    assert (SETTING.watchdog, SETTING.grace) == (timedelta(minutes=5), timedelta(minutes=15))
