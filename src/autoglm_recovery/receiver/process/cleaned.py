# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of a run, without secrets: Ansible's output, and the events that ansible-runner makes of it.

Tasks tell what they please, and ansible-core 2.19 and newer quotes the file in which an error has its origin, with two
lines before it: an undefined variable in an inventory shows the password above.  There is no switch against that.

Each supervisor loads this, so it loads little itself.
"""

from __future__ import annotations

import logging
import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from autoglm_recovery.knowledge.host import whole_file
from autoglm_recovery.knowledge.host.redaction import redact_document
from autoglm_recovery.receiver.process.redact import without_secrets

# Each line may have colours of its own around it, and a terminal's line ends.
_COLOUR = r"(?:\x1b\[[\d;]*m){0,4}"
_END = rf"{_COLOUR}\r?(?:\n|\Z)"
_QUOTED_SOURCE = re.compile(
    rf"(?m)^(?P<origin>{_COLOUR}Origin: [^\r\n]*\r?\n)(?:{_COLOUR}{_END})?"
    rf"(?:{_COLOUR} *\d+(?: [^\r\n]*)?\r?\n)+(?:{_COLOUR} *\^ column \d+{_END})?"
)
# What cannot be read is quoted too; a plugin and a path are no secrets.
_HARMLESS = re.compile(r"'(auto|ini|toml|yaml|script|host_list|advanced_host_list|/[\w./+-]*)'")
_QUOTED = re.compile(r"'[^\n]*'|(?<=got: ).*")

# Where ansible-runner writes down the environment, with every token in it, before it starts the playbook: for people,
# and for podman what a container gets of it.  It has no switch against that.
COMMAND, FOR_PODMAN = "command", "env.list"
# What Ansible's side has told, until ansible-runner has taken it: nobody will, of a run that was ended.
_NOT_TAKEN = "job_events/*-partial.json"

log = logging.getLogger(__name__)


def output(text: str) -> str:
    """Return what Ansible printed without the lines of files that it quotes, and without what looks like a secret."""
    return without_secrets(_QUOTED_SOURCE.sub(r"\g<origin>", text))


def of_inventory(text: str) -> str:
    """Return what Ansible says of an inventory that it cannot read, without what it quotes of it."""
    return _QUOTED.sub("'...'", _HARMLESS.sub(r"\1", output(text)))


def clean(event: MutableMapping[str, Any]) -> None:
    """Take secrets out of an event of ansible-runner's, before that writes it down."""
    for key in ("stdout", "event_data"):
        if key in event:
            event[key] = redact_document(_each_text(event[key]))


def clean_artifacts(directory: Path) -> None:
    """Take secrets out of what ansible-runner has kept of a run that has ended, however it has."""
    try:
        for name in (COMMAND, FOR_PODMAN, _NOT_TAKEN):
            for path in directory.glob(f"artifacts/*/{name}"):
                path.unlink(missing_ok=True)
        for path in directory.glob("artifacts/*/stdout"):
            text = path.read_text("utf-8", "replace")
            kept = output(text)
            if kept != text:
                whole_file.write(path, kept)
    except OSError as error:  # a full disk: the run's result is more
        log.warning("%s could not be cleaned: %s", directory, error)


def _each_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _each_text(held) for key, held in value.items()}
    if isinstance(value, list):
        return [_each_text(held) for held in value]
    return _QUOTED_SOURCE.sub(r"\g<origin>", value) if isinstance(value, str) else value
