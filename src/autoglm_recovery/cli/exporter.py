# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``autoglm exporter``: GPU, kernel-fault and process metrics of this node, and fast alerts."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autoglm_recovery import logs
from autoglm_recovery.cli.refusing import refuse
from autoglm_recovery.exporter.options import EXPORTER_OPTIONS, ExporterOption, WrongOption, log_format, settings_of
from autoglm_recovery.policy import PolicyError, load_policy

if TYPE_CHECKING:
    from autoglm_recovery.knowledge.faults.catalogue.numbers import Overrides


def exporter(**given: Any) -> None:
    """Serve GPU, kernel-fault and process metrics of this node, and send fast alerts."""
    from autoglm_recovery.exporter.command import run  # noqa: PLC0415 - other commands start faster without
    from autoglm_recovery.exporter.http import ExporterListenError  # noqa: PLC0415
    from autoglm_recovery.exporter.run import Exporter  # noqa: PLC0415
    from autoglm_recovery.exporter.services import ServicesError  # noqa: PLC0415
    from autoglm_recovery.exporter.web_config import WebConfigError  # noqa: PLC0415

    try:
        logs.configure(log_format(given))
        settings = settings_of(given, _overrides_in)
        if not given["check"]:
            run(Exporter(settings))
    except WrongOption as error:
        raise typer.BadParameter(str(error), param_hint=error.option) from error
    except (ExporterListenError, PolicyError, ServicesError, WebConfigError) as error:
        refuse(error)


def _overrides_in(policy: Path) -> Overrides:
    """Read all of a policy, so that a mistake anywhere in it is told."""
    return load_policy(policy).faults.overrides()


def _parameter(option: ExporterOption) -> inspect.Parameter:
    """Return what typer makes the option of; its type is known here alone, and to no checker of types."""
    one: Any = Annotated
    kind: Any = list[option.kind] if option.many else option.kind  # type: ignore[name-defined]
    said = typer.Option(option.flag, help=option.says)
    annotation = one[kind if option.default is not None else kind | None, said]
    return inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=option.default)


_PARAMETERS = [_parameter(each) for each in EXPORTER_OPTIONS]
exporter.__signature__ = inspect.Signature(_PARAMETERS)  # type: ignore[attr-defined]
exporter.__annotations__ = {each.name: each.annotation for each in _PARAMETERS}
