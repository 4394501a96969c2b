# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on NVLink, fabric and network ports. Pure: every rule has a line in a test table.

C(healthy) only if all that had to be read was read and was good.  An inactive link is not a fault of itself: NVML does
not tell a broken link from one that is not used.  It is one if more links are expected, if it was up since the driver
was loaded, or if GPUs of the same model on this host have more.  Where none of these can tell, the verdict is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..judging.findings import GpuFinding, fault, unknown, warning
from ..judging.host import class_of_no_answer
from .limits import NvlinkLimits
from .links import is_up
from .verdict_fabric import judge_fabric, judge_kernel, judge_manager
from .verdict_ports import judge_ports

CLASS = "gpu_comm"


@dataclass(frozen=True)
class NvlinkEvidence:
    """The input of the verdict.

    nvml: C({"state", "error"}) of the session.  deltas: by key of a link or port, see baseline.py.
    was_up: key -> the other end, of links and ports that were up since the driver was loaded.
    gpus_on_bus: how many the PCI bus of the host has, null where it cannot be read.
    fabric_manager, kernel, ports: see host.py and ports.py; null where they were not asked for.
    """

    nvml: Mapping[str, Any]
    gpus: Sequence[Mapping[str, Any]]
    deltas: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    was_up: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    gpus_on_bus: int | None = None
    switches: int | None = None
    fabric_manager: Mapping[str, Any] | None = None
    kernel: Mapping[str, Any] | None = None
    kernel_required: bool = False
    ports: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class ExpectedLinks:
    """links: active links of each GPU; by_gpu: the same for single ones, by index, UUID or PCI address.
    gpus: how many there are; ports: InfiniBand or RoCE ports that have to be up, such as C(mlx5_0/1)."""

    links: int | None = None
    by_gpu: Mapping[str, int] = field(default_factory=dict)
    gpus: int | None = None
    ports: Sequence[str] = ()

    def of(self, gpu: Mapping[str, Any]) -> int | None:
        for name in (gpu["uuid"], gpu["pci"], str(gpu["index"])):
            if name is not None and name in self.by_gpu:
                return self.by_gpu[name]
        return self.links


def key_of(gpu: Mapping[str, Any], link: Mapping[str, Any]) -> str:
    """The key of a link in the baseline."""
    return f"{gpu['uuid'] or gpu['pci'] or gpu['index']}/{link['link']}"


def judge(seen: NvlinkEvidence, expected: ExpectedLinks, limits: NvlinkLimits) -> list[GpuFinding]:
    """All findings, in no order of gravity."""
    findings: list[GpuFinding] = []
    if seen.nvml["state"] != "read":
        error = seen.nvml["error"] or {}
        words = ": ".join(filter(None, [error.get("error"), error.get("text")])) or "no reason is known"
        findings.append(
            unknown(f"NVML could not be asked ({seen.nvml['state']}): {words}", _class_unasked(seen, expected))
        )
    else:
        findings.extend(_judge_presence(seen, expected))
        for gpu in seen.gpus:
            findings.extend(_judge_gpu(gpu, seen, expected, limits))
    if seen.fabric_manager is not None:
        findings.extend(judge_manager(seen.fabric_manager, bool(seen.switches)))
    if seen.kernel is not None:
        findings.extend(judge_kernel(seen.kernel, seen.kernel_required))
    if seen.ports is not None:
        findings.extend(judge_ports(seen.ports, seen.deltas, seen.was_up, expected.ports, limits.ports))
    return findings


def _class_unasked(seen: NvlinkEvidence, expected: ExpectedLinks) -> str:
    """The class where NVML does not answer: a host without GPUs or without a driver has lost none, as far as known."""
    if seen.nvml["state"] == "hung":
        return "gpu_lost"
    return class_of_no_answer((seen.nvml["error"] or {}).get("error", ""), bool(seen.gpus_on_bus or expected.gpus))


def _judge_presence(seen: NvlinkEvidence, expected: ExpectedLinks) -> Iterator[GpuFinding]:
    if not seen.gpus and expected.gpus is None:
        words = "NVML lists no GPU, and it is not said that there should be none (expected_gpus)"
        yield unknown(words, "gpu_lost" if seen.gpus_on_bus else "unknown")
    if expected.gpus is not None and len(seen.gpus) != expected.gpus:
        words = f"NVML lists {len(seen.gpus)} GPUs, expected are {expected.gpus}"
        yield fault("gpu_lost", words) if len(seen.gpus) < expected.gpus else warning(words)


def _judge_gpu(
    gpu: Mapping[str, Any], seen: NvlinkEvidence, expected: ExpectedLinks, limits: NvlinkLimits
) -> Iterator[GpuFinding]:
    name = _gpu_label(gpu)
    if gpu["state"] == "lost":
        yield fault("gpu_lost", f"{name} is lost: {gpu['error']}")
        return
    if gpu["state"] == "reset_required":
        yield fault("gpu_fault", f"{name} needs a reset: {gpu['error'] or 'says the driver'}")
    elif gpu["state"] != "read":
        yield unknown(f"{name} could not be read ({gpu['state']}): {gpu['error']}", "gpu_lost")
    yield from (unknown(f"{name}: {what} could not be read: {why}", CLASS) for what, why in gpu["unread"].items())
    if gpu["count"] is not None:
        yield from _judge_count(gpu, seen, expected)
    for link in gpu["links"]:
        yield from _judge_link(gpu, link, seen, limits)
    yield from judge_fabric(name, gpu, bool(seen.switches) or _leads_to_switch(gpu))


def _judge_count(gpu: Mapping[str, Any], seen: NvlinkEvidence, expected: ExpectedLinks) -> Iterator[GpuFinding]:
    """Whether as many links are up as expected."""
    if any(link["state"] is None for link in gpu["links"]):
        return  # that is told link by link
    up, wanted = _links_up(gpu), expected.of(gpu)
    usable = [link for link in gpu["links"] if link["state"] != "absent"]
    words = f"{_gpu_label(gpu)}: {up} of {len(usable)} NVLinks are up"
    down = [link for link in usable if not is_up(link)]
    names = "; ".join(_both_ends(gpu, link, seen) for link in down) or "none is left"
    lost = [_both_ends(gpu, link, seen) for link in down if key_of(gpu, link) in seen.was_up]
    if wanted is not None:
        if up < wanted:
            yield fault(CLASS, f"{words}, expected are {wanted}; not up: {names}")
    elif lost:
        yield fault(CLASS, f"{words}; these were up since the driver was loaded: {'; '.join(lost)}")
    elif up < max(_links_up(other) for other in _same_model(gpu, seen.gpus)):
        most = max(_links_up(other) for other in _same_model(gpu, seen.gpus))
        yield fault(CLASS, f"{words}, GPUs of its model here have {most}; not up: {names}")
    elif down:
        yield _judge_without_measure(gpu, seen, words)


def _judge_without_measure(gpu: Mapping[str, Any], seen: NvlinkEvidence, words: str) -> GpuFinding:
    """The finding where some links are down on all GPUs of the model alike, and no expectation is given."""
    if _links_up(gpu) == 0:
        if seen.switches or _fabric_is_meant(gpu):
            return fault(CLASS, f"{words}, though it belongs to a switched fabric")
        return warning(f"{words}; taken as not used, because nothing says that they should be (expected_links)")
    if seen.switches or _leads_to_switch(gpu):
        return unknown(f"{words} on a switched fabric, and nothing says whether that is meant (expected_links)", CLASS)
    if len(_same_model(gpu, seen.gpus)) == 1:
        return unknown(f"{words}, and nothing says whether that is meant (expected_links)", CLASS)
    return warning(f"{words}, as on every GPU of its model here; taken as meant (expected_links)")


def _judge_link(
    gpu: Mapping[str, Any], link: Mapping[str, Any], seen: NvlinkEvidence, limits: NvlinkLimits
) -> Iterator[GpuFinding]:
    end = _both_ends(gpu, link, seen)
    for what, why in link["unread"].items():
        yield unknown(f"{_gpu_label(gpu)}: {what} of {end} could not be read: {why}", CLASS)
    if link["state"] == "traffic_disabled":
        yield warning(f"{_gpu_label(gpu)}: {end} is active, but carries no traffic by configuration")
    if not is_up(link):
        return
    if not link["counters"] and not link["ber"] and not link["unread"]:
        yield warning(f"{_gpu_label(gpu)}: {end} has no error counters with this driver; only its state was judged")
    for counter, change in seen.deltas.get(key_of(gpu, link), {}).items():
        limit = limits.links.get(counter, -1.0)
        if limit >= 0 and change["per_hour"] > limit:
            yield fault(
                CLASS,
                f"{_gpu_label(gpu)}: {end}: {counter} grew by {change['delta']:.0f}, "
                f"{change['per_hour']:g} an hour; the limit is {limit:g}",
            )
    for kind, rate in link["ber"].items():
        exponent = limits.exponents.get(kind, -1.0)
        if exponent >= 0 and rate["rate"] > 10.0**-exponent:
            words = f"{rate['mantissa']}e-{rate['exponent']}"
            yield fault(CLASS, f"{_gpu_label(gpu)}: {end}: {kind} bit error rate {words}; the limit is 1e-{exponent:g}")


def _both_ends(gpu: Mapping[str, Any], link: Mapping[str, Any], seen: NvlinkEvidence) -> str:
    """A link named by both its ends; for one that is down, the other end is the last known one."""
    remote = link if link["remote"] else seen.was_up.get(key_of(gpu, link), {})
    if not remote.get("remote"):
        return f"link {link['link']} (other end not known)"
    place = f"{remote.get('remote_type') or 'unknown'} {remote['remote']}"
    if remote.get("remote_type") == "gpu":
        other = next((one for one in seen.gpus if one["pci"] == remote["remote"]), None)
        place = place if other is None else f"{_gpu_label(other)}"
    port = remote.get("remote_link")
    return f"link {link['link']} to {place}" + (f" link {port}" if port is not None else "")


def _gpu_label(gpu: Mapping[str, Any]) -> str:
    return f"GPU {gpu['index']}" + (f" ({gpu['pci']})" if gpu["pci"] else "")


def _links_up(gpu: Mapping[str, Any]) -> int:
    return sum(is_up(link) for link in gpu["links"])


def _same_model(gpu: Mapping[str, Any], gpus: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [other for other in gpus if other is gpu or (other["name"] == gpu["name"] and other["count"] is not None)]


def _leads_to_switch(gpu: Mapping[str, Any]) -> bool:
    return any(link["remote_type"] == "switch" for link in gpu["links"])


def _fabric_is_meant(gpu: Mapping[str, Any]) -> bool:
    return (gpu["fabric"] or {}).get("state") in ("in_progress", "completed")
