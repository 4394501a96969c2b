# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the readings mean: each rule is a line in a table."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.judging.findings import summary
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.nvlink.fields import bit_error_rate, health_of
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.nvlink.limits import NvlinkLimits
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.nvlink.verdict import (
    ExpectedLinks,
    NvlinkEvidence,
    judge,
)

READ = {"state": "read", "error": None}
NOTHING = ExpectedLinks()
FABRIC = {
    "state": "completed",
    "status": 0,
    "clique": 0,
    "cluster": "",
    "health": health_of(0x1AA),
    "summary": "healthy",
}
NO_ERRORS = {"effective": bit_error_rate(0xFFF), "symbol": bit_error_rate(0xFFF)}


def link(number: int, state: str | None = "active", **more: Any) -> dict[str, Any]:
    up = state == "active"
    return {
        "link": number,
        "state": state,
        "version": "4.0",
        "speed_mbps": 26562,
        "remote": f"0000:c{number % 4}:00.0" if up else None,
        "remote_type": "switch" if up else None,
        "remote_link": 3 if up else None,
        "counters": {"replay": 0},
        "ber": {},
        "fec_history": None,
        "unread": {},
        **more,
    }


def gpu(index: int = 0, up: int = 4, count: int | None = 4, **more: Any) -> dict[str, Any]:
    return {
        "index": index,
        "uuid": f"GPU-{index}",
        "pci": f"0000:{index:02x}:00.0",
        "name": "H100",
        "state": "read",
        "error": None,
        "count": count,
        "unread": {},
        "links": [link(i, "active" if i < up else "inactive") for i in range(count or 0)],
        "fabric": FABRIC,
        **more,
    }


def bridged(up: int, index: int = 0) -> dict[str, Any]:
    """A PCIe card whose links lead to its neighbour."""
    one = gpu(index, up, fabric=None)
    for each in one["links"]:
        if each["remote"]:
            each.update(remote="0000:01:00.0", remote_type="gpu")
    return one


def verdict(
    *gpus: dict[str, Any], expected: ExpectedLinks = NOTHING, limits: NvlinkLimits | None = None, **seen: Any
) -> Any:
    return summary(
        judge(NvlinkEvidence(nvml=seen.pop("nvml", READ), gpus=gpus, **seen), expected, limits or NvlinkLimits.of())
    )


def told(*gpus: dict[str, Any], **more: Any) -> tuple[str, str | None]:
    said = verdict(*gpus, **more)
    return said["verdict"], said["failure_class"]


HEALTHY = ("healthy", None)
BROKEN = ("unhealthy", "gpu_comm")
UNCLEAR = ("unknown", "gpu_comm")


@pytest.mark.parametrize(
    ("gpus", "expected", "answer"),
    [
        ([gpu(0), gpu(1)], {}, HEALTHY),
        ([gpu(0), gpu(1, up=3)], {}, BROKEN),
        ([gpu(0, up=3)], {}, UNCLEAR),
        ([gpu(0, up=3), gpu(1, up=3)], {}, UNCLEAR),  # a dead switch takes links of every GPU alike
        ([gpu(0, up=3)], {"links": 3}, HEALTHY),
        ([gpu(0, up=3)], {"links": 4}, BROKEN),
        ([gpu(0), gpu(1, up=3)], {"links": 4, "by_gpu": {"1": 3}}, HEALTHY),
        ([gpu(0), gpu(1, up=3)], {"links": 3, "by_gpu": {"0000:01:00.0": 4}}, BROKEN),
        ([gpu(0), gpu(1, up=3, name="A100")], {"by_gpu": {"GPU-1": 3}}, HEALTHY),
        ([gpu(0, up=0, fabric=None)], {}, HEALTHY),  # PCIe cards without bridges
        ([gpu(0, up=0, fabric=None)], {"links": 4}, BROKEN),
        ([gpu(0, up=0)], {}, BROKEN),  # the fabric was set up, and nothing leads to it
        ([bridged(2)], {}, UNCLEAR),
        ([bridged(2, 0), bridged(2, 1)], {}, HEALTHY),
        ([gpu(0, count=0, up=0, fabric=None)], {}, HEALTHY),  # L40S
        ([gpu(0, count=0, up=0, fabric=None)], {"links": 1}, BROKEN),
        ([gpu(0), gpu(1)], {"gpus": 2}, HEALTHY),
        ([gpu(0), gpu(1)], {"gpus": 8}, ("unhealthy", "gpu_lost")),
        ([], {}, ("unknown", "unknown")),
        ([], {"gpus": 0}, HEALTHY),
    ],
)
def test_how_many_links_are_up(gpus: list, expected: dict, answer: tuple) -> None:
    assert told(*gpus, expected=ExpectedLinks(**expected)) == answer


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"state": "lost", "error": "GPU_IS_LOST"}, ("unhealthy", "gpu_lost")),
        ({"state": "reset_required", "error": None}, ("unhealthy", "gpu_fault")),
        ({"state": "hung", "error": "no answer for 5.0 s"}, ("unknown", "gpu_lost")),
        ({"state": "unread", "error": "NVML_ERROR_UNKNOWN"}, ("unknown", "gpu_lost")),
        ({"unread": {"nvlink_count": "NVML_ERROR_UNKNOWN"}, "count": None, "links": []}, UNCLEAR),
        ({"unread": {"fabric": "NVML_ERROR_UNKNOWN"}, "fabric": None}, UNCLEAR),
        ({"links": [link(0, None, unread={"state": "NVML_ERROR_UNKNOWN"})]}, UNCLEAR),
        ({"links": [link(0, unread={"replay": "NVML_ERROR_UNKNOWN"})]}, UNCLEAR),
        ({"links": [link(0, "absent"), link(1)]}, HEALTHY),
        ({"links": [link(0, "sleep", remote_type="switch")]}, HEALTHY),
        ({"links": [link(0, counters={})]}, HEALTHY),  # a driver that counts nothing; told as a warning
    ],
)
def test_what_could_not_be_read_is_never_healthy(change: dict, answer: tuple) -> None:
    assert told(gpu(0, **change)) == answer


@pytest.mark.parametrize("state", ["hung", "unread"])
def test_nvml_that_cannot_be_asked(state: str) -> None:
    error = {"error": "NVML_ERROR_LIB_RM_VERSION_MISMATCH", "kind": "unreadable", "text": ""}
    said = verdict(nvml={"state": state, "error": error}, expected=ExpectedLinks(gpus=0))
    assert (said["verdict"], said["failure_class"]) == ("unknown", "gpu_lost")
    assert "VERSION_MISMATCH" in said["reasons"][0]


def test_both_ends_of_a_link_that_is_down_are_named() -> None:
    was_up = {"GPU-1/3": {"remote": "0000:c3:00.0", "remote_type": "switch", "remote_link": 7}}
    said = verdict(gpu(0, up=3), gpu(1, up=3), was_up=was_up)
    assert said["verdict"] == "unhealthy"
    assert said["recommended_action"] == "switch_comm_path"
    assert "GPU 1 (0000:01:00.0)" in said["reasons"][0]
    assert "link 3 to switch 0000:c3:00.0 link 7" in said["reasons"][0]


def test_a_neighbour_is_named_as_the_gpu_that_it_is() -> None:
    was_up = {"GPU-0/3": {"remote": "0000:01:00.0", "remote_type": "gpu", "remote_link": 2}}
    said = verdict(gpu(0, up=3), gpu(1), was_up=was_up)
    assert "link 3 to GPU 1 (0000:01:00.0) link 2" in said["reasons"][0]


@pytest.mark.parametrize(
    ("counter", "per_hour", "rates", "answer"),
    [
        ("replay", 60, {}, HEALTHY),
        ("replay", 61, {}, BROKEN),
        ("replay", 1, {"replay": 0}, BROKEN),
        ("replay", 1000, {"replay": -1}, HEALTHY),
        ("recovery", 1, {}, BROKEN),
        ("crc", 360000, {}, HEALTHY),
        ("crc", 360001, {}, BROKEN),
        ("link_recoveries_failed", 0.1, {}, BROKEN),
        ("effective_errors", 10**9, {}, HEALTHY),
    ],
)
def test_rates(counter: str, per_hour: float, rates: dict, answer: tuple) -> None:
    deltas = {"GPU-0/2": {counter: {"delta": 1, "per_hour": per_hour}}}
    assert told(gpu(0), deltas=deltas, limits=NvlinkLimits.of(rates)) == answer


@pytest.mark.parametrize(
    ("raw", "exponents", "answer"),
    [
        (0xFFF, {}, HEALTHY),
        (1 << 8 | 15, {}, HEALTHY),
        (2 << 8 | 15, {}, BROKEN),
        (1 << 8 | 14, {}, BROKEN),
        (15 << 8 | 200, {"effective": 254}, BROKEN),
        (0xFFF, {"effective": 253}, HEALTHY),
        (1 << 8 | 3, {"effective": -1}, HEALTHY),
        (0, {}, HEALTHY),  # no mantissa, no errors
    ],
)
def test_bit_error_rates(raw: int, exponents: dict, answer: tuple) -> None:
    links = [link(0, ber={**NO_ERRORS, "effective": bit_error_rate(raw)})]
    assert told(gpu(0, links=links), limits=NvlinkLimits.of(exponents=exponents)) == answer


@pytest.mark.parametrize(
    ("fabric", "answer"),
    [
        ({"state": "not_supported"}, HEALTHY),
        ({"state": "not_started"}, BROKEN),
        ({"state": "in_progress"}, UNCLEAR),
        ({"status": 999}, BROKEN),
        ({"summary": "unhealthy"}, BROKEN),
        ({"summary": "limited_capacity"}, BROKEN),
        ({"summary": None, "health": None}, HEALTHY),
        ({"health": health_of(0)}, HEALTHY),
        ({"health": health_of(0x1A9)}, BROKEN),  # degraded bandwidth
        ({"health": health_of(0x1A6)}, BROKEN),  # route recovery
        ({"health": health_of(0x19A)}, BROKEN),  # route unhealthy
        ({"health": health_of(0x16A)}, BROKEN),  # access timeout recovery
        ({"health": health_of(0x5AA)}, BROKEN),  # insufficient NVLinks
        ({"health": health_of(0x1AB)}, UNCLEAR),  # 3 in a field of two bits means nothing
        ({"health": health_of(0xA1AA)}, HEALTHY),  # no partition, no global manager: warnings
    ],
)
def test_fabric(fabric: dict, answer: tuple) -> None:
    assert told(gpu(0, fabric={**FABRIC, **fabric})) == answer


def test_a_pcie_card_that_no_fabric_knows_is_no_fault() -> None:
    assert told(gpu(0, up=0, fabric={**FABRIC, "state": "not_started"})) == HEALTHY


def service(**values: Any) -> dict[str, Any]:
    return {"there": True, "state": "active", "enabled": True, "error": None, **values}


@pytest.mark.parametrize(
    ("manager", "switches", "answer"),
    [
        (service(), 4, HEALTHY),
        (service(state="failed"), 4, BROKEN),
        (service(state="inactive"), 0, BROKEN),
        (service(state="inactive", enabled=False), 0, HEALTHY),
        (service(state="activating"), 4, UNCLEAR),
        (service(there=False, state=None, enabled=None), 4, BROKEN),
        (service(there=False, state=None, enabled=None), 0, HEALTHY),
        (service(there=None, state=None, enabled=None, error="no systemctl"), 0, HEALTHY),
        (service(there=None, state=None, enabled=None, error="no systemctl"), 4, UNCLEAR),
    ],
)
def test_fabric_manager(manager: dict, switches: int, answer: tuple) -> None:
    assert told(gpu(0), fabric_manager=manager, switches=switches) == answer


def sxid(severity: str | None, **more: Any) -> dict[str, Any]:
    return {
        "kind": "sxid",
        "sxid": 12028,
        "nvswitch": 1,
        "pci": "0000:c1:00.0",
        "severity": severity,
        "link": 9,
        **more,
    }


def xid(severity: str | None, number: int = 149) -> dict[str, Any]:
    return {"kind": "xid", "xid": number, "pci": "0000:3b:00", "nvlink5": severity and {"severity": severity}}


@pytest.mark.parametrize(
    ("event", "answer"),
    [
        (sxid("fatal"), BROKEN),
        (sxid("non-fatal"), HEALTHY),
        (sxid("correctable"), HEALTHY),
        (sxid(None), BROKEN),
        (xid("fatal"), BROKEN),
        (xid("nonfatal"), HEALTHY),
        (xid(None, 74), BROKEN),
    ],
)
def test_kernel_events(event: dict, answer: tuple) -> None:
    assert told(gpu(0), kernel={"error": None, "source": "dmesg", "events": [event, event]}) == answer


@pytest.mark.parametrize(("required", "answer"), [(False, HEALTHY), (True, UNCLEAR)])
def test_a_log_that_cannot_be_read(required: bool, answer: tuple) -> None:
    kernel = {"error": "not permitted", "source": None, "events": []}
    assert told(gpu(0), kernel=kernel, kernel_required=required) == answer


def port(state: str | None = "active", **more: Any) -> dict[str, Any]:
    return {
        "port": "mlx5_0/1",
        "state": state,
        "physical_state": "linkup",
        "link_layer": "InfiniBand",
        "counters": {},
        "unread": {},
        **more,
    }


@pytest.mark.parametrize(
    ("ports", "more", "answer"),
    [
        ([port()], {}, HEALTHY),
        ([port("down")], {}, HEALTHY),
        ([port("down")], {"expected": ["mlx5_0/1"]}, BROKEN),
        ([port("down")], {"was_up": {"port/mlx5_0/1": {}}}, BROKEN),
        ([], {"was_up": {"port/mlx5_0/1": {}}}, BROKEN),
        ([], {"expected": ["mlx5_0/1"]}, BROKEN),
        ([port(None, unread={"state": "Input/output error"})], {}, UNCLEAR),
        ([port()], {"deltas": {"port/mlx5_0/1": {"link_downed": {"delta": 1, "per_hour": 1}}}}, BROKEN),
        ([port()], {"deltas": {"port/mlx5_0/1": {"symbol_error": {"delta": 100, "per_hour": 100}}}}, HEALTHY),
    ],
)
def test_ports(ports: list, more: dict, answer: tuple) -> None:
    expected = ExpectedLinks(ports=more.pop("expected", ()))
    assert told(gpu(0), ports={"ports": ports, "error": None}, expected=expected, **more) == answer


def test_ports_that_cannot_be_listed() -> None:
    assert told(gpu(0), ports={"ports": [], "error": "not permitted"}) == UNCLEAR


def test_a_lost_gpu_explains_its_links() -> None:
    said = verdict(gpu(0), gpu(1, up=3), gpu(2, state="lost", error="GPU_IS_LOST"))
    assert (said["failure_class"], len(said["reasons"])) == ("gpu_lost", 2)


@pytest.mark.parametrize("given", [{"links": {"crcs": 1}}, {"links": {"crc": "many"}}, {"exponents": {"raw": 1}}])
def test_limits_that_cannot_be(given: dict) -> None:
    with pytest.raises(ValueError, match=r"link_rates|ber_exponents"):
        NvlinkLimits.of(**given)


def test_the_mask_in_words() -> None:
    assert health_of(0x1AA) == {
        "degraded_bandwidth": False,
        "route_recovery": False,
        "route_unhealthy": False,
        "access_timeout_recovery": False,
        "incorrect_configuration": "none",
        "partition_assigned": None,
        "global_manager_connected": None,
    }
    assert health_of(0x5401)["degraded_bandwidth"] is True
    assert health_of(0x5401)["incorrect_configuration"] == "no_partition"
    assert health_of(0x5401)["global_manager_connected"] is True


def test_the_rate_of_nvml() -> None:
    assert bit_error_rate(0xFFF) == {"mantissa": 15, "exponent": 255, "rate": pytest.approx(1.5e-254)}
    assert bit_error_rate(3 << 8 | 9)["rate"] == pytest.approx(3e-9)
