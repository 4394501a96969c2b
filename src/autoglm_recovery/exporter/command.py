# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``autoglm-exporter``: the exporter as a distribution of its own, for a host's own Python from 3.9 on."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from autoglm_recovery import __version__, logs
from autoglm_recovery.exporter.http import ExporterListenError
from autoglm_recovery.exporter.options import EXPORTER_OPTIONS, WrongOption, log_format, settings_of
from autoglm_recovery.exporter.run import Exporter
from autoglm_recovery.exporter.services import ServicesError
from autoglm_recovery.exporter.web_config import WebConfigError
from autoglm_recovery.knowledge.faults.catalogue.numbers import Overrides
from autoglm_recovery.knowledge.gpu.judging.witnesses import check_overrides
from autoglm_recovery.knowledge.host import bounded_yaml
from autoglm_recovery.knowledge.host.redaction import redact_text

# As autoglm has them: docs/operations.md.
NO, UNASKED = 1, 3
_OWN_WORD = {"failure_class", "severity", "action", "reason"}


class UnusablePolicy(ValueError):
    """What a policy says under ``faults`` cannot be used, and why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the exporter until it is told to stop; return the exit code."""
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    try:
        logs.configure(log_format(given))
        settings = settings_of(given, own_word_in)
        if not given["check"]:
            run(Exporter(settings))
    except WrongOption as error:
        parser.error(f"argument {error.option}: {error}")
    except (ExporterListenError, ServicesError, UnusablePolicy, WebConfigError) as error:
        sys.stderr.write(f"{redact_text(str(error))}\n")
        return UNASKED if isinstance(error.__cause__, OSError) else NO
    return 0


def run(running: Exporter) -> None:
    """Run it until SIGTERM or Ctrl-C."""

    def end(_signal: int, _frame: FrameType | None) -> None:
        running.stop()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    running.run()


def own_word_in(policy: Path) -> Overrides:
    """Return what a policy says under ``faults``.  The rest of it is for ``autoglm check``, which this host has not.

    Raises UnusablePolicy if it cannot be read, or says what the catalogue cannot take.
    """
    try:
        document = bounded_yaml.load(policy.read_bytes())
    except OSError as error:
        raise UnusablePolicy(f"{policy} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UnusablePolicy(f"{policy} is no YAML: {error}") from error
    faults: Any = document.get("faults") or {} if isinstance(document, Mapping) else {}
    if document is not None and not (isinstance(document, Mapping) and isinstance(faults, Mapping)):
        raise UnusablePolicy(f"{policy} must be a mapping, and faults in it too")
    try:
        check_overrides(faults)
    except (TypeError, ValueError) as error:
        raise UnusablePolicy(f"{policy}: faults: {error}") from error
    for kind, codes in faults.items():
        for code, own in codes.items():
            if strange := set(own) - _OWN_WORD:
                raise UnusablePolicy(
                    f"{policy}: faults.{kind}.{code}: unknown key {', '.join(sorted(map(str, strange)))}"
                )
    return dict(faults)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "autoglm-exporter",
        description="Serve GPU, kernel-fault and process metrics of this node, and send fast alerts.",
        epilog="Exit codes: 1 refused, 2 wrong usage, 3 a file cannot be read or the address not be had.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=__version__)
    for each in EXPORTER_OPTIONS:
        if each.kind is bool:
            parser.add_argument(each.flag, action="store_true", help=each.says)
            continue
        says = each.says if each.default is None else f"{each.says} Default: {each.default}"
        parser.add_argument(
            each.flag,
            default=each.default,
            type=each.kind,
            action="append" if each.many else "store",
            help=says.replace("%", "%%"),
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
