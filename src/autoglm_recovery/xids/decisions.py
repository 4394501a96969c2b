# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our decision about every Xid, and the reason.

Three rules hold for all of them, and a test holds them:
- a code that asks for a restart of the process is a ``crash``, even if memory was its cause: a class climbs its ladder,
  and ``gpu_fault`` would reset a GPU that has contained its own fault, under everybody else who uses it;
- a code that asks for a reboot is ``gpu_lost``, for the ladder of ``gpu_fault`` begins with a reset;
- a code for which NVIDIA names no remedy but its support, or that NVIDIA lists as unused, is unknown: a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class XidDecision:
    """What one code means to us."""

    failure_class: str | None
    severity: str
    action: str
    why: str
    rule: str = ""


CRASH = ("crash", "warning", "restart_process")
RESET = ("gpu_fault", "critical", "reset_gpu")
LINK_RESET = ("gpu_comm", "critical", "reset_gpu")
PERSON = ("unknown", "warning", "call_person")
NOTED = ("gpu_fault", "warning", "observe")
NO_FAULT = (None, "info", "observe")

_BLANK = "NVIDIA publishes no action; "

# Codes that need a decision of their own.  All others follow from NVIDIA's immediate action, see decide().
OWN: dict[int, XidDecision] = {
    13: XidDecision(
        *CRASH,
        "An exception of the shader engine, nearly always from the program: bad address, bad shader. Its context is"
        " dead, and only a new process gets another. The same GPC and TPC each time points to the GPU: diagnose.",
    ),
    14: XidDecision(*NO_FAULT, "A fault that the driver fakes in its own tests."),
    31: XidDecision(
        *CRASH,
        "The program touched memory it had not mapped. Its context is dead, the GPU is not. On one GPU again and again"
        " with programs known to be good, the GPU is suspect: run diagnostics.",
    ),
    37: XidDecision(*NOTED, "The driver's firmware refused a method; nothing has stopped. Kept for the record."),
    38: XidDecision(
        *NOTED, "A firmware watchdog; NVIDIA asks for nothing. DCGM's name for it, PCIe bus error, is wrong."
    ),
    43: XidDecision(
        "crash",
        "warning",
        "observe",
        "The program's channel was reset for a fault of its own; the GPU is well. NVIDIA asks for nothing, and whether"
        " the service survived its probes tell better than this line: when they fail, they call for the restart.",
    ),
    44: XidDecision(*NOTED, "A fault while contexts were switched, handled by the driver; NVIDIA asks for nothing."),
    45: XidDecision(
        "crash",
        "info",
        "observe",
        "The clean-up of channels after something else: another Xid, or a process that was killed. With another fault"
        " it names the victims; alone it is how every killed CUDA process looks. Acting on it would repair an effect.",
        "consequence",
    ),
    46: XidDecision(*RESET, "The GPU itself stopped answering in time; no process can end that."),
    48: XidDecision(
        *RESET,
        "Data in memory is wrong and could not be corrected. The GPU drains and is reset, which also puts a row remap"
        " or page retirement (63, 64) into effect. It is the root of the 63, 171, 172, 94 or 95 beside it.",
    ),
    54: XidDecision(
        "thermal",
        "critical",
        "quarantine_node",
        "The board's auxiliary power is not connected: the GPU runs throttled, and hands have to plug the cable in.",
    ),
    62: XidDecision(
        *RESET,
        "The power management controller halted. DCGM calls it a thermal violation; the driver's header and NVIDIA's"
        " catalogue name the halt, and only a reset starts the controller again.",
    ),
    63: XidDecision(
        "gpu_fault",
        "warning",
        "observe",
        "A bad row was written down for replacement: the repair works. It takes effect at the next reset; whether one"
        " is due is told by the live counter remap_pending and by the driver, not by this line. Others fail the node.",
    ),
    64: XidDecision(*RESET, "A bad row could not be written down. If remap_failure stands after the reset: replace."),
    66: XidDecision(
        *NOTED, "The driver touched a register it must not; NVIDIA asks for nothing but to look at software."
    ),
    67: XidDecision(*NOTED, "The driver broke a rule its firmware checks. DCGM's name for it, NVLink error, is wrong."),
    74: XidDecision(
        "gpu_comm",
        "critical",
        "switch_comm_path",
        "An NVLink fault; its registers tell harmless from broken. What they do not tell is not guessed: traffic leaves"
        " the link, and a reset follows only where the registers or the driver ask for one.",
        "nvlink4",
    ),
    78: XidDecision(*PERSON, "A vGPU did not start: versions or types do not fit. No repair of ours changes that."),
    79: XidDecision(
        "gpu_lost",
        "critical",
        "reboot_node",
        "The GPU no longer answers on PCIe. It cannot be reset, for it cannot be reached; everything else said about it"
        " afterwards is an effect.",
    ),
    92: XidDecision(
        *NOTED,
        "Many corrected errors: data is right, and rows are remapped before it is not. NVIDIA asks for nothing at once;"
        " a GPU that keeps saying it is worth a diagnosis at the next maintenance.",
    ),
    93: XidDecision(*NOTED, "The InfoROM is written too often. Harmless today; tell NVIDIA's support."),
    94: XidDecision(
        *CRASH,
        "Wrong data, kept inside the process that read it: that one restarts, the others go on. A reset is due only if"
        " the line itself (RST: Yes), the driver or remap_pending says so.",
    ),
    95: XidDecision(
        *RESET, "Wrong data that could not be kept inside one process: nothing on this GPU can be trusted."
    ),
    106: XidDecision(*NO_FAULT, "A test message from out-of-band management."),
    107: XidDecision(*NO_FAULT, "A test message from out-of-band management."),
    108: XidDecision(
        "crash", "warning", "observe", "A program reached for memory of a peer that it had not mapped. As 137."
    ),
    109: XidDecision(
        *RESET,
        "A context would not leave the engine, so none other gets in. Two plugins ignore it as the program's fault, and"
        " it may have begun there, but the engine stays stuck until the reset that NVIDIA asks for.",
    ),
    119: XidDecision(*RESET, "The driver's firmware on the GPU no longer answers, so nothing can be asked of the GPU."),
    120: XidDecision(*RESET, "The driver's firmware on the GPU failed."),
    121: XidDecision(
        "gpu_comm",
        "warning",
        "observe",
        "An error on the chip-to-chip link that was corrected. NVIDIA asks for nothing; a link that dies says 173.",
    ),
    136: XidDecision(*LINK_RESET, "An NVLink did not train. It stays down until the GPU is reset."),
    137: XidDecision(
        "crash",
        "warning",
        "observe",
        "A peer's memory was reached without right, by the program as a rule. Its probes tell whether it survived.",
    ),
    140: XidDecision(*RESET, "Uncorrectable memory errors that slipped past the usual path; as 48."),
    141: XidDecision(*NOTED, "An error on CUDA's fast path that was handled; NVIDIA asks for nothing."),
    142: XidDecision(*PERSON, "A video encoder failed. Inference uses none; NVIDIA names no remedy but its support."),
    143: XidDecision(*RESET, "The GPU did not initialise. A reset tries again; then a reboot."),
    151: XidDecision(
        "gpu_lost",
        "critical",
        "reboot_node",
        "Key rotation of confidential computing failed: the virtual machine that owns the GPU must start again.",
    ),
    152: XidDecision(*NOTED, "The deep-learning accelerator's MMU; not on data-centre boards."),
    153: XidDecision(*NOTED, "A timeout of the deep-learning accelerator; not on data-centre boards."),
    154: XidDecision(
        "gpu_fault",
        "warning",
        "call_person",
        "The driver's own verdict, which it prints: none, reset, reboot, drain... We do what it says, and it may raise"
        " what we would do anyway. Without the words there is nothing to follow.",
        "follow_driver",
    ),
    155: XidDecision(*LINK_RESET, "An NVLink event of NVLink 5's software; the link does not return without a reset."),
    156: XidDecision(*RESET, "A failed part of the GPU is to be switched off, which a reset does."),
    157: XidDecision(*NOTED, "A failed part could not be switched off. NVIDIA asks for nothing now; tell its support."),
    158: XidDecision(*RESET, "The GPU ran into a fatal timeout."),
    159: XidDecision(
        "unknown",
        "warning",
        "call_person",
        "A reset is due if managed memory or vGPU is in use, nothing otherwise, and a log line does not tell which."
        " Drivers that print it also say their own verdict (Xid 154), which is followed.",
    ),
    160: XidDecision(*NOTED, "A channel that failed often was retired, as designed."),
    161: XidDecision(*NOTED, "A channel that failed often could not be retired. NVIDIA asks for nothing at once."),
    162: XidDecision(*NO_FAULT, "Power smoothing is in use again."),
    163: XidDecision("thermal", "warning", "observe", _BLANK + "power smoothing is out of use, the GPU goes on."),
    164: XidDecision("thermal", "warning", "observe", _BLANK + "power smoothing wears out: plan a replacement."),
    165: XidDecision(*PERSON, _BLANK + "power smoothing is worn out, and neither reset nor reboot brings it back."),
    166: XidDecision(
        *LINK_RESET, _BLANK + "encrypted NVLink saw traffic before it was set up; links are set up anew by a reset."
    ),
    167: XidDecision(
        "gpu_lost", "critical", "reboot_node", _BLANK + "PCIe timed out for good, so the GPU cannot be reached: as 79."
    ),
    168: XidDecision(*RESET, _BLANK + "memory the firmware needs has errors and capacity shrank; a reset remaps it."),
    169: XidDecision(*RESET, _BLANK + "the security controller halted, and only a reset starts it again: as 62."),
    170: XidDecision(*LINK_RESET, _BLANK + "encrypted NVLink reported a fault; links are set up anew by a reset."),
    171: XidDecision(*RESET, "Details of a 48, which is its root: the wrong data was in DRAM.", "consequence"),
    172: XidDecision(*RESET, "Details of a 48, which is its root: the wrong data was in SRAM.", "consequence"),
    173: XidDecision(
        *LINK_RESET, _BLANK + "the chip-to-chip link is down, and a reset is the least that brings it up."
    ),
    174: XidDecision("crash", "info", "observe", _BLANK + "the driver ended a process's channels in silence."),
    175: XidDecision(*RESET, _BLANK + "the memory subsystem failed; nothing on this GPU can be trusted: as 95."),
    176: XidDecision(*NOTED, _BLANK + "a PCIe error that was corrected. Many of them: look at seat and riser."),
}
OWN.update(
    dict.fromkeys(
        range(144, 151),
        XidDecision(
            "gpu_comm",
            "critical",
            "call_person",
            "NVLink 5: the unit, the status and the severity in the line select one of 95 rules, by driver version. The"
            " printed severity wins over the table; a line that no rule knows is unknown, never harmless.",
            "nvlink5",
        ),
    )
)

# What NVIDIA's buckets ask for, in our words.
BUCKETS = {
    "CONTACT_SUPPORT": "ask your support",
    "RESTART_APP": "restart the program",
    "IGNORE": "nothing to do",
    "WORKFLOW_XID_45": "alone: restart the fabric manager; else follow the other Xid",
    "WORKFLOW_XID_48": "reset; with 63 or 64 drain and reset; then look at the SRAM threshold",
    "WORKFLOW_XID_13": "once: the program; same GPC and TPC again: diagnostics",
    "WORKFLOW_XID_31": "once: the program; same GPU again: diagnostics",
    "WORKFLOW_NVLINK_ERR": "decode the registers in the line",
    "WORKFLOW_NVLINK5_ERR": "decode IntrInfo and errorStatus in the line",
    "RESET_GPU": "reset the GPU",
    "RESTART_BM": "restart the machine",
    "RESTART_VM": "restart the virtual machine that owns the GPU",
    "XID_154": "do what the line says",
    "XID_154_EVAL": "do what an Xid 154 beside it says, else restart the program",
    "CHECK_MECHANICALS": "check seat, cables and connectors",
    "UPDATE_SWFW": "update software and firmware",
    "CHECK_UVM": "reset if managed memory or vGPU is in use, else nothing",
    "CHECK_APP/CUDA": "look at the program",
    "INVESTIGATE_SW": "look at the software",
    "INVESTIGATE_SW_USER": "look for software or a person that did it",
    "INVESTIGATE_LINK_SI": "look at the link's signal",
    "IGNORE (sympathetic)": "an effect: follow its cause",
    "SYMPATHETIC_REPORT_SOLO": "an effect; alone: report it",
    "XID_137_FLOW": "debug the program",
    "N/A Informational only regarding another Xid": "only informs about another Xid",
    "Solo: RESTART_FM Not Solo: IGNORE (follow other Xid)": "alone: restart the fabric manager; else follow the other",
}

_BY_BUCKET = {
    "restart_process": XidDecision(
        *CRASH,
        "The engine's channel was torn down with its context. A new process gets a new one; the GPU goes on.",
    ),
    "drain_then_reset_gpu": XidDecision(*RESET, "NVIDIA asks for a reset of the GPU."),
    "observe": XidDecision(*NOTED, "NVIDIA asks for nothing."),
}
UNUSED = XidDecision(
    *PERSON,
    "NVIDIA lists the number as unused since Ampere, so a line that carries it means something nobody has published."
    " Peers that reboot for it repeat older tables.",
)
UNCLEAR = XidDecision(*PERSON, "NVIDIA names no remedy but its support.")


def decide(row: Mapping[str, Any]) -> XidDecision:
    """The decision on one row of the catalogue."""
    own = OWN.get(row["xid"])
    if own is not None:
        return own
    if row["normalised_action"] == "drain_then_escalate":
        return UNUSED if row.get("description") == "Unused" else UNCLEAR
    return _BY_BUCKET[row["normalised_action"]]


# Where NVIDIA's short name is missing, misleading or too long for a line.
TITLES = {
    8: "A channel stopped processing",
    14: "Fake error of a driver test",
    43: "A channel was reset for a fault of its program",
    45: "Channels removed after an earlier fault",
    46: "GPU timeout",
    48: "Uncorrectable (double-bit) memory error",
    57: "Memory link training failed",
    58: "Memory error (before Ampere)",
    62: "Power management controller halted",
    63: "Row remap or page retirement recorded",
    64: "Row remap or page retirement could not be recorded",
    92: "High rate of corrected memory errors",
    108: "Remote NVLink translation error",
    152: "Deep-learning accelerator MMU error",
    166: "Encrypted NVLink: traffic before set-up",
    167: "PCIe timed out for good",
    168: "Memory capacity reduced by errors",
    169: "Security controller halted",
    170: "Encrypted NVLink fault",
    171: "Uncorrectable DRAM error (details of 48)",
    172: "Uncorrectable SRAM error (details of 48)",
    173: "Chip-to-chip link failed",
    174: "A process's channels ended in silence",
    175: "Memory subsystem error",
    176: "Corrected PCIe error",
}


def title(row: Mapping[str, Any]) -> str:
    """A few words for one code."""
    if row["xid"] in TITLES:
        return TITLES[row["xid"]]
    named = str(row.get("description") or "")
    if named in ("", "Unused"):
        return "Unused since Ampere"
    return named.replace(": Unknown Error", " error")
