# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations of the module and the timer: save (obtain the state, store it, apply retention), restore, verify."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..engines.protocol import Engine
from ..engines.registry import ENGINES, open_engine
from ..engines.transport import HttpTransport
from . import engine_state, hook, proving, restoring, retention, saving, trainer
from .formats import prove
from .manifest import Manifest
from .names import check_series, is_id
from .problems import CheckpointError, Damaged
from .restoring import RestoreTarget
from .retention import RetentionRules
from .store import Store
from .stores import open_store
from .tree import read_tree, signature

Params = Mapping[str, Any]


@dataclass(frozen=True)
class _StateFiles:
    """State in files, ready to be saved. fresh: the files were written for this save."""

    path: Path
    only: frozenset[str] | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    fresh: bool = False


def save(params: Params, check_mode: bool = False) -> dict[str, Any]:
    """Save the state that the parameters name. Returns the module's result. Raises CheckpointError and Damaged."""
    check(params, "saved")
    store = open_store(params["store"], params.get("storage_options"))
    if check_mode:
        return _predict_save(store, params)
    with _obtained_state(params) as taken:
        notes = {**taken.notes, "source_state": _digest_of_state(taken), "incident": _safe_text(params.get("incident"))}
        there = _newest_if_unchanged(store, params, notes["source_state"])
        if there is not None:
            return {
                **there,
                "passed_over": _as_list(taken.skipped),
                **_apply_retention(store, params, there["checkpoint"]["id"]),
            }
        order = saving.SaveRequest(
            series=params["name"],
            source=taken.path,
            only=taken.only,
            format=_format_of(params),
            signing_key=params.get("signing_key"),
            min_free=params.get("min_free") or 0,
            read_back=bool(params.get("read_back")),
            notes=notes,
        )
        done = saving.save(store, order)
    checkpoint = {
        "id": done.id,
        "path": done.location,
        "format": done.proof.format,
        "parts": done.proof.parts,
        "remarks": list(done.proof.remarks),
        "files": sorted(done.files),
        "bytes": sum(entry.bytes for entry in done.files.values()),
        "sha256": done.manifest_sha256,
        "taken_at": done.taken_at,
        "seconds": done.seconds,
        "signed": bool(params.get("signing_key")),
    }
    result = {"changed": True, "checkpoint": checkpoint, "passed_over": _as_list(taken.skipped)}
    return {**result, **_apply_retention(store, params, done.id)}


def restore(params: Params, check_mode: bool = False) -> dict[str, Any]:
    """Restore the newest checkpoint that verifies; with an engine, have it load the state."""
    check(params, "restored")
    store = open_store(params["store"], params.get("storage_options"))
    engine = _open_engine(params)
    dest = Path(params["engine_state_dir"] if engine else params["dest"])
    target = RestoreTarget(dest, merge=engine is not None, min_free=params.get("min_free") or 0, check_only=check_mode)
    done = restoring.restore(store, params["name"], target, params.get("signing_key"), params.get("id"))
    checkpoint = {**described(store, done.manifest), "seconds": done.seconds}
    result: dict[str, Any] = {"changed": done.changed, "checkpoint": checkpoint, "passed_over": _as_list(done.skipped)}
    result["leftovers"] = done.removed
    if engine is not None and not check_mode:
        result["engine_state"] = dict(engine_state.load(engine, params["name"]).parts)
        result["changed"] = True  # loading replaces whatever state the engine had
    return result


def verify(params: Params) -> dict[str, Any]:
    """Read and compare every byte of every checkpoint of the series, or of one."""
    check(params, "verified")
    found, checkpoints = None, []
    try:
        store = open_store(params["store"], params.get("storage_options"))
        for each in proving.survey(store, params["name"], params.get("signing_key"), params.get("id")):
            checkpoints.append({"id": each.id, "verifies": each.reason is None, "reason": each.reason or ""})
            found = found or (described(store, each.manifest) if each.manifest else None)
    except CheckpointError as error:
        return _verdict_result("unknown", [str(error)], found, checkpoints)
    bad = [f"{each['id']}: {each['reason']}" for each in checkpoints if not each["verifies"]]
    if not checkpoints:
        return _verdict_result("unhealthy", [f"{store.url} has no checkpoint of {params['name']}"], found, checkpoints)
    if found is None or not checkpoints[0]["verifies"]:
        return _verdict_result("unhealthy", bad, found, checkpoints)
    return _verdict_result("healthy", [f"{found['id']} verifies", *bad], found, checkpoints)


def prune(params: Params, check_mode: bool = False) -> dict[str, Any]:
    """Apply retention, and clean up after saves that were killed."""
    check(params, "pruned")
    store = open_store(params["store"], params.get("storage_options"))
    result = _apply_retention(store, params, None, check_mode)
    return {"changed": bool(result["removed"] or result["leftovers"]), **result}


def remove(params: Params, check_mode: bool = False) -> dict[str, Any]:
    """Remove one checkpoint, by its id."""
    check(params, "absent")
    store = open_store(params["store"], params.get("storage_options"))
    there = params["id"] in store.ids(params["name"])
    reason = store.remove(params["name"], params["id"]) if there and not check_mode else None
    if reason is not None:
        raise CheckpointError(f"{store.location(params['name'], params['id'])} was not removed: {reason}")
    return {"changed": there, "removed": [params["id"]] if there else []}


def described(store: Store, found: Manifest) -> dict[str, Any]:
    """A checkpoint as results show it."""
    return {
        "id": found.id,
        "path": store.location(found.series, found.id),
        "format": found.format,
        "files": sorted(found.files),
        "bytes": found.bytes,
        "sha256": found.sha256,
        "taken_at": found.taken_at,
        "signed": found.signed,
    }


def check(params: Params, state: str) -> None:
    """Check that the parameters fit together. Raises ValueError."""
    check_series(params["name"])
    identity = params.get("id")
    if identity is not None and not is_id(identity):
        raise ValueError(f"id {identity[:80]!r} is no id of a checkpoint, such as 20261124T204700.123456Z-0123abcd")
    for name in ("keep", "max_age", "min_free"):
        if params.get(name) is not None and params[name] < (1 if name == "keep" else 0):
            raise ValueError(f"{name} must be {'1 or more' if name == 'keep' else '0 or more'}")
    if params.get("engine_state_dir") and not (params.get("engine") and params.get("url")):
        raise ValueError("engine_state_dir needs engine and url, where the engine is that saves into it")
    if state == "saved":
        _check_source(params)
    if state == "restored" and bool(params.get("dest")) == bool(params.get("engine_state_dir")):
        raise ValueError("give one of dest and engine_state_dir: where to restore, or whence the engine is to load")


def _format_of(params: Params) -> str | None:
    """The format that the engine writes, if it has one, else the one that the parameters name."""
    engine = ENGINES.get(params["engine"]) if params.get("engine_state_dir") else None
    return (engine and engine.state_format) or params.get("format")


def _check_source(params: Params) -> None:
    given = [name for name in ("source", "command", "engine_state_dir") if params.get(name)]
    if len(given) != 1:
        named = " and ".join(given) or "none of them"
        raise ValueError(f"give one of source, command and engine_state_dir, not {named}")
    for name in ("signal", "pattern"):
        if params.get(name) and not params.get("source"):
            raise ValueError(f"{name} needs source, the place where the trainer writes")
    asked = params.get("signal")
    if asked and bool(asked.get("pid_file")) == bool(asked.get("unit")):
        raise ValueError("signal needs one of pid_file and unit")
    if asked and params.get("format") == "files":
        raise ValueError("signal needs a format that shows when it is finished, which files does not")


@contextlib.contextmanager
def _obtained_state(params: Params) -> Iterator[_StateFiles]:
    """Obtain the state as files. Temporary files are removed at the end."""
    engine = _open_engine(params)
    if engine is not None:
        directory = Path(params["engine_state_dir"])
        saved = engine_state.write(engine, params["name"], directory)
        yield _StateFiles(
            directory, frozenset(saved.parts), {"engine": engine.name, "tokens": dict(saved.parts)}, fresh=True
        )
    elif params.get("command"):
        with hook.workplace(Path(params.get("workdir") or "/var/tmp")) as work:  # noqa: S108 - private, in it
            hook.write(params["command"], work.given, params["timeout"])
            yield _StateFiles(work.inside, notes={"source": work.shown}, fresh=True)
    else:
        source = trainer.Source(Path(params["source"]), params.get("pattern"), params.get("format"))
        if params.get("signal"):
            yield _StateFiles(_ask_trainer(source, params["signal"], params["timeout"]))
        elif source.pattern:
            path, skipped = trainer.newest_whole(source)
            yield _StateFiles(path, skipped=skipped)
        else:
            yield _StateFiles(source.path)


def _ask_trainer(source: trainer.Source, how: Mapping[str, Any], timeout: float) -> Path:
    pid_file = Path(how["pid_file"]) if how.get("pid_file") else None
    asked = trainer.find(pid_file, how.get("unit"))
    before = trainer.snapshot(source)
    trainer.ask(asked, how.get("signal") or "SIGUSR1")
    return trainer.wait_for_new(source, before, asked.pid, timeout)


def _open_engine(params: Params) -> Engine | None:
    """The engine whose state is saved or restored. An engine that module_defaults merely name is ignored."""
    if not params.get("engine_state_dir"):
        return None
    transport = HttpTransport(params.get("validate_certs", True), params.get("ca_path"))
    return open_engine(
        params["engine"],
        params["url"],
        timeout=params.get("timeout") or 60.0,
        api_key=params.get("api_key"),
        options=params.get("engine_options") or {},
        transport=transport,
    )


def _predict_save(store: Store, params: Params) -> dict[str, Any]:
    """The result that a save would have, for check mode. Runs no command and does not contact the engine."""
    if params.get("source") and not params.get("signal"):
        with _obtained_state(params) as taken:
            prove(read_tree(taken.path), params.get("format"))
            there = _newest_if_unchanged(store, params, _digest_of_state(taken))
        if there is not None:
            return there
    return {"changed": True, "checkpoint": None, "passed_over": [], "removed": [], "leftovers": []}


def _newest_if_unchanged(store: Store, params: Params, state: str | None) -> dict[str, Any] | None:
    """The newest checkpoint, if it was taken from the same files and they have not changed since."""
    if state is None or params.get("force"):
        return None
    for identity in store.ids(params["name"])[:1]:
        try:
            found = proving.read(store, params["name"], identity, params.get("signing_key"))
        except Damaged:
            return None
        if found.document.get("source_state") == state:
            return {"changed": False, "checkpoint": described(store, found), "passed_over": []}
    return None


def _digest_of_state(taken: _StateFiles) -> str | None:
    """A digest of the files' signatures, by which unchanged files are recognised."""
    if taken.fresh:
        return None
    seen = {"path": os.path.abspath(taken.path), "files": sorted(signature(taken.path).items())}
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()


def _apply_retention(store: Store, params: Params, proven: str | None, dry: bool = False) -> dict[str, Any]:
    rules = RetentionRules(params.get("keep"), params.get("max_age"))
    done = retention.prune(store, params["name"], rules, params.get("signing_key"), proven, dry)
    return {"removed": done.removed, "kept": _as_list(done.left), "leftovers": done.leftovers}


def _verdict_result(
    verdict: str, reasons: list[str], found: dict[str, Any] | None, checkpoints: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "changed": False,
        "verdict": verdict,
        "failure_class": None,
        "reasons": reasons,
        "recommended_action": None,
        "checkpoint": found,
        "checkpoints": checkpoints,
        "passed_over": [{"id": each["id"], "reason": each["reason"]} for each in checkpoints if not each["verifies"]],
    }


def _as_list(reasons: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"id": identity, "reason": reason} for identity, reason in reasons.items()]


def _safe_text(incident: str | None) -> str | None:
    """A text from outside, made valid and short enough for a manifest."""
    return None if incident is None else incident.encode("utf-8", "replace").decode()[:256]
