# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bursts of events into faults: the cause, the place, the victims, and when a fault ends."""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.joining.joining import SILENCE, Joiner, LineJoiner
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.lines.reading import parse_line
from hypothesis import given
from hypothesis import strategies as st


def xid(number, gpu="3b", rest="x"):
    return parse_line(f"NVRM: Xid (PCI:0000:{gpu}:00): {number}, {rest}")


def joined(*events):
    joiner = Joiner()
    ended = [fault for at, event in events for fault in joiner.feed(event, at)]
    return ended + joiner.flush()


def test_a_double_bit_error_explains_what_follows_it() -> None:
    (fault,) = joined(
        (1, xid(171)), (2, xid(63)), (2, xid(154)), (3, xid(48)), (4, xid(45, rest="pid=7, name=vllm, Ch 1"))
    )
    assert fault.root["xid"] == 48
    assert (fault.events, fault.scope, fault.gpus, fault.first_at, fault.last_at) == (5, "gpu", ("0000:3b:00",), 1, 4)
    assert fault.victims == ((7, "vllm"),)
    assert fault.codes == {"xid 171": 1, "xid 63": 1, "xid 154": 1, "xid 48": 1, "xid 45": 1}


def test_a_lost_gpu_explains_everything() -> None:
    (fault,) = joined((1, xid(48)), (2, xid(74)), (3, xid(79)))
    assert fault.root["xid"] == 79


def test_the_first_of_equals_is_the_cause() -> None:
    (fault,) = joined((1, xid(119)), (2, xid(62)), (3, xid(154)))
    assert fault.root["xid"] == 119


def test_an_application_error_is_a_cause_only_without_a_better_one() -> None:
    (fault,) = joined((1, xid(31, rest="pid=9, name=a, Ch 1")), (2, xid(95)))
    assert fault.root["xid"] == 95
    assert fault.victims == ((9, "a"),)


def test_three_minutes_of_silence_end_a_fault() -> None:
    joiner = Joiner()
    assert joiner.feed(xid(48), 0) == []
    assert joiner.feed(xid(48), SILENCE) == []
    assert joiner.advance(2 * SILENCE) == []
    (fault,) = joiner.advance(2 * SILENCE + 1)
    assert fault.events == 2
    assert joiner.flush() == []


def test_two_gpus_with_different_troubles_are_two_faults() -> None:
    assert len(joined((1, xid(48)), (2, xid(48, "86")))) == 2


def test_the_same_nvlink_code_on_several_gpus_is_one_fault_of_the_fabric() -> None:
    rest = "RLW_SRC_TRACK Nonfatal XC1 i0 Link 12 (0x040988e2 0x00000008)"
    (fault,) = joined(
        (1, xid(145, "3b", rest)),
        (2, xid(145, "86", rest)),
        (3, xid(145, "af", rest)),
        (30, xid(45, "d8", "pid=4, name=python3, Ch 00000001 caused by previous Xid 145")),
        (31, xid(154, "86")),
    )
    assert fault.scope == "fabric"
    assert fault.gpus == ("0000:3b:00", "0000:86:00", "0000:af:00", "0000:d8:00")
    assert fault.events == 5
    assert fault.root["xid"] == 145


def test_the_same_nvlink_code_much_later_is_another_fault() -> None:
    assert len(joined((1, xid(74)), (60, xid(74, "86")))) == 2


def test_a_gpu_that_is_gone_explains_its_neighbours_links() -> None:
    (fault,) = joined((1, xid(79, "d8")), (2, xid(74, "3b")), (3, xid(74, "86")))
    assert (fault.root["xid"], fault.root["pci"], fault.scope) == (79, "0000:d8:00", "fabric")


def test_two_gpus_that_are_gone_are_counted_once_each() -> None:
    (fault,) = joined((0, xid(79, "86")), (0, xid(79)), (0, xid(74)), (0, xid(74, "af")))
    assert (fault.events, fault.codes) == (4, {"xid 79": 2, "xid 74": 2})


def test_details_are_folded_into_their_fault_and_open_none() -> None:
    head = "nvidia-nvswitch0: SXid (PCI:0000:05:00.0): 20034, "
    (fault,) = joined(
        (0, parse_line(head + "Severity 1 Engine instance 30 Sub-engine instance 00")),
        (1, parse_line(head + "Fatal, Link 30 LTSSM Fault Up")),
        (1, parse_line(head + "Severity 1 Engine instance 30 Sub-engine instance 00")),
        (1, parse_line(head + "Data {0x00000001, 0x00000002}")),
    )
    assert (fault.scope, fault.events, fault.details, fault.root["sxid"]) == ("fabric", 1, 2, 20034)


def test_a_bus_error_of_a_gpu_belongs_to_its_fault() -> None:
    aer = parse_line("nvidia 0000:3b:00.0: PCIe Bus Error: severity=Uncorrected (Fatal), type=x")
    (fault,) = joined((1, xid(79)), (2, aer), (2, parse_line("nvidia 0000:3b:00.0:    [21] ACSViol   (First)")))
    assert (fault.scope, fault.events, fault.details) == ("gpu", 2, 1)


def test_a_gpu_that_does_not_wake_after_its_fault_belongs_to_it() -> None:
    told = parse_line("nvidia 0000:3b:00.0: Unable to change power state from D3cold to D0, device inaccessible")
    (fault,) = joined((1, xid(79)), (2, told))
    assert fault.codes == {"xid 79": 1, "pcie_inaccessible": 1}


def test_the_queues_of_a_time_out_are_its_details() -> None:
    card = "mlx5_core 0000:13:00.1 eth1: "
    (fault,) = joined(
        *((1, parse_line(card + text)) for text in ("TX timeout detected", "TX timeout on queue: 41, SQ"))
    )
    assert (fault.events, fault.details) == (1, 1)


def test_an_out_of_memory_kill_is_one_fault() -> None:
    joiner = LineJoiner()
    joiner.feed("[1.0] python3 invoked oom-killer: gfp_mask=0x1, order=0", 0)
    joiner.feed("[1.1] oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg=/a,task=vllm,pid=7,uid=0", 0)
    joiner.feed("[1.2] Memory cgroup out of memory: Killed process 7 (vllm) total-vm:1kB, UID:0", 0)
    joiner.feed("[1.3] oom_reaper: reaped process 7 (vllm), now anon-rss:0kB", 0)
    (fault,) = joiner.flush()
    assert (fault.scope, fault.root["kind"], fault.victims) == ("host", "oom_kill", ((7, "vllm"),))


def test_three_physical_lines_of_a_lost_gpu_are_one_event() -> None:
    joiner = LineJoiner()
    lines = (
        "[ 1843.308145] NVRM: The NVIDIA GPU 0000:b3:00.0",
        "               NVRM: (PCI ID: 10de:26b5) installed in this system has",
        "               NVRM: fallen off the bus and is not responding to commands.",
        "[ 1843.439662] NVRM: GPU4 RPC history (CPU -> GSP):",
    )
    joiner.feed_all(lines, now=5.0)
    (fault,) = joiner.flush()
    assert (fault.events, fault.gpus, fault.first_at) == (1, ("0000:b3:00",), 1843.308145)
    assert fault.root == {"kind": "gpu_off_bus_text", "implies_xid": 79, "pci": "0000:b3:00"}


def test_the_lines_clock_counts_and_a_reboot_ends_all() -> None:
    joiner = LineJoiner()
    assert joiner.feed("[5000.0] NVRM: Xid (PCI:0000:3b:00): 48, x", 1.0) == []
    assert len(joiner.feed("[3.0] NVRM: Xid (PCI:0000:3b:00): 48, x", 2.0)) == 1
    assert len(joiner.feed("[400.0] NVRM: Xid (PCI:0000:3b:00): 48, x", 3.0)) == 1
    assert len(joiner.open_faults()) == 1


def test_without_a_clock_the_given_time_counts() -> None:
    joiner = LineJoiner()
    joiner.feed("NVRM: Xid (PCI:0000:3b:00): 48, x", 0.0)
    assert len(joiner.feed("nothing", 181.0)) == 1


def test_memory_is_bounded() -> None:
    joiner = Joiner()
    ended = 0
    for number in range(2000):
        address = f"0000:{number % 256:02x}:{number // 256:02x}.0"
        ended += len(joiner.feed(parse_line(f"mlx5_core {address}: Port module event: module 1, Cable unplugged"), 1.0))
    assert len(joiner.open_faults()) <= 256
    assert ended + len(joiner.open_faults()) == 2000


EVENTS = st.lists(
    st.tuples(
        st.floats(0, 400),
        st.builds(xid, st.sampled_from([13, 45, 48, 63, 74, 79, 145, 154]), st.sampled_from(["3b", "86", "af"])),
    ),
    max_size=25,
).map(lambda events: sorted(events, key=lambda item: item[0]))


@given(EVENTS)
def test_looking_and_waiting_change_nothing(events) -> None:
    plain = [fault.as_dict() for fault in joined(*events)]
    joiner, ended = Joiner(), []
    for at, event in events:
        ended += joiner.advance(at)
        assert [f.as_dict() for f in joiner.open_faults()] == [f.as_dict() for f in joiner.open_faults()]
        ended += joiner.feed(event, at)
    ended += joiner.flush()
    assert joiner.flush() == []
    assert [fault.as_dict() for fault in ended] == plain


@given(EVENTS)
def test_no_event_is_lost_or_counted_twice(events) -> None:
    assert sum(fault.events for fault in joined(*events)) == len(events)


@given(EVENTS, st.integers(0, 25))
def test_where_the_lines_are_cut_does_not_matter(events, cut) -> None:
    lines = [f"[{at:.6f}] NVRM: Xid ({'PCI:' + event['pci']}): {event['xid']}, x" for at, event in events]
    whole, parts = LineJoiner(), LineJoiner()
    first = whole.feed_all(lines, 0.0) + whole.flush()
    second = parts.feed_all(lines[:cut], 0.0) + parts.feed_all(lines[cut:], 0.0) + parts.flush()
    assert [fault.as_dict() for fault in first] == [fault.as_dict() for fault in second]


YEAR = "{} gpu1 kernel: NVRM: Xid (PCI:0000:65:00): {}, pid=1, name=x, y"


def faults_of(lines: list[str], arrival: bool = False) -> list[dict]:
    joiner = LineJoiner(arrival)
    return [fault.as_dict() for fault in joiner.feed_all(lines, 5.0) + joiner.flush()]


@pytest.mark.parametrize(
    "dates",
    [
        ("Dec 31 23:58:02", "Jan  1 04:10:00", "Jan  2 09:10:00"),
        ("Jan 10 23:58:02", "Jan 11 04:10:00", "Jan 12 09:10:00"),
        ("Feb 28 23:59:59", "Mar  1 00:03:00", "Mar  1 00:06:01"),
    ],
)
def test_dates_without_a_year_go_over_new_year(dates) -> None:
    told = faults_of([YEAR.format(dates[at], code) for at, code in enumerate((31, 48, 79))])
    assert [fault["events"] for fault in told] == [1, 1, 1]
    assert sorted(fault["first_at"] for fault in told) == [fault["first_at"] for fault in told]
    assert {fault["clock"] for fault in told} == {"date"}


def test_a_burst_over_midnight_and_new_year_is_one_fault() -> None:
    told = faults_of([YEAR.format("Dec 31 23:59:59", 48), YEAR.format("Jan  1 00:00:01", 79)])
    assert [(fault["events"], fault["root"]["xid"]) for fault in told] == [(2, 79)]


def test_the_time_since_the_line_before_is_a_clock() -> None:
    """``dmesg -e`` and ``dmesg -d``: quiet lines tell of time too."""
    line = "[{}] NVRM: Xid (PCI:0000:65:00): 48, pid=1, name=x, y"
    assert len(faults_of([line.format("Apr17 19:56"), line.format("  +0.000012")])) == 1
    assert len(faults_of([line.format("Apr17 19:56"), "[  +200.5] quiet", line.format("  +0.000012")])) == 2
    assert len(faults_of([line.format("<    0.000000>"), line.format("<  190.000000>")])) == 2


def test_without_any_clock_nothing_is_joined_that_may_be_days_apart() -> None:
    bare = "NVRM: Xid (PCI:0000:65:00): {}, pid=1, name=x, y"
    told = faults_of([bare.format(48), "quiet", bare.format(79)])
    assert [(fault["events"], fault["clock"], fault["first_at"]) for fault in told] == [(1, "none", None)] * 2
    assert len(faults_of([bare.format(48), bare.format(79)], arrival=True)) == 1


def test_a_log_that_is_read_backwards_joins_nothing() -> None:
    lines = [YEAR.format(date, 48) for date in ("Jan 12 09:10:00", "Jan 11 04:10:00", "Jan 10 23:58:02")]
    assert [fault["events"] for fault in faults_of(lines)] == [1, 1, 1]


def test_another_clock_without_a_known_relation_begins_anew() -> None:
    first = "[5000.0] NVRM: Xid (PCI:0000:65:00): 48, x"
    assert len(faults_of([first, YEAR.format("Jan 12 09:10:00", 48)])) == 2
