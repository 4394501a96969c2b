# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an editor says of each key of the policy file while it is written; docs/policy.md says more.

By section, as the models are called, and then by key.  ``published`` puts them into the JSON Schema, and a test holds
that none is missing and none left over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TOKEN = "A file with a bearer token in its first line; read anew for each use."  # noqa: S105 - says what it is
_AUTHORITIES = "A file of authorities (PEM) that are trusted in place of the system's."
_LASTS = "For how long without a break, until it is an alert."
_CA_FILE = "/etc/ssl/autoglm-ca.pem"

DESCRIPTIONS: Mapping[str, Mapping[str, str]] = {
    "Policy": {
        "monitoring": "What Prometheus watches, and whom the receiver asks.",
        "recovery": "What is done about each failure class, and whether a person is asked first.",
        "guardrails": "What may delay or hold an action whatever the ladder says.",
        "launchers": "Where playbooks run: on the receiver's machine, or as job templates of AWX.",
        "notify": "Whom the receiver tells, and of what; a list of addresses or routes in short.",
        "retention": "How long the database keeps what is over.",
        "faults": "The fleet's own word on Xid and SXid numbers and kernel lines, where the catalogue is wrong.",
        "classify": "Which class alerts without the label failure_class have; the first entry that matches counts.",
        "classify_known_alerts": "Give well-known alerts of other projects a class, after classify.",
        "actions": "The site's own actions by name: playbooks that may be rungs of a ladder.",
        "classes": "The site's own failure classes by name.",
    },
    "Monitoring": {
        "interval": "How often Prometheus scrapes and evaluates; 500ms or more.",
        "metrics": "What is watched beside health: an alert is rendered for each that is named, with its threshold.",
        "thresholds": "From when on each of the metrics is too much; a value alone stands for above.",
        "heartbeat": "When a service counts as unresponsive.",
        "prometheus": "Who is asked for verify, and for who of the fleet is heard of.",
        "alertmanager": "Who is asked which alerts it has still, and may be told to silence what is being repaired.",
        "receiver": "When the receiver tells people that alerts do not get to it, or that it does not act on them.",
    },
    "Thresholds": {
        "cpu_load": "All CPUs of a host together.",
        "gpu_memory": "The memory of a GPU, while requests of the service on it fail.",
        "latency": "What 95 of 100 requests of a service stay below.",
        "memory": "A host's main memory, without what the kernel would give back.",
        "request_queue": "Requests that wait in an engine, more and more of them.",
    },
    "CpuThreshold": {"above": "The share that is too much.", "lasts": _LASTS},
    "MemoryThreshold": {"above": "The share that is too much.", "lasts": _LASTS},
    "GpuMemoryThreshold": {"above": "The share that is the limit.", "lasts": _LASTS},
    "LatencyThreshold": {
        "of": "Until the first token, or until the whole answer.",
        "above": "The time that is too long.",
        "lasts": _LASTS,
    },
    "QueueThreshold": {"above": "How many may wait and still become more.", "lasts": _LASTS},
    "Heartbeat": {
        "interval": "One beat; monitoring.interval by default.",
        "timeout": "How long an answer may take.",
        "retries": "Beats without an answer until a service counts as unresponsive.",
    },
    "Prometheus": {
        "url": "The address of Prometheus, as in http://prometheus.example.org:9090.",
        "token_file": _TOKEN,
        "ca_path": _AUTHORITIES,
        "every": "How often it is asked.",
        "timeout": "How long an answer may take.",
    },
    "Alertmanager": {
        "url": "The address of one Alertmanager, not of several behind one name.",
        "token_file": _TOKEN,
        "ca_path": _AUTHORITIES,
        "every": "How often it is asked which alerts it has.",
        "timeout": "How long an answer may take.",
        "complete_after": "An answer counts only where its Watchdog was sent within this, and it has run for as long.",
        "silence": "Make silences for the alerts of an incident while a playbook repairs something.",
    },
    "OwnWatch": {
        "watchdog": "How long no Watchdog may be heard until people are told; false where nobody sends one.",
        "grace": "How long after its start a receiver waits for the first Watchdog that it ever hears.",
        "unreachable": "How long Prometheus, Alertmanager or the database may not answer until people are told.",
        "stuck": "How long each step of a background thread may fail until people are told.",
    },
    "Recovery": {
        "autonomy": "act, ask (a person approves) or watch (only tell); or one for each class and pool.",
        "persistent_within": "A failure that comes back within this time begins at the next rung.",
        "flapping": "When an alert that fires again and again is acted on later, then by a person; or false.",
        "gpu_memory": "When hardware that was acted on before is left to a person.",
        "strategies": "The ladder of each failure class: its actions, their pauses and their proof.",
    },
    "AutonomyScope": {
        "default": "What holds where neither class nor pool has its own.",
        "classes": "By failure class; counts before default, also where it is less cautious.",
        "pools": "By pool; of class and pool the more cautious counts.",
    },
    "Flapping": {
        "times": "How often an alert fires within the window until it is flapping.",
        "window": "The time within which it is counted.",
        "delay": "How much longer each action on it waits; twice as long with each time more.",
        "person_at": "From how many times on a person is called.",
    },
    "GpuMemory": {
        "attempts": "How often an action on hardware runs for one GPU.",
        "within": "The time within which it is counted, over incidents and hosts.",
    },
    "Strategy": {
        "action": "The first action; alone it means this rung and those above it in the default ladder.",
        "then": "The actions after it, in order; [] ends the ladder there.",
        "delay": "The wait before the first action; an alert that resolves meanwhile has nothing done.",
        "retries": "How often an action that failed is tried again before the next one.",
        "backoff": "The pause before the first retry, doubled each time; or base, factor, max and jitter.",
        "cooldown": "The least time between two actions on one target.",
        "timeout": "A playbook that takes longer is ended and has failed.",
        "resolve_within": "How long the alert may go on firing after a playbook that succeeded.",
        "verify": "probe, the playbook's own proof; or PromQL, with $host, $service, $pool and $gpu.",
        "launcher": "Where its playbooks run; launchers.default by default.",
        "evidence": "required: nothing is changed where it cannot be saved; best_effort: the action goes on.",
    },
    "Backoff": {
        "base": "The pause before the first retry.",
        "factor": "By how much each pause is longer than the one before.",
        "max": "The longest pause.",
        "jitter": "Up to which share a pause is lengthened, so that what failed together is not retried together.",
    },
    "Guardrails": {
        "max_concurrent_runs": "Playbooks at the same time, over the fleet.",
        "max_concurrent_runs_per_pool": "Playbooks at the same time in one pool.",
        "max_actions_per_host_per_hour": "After so many a person is called.",
        "max_pool_unavailable": "Most members of a pool out of service at once: a share such as 50%, or a number.",
        "max_fleet_unavailable": "The same of the hosts that have services in the inventory.",
        "circuit_breaker": "When an action or a pool whose runs fail has nothing run for a while.",
        "maintenance_windows": "When and for what actions wait.",
        "silences": "Whose silences keep actions waiting.",
        "patience": "After waiting so long for a pool, the fleet or a breaker, a person is called.",
        "refuse_unknown": "Nothing destructive on a failure that nobody has named; cannot be turned off.",
    },
    "CircuitBreaker": {
        "failures": "How many of the last runs in a row have to fail.",
        "window": "The time within which they count.",
        "open_for": "How long nothing is run then, before one trial.",
    },
    "MaintenanceWindow": {
        "name": "What people are shown as the reason.",
        "hosts": "For these hosts, by their names in the inventory.",
        "pools": "For these pools.",
        "match": "For alerts that these matchers fit, in Alertmanager's syntax.",
        "start": "From then on, with an offset from UTC, as in 2026-12-01T20:00:00+01:00.",
        "end": "Until then, with an offset from UTC.",
        "weekly": "Every week, instead of start and end.",
        "timezone": "The zone of weekly's times, as in Europe/Berlin.",
    },
    "Weekly": {
        "days": "The days on which it begins: mon, tue, wed, thu, fri, sat, sun.",
        "from": 'When it begins, in quotes, as in "22:00".',
        "to": "When it ends, in quotes; on the next day where it is not after from.",
    },
    "Silences": {
        "alertmanager": "The address of the Alertmanager whose silences count.",
        "token_file": _TOKEN,
        "ca_path": _AUTHORITIES,
        "every": "How often it is asked for its silences.",
        "timeout": "How long an answer may take.",
        "when_unreachable": "act: what is not known to be silenced is acted on; hold: it waits.",
    },
    "Launchers": {
        "default": "Where playbooks run whose strategy or action says nothing.",
        "local": "Playbooks on the receiver's machine.",
        "awx": "Playbooks as job templates of AWX.",
    },
    "LocalLauncherSettings": {
        "execution_environment": "A container image in which playbooks run; none by default.",
        "artifacts_keep": "Of how many runs outputs and evidence are kept.",
        "artifacts_max_age": "How long outputs and evidence of runs are kept.",
    },
    "ExecutionEnvironment": {
        "image": "The image's name.",
        "pull": "When podman fetches it.",
        "mounts": "/ON/THIS/MACHINE:/IN/THE/CONTAINER[:ro], for SSH keys above all.",
        "options": "Words for podman run, such as --userns=keep-id.",
    },
    "AwxLauncherSettings": {
        "url": "The address of AWX.",
        "token_file": "A file with an OAuth2 token of AWX in its first line.",
        "ca_path": _AUTHORITIES,
        "api_path": "Where its API is below the address.",
        "timeout": "How long one request may take.",
        "follow_timeout": "How long a whole job may take where its strategy names no shorter timeout.",
        "organization": "The organization in which the templates are.",
        "templates": "The job template of each action; without an entry it is autoglm ACTION.",
    },
    "AwxTemplate": {
        "name": "The template's name.",
        "workflow": "It is a workflow job template.",
    },
    "Notify": {
        "routes": "Whom to tell what; an address alone is told everything.",
        "console": "The console's address as people reach it, for links in notices.",
        "digest": "How long is collected what would have been done under autonomy: watch.",
    },
    "Route": {
        "urls": "Addresses as Apprise knows them.",
        "urls_file": "A file with one address a line, which may hold secrets; read for each notice.",
        "occasions": "Of what it is told; everything by default.",
        "severities": "Only of incidents whose alerts have one of these severities.",
        "classes": "Only of incidents of these failure classes.",
        "pools": "Only of incidents in these pools.",
    },
    "Retention": {
        "incidents": "How long an incident is kept from its end on, with its alerts, runs, notices and timeline.",
        "alerts": "How long alerts that belong to no incident are kept, and what could not be read.",
    },
    "Faults": {
        "xid": "By Xid number.",
        "sxid": "By SXid number.",
        "kind": "By the kind of a kernel line that carries no number.",
    },
    "FaultOverride": {
        "failure_class": "The class that it is, one of the built-in ones.",
        "severity": "How grave it is.",
        "action": "What may be done about it.",
        "reason": "Why the fleet knows better; shown to people.",
    },
    "Classification": {
        "match": "Matchers in Alertmanager's syntax; expressions are RE2's.",
        "failure_class": "The class of what they fit.",
        "nature": "What the end of such an alert proves: state, event or sticky.",
    },
    "OwnAction": {
        "playbook": "acme.ops.power_cycle of a collection, or an absolute path.",
        "destructive": "It may destroy something: never on an unknown failure, and evidence is saved first.",
        "host_wide": "It takes the whole host out of service, and not only the service that failed.",
        "launcher": "Where it runs; launchers.default by default.",
        "template": "Its job template of AWX, or workflow.",
        "extra_vars": "Plain data that the playbook gets beside what the receiver tells it; no secrets.",
        "proof": "What proves its repair: the service's own probe, the playbook's good end, or the alerts alone.",
    },
    "OwnClass": {
        "ladder": "Its actions in order, built-in or own; without any a person is called.",
        "serving": "What has failed like this still serves, and does not count as out of service.",
        "cause_before": "The class of which this one is rather the cause than the effect.",
    },
}

# For what has neither a default that shows it nor an example on a page.
EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "Prometheus": {"token_file": "/etc/autoglm/prometheus-token", "ca_path": _CA_FILE},
    "Alertmanager": {
        "url": "http://alertmanager.example.org:9093",
        "token_file": "/etc/autoglm/alertmanager-token",
        "ca_path": _CA_FILE,
    },
    "Silences": {
        "alertmanager": "http://alertmanager.example.org:9093",
        "token_file": "/etc/autoglm/alertmanager-token",
        "ca_path": _CA_FILE,
    },
    "AutonomyScope": {"classes": {"gpu_fault": "ask"}, "pools": {"chat": "watch"}},
    "Strategy": {"then": ["failover_and_rebuild"]},
    "Guardrails": {"max_concurrent_runs_per_pool": 1},
    "MaintenanceWindow": {"match": 'rack="7"'},
    "AwxLauncherSettings": {"organization": "Operations"},
    "AwxTemplate": {"name": "power cycle with approval"},
    "FaultOverride": {"reason": "our batch of H100 corrupts jobs until the row is remapped"},
}
