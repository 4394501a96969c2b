# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel message in any frame is read; the same words in somebody else's message are not; what is neither is said."""

from __future__ import annotations

import json

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.lines.framing import unframe
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.lines.reading import parse_line
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.lines.stream import encode_block, encode_stream
from hypothesis import given
from hypothesis import strategies as st

XID = "NVRM: Xid (PCI:0000:65:00): 79, pid=1234, name=python3, GPU has fallen off the bus."
# Each with the tool that writes it.
FRAMES = {
    "journalctl -o short-iso": "2026-04-17T19:56:43+0200 gpu1 kernel: {}",
    "journalctl -o short-full": "Fri 2026-04-17 19:56:43 CEST gpu1 kernel: {}",
    "journalctl -o short-unix": "1747213421.123456 gpu1 kernel: {}",
    "journalctl -o short-monotonic": "[ 1234.567890] gpu1 kernel: {}",
    "journalctl -o short-delta": "[ 1234.567890 <    0.000012 >] gpu1 kernel: {}",
    "journalctl -o export": "MESSAGE={}",
    "journalctl -o verbose": "    MESSAGE={}",
    "dmesg -d": "[ 1234.567890 <    0.000012>] {}",
    "dmesg -d -T": "[Fri Apr 17 19:56:43 2026 <    0.000012>] {}",
    "dmesg -e": "[Apr17 19:56] {}",
    "dmesg -e, same minute": "[  +0.000012] {}",
    "dmesg -e in a locale with a decimal comma": "[  +0,000012] {}",
    "dmesg -x -T": "kern  :err   : [Fri Apr 17 19:56:43 2026] {}",
    "dmesg --color": "\x1b[32m[ 1234.567890] \x1b[0m\x1b[33mNVRM: \x1b[0m" + XID[len("NVRM: ") :],
    "journalctl on a terminal": "Apr 17 19:56:43 gpu1 kernel: \x1b[0;1;31m{}\x1b[0m",
    "dmesg -T in German": "[Fr Mai 17 19:56:43 2026] {}",
    "dmesg -T in French": "[ven. avril 17 19:56:43 2026] {}",
    "dmesg -T in Chinese": "[五 4月 17 19:56:43 2026] {}",
    "dmesg -T in Polish": "[pią kwi 17 19:56:43 2026] {}",
    "dmesg -T in Turkish": "[Cum Nis 17 19:56:43 2026] {}",
    "journalctl in Chinese": "4月 17 19:56:43 gpu1 kernel: {}",
    "journalctl in Korean": "4월 17 19:56:43 gpu1 kernel: {}",
    "CRI": "2026-04-17T19:56:43.123456789Z stdout F [ 1234.567890] {}",
    "kubectl logs --timestamps": "2026-04-17T19:56:43.123456789Z [ 1234.567890] {}",
    "kubectl logs --prefix": "[pod/dmesg-x7/dmesg] [ 1234.567890] {}",
    "docker compose logs": "dmesg-1  | [ 1234.567890] {}",
    "Talos": "kern:     err: [2026-04-17T19:56:43.123456789Z]: {}",
    "talosctl dmesg of several nodes": "172.20.0.2: kern:     err: [2026-04-17T19:56:43.123456789Z]: {}",
    "pdsh": "gpu1: [ 1234.567890] {}",
    "pdsh, dmesg -T": "gpu1: [Fri Apr 17 19:56:43 2026] {}",
    "pdsh, bare": "gpu1: {}",
    "clush, syslog": "gpu1: Apr 17 19:56:43 gpu1 kernel: {}",
    "ansible -o": "gpu1 | CHANGED | rc=0 >> {}",
    "ansible, a result": '    "msg": "{}"',
    "grep -n": "1234:[ 1234.567890] {}",
    "grep in files": "/var/log/syslog:Apr 17 19:56:43 gpu1 kernel: [ 1234.567890] {}",
    "grep in rotated files": "kern.log.1.gz:Apr 17 19:56:43 gpu1 kernel: {}",
    "quoted mail": "> [ 1234.567890] {}",
    "mail quoted twice": "> > [ 1234.567890] {}",
    "RFC 5424": "<3>1 2026-04-17T19:56:43.123456+02:00 gpu1 kernel - - - {}",
    "RFC 5424 with structured data": '<3>1 2026-04-17T19:56:43.123456+02:00 gpu1 kernel - - [meta x="1"][o y="\\]"] {}',
    "Loki": '2026-04-17T19:56:43+02:00 {{job="syslog"}} [ 1234.567890] {}',
    "glog": "I0417 19:56:43.123456    1 log.go:1] kernel: {}",
    "node problem detector": "TaskHung kernel: INFO: {}",
    "serial console": "[ 1234.567890] gpu1 login: {}",
    "ESXi 6.7": "2026-04-17T19:56:43.123Z cpu12:2097152){}",
    "ESXi 8": "2026-04-17T19:56:43.123Z In(182) vmkernel: cpu12:2097152){}",
    "Xen": "(XEN) [2026-04-17 19:56:43] {}",
    "netconsole": "3,1234,1234567890,-,ncfrag=0/100;{}",
    "printk.caller": "[ 1234.567890][  C12] {}",
    "a vmcore": "<3>[ 1234.567890] [   T12] {}",
    "date by a script": "2026/04/17 19:56:43 kernel: {}",
    "rsyslog without a host": "Apr 17 19:56:43 kernel: [ 1234.567890] {}",
    "windows": "[ 1234.567890] {}\r",
    "dmesg -J, an entry on a line": '      {{"pri": 3, "time": 1234.567890, "msg": "{}"}},',
    "dmesg -J on one line": '{{"dmesg": [{{"fac": "kern", "pri": "err", "time": 1234.567890, "msg": "{}"}}]}}',
    "dmesg -T in Vietnamese": "[T6 Th04 17 19:56:43 2026] {}",
    "dmesg -T with a zone": "[Fri Apr 17 19:56:43 CEST 2026] {}",
    "dmesg -T as en_US's date": "[Fri 17 Apr 2026 07:56:43 PM CEST] {}",
    "a day before its month": "04 Aug, 14:03:32 fd183fd0-4585 kernel: {}",
    "Docker for Mac": "2016-07-31 16:26:53 +0000 UTC kern.err kernel: {}",
    "colours of which the escape was lost": "[32m[ 1234.567890] [0m[33mNVRM: [0m" + XID[len("NVRM: ") :],
    "colours as rsyslog escapes them": "Apr 17 19:56:43 gpu1 kernel: #033[0;1;31m{}#033[0m",
    "colours as cat -v shows them": "^[[32m[ 1234.567890] ^[[0m{}",
    "blanks of a browser": "[\u00a01234.567890]\u00a0{}",
    "a console that moves back": "\x08\x1b[2K[ 1234.567890] {}",
    "RFC 5424 over TCP": "178 <4>1 2026-04-17T19:56:43.123456Z gpu1 kernel - - - {}",
    "RFC 5424 without a priority": "1 2026-04-17T19:56:43.123456Z gpu1 kernel - - - {}",
    "RFC 5424 with a process and a name": "<4>1 2026-04-17T19:56:43.123456Z gpu1 kernel 0 kmsg - {}",
    "RFC 5424 without a time": "<4>1 - gpu1 kernel - - - {}",
    "netconsole with the release": "6.8.0-31-generic,3,1234,1234567890,-,ncfrag=0/100;{}",
    "netconsole as its receiver writes it": "2026-04-17 19:56:43 10.0.0.1 3,1234,1234567890,-;{}",
    "docker compose logs of the bare message": "dmesg-1  | {}",
    "Docker's json-file, cut": '{{"log":"[ 1234.567890] {}',
    "Docker's json-file in a list": '{{"log":"[ 1234.567890] {}\\n","stream":"stdout"}},',
    "fluentd": '2026-04-17 19:56:43.123456789 +0000 kernel: {{"host":"gpu1","ident":"kernel","message":"{}"}}',
    "fluent-bit": '[0] kmsg.0: [1713383803.1, {{"priority"=>3, "sec"=>1234, "msg"=>"{}"}}]',
    "OpenTelemetry": '{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{{"stringValue":"{}"}}}}]}}]}}]}}',
    "Azure": '{{"Facility":"kern","SyslogMessage":"{}","ProcessName":"kernel"}}',
    "a list of texts in JSON": '        "[ 1234.567890] {}",',
    "a list of texts in YAML": "  - '[ 1234.567890] {}'",
    "ansible, a result on one line": 'changed: [gpu1] => {{"rc": 0, "stdout": "[ 1.0] usb 1-1: x\\n[ 2.0] {}"}}',
    "CSV of a log": '"2026-04-17 19:56:43.000","Apr 17 19:56:43 gpu1 kernel: {}"',
    "CSV with columns": '2026-04-17T19:56:43Z,gpu1,kernel,"{}"',
    "Open MPI": "[1,0]<stdout>:[ 1234.567890] {}",
    "code in Markdown": "`[ 1234.567890] {}`",
    "a diff": "-[ 1234.567890] {}",
    "grep in a folder": "logs/gpu1/dmesg:[ 1234.567890] {}",
    "a warning of ESXi": "2026-04-17T19:56:43.123Z Wa(180) vmkwarning: cpu12:2097152)WARNING: {}",
}
FOREIGN = {
    "another program, with its pid": "Nov  1 10:00:00 node-1 root[77]: {}",
    "another program, without a pid": "Nov  1 10:00:00 node-1 logger: {}",
    "another program in the journal, monotonic": "[ 1234.567890] gpu1 dcgm[55]: {}",
    "another program that quotes the whole line": "Nov  1 10:00:00 n watcher[7]: saw [ 1234.567890] {}",
    "another program, RFC 3339": "2025-02-23T16:24:18.123456+01:00 node-1 exporter: {}",
    "a Python logger": "2026-04-17 19:56:43,123 ERROR watcher.py:33 {}",
    "a Python logger that quotes": "2026-04-17 19:56:43,123 INFO watcher saw '{}'",
    "an engine's log": "INFO 04-17 19:56:43 [worker.py:33] saw '{}'",
    "glog": "E0417 19:56:43.123456    1 xid.go:77] {}",
    "Talos, another facility": "user: warning: [2026-04-17T19:56:43.1Z]: {}",
    "the journal's JSON of another program": '{{"_TRANSPORT":"syslog","SYSLOG_IDENTIFIER":"dcgm","MESSAGE":"{}"}}',
    "zap": '{{"level":"info","caller":"x/y.go:12","msg":"{}"}}',
    "a process name in an OOM kill": "[ 1.0] Memory cgroup out of memory: Killed process 5 ({}) total-vm:1kB, UID:0",
    "an audit record": '[ 1.0] audit: type=1701 audit(1.0:1): pid=7 comm="{}" exe="/x" sig=11',
    "an audit record, bare": 'audit: type=1701 audit(1.0:1): pid=7 comm="{}" exe="/x" sig=11',
    "a file's name": "[ 1.0] a.out[7]: segfault at 0 ip 0 sp 0 error 4 in {}[55d0+1000]",
    "a path": "[ 1.0] process '/tmp/{}' started with executable stack",
    "a program with its place": "(EngineCore_0 pid=9) ERROR 04-17 19:56:43 [core.py:33] {}",
    "a program's JSON in syslog": 'Apr 17 19:56:43 gpu1 watcher[7]: {{"level":"info","msg":"{}"}}',
    "the same, cut": 'Apr 17 19:56:43 gpu1 watcher[7]: {{"level":"info","msg":"{}',
    "the same, without a pid": 'Apr 17 19:56:43 gpu1 watcher: {{"level":"info","msg":"{}"}}',
    "a Python logger's JSON": '{{"asctime":"x","levelname":"ERROR","name":"watcher","message":"{}"}}',
    "slog": '{{"time":"x","level":"ERROR","source":{{"function":"f","line":7}},"msg":"{}"}}',
    "the journal's JSON, cut": '{{"MESSAGE":"{}","SYSLOG_IDENTIFIER":"dcgm","_CO',
    "RFC 5424 of another program": "<30>1 2026-04-17T19:56:43.1Z gpu1 dcgm 123 - - {}",
    "CSV of another program's line": '"2026-04-17 19:56:43.000","Apr 17 19:56:43 gpu1 dcgm[1]: {}"',
    "another program in the journal, monotonic, without a pid": "[ 1234.567890] nvidia-persistenced: {}",
    "another driver's text": "[ 1.0] EXT4-fs warning: {}",
    "the table of tasks in an OOM kill": "[ 1.0] [   1234]     0  1234     1234      123    45678        0       0 {}",
    "a control group": "[ 1.0] cgroup: fork rejected by pids controller in /user.slice/{}",
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_the_message_is_read_in_every_frame(frame: str) -> None:
    event = parse_line(frame.format(XID))
    assert (event["kind"], event["xid"], event["pci"], event["pid"]) == ("xid", 79, "0000:65:00", 1234)


@pytest.mark.parametrize("frame", FOREIGN.values(), ids=FOREIGN)
def test_the_words_of_others_are_no_fault_of_the_gpu(frame: str) -> None:
    assert parse_line(frame.format(XID))["kind"] in ("none", "oom_kill", "segfault")


@pytest.mark.parametrize(
    "frame",
    [
        "when you see {} in the log, call somebody",
        "Fri about noon, gpu1 in rack 7 said {}",
        "2026-04-17T19:56:43Z gpu1: {}",
        "2026-04-17T19:56:43.1Z stdout F [ERROR] {}",
        '"2026-04-17T19:56:43.123Z","gpu1","dcgm","{}"',
    ],
)
def test_a_frame_that_nobody_knows_is_said_and_never_quiet(frame: str) -> None:
    event = parse_line(frame.format(XID))
    assert (event["kind"], event["trigger"]) == ("unreadable", "NVRM: Xid")
    assert "no prefix that is known" in event["reason"]


def test_in_such_a_frame_each_fault_is_said_not_only_those_with_a_number() -> None:
    for text, kind in (
        ("NVRM: GPU0 _kgspRpcRecvPoll: GSP RM heartbeat timed out", "gsp_heartbeat"),
        ("amdgpu 0000:28:00.0: ring gfx_0.0.0 timeout, signaled seq=57638, emitted seq=57641", "amdgpu_ring_timeout"),
        ("mlx5_core 0000:9a:00.0 ibs1: Link down", "ib_link_down"),
    ):
        event = parse_line(f"somebody in rack 7 saw {text}")
        assert (event["kind"], event["trigger"]) == ("unreadable", kind)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("[ 1.0] NVRM: Xid (PCI:[5]: segfault at 0 ip 0000 sp 0000 error 4 in x[1+1]", "segfault"),
        ("[ 1.0] NVRM: Xid invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0", "oom_invoked"),
        ("[ 1.0] Out of memory: Killed process 5 (NVRM: Xid (PCI:) total-vm:1kB, UID:0", "oom_kill"),
    ],
)
def test_a_process_may_be_named_like_the_driver(line: str, kind: str) -> None:
    assert parse_line(line)["kind"] == kind


@pytest.mark.parametrize(
    ("line", "trigger"),
    [
        ("[ 1.0] NVRM: Xid (PCI:0000:65:00) 79", "NVRM: Xid"),
        ("Nov  1 10:00:00 n kernel: NVRM: Xid (PCI:0000", "NVRM: Xid"),
        ("[ 1.0] nvidia-nvswitch0: SXid (PCI:?): 20034", "SXid"),
        ("[ 1.0] oom-kill:constraint=", "oom-kill:constraint="),
        ("[ 1.0] watchdog: BUG: soft lockup - CP", "soft lockup"),
        ("[ 1.0] rcu: INFO: rcu_sched self-detected stall o", "detected stall"),
        ("[ 1.0] NVRM: unheard of [NV_ERR_GPU_IS_LOST]", "NV_ERR_"),
        ("[ 1.0] INFO: task x blocked for more than ages", "blocked for more than"),
    ],
)
def test_a_message_that_was_cut_or_changed_is_said(line: str, trigger: str) -> None:
    assert parse_line(line)["trigger"] == trigger


JOURNAL = {"_TRANSPORT": "kernel", "SYSLOG_IDENTIFIER": "kernel", "_SOURCE_MONOTONIC_TIMESTAMP": "1500000"}


def test_the_journals_json_has_the_kernels_clock() -> None:
    framed = unframe(json.dumps({**JOURNAL, "MESSAGE": XID}))
    assert (framed.text, framed.at, framed.clock) == (XID, 1.5, "boot")


def test_the_journal_writes_numbers_where_a_message_is_no_printable_text() -> None:
    line = json.dumps({**JOURNAL, "MESSAGE": list(f"\x1b[31m{XID}\x1b[0m".encode())}, separators=(",", ":"))
    assert parse_line(line)["xid"] == 79
    assert json.loads(encode_block(line.encode()))["xid"] == 79


def test_an_object_in_an_object_has_the_inner_ones_clock_and_author() -> None:
    inner = {"_TRANSPORT": "kernel", "_SOURCE_MONOTONIC_TIMESTAMP": "1234567890", "MESSAGE": XID}
    assert unframe(json.dumps({"log": json.dumps(inner) + "\n"})).at == 1234.56789
    assert unframe(json.dumps({"log": json.dumps({"logger": "watcher", "msg": XID})})).foreign


def test_the_name_of_a_file_takes_no_year_from_a_date() -> None:
    framed = unframe(f"/var/log/syslog:2026-04-17T19:56:43+02:00 gpu1 kernel: {XID}")
    assert (framed.text, framed.at, framed.clock) == (XID, 1776448603.0, "wall")


def test_docker_and_clouds_wrap_lines_in_objects() -> None:
    for wrapped in (
        {"log": f"[ 1.5] {XID}\n", "stream": "stdout", "time": "2026-04-17T19:56:43.1Z"},
        {"jsonPayload": {"message": f"[ 1.5] {XID}"}, "resource": {"type": "gce_instance"}},
        {"@timestamp": "2026-04-17T19:56:43.1Z", "message": f"Apr 17 19:56:43 gpu1 kernel: {XID}"},
        {"version": "1.1", "host": "gpu1", "short_message": XID},
    ):
        assert parse_line(json.dumps(wrapped))["xid"] == 79


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_log_in_utf_16_is_read_however_it_is_cut(encoding: str) -> None:
    log = f"[五 4月 17 19:56:43 2026] {XID}\r\n上 quiet\r\n[ 1.0] {XID}\r\n".encode(encoding)
    for size in (1, 7, 64, len(log)):
        chunks = (log[at : at + size] for at in range(0, len(log), size))
        rows = [json.loads(row)["kind"] for row in b"".join(encode_stream(chunks)).splitlines()]
        assert rows == ["xid", "none", "xid"], size


def kinds(log: str) -> list[str]:
    return [json.loads(row)["kind"] for row in encode_block(log.encode()).splitlines()]


def test_a_line_break_in_a_files_name_makes_no_fault() -> None:
    crash = f"[    1.5] a.out[7]: segfault at 0 ip 0 sp 0 error 4 in x\n{XID}[55d0+1000]\n{XID}[5+1]\n[    2.0] quiet\n"
    assert kinds(crash) == ["segfault", "unreadable", "unreadable", "none"]
    path = f"[    1.5] process '/tmp/x\n{XID}' started with executable stack\n"
    assert kinds(path) == ["none", "unreadable"]
    assert kinds(f"[    1.5] a.out[7]: segfault at 0 ip 0 sp 0 error 4 in x[55d0+1000]\n{XID}\n") == ["segfault", "xid"]


def test_the_drivers_own_three_lines_stay_three_parts() -> None:
    lines = "[ 1.0] NVRM: The NVIDIA GPU 0000:b3:00.0\n   NVRM: (PCI ID: 10de:26b5) installed in this system has\n"
    lines += "   NVRM: fallen off the bus and is not responding to commands.\n"
    assert kinds(lines) == ["gpu_off_bus_multiline"] * 3


WORDS = st.from_regex(r"[a-zA-Z0-9_.-]{1,20}", fullmatch=True)


@given(st.lists(WORDS, min_size=1, max_size=4), st.sampled_from([": ", "[42]: ", " "]))
def test_whatever_stands_before_it_the_line_is_never_passed_over_but_as_anothers(words, end) -> None:
    line = " ".join(words) + end + XID
    event = parse_line(line)
    if event["kind"] == "none":
        assert unframe(line).foreign
    else:
        assert event["kind"] == "unreadable" or event["xid"] == 79


@given(st.text(min_size=1, max_size=15).filter(lambda name: "\n" not in name), st.integers(1, 9999))
def test_no_process_name_is_the_kernels_word(name, pid) -> None:
    for line in (
        f"[ 1.0] {name}[{pid}]: segfault at 0 ip 0 sp 0 error 4",
        f"[ 1.0] Out of memory: Killed process {pid} ({name}) total-vm:1kB, anon-rss:1kB, UID:0 pgtables:1kB",
        f"[ 1.0] INFO: task {name}:{pid} blocked for more than 122 seconds.",
        f"[ 1.0] {name} invoked oom-killer: gfp_mask=0x1, order=0",
    ):
        assert parse_line(line)["kind"] not in ("xid", "sxid", "gpu_off_bus_text")
