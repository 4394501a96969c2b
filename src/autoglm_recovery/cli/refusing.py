# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a command ends that cannot do what it is asked for: with a sentence in which no secret stands."""

from __future__ import annotations

from typing import NoReturn

import typer

from autoglm_recovery.knowledge.host.redaction import redact_text


def refuse(message: object) -> NoReturn:
    """End with a clear sentence on standard error and exit code 1.

    What others said is in it - a database, Ansible about an inventory - and goes where the terminal and the journal go.
    """
    typer.echo(redact_text(str(message)), err=True)
    raise typer.Exit(1)
