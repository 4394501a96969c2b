# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenAPI document, made from the routes themselves: what it does not tell of does not exist."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from autoglm_recovery import __version__
from autoglm_recovery.receiver.operators.orders import OperatorCommand
from autoglm_recovery.receiver.values.principal import Need
from autoglm_recovery.receiver.web.guarded import Contract, Guarded
from autoglm_recovery.receiver.web.models import Problem
from autoglm_recovery.receiver.web.problems import MEDIA_TYPE

_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic"},
    "certificate": {"type": "mutualTLS"},
    "session": {"type": "apiKey", "in": "cookie", "name": "autoglm_session"},
}
# 400: a request that cannot be read; 403: of another site; 421, 431 and 503 before anybody looks at it.
_FAILS_ANYWHERE = (400, 403, 421, 431, 503)
_FAILS_GUARDED = (401, 429)
_CONVERTER = re.compile(r"\{(\w+)(?::(\w+))?\}")
_REFERENCE = "#/components/schemas/{model}"


def route(others: Sequence[BaseRoute]) -> Guarded:
    """Return the route that publishes the document of these routes and of itself."""

    async def openapi(_request: Request) -> Response:
        """Publish this document."""
        return JSONResponse(published)

    itself = Guarded(
        "/api/v1/openapi.json",
        openapi,
        methods=["GET"],
        need=Need.nothing,
        contract=Contract("application/json"),
    )
    published = document([*others, itself])
    return itself


def document(routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """Return the document of all routes that have a contract."""
    told = [(route, route.contract) for route in routes if isinstance(route, Guarded) and route.contract is not None]
    models = _models([contract for _, contract in told])
    references, schemas = models_json_schema(models, ref_template=_REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for guarded, contract in told:
        path = _CONVERTER.sub(r"{\1}", guarded.path)
        for method in sorted((guarded.methods or set()) - {"HEAD"}):
            paths.setdefault(path, {})[method.lower()] = _operation(guarded, contract, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "autoglm receiver",
            "version": __version__,
            "description": "Alerts in, incidents and orders. Whatever goes wrong is told as a problem (RFC 9457).",
        },
        "paths": paths,
        "components": {"schemas": schemas.get("$defs", {}), "securitySchemes": _SECURITY},
    }


_References = dict[Any, Any]


def _models(contracts: Sequence[Contract]) -> list[tuple[type[BaseModel], Any]]:
    models: dict[tuple[type[BaseModel], str], None] = {(Problem, "serialization"): None}
    for contract in contracts:
        if not isinstance(contract.gives, str):
            models[contract.gives, "serialization"] = None
        for model in (contract.takes, *contract.query):
            if model is not None:
                models[model, "validation"] = None
    return list(models)


def _operation(guarded: Guarded, contract: Contract, references: _References) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": guarded.summary,
        "operationId": guarded.name,
        "security": [] if guarded.need is Need.nothing else [{name: []} for name in _SECURITY],
        "parameters": [*_path_parameters(guarded.path), *_query_parameters(contract)],
        "responses": _responses(guarded, contract, references),
        "x-needs": guarded.need.value,
    }
    if contract.takes is not None:
        schema = references[contract.takes, "validation"]
        operation["requestBody"] = {
            "required": contract.takes_required,
            "content": {"application/json": {"schema": schema}},
        }
    return operation


def _responses(guarded: Guarded, contract: Contract, references: _References) -> dict[str, Any]:
    gives = contract.gives
    body = (
        {gives: {}} if isinstance(gives, str) else {"application/json": {"schema": references[gives, "serialization"]}}
    )
    problem = {MEDIA_TYPE: {"schema": references[Problem, "serialization"]}}
    fails = {*_FAILS_ANYWHERE, *contract.fails, *(() if guarded.need is Need.nothing else _FAILS_GUARDED)}
    answers: dict[str, Any] = {"200": {"description": "Done", "content": body}}
    for status in sorted(fails):
        answers[str(status)] = {"description": HTTPStatus(status).phrase, "content": problem}
    return answers


def _path_parameters(path: str) -> list[dict[str, Any]]:
    kinds = {"int": {"type": "integer", "minimum": 0}}
    parameters = []
    for name, kind in _CONVERTER.findall(path):
        schema = (
            {"type": "string", "enum": [order.value for order in OperatorCommand]}
            if name == "order"
            else kinds.get(kind, {})
        )
        parameters.append({"name": name, "in": "path", "required": True, "schema": schema})
    return parameters


def _query_parameters(contract: Contract) -> list[dict[str, Any]]:
    parameters = []
    for model in contract.query:
        schema = model.model_json_schema()
        for name, value in schema["properties"].items():
            plain = _without_null(value)
            if "$ref" in plain:
                plain = schema["$defs"][plain["$ref"].rpartition("/")[2]]
            described = {"description": (model.__doc__ or "").strip()}
            parameters.append({"name": name, "in": "query", "required": False, "schema": plain, **described})
    return parameters


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return what a value has to be where it is given: a query has no null."""
    for choice in schema.get("anyOf", ()):
        if choice.get("type") != "null":
            return dict(choice)
    return schema
