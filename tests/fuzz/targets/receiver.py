# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the receiver reads: payloads, answers of Alertmanager, Prometheus and AWX, events of runs, operators' files."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx

from autoglm_recovery.durations import parse_duration
from autoglm_recovery.knowledge.host.plain import plain
from autoglm_recovery.policy.load import PolicyError, parse_policy
from autoglm_recovery.policy.matchers import parse_matchers
from autoglm_recovery.receiver.access.entries import AuthError, holds_open_token, read_entries
from autoglm_recovery.receiver.fleet import presence
from autoglm_recovery.receiver.fleet.fleet import Fleet, Host, InferenceService, InventoryError, fleet_from
from autoglm_recovery.receiver.intake.payload import (
    LONGEST_TEXT,
    PayloadError,
    WebhookPayload,
    parse_webhook,
    redelivery_key,
)
from autoglm_recovery.receiver.notify import own_state
from autoglm_recovery.receiver.notify.inert import JOINER, inert
from autoglm_recovery.receiver.observe import silences
from autoglm_recovery.receiver.rehearse.backtest.prometheus import RecordError, _error_text, _Found
from autoglm_recovery.receiver.runs import kept_evidence
from autoglm_recovery.receiver.runs.awx import jobs, launch_request
from autoglm_recovery.receiver.runs.awx.client import AwxRefused, AwxUnavailable, read_answer
from autoglm_recovery.receiver.runs.local import run_directory
from autoglm_recovery.receiver.runs.narrate import narrate
from autoglm_recovery.receiver.triage.subject import subject_of
from autoglm_recovery.receiver.triage.target import Refusal, resolve
from autoglm_recovery.receiver.verify import proof
from tests.fuzz.target import FIXTURES, Target, files, text

FLEET = Fleet(
    {
        "node-a": Host("node-a", "192.0.2.11", (InferenceService("llama", "chat"),), ("ip-192-0-2-11",)),
        "gpu-node-1": Host("gpu-node-1", "10.20.0.11", (InferenceService("llama", "chat"),)),
    }
)


def _payloads() -> list[bytes]:
    return [*files(FIXTURES / "alertmanager", "*.json"), *files(FIXTURES / "alerts", "*.json")]


def _payload(data: bytes) -> WebhookPayload:
    webhook = parse_webhook(data)
    for alert in webhook.alerts:
        redelivery_key(webhook.group_key, alert)
        subject_of(alert.labels)
        try:
            named = resolve(alert.labels, FLEET)
        except Refusal as refused:
            assert str(refused)
        else:
            assert named.target.host in FLEET.hosts
    return webhook


def _payload_holds(data: bytes, found: object) -> None:
    assert isinstance(found, WebhookPayload)
    sent = json.loads(data)["alerts"]
    assert len(found.alerts) + len(found.rejected) == len(sent), "an alert was lost"
    assert all(rejected.reason for rejected in found.rejected)
    for alert in found.alerts:
        json.dumps(asdict(alert), allow_nan=False).encode()
        assert all(len(value) <= LONGEST_TEXT for value in alert.labels.values())
        assert alert.ends_at is None or alert.ends_at < 253_402_300_800


def _from_json(read: Callable[[Any], object]) -> Callable[[bytes], object]:
    """Answers come to these readers as documents; those who ask refuse what is no JSON."""

    def answer(data: bytes) -> object:
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            document = None
        return read(document)

    return answer


def _proof_holds(data: bytes, found: object) -> None:
    assert isinstance(found, proof.Proof)
    if found.holds:
        document = json.loads(data)
        assert document["status"] == "success", "a repair is proven by an answer that is no success"
        assert document["data"]["result"], "a repair is proven by nothing"


def _presence(document: object) -> object:
    roll = presence.looked(presence.NOT_SET_UP, document, FLEET, 1000.0, 40.0)
    return [roll.of(host, service, 1000.0) for host in FLEET.hosts for service in (None, "llama")]


def _record(document: Any) -> object:
    """As ``PrometheusRecord`` reads it, which makes these errors its own."""
    found = _Found(15.0)
    try:
        found.add(document, 0.0, 1e9)
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise RecordError(f"answers, but not as Prometheus does: {error!r}"[:500]) from error
    return [found.spans, found.warnings]


def _silences(document: object) -> object:
    found = silences.read_silences(document)
    known = silences.SilenceSnapshot(found)
    return [known.covering([{"host": "node-a", "alertname": "X"}], 1_796_155_200.0), found]


def _awx(data: bytes) -> object:
    """An answer of AWX, taken for each thing that AWX is asked for."""
    request = httpx.Request("GET", "https://awx/api/v2/jobs/7/")
    answer = read_answer(httpx.Response(200, content=data, request=request), data)
    found: list[object] = [
        jobs.standing(answer, 60.0),
        jobs.overdue(answer, "Sat, 28 Nov 2026 21:00:00 GMT", 60.0, 60.0),
        launch_request.carries(answer, "m"),
        launch_request.check_launched(answer, {"limit": "x", "extra_vars": {launch_request.MARK: "m"}}, "job", "t"),
        launch_request.other_limit(answer, "t"),
        jobs.told([answer], 0, whole=True),
    ]
    listed = jobs.listed(answer)
    found += [jobs.told(listed, 0, whole=True), jobs.told_nodes(listed, 0, 1.0), jobs.waits_for_approval(listed)]
    for check in (
        lambda: launch_request.check_prompts(answer, "t"),
        lambda: launch_request.check_slicing(answer),
        lambda: launch_request.check_host(listed, listed, "node-a"),
        lambda: launch_request.check_nodes(listed, {7: answer}, 3),
        lambda: launch_request.number_of(
            launch_request.only_template(listed, launch_request.Template("autoglm restart_process"))
        ),
        lambda: jobs.job_id(answer, "job"),
    ):
        try:
            found.append(check())
        except (launch_request.LaunchRefused, ValueError) as error:
            found.append(type(error).__name__)
    return found


def _awx_holds(data: bytes, found: object) -> None:
    assert isinstance(found, list)
    standing = found[0]
    if standing.rc == 0:
        assert json.loads(data)["status"] == "successful", "a job is taken for one that succeeded"


def _refused_by_awx(data: bytes) -> object:
    """Statuses and headers with a body of any kind."""
    request = httpx.Request("GET", "https://awx/api/v2/jobs/7/")
    said = []
    for status in (204, 302, 400, 404, 429, 500, 503):
        headers = [(b"retry-after", data[:40].replace(b"\n", b"")), (b"location", data[:80].replace(b"\n", b""))]
        try:
            said.append(read_answer(httpx.Response(status, content=data, request=request, headers=headers), data))
        except (AwxRefused, AwxUnavailable) as error:
            assert len(str(error)) < 2000
            said.append((str(error), getattr(error, "wait_s", None)))
    return said


def _event(document: Any) -> object:
    """A line that ansible-runner writes of a run.  An event without a time tells nothing that can be placed."""
    event = document if isinstance(document, dict) else {}
    told = []
    with contextlib.suppress(KeyError, ValueError):
        told = [line.as_dict() for line in narrate(event)]
    for line in told:
        assert all(len(value) <= 700 for value in line.values() if isinstance(value, str))
    given = kept_evidence.given(event)
    return [told, None if given is None else plain(kept_evidence.as_text([given]).replace("\n", "").replace("\t", ""))]


def _timeline(data: bytes) -> object:
    """The lines that a run told, as its directory has them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "events.jsonl").write_bytes(data)
        # A line that cannot be read is told as of when the file was written.
        return [{k: v for k, v in line.items() if k != "at"} for line in run_directory.told(Path(folder), 0)]


def _timeline_holds(data: bytes, found: object) -> None:
    """A cursor counts lines: none is left out."""
    assert isinstance(found, list)
    assert len(found) == data.replace(b"\r", b"\n").count(b"\n") or b"\r" in data
    assert all(isinstance(line["kind"], str) and isinstance(line["text"], str) for line in found)


def _kept(data: bytes) -> object:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "evidence-1.json").write_bytes(data)
        return kept_evidence.kept(Path(folder))


def _inventory(document: Any) -> object:
    fleet = fleet_from(document if isinstance(document, dict) else {})
    assert fleet.serving <= set(fleet.hosts), "a host serves that is none of the inventory's"
    return [sorted(map(repr, fleet.hosts.values())), sorted(map(repr, fleet.pools)), sorted(fleet.serving)]


def _access(data: bytes) -> object:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "access")
        path.write_bytes(data)
        holds_open_token(data.decode("ascii", "replace"))
        try:
            return read_entries(path)
        except AuthError as error:
            assert "correct-horse-battery" not in str(error), "a secret is repeated"
            raise AuthError(str(error).replace(folder, "")) from error


def _policy(data: bytes) -> object:
    return parse_policy(text(data)).model_dump(mode="json")


def _notice(data: bytes) -> str:
    return inert(text(data))


def _notice_holds(_data: bytes, found: object) -> None:
    assert isinstance(found, str)
    assert all(character.isprintable() for character in found.replace("\n", "").replace(JOINER, ""))
    assert not set("*`~|<>") & set(found)
    assert "@" not in found.replace("@\u2060", "")


_SILENCE = {
    "id": "8d1b7a5e-7c0e-4b5e-b1f5-0a1f3e0b0a11",
    "status": {"state": "active"},
    "updatedAt": "2026-12-01T20:00:00.000Z",
    "comment": "swapping the card",
    "createdBy": "ann",
    "startsAt": "2026-12-01T20:00:00.000Z",
    "endsAt": "2026-12-01T22:00:00.000Z",
    "matchers": [{"isEqual": True, "isRegex": False, "name": "host", "value": "node-a"}],
}
_EXPRESSION = {"isEqual": True, "isRegex": True, "name": "alertname", "value": "X|Y.*(a+)+b"}
_VECTOR = {
    "status": "success",
    "data": {
        "resultType": "vector",
        "result": [
            {
                "metric": {"job": "inference", "host": "node-a", "service": "llama", "instance": "a:1"},
                "value": [990.0, "995.5"],
            },
            {"metric": {"job": "node", "instance": "10.20.0.11:9100"}, "value": [990.0, "-995"]},
        ],
    },
}
_MATRIX = {
    "status": "success",
    "warnings": ["w"],
    "data": {
        "resultType": "matrix",
        "result": [{"metric": {"alertname": "X", "host": "a"}, "values": [[15, "1"], [30, "1"]]}],
    },
}
_JOB = {
    "id": 7,
    "type": "job",
    "status": "successful",
    "elapsed": 12.3,
    "created": "2026-11-28T20:59:00.000000Z",
    "job_explanation": "",
    "result_traceback": "",
    "extra_vars": '{"autoglm_run": "m"}',
    "event_processing_finished": True,
    "ignored_fields": {"limit": "x"},
    "job_slice_count": 1,
    "ask_limit_on_launch": True,
    "ask_variables_on_launch": True,
    "inventory_needed_to_start": False,
    "passwords_needed_to_start": [],
}
_LISTED = {
    "count": 2,
    "next": None,
    "results": [
        {"id": 7, "name": "autoglm restart_process", "inventory": 3, "job_slice_count": 1, "type": "job_template"},
        {"id": 3, "name": "node-a", "enabled": True, "counter": 1, "created": "2026-11-28T20:59:00Z"},
        {"id": 9, "summary_fields": {"unified_job_template": {"id": 7, "unified_job_type": "job"},
         "job": {"id": 8, "type": "job", "name": "n", "status": "failed"}}},
    ],
}  # fmt: skip
_EVENTS = (
    {"event": "runner_on_ok", "created": "2026-11-28T20:59:00.123456", "event_data": {
        "task": "Look", "task_action": "autoglm.recovery.inference_health", "host": "node-a", "duration": 1.5,
        "res": {"verdict": "unhealthy", "failure_class": "crash", "reasons": ["gone"], "last_words": ["bye"],
                "changed": True}}},
    {"event": "runner_on_failed", "created": "2026-11-28T20:59:00+00:00", "event_data": {
        "task": "Fence", "task_action": "autoglm.recovery.fence", "host": "node-a",
        "res": {"msg": "a newer run", "fence": {"refused_by": 17}, "holder": {"who": "ann"}}}},
    {"event": "runner_on_ok", "created": "2026-11-28T20:59:00", "event_data": {
        "task": "Save", "task_action": "autoglm.recovery.crash_snapshot", "host": "node-a", "res": {"path": "/var/x",
        "excerpts": [{"name": "a.log", "text": "x", "cut": False}], "unreadable": [{"name": "gpu", "reason": "no"}]}}},
)  # fmt: skip
_TIMELINE = (
    b'{"at": 1796155200.5, "kind": "task", "text": "Look at the service: ok (1.5 s)"}\n'
    b'{"at": 1796155201.0, "kind": "proof", "text": "unhealthy: gone", "verdict": "unhealthy",'
    b' "failure_class": "crash"}\n'
    b'{"at": 1796155202, "kind": "fenced", "text": "a newer run", "mark": 1796155200000000}\n'
)
_INVENTORY = {
    "_meta": {"hostvars": {
        "node-a": {"ansible_host": "192.0.2.11", "autoglm_aliases": ["a1"], "autoglm_services": [
            {"name": "llama", "pool": "chat", "unit": "llama.service", "url": "http://127.0.0.1:8080"}]},
        "node-b": {"autoglm_services": []}}},
    "all": {"children": ["gpus", "ungrouped"]},
    "gpus": {"hosts": ["node-a", "node-b"]},
}  # fmt: skip
_GIVEN = {"host": "node-a", "path": "/var/x", "excerpts": [{"name": "a.log", "text": "x", "cut": False}]}
_PAGES = {
    "version": 1,
    "pages": [
        {"key": "k", "text": "t", "since": 1.5, "told": ["a"], "well_since": None, "over_at": 2.0, "heard_over": []}
    ],
}
_POLICY = (
    b"monitoring:\n  interval: 2s\n  metrics: [gpu_memory, cpu_load, request_queue]\n"
    b"recovery:\n  strategies:\n    oom:\n"
    b"      action: restart_process\n      delay: 1s\n    deadlock:\n      action: clear_queue_and_reset\n",
    b'classify:\n  - match: \'alertname=~"Vllm.*",severity!="info"\'\n    failure_class: crash\n    nature: state\n'
    b"guardrails:\n  max_concurrent_runs: 2\n  max_unavailable: 50%\nnotify:\n  - urls: ['json://localhost']\n",
    b"maintenance:\n  - {days: [sat], from: '22:00', to: '06:00', zone: UTC}\nlaunchers:\n  local:\n"
    b"    execution_environment: {image: 'quay.io/a/ee:1', mounts: ['/etc/a:/root/.ssh:ro'],\n"
    b"      options: [--userns=keep-id]}\n"
    b"recovery:\n  strategies:\n    hang: {verify: 'up{host=\"$host\"} > 0'}\n"
    b"monitoring:\n  prometheus: {url: 'http://prometheus:9090'}\n",
    b"a: &a [1, 2]\nb: *a\nrecovery: &r {autonomy: ask}\n",
)
_ACCESS = (
    b"# name role credential\nalertmanager sender sha256:" + b"0" * 64 + b"\nci viewer correct-horse-battery\n"
    b"alice operator pbkdf2-sha256:600000:Zm9yIHRoZSBkb2NzIQ==:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n"
    b"robot operator cert:CN=deploy-robot\n",
)
_NOTICES = (
    b"node-a: **restart** of <b>vllm</b> failed @everyone see "
    b"https://x.example/a?b=c_d_#e [click](http://evil)\n# heading\n1. item &lt;",
    b"__init__ a_b_c ||spoiler|| `code` ![i](u) <@123> #channel",
)


def _json(*documents: object) -> Callable[[], list[bytes]]:
    return lambda: [json.dumps(document).encode() for document in documents]


TARGETS = (
    Target("alert-payload", _payload, _payloads, (PayloadError,), _payload_holds, growth=64),
    Target(
        "silences",
        _from_json(_silences),
        _json([_SILENCE], [_SILENCE, {**_SILENCE, "matchers": [_EXPRESSION]}]),
        (ValueError,),
    ),
    Target(
        "proof",
        _from_json(proof.read),
        _json(_VECTOR, {"status": "success", "data": {"resultType": "scalar", "result": [1, "0"]}}),
        (ValueError,),
        _proof_holds,
    ),
    Target("presence", _from_json(_presence), _json(_VECTOR), (ValueError,)),
    Target("prometheus-record", _from_json(_record), _json(_MATRIX), (RecordError,), growth=64),
    Target("prometheus-error", _error_text, _json({"status": "error", "error": "no"}), growth=8),
    Target(
        "awx-answer",
        _awx,
        _json(_JOB, {**_JOB, "status": "pending"}, _LISTED),
        (AwxRefused, AwxUnavailable),
        _awx_holds,
        growth=64,
    ),
    Target("awx-refusal", _refused_by_awx, _json(_JOB, {"detail": "no"}), growth=64),
    Target("run-event", _from_json(_event), _json(*_EVENTS), growth=64),
    Target("run-timeline", _timeline, lambda: [_TIMELINE], holds=_timeline_holds, growth=64),
    Target("inventory", _from_json(_inventory), _json(_INVENTORY), (InventoryError, ValueError), growth=64),
    Target("kept-evidence", _kept, _json(_GIVEN), (ValueError,)),
    Target("own-watch-file", lambda data: own_state.read(text(data)), _json(_PAGES), (ValueError,)),
    Target("access-file", _access, lambda: _ACCESS, (AuthError,)),
    Target("policy", _policy, lambda: _POLICY, (PolicyError,), growth=400, longest_error=1 << 20),
    Target(
        "matchers",
        lambda data: parse_matchers(text(data)),
        lambda: [b'{alertname="X",a=~"b.*",c!="d\\"e"}'],
        (ValueError,),
        largest=1400,
    ),
    Target(
        "duration",
        lambda data: parse_duration(text(data)),
        lambda: [b"1d2h3m4s5ms", b"500ms"],
        (ValueError,),
        largest=1400,
    ),
    Target("notice", _notice, lambda: _NOTICES, holds=_notice_holds),
)
