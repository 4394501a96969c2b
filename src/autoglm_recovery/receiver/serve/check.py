# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``autoglm serve --check``: would the receiver start?  All that it reads is read; nothing is written or bound."""

from __future__ import annotations

import os
from dataclasses import dataclass

import sqlalchemy as sa

from autoglm_recovery.receiver.access.file_modes import judge_directory
from autoglm_recovery.receiver.access.named_files import judge_named_files
from autoglm_recovery.receiver.doctor.finding import FindingLevel
from autoglm_recovery.receiver.doctor.inventory import check_inventory
from autoglm_recovery.receiver.doctor.own_actions import check_present
from autoglm_recovery.receiver.fleet.site_config import SiteConfig, read_config
from autoglm_recovery.receiver.serve.launchers import awx_settings
from autoglm_recovery.receiver.serve.serve import (
    ReceiverSettings,
    ServeError,
    database_of,
    judge_files,
    lease_seconds,
    needs_tracing,
    unusable,
)
from autoglm_recovery.receiver.store.backup import newest_revision
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.web.server import check_access, split_address


@dataclass(frozen=True)
class StartCheck:
    """What a receiver would start with, and what a person should know about it."""

    hosts: int
    services: int
    playbooks: int
    database: str
    notes: tuple[str, ...]


def check_start(settings: ReceiverSettings) -> StartCheck:
    """Look at all that a start needs.  A receiver that runs already is not disturbed.

    Raises ServeError, ListenError, AuthError, PolicyError, InventoryError, or AnsibleError as the start itself would.
    """
    split_address(settings.access.listen)
    _state_directory(settings)
    notes = [told for told in judge_files(settings) if told]
    check_access(settings.access, settings.state_dir)
    config = read_config(settings.policy, settings.inventory)
    notes += judge_named_files(config.policy)
    _launchers(config)
    needs_tracing()
    told = _database(settings)
    wrong = [
        finding
        for finding in (*check_inventory(config.fleet, config.policy), *check_present(config))
        if finding.level in (FindingLevel.wrong, FindingLevel.unknown)
    ]
    notes += [f"{each.where}: {each.what}" if each.where else each.what for each in wrong]
    services = sum(len(host.services) for host in config.fleet.hosts.values())
    return StartCheck(len(config.fleet.hosts), services, len(config.playbooks), told, tuple(notes))


def _state_directory(settings: ReceiverSettings) -> None:
    state = settings.state_dir.absolute()
    try:
        if state.exists():
            judge_directory(settings.state_dir)
        # Where it is not there yet, it would be made in this one.
        there = next(each for each in (state, *state.parents) if each.exists())
    except OSError as error:
        raise ServeError(f"state directory {settings.state_dir} cannot be used: {error.strerror}") from error
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        why = f"{there} is no directory that this user may write"
        raise ServeError(f"state directory {settings.state_dir} cannot be used: {why}")


def _launchers(config: SiteConfig) -> None:
    awx = config.policy.launchers.awx
    try:
        if awx is not None:
            awx_settings(awx, "check", lambda: config.policy)
    except ValueError as error:
        raise ServeError(f"launchers: {error}") from error


def _database(settings: ReceiverSettings) -> str:
    """Say what a start would do with the schema; nothing is made where there is no database yet."""
    new = settings.database is None and not (settings.state_dir / "receiver.db").exists()
    database = database_of(settings)
    try:
        lease_seconds(settings, database)
        found = None if new else _revision(database)
    except sa.exc.SQLAlchemyError as error:
        raise unusable(database, error) from error
    finally:
        database.close()
    ours = newest_revision()
    if found is None:
        return f"a new one would be made, of schema {ours}"
    if found > ours:
        raise ServeError(f"the database has schema {found}, which a later release made; this one knows {ours}")
    return f"schema {ours}" if found == ours else f"schema {found} would be brought to {ours}; take a backup first"


def _revision(database: Database) -> str | None:
    with database.reading() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar())
