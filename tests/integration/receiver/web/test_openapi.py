# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published document is true: of every route, of every answer, and for whoever throws its own rubbish at it."""

from __future__ import annotations

import json
import math
import re

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.routing import Route

from autoglm_recovery.receiver.serve.app import build
from autoglm_recovery.receiver.store import schema as tables
from autoglm_recovery.receiver.values.principal import Need
from autoglm_recovery.receiver.web.guarded import Guarded

from .serving import OPERATOR, SENDER, serving

TRUE = (status_code_conformance, content_type_conformance, response_schema_conformance)
BOUNDED = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Return a server with an incident, an alert, a run and what else there is to show."""
    with serving(tmp_path_factory.mktemp("openapi")) as running:
        _fill(running)
        yield running


def _fill(server):
    webhook = {
        "version": "4",
        "alerts": [{"status": "firing", "labels": {"host": "a"}, "startsAt": "2026-11-22T20:00:00Z"}, 7],
    }
    assert server.ask("POST", "/api/v1/alerts", SENDER, json=webhook).status_code == 200
    with server.database.writing() as connection:
        for table in (tables.incidents, tables.runs, tables.timeline):
            row = {
                column.name: _some(column, connection)
                for column in table.columns
                if not column.primary_key and not column.nullable
            }
            connection.execute(table.insert(), row)
    server.ask("POST", "/api/v1/incidents/1/close", OPERATOR, json={"comment": "for the audit log"})


def _some(column, _connection):
    """Return a value that fits a column."""
    if column.foreign_keys:
        return 1
    return {"state": "held", "directory": "/none"}.get(column.name, column.type.python_type())


@pytest.fixture(scope="module")
def document(server):
    """Return what the server publishes."""
    answer = server.ask("GET", "/api/v1/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def test_every_route_of_the_api_is_in_it_and_nothing_else(server, document):
    served = {
        (re.sub(r":\w+\}", "}", route.path), method.lower())
        for route in build(server.services).routes
        if isinstance(route, Route) and route.contract is not None
        for method in route.methods - {"HEAD"}
    }
    told = {(path, method) for path, item in document["paths"].items() for method in item}
    assert told == served
    assert ("/api/v1/alerts", "post") in told


def test_what_is_not_in_it_is_a_page_for_people(server):
    pages = {r.path for r in build(server.services).routes if isinstance(r, Guarded) and r.contract is None}
    assert not [path for path in pages if path.startswith(("/api/", "/metrics", "/healthz", "/readyz"))]


def test_every_operation_says_whom_it_needs_and_how_it_fails(document):
    for item in document["paths"].values():
        for operation in item.values():
            guarded = operation["x-needs"] != Need.nothing
            assert bool(operation["security"]) == guarded
            assert ("401" in operation["responses"]) == guarded
            assert operation["summary"]
            for status, answer in operation["responses"].items():
                assert ("application/problem+json" in answer["content"]) == (status != "200")
    names = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(set(names)) == len(names)


def test_whatever_is_made_from_the_document_is_answered_as_the_document_says(server, capfd):
    api = schemathesis.openapi.from_url(f"{server.url}/api/v1/openapi.json")
    statuses = []

    def try_out(operation):
        @given(case=operation.as_strategy() | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
        @settings(BOUNDED, max_examples=40)
        def answered(case):
            response = case.call(headers={"Authorization": f"Bearer {OPERATOR}"})
            statuses.append(response.status_code)
            # 503 is the one documented way to say "later", and nothing here gives reason to.
            assert response.status_code < 500, response.text
            case.validate_response(response, checks=TRUE)

        answered()

    for result in api.get_all_operations():
        try_out(result.ok())
    assert {200, 400, 404} <= set(statuses)
    logged = "".join(capfd.readouterr())
    assert "Traceback" not in logged


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**400), 2**63, 1e308, math.nan, math.inf, -0.0, "\x00", "\ud800", "4", "firing"])
    | st.floats()
    | st.text(alphabet=st.characters(), max_size=20)
)
KEYS = st.sampled_from(
    [
        *("version", "alerts", "groupKey", "receiver", "truncatedAlerts", "status", "labels", "annotations"),
        *("startsAt", "endsAt", "generatorURL", "fingerprint", "", "\x00", "\ud800"),
    ]
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6))
TIMES = st.sampled_from(["2026-11-22T20:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00", 0, -1, 1e300, ""])
NEARLY = st.fixed_dictionaries(
    {
        "version": st.sampled_from(["4", "1"]),
        "alerts": st.lists(
            st.fixed_dictionaries(
                {
                    "status": st.sampled_from(["firing", "resolved", "x"]),
                    "labels": st.dictionaries(st.text(max_size=8), st.text(max_size=8) | SCALARS, max_size=4),
                    "startsAt": TIMES | SCALARS,
                },
                optional={
                    "endsAt": TIMES | SCALARS,
                    "annotations": JSON,
                    "generatorURL": SCALARS,
                    "fingerprint": SCALARS,
                },
            )
            | JSON,
            max_size=4,
        ),
    },
    optional={"groupKey": SCALARS, "truncatedAlerts": SCALARS},
)
BODIES = (
    st.binary(max_size=200)
    | (JSON | NEARLY).map(lambda value: json.dumps(value).encode())
    | NEARLY.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    | st.sampled_from(
        [
            b'{"version": "3", "version": "4", "alerts": [], "alerts": [{}]}',
            b'{"version": "4", "alerts": [%s]}' % (b"[" * 990 + b"]" * 990),
            b'{"version": "4", "alerts": [%s]}' % (b'{"labels":' * 480 + b"1" + b"}" * 480),
            b'{"version": "4", "alerts": [' + b"9" * 5000 + b"]}",
            b'\xef\xbb\xbf{"version": "4", "alerts": []}',
            '{"version": "4", "alerts": []}'.encode("utf-16"),
            b'{"version": "4", "alerts": [NaN, Infinity, -Infinity]}',
        ]
    )
)


def test_whatever_is_posted_is_stored_or_refused_and_never_our_fault(server, capfd):
    headers = {"Content-Type": "application/json"}
    counts = []

    @given(body=BODIES)
    @settings(BOUNDED, max_examples=600)
    def post(body):
        before = stored()
        answer = server.ask("POST", "/api/v1/alerts", SENDER, content=body, headers=headers)
        assert answer.status_code in (200, 400, 413, 422), answer.text
        grown = tuple(now - was for now, was in zip(stored(), before, strict=True))
        counts.append(grown)
        if answer.status_code == 200:
            receipt = answer.json()
            assert grown == (receipt["committed"], receipt["rejected"])
        else:
            assert answer.headers["content-type"] == "application/problem+json"
            assert grown[0] == 0

    def stored():
        with server.database.reading() as connection:
            return tuple(
                connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()  # noqa: S608 - our own names
                for table in ("alerts", "rejects")
            )

    post()
    # The rubbish was rubbish enough, and the rest was good enough, for both to have been seen.
    assert any(new for new, _ in counts)
    assert any(set_aside for _, set_aside in counts)
    for path in ("/api/v1/alerts?limit=1000", "/api/v1/rejects?limit=1000"):
        assert server.ask("GET", path, OPERATOR).status_code == 200
    logged = "".join(capfd.readouterr())
    assert "Traceback" not in logged
    assert "Exception in ASGI" not in logged
