# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts that prefixes of kernel messages are made of, each known by its structure.

Source of the forms: Linux C(kernel/printk/printk.c) (/dev/kmsg, netconsole), RFC 5424, util-linux, systemd, rsyslog,
Kubernetes' CRI, Open MPI (C(--tag-output)), the exports of Grafana, Kibana and CloudWatch (CSV).
"""

from __future__ import annotations

import re

# A record of /dev/kmsg; extended netconsole may write the kernel's release before it, who receives it the sender.
KMSG = re.compile(r"(?:[^\s\"{]{1,255} )?(?:\d{1,3}\.\d{1,3}[\w.+~-]{0,80},)?\d{1,4},\d{1,20},(\d{1,20}),[^;\n]{0,80};")
PRIORITY = re.compile(r"<\d{1,3}>")
# The length before a syslog message on TCP, a priority, version, time, host, program, its pid, a name of the message,
# structured data.
RFC5424 = re.compile(
    r"(?:\d{1,6} (?=<))?(?:<\d{1,3}>)?1 (?P<at>\d{4}-\d\d-\d\dT[0-9:.,+Zz-]{5,32}|-) (?P<host>[^\s\"{]{1,255}) "
    r"(?P<program>[^\s\"{]{1,64}) [^\s\"{]{1,128} [^\s\"{]{1,64} "
    r"(?:-|(?:\[(?:[^\]\"\n]|\"(?:[^\"\\]|\\.){0,200}\"){1,400}\])+)(?: |\Z)"
)
# dmesg -x, Talos, busybox: a facility and a level. Other facilities than the kernel's are other programs' lines.
LEVEL = re.compile(
    r"(?P<facility>[a-z][a-z0-9]{2,8}) {0,8}: {0,8}(?:emerg|alert|crit|err|warn|warning|notice|info|debug) {0,8}:\s?"
)
# HOST kernel: and kernel: alone; structured data of RFC 5424; ESXi's world id; the words of a node problem detector.
KERNEL_TAG = re.compile(
    r"(?:[^\s:\"'=]{1,255}[ \t])?(?:[a-z0-9]+\.[a-z]+[ \t])?(?:vm)?(?:kernel|kernwarning)(?:\[\d{1,10}\])?"
    r"(?::[ \t]?(?:INFO: (?=NVRM))?|"
    r"[ \t]-[ \t]-[ \t](?:-[ \t]|(?:\[(?:[^\]\"\n]|\"(?:[^\"\\]|\\.){0,200}\"){1,40}\])+[ \t]?)?)"
)
WORLD = re.compile(r"(?:\w{2}\(\d{1,4}\) )?(?:vmkwarning: )?cpu\d{1,4}:\d{1,12}(?: opID=\w{1,16})?\)|\(XEN\) ")
# How relays and ESXi say a level once more between the kernel's mark and its message.
LEVEL_AGAIN = re.compile(r"(?:ALERT|CRIT|CRITICAL|ERR|ERROR|WARN|WARNING|NOTICE|INFO): (?=NVRM: |nvidia-nvswitch\d)")
GLOG = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d{1,9} +\d{1,10} [\w./-]{1,80}:\d{1,6}\] ")
ESCAPED = re.compile(r"\\x([0-9a-fA-F]{2})")
# A row of CSV up to a field in quotes.
ROW = re.compile(
    r"(?P<columns>(?:\"[^\"\n]{0,100}\"|[^\"{,;\t\n]{0,60})(?:[,;\t](?:\"{1,3}[^\"\n]{0,100}\"{1,3}|[^\"{,;\t\n]{0,60})){0,12})"
    r"[,;\t]\""
)
# What tools put before lines of a log: quotes of mail, grep -n and grep of files, CRI, Loki, ansible, keys of JSON and
# of logfmt, elements of lists, code in Markdown, the lines of a diff, the ranks of MPI, the names of docker compose.
LABELS = (
    re.compile(r"[>|+*][> |]{0,12}(?=\S)|- (?=\S)|[+-](?=\[[ \d])"),
    re.compile(r"\d{1,4}\. (?=\S)|[\"'`]{1,3}(?=\S)"),
    re.compile(
        r"(?:/[^\s:]{1,200}|[\w.-]{1,100}\.(?:log|txt|gz|xz)|(?:[\w.+-]{1,100}/){1,12}[\w.+-]{1,100})[:-]"
        r"(?:\d{1,9}[:-](?!\d\d-\d\d[T ]))?\s?"
    ),
    re.compile(r"\d{1,9}[:-](?!\d)\s?"),
    re.compile(r"(?:stdout|stderr) [FP] "),
    re.compile(r"\{[a-z_]\w{0,40}=\"[^{}\n]{0,400}\} "),
    re.compile(r"[\w.-]{1,253} \| [A-Z]{2,12} \| rc=\d{1,3} (?:>>|\| \((?:stdout|stderr)\))\s?"),
    re.compile(r"[\w.-]{1,100} {1,40}\| (?=\S)"),
    re.compile(r"\[\d{1,6},\d{1,6}\]<std(?:out|err)>: ?"),
    re.compile(r"(?:MESSAGE|msg|message)=\"?"),
)
# pdsh and clush put the host before each line, consoles a prompt.
HOST_LABEL = re.compile(
    r"(?!(?i:trace|debug|info|notice|warn|warning|err|error|fatal|crit|critical)\b)"
    r"[A-Za-z0-9][\w.@-]{0,252}(?: [\w.@-]{1,32})?:[ \t]{1,4}|"
    r"\[(?!(?i:trace|debug|info|notice|warn|warning|err|error|fatal|crit|critical)\])[\w./@ -]{1,120}\][:|]?[ \t]{1,4}"
)
PROMPT = re.compile(r"(?:[A-Za-z0-9][\w.-]{0,252} login|[Pp]assword):[ \t]{1,4}")
TAGGED = re.compile(r"(?:^|\s)[^\s\[\]:\"']{1,64}\[\d{1,10}\]: ")
# HOST PROGRAM[PID]: of the journal; the kernel itself writes so of a process whose name holds a blank.
OTHERS = re.compile(r"[^\s\[\]:]{1,255} [^\s\[\]:]{1,64}\[\d{1,10}\]: ")
SEGFAULT = re.compile(r"[^\n]{1,64}\[\d{1,10}\]: (?:segfault at|bad frame|unhandled signal)")
PROGRAM = re.compile(r"[^\s:\[\]]{1,255}\s{1,4}[^\s:\[\]]{1,64}:\s")
LEVEL_WORD = re.compile(
    r"\b(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL)\b|\blevel=|"
    r"\[(?:trace|debug|info|notice|warn|warning|error|fatal|crit|alert|emerg)\]"
)
# A place in a program's source, as its logger writes it.
PLACE = re.compile(r"\b[\w/-]{1,80}\.(?:py|go|cc|cpp|rs|java|js|ts):\d{1,6}\b")
QUOTING = re.compile(
    r"[\"'`(]\s{0,2}\Z|\b(?:comm|exe|name|task|cmd|path|proctitle)=|\bComm:|audit\(|segfault at|process '"
)
# Where the kernel's own log may begin after words that nobody knows.
MARK_WITHIN = re.compile(
    r"(?<![^\s>|\])}\"])(?:kernel(?:\[\d{1,10}\])?: |\[ {0,8}\d{1,8}\.\d{6}(?: {0,12}<[ \d.]{1,24}>)?\] )"
)
