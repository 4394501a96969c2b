# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is known about one code, as plain values: what it means, who says what, what we do and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from autoglm_recovery.knowledge.faults.catalogue.numbers import CatalogueEntry, Overrides, lookup_sxid, lookup_xid
from autoglm_recovery.xids.decisions import BUCKETS, decide

UNKNOWN_WHY = (
    "No catalogue and no driver header that we have names this number. It is never taken as harmless and never acted"
    " on: a person is called. Your policy can name it under faults."
)
SXID_WHY = (
    "The severity and the words printed in the line decide, for numbers move from driver to driver: fatal on one link"
    " resets the GPU at its other end, fatal without a link reboots the node, non-fatal and correctable are observed,"
    " heat sheds load. Without a printed severity only a number that is always fatal counts; else a person is called."
)
_NVLINK4 = (
    "The line has seven register words; bits of the first, third, fourth and fifth have a meaning (Hopper). The gravest"
    " bit decides; a bit nobody explains is unknown. An ECC or parity error, more than twice on one link, is hardware."
)
_NVLINK5 = (
    "IntrInfo (the first word) names the unit, in bits 9:5 before driver R575 and in bits 6:0 since; errorStatus (the"
    " second word) the error; bits 25:20 the event. Without the driver's version both readings have to agree."
)
_SXID_SOURCES = (
    "NVIDIA Fabric Manager user guide (class and recovery)",
    "NVIDIA/open-gpu-kernel-modules 595.45.04 (names of SXids)",
)
_PEERS = {
    "gpud": "leptonai/gpud",
    "nvsentinel": "NVIDIA/NVSentinel",
    "eks_nma": "EKS node agent",
    "azurehpc_nhc": "Azure NHC",
    "gcm": "facebookresearch/gcm",
    "dcgm_health": "DCGM health",
    "k8s_device_plugin": "k8s-device-plugin",
    "dcgm_kmsg_fallback": "DCGM kernel log",
}


@cache
def facts() -> Mapping[str, Any]:
    """Return the facts that the distribution carries."""
    read: dict[str, Any] = json.loads(files(__package__).joinpath("catalogue.json").read_text("utf-8"))
    return read


def xids(overrides: Overrides | None = None) -> list[dict[str, Any]]:
    """Return everything about all known Xids."""
    return [explain_xid(row["xid"], overrides) for row in facts()["xids"]]


def sxids(overrides: Overrides | None = None) -> list[dict[str, Any]]:
    """Return everything about all known SXids."""
    return [explain_sxid(row["sxid"], overrides) for row in facts()["sxids"]]


def explain_xid(code: int, overrides: Overrides | None = None) -> dict[str, Any]:
    """Return everything about one Xid.  ``known`` is false for a number that nobody knows."""
    entry = lookup_xid(code, overrides)
    row = next((row for row in facts()["xids"] if row["xid"] == code), None)
    if row is None:
        return {**_entry(entry, overrides), "why": UNKNOWN_WHY}
    return {
        **_entry(entry, overrides),
        "why": decide(row).why,
        "nvidia": {
            "description": row.get("description"),
            "immediate_action": row.get("nvidia_immediate_action"),
            "immediate_words": BUCKETS.get(row.get("nvidia_immediate_action", "")),
            "investigatory_action": row.get("nvidia_investigatory_action"),
            "applies_to": row.get("applies_to", []),
            "driver_verdict_since": row.get("xid154_linkage"),
        },
        "decode": _decode(entry),
        "peers": {_PEERS[name]: _peer(value) for name, value in row["peers"].items()},
        "disagreements": row.get("disagreements", []),
        "sources": row["sources"],
    }


def explain_sxid(code: int, overrides: Overrides | None = None) -> dict[str, Any]:
    """Return everything about one SXid.  ``known`` tells whether the driver's header names it."""
    entry = lookup_sxid(code, overrides=overrides)
    row = next((row for row in facts()["sxids"] if row["sxid"] == code), None)
    told = {**_entry(entry, overrides), "known": row is not None, "why": SXID_WHY}
    if row is None:
        return {**told, "title": "in no catalogue"}
    return {
        **told,
        "mnemonic": row["driver_header_name"],
        "title": row.get("name") or row["driver_header_name"].removeprefix("HW_").replace("_", " ").lower(),
        "nvidia": {
            "class": row.get("fm_guide_class"),
            "recovery": row.get("recovery") or None,
            "unit": row["unit"],
            "ecc": row.get("ecc"),
        },
        "disagreements": [note for note in facts()["sxid_notes"] if str(code)[:2] in ("28", "29") and "drift" in note],
        "sources": list(_SXID_SOURCES),
    }


def _entry(entry: CatalogueEntry, overrides: Overrides | None) -> dict[str, Any]:
    own = ((overrides or {}).get(entry.kind) or {}).get(entry.code) or {}
    return {
        "kind": entry.kind,
        "code": entry.code,
        "known": entry.known,
        "mnemonic": entry.mnemonic,
        "title": entry.title,
        "failure_class": entry.failure_class,
        "severity": entry.severity,
        "action": entry.action,
        "overridden": entry.overridden,
        "override_reason": own.get("reason"),
    }


def _decode(entry: CatalogueEntry) -> dict[str, Any] | None:
    """How the rest of the line changes what the number means."""
    if entry.rule == "nvlink4":
        rules = [
            {"register": rule["reg"], "bits": rule["bits"], "says": rule["verdict"]}
            for rule in facts()["xid74_registers"]["rules"]
        ]
        return {"how": _NVLINK4, "rules": rules}
    if entry.rule != "nvlink5":
        return None
    rules = [
        {
            "unit": rule["unit"],
            "intrinfo_before_r575": rule["intrinfo_v1"],
            "intrinfo_since_r575": rule["intrinfo_v2"],
            "error_status": rule.get("error_status"),
            "severity": rule["severity"],
            "says": rule["immediate_action"],
            "says_if_fatal": rule.get("action2"),
            "look_at": rule["investigatory_action"],
        }
        for rule in facts()["nvlink5"]["rules"]
        if rule["xid"] == entry.code
    ]
    return {"how": _NVLINK5, "rules": rules}


def _peer(value: Any) -> str:
    """What a peer makes of a code, in a few words."""
    if not isinstance(value, dict):
        return "yes" if value is True else str(value)
    if "event_type" in value:
        return " ".join([value["event_type"], *value["repair_actions"]])
    return " ".join(filter(None, [str(value.get("result") or ""), f"({value['label']})" if value.get("label") else ""]))
