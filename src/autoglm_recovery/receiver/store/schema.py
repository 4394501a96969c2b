# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables.  Times are seconds since the epoch; texts that strangers wrote stay inside C(labels) and the like.

Two partial unique indexes hold the promises that must survive any bug above them: one unfinished incident per target,
and one unfinished run per host.  C(fencing) has one row with the last fencing token that was given: tokens only grow,
and none is given twice, whoever asks.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("redelivery_key", sa.String(64), nullable=False, unique=True),
    sa.Column("deliveries", sa.Integer, nullable=False),
    sa.Column("group_key", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.String(128), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("starts_at", sa.Float, nullable=False),
    sa.Column("ends_at", sa.Float),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("annotations", sa.JSON, nullable=False),
    sa.Column("generator_url", sa.Text, nullable=False),
    sa.Column("committed_at", sa.Float, nullable=False),
    # new -> joined | refused | ignored
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("failure_class", sa.String(32)),
    sa.Column("reason", sa.Text),
    sa.Column("incident_id", _Id, sa.ForeignKey("incidents.id")),
    sa.Index("alerts_new", "id", sqlite_where=sa.text("outcome = 'new'"), postgresql_where=sa.text("outcome = 'new'")),
    sa.Index("alerts_incident", "incident_id", "fingerprint"),
    sa.Index("alerts_fingerprint", "fingerprint"),
)

rejects = sa.Table(
    "rejects",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("received_at", sa.Float, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("raw", sa.Text, nullable=False),
)

_ACTIVE = sa.text("state NOT IN ('resolved', 'closed')")

incidents = sa.Table(
    "incidents",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    # Host and service in one text, because NULLs are never equal in a unique index.
    sa.Column("target_key", sa.Text, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("service", sa.Text),
    sa.Column("pool", sa.Text),
    sa.Column("gpu", sa.Text),
    sa.Column("failure_class", sa.String(32), nullable=False),
    sa.Column("fault_mode", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("root_cause", sa.Text, nullable=False),
    sa.Column("approved", sa.Boolean, nullable=False),
    # Attempts before this one count no more: a person said "retry".
    sa.Column("attempts_from", sa.Integer, nullable=False),
    sa.Column("first_starts_at", sa.Float, nullable=False),
    sa.Column("opened_at", sa.Float, nullable=False),
    sa.Column("due_at", sa.Float, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
    sa.Column("ended_at", sa.Float),
    sa.Index("incidents_one_per_target", "target_key", unique=True, sqlite_where=_ACTIVE, postgresql_where=_ACTIVE),
    sa.Index("incidents_state", "state", "due_at"),
)

_UNFINISHED = sa.text("state IN ('launching', 'running')")

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("incident_id", _Id, sa.ForeignKey("incidents.id"), nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("directory", sa.Text, nullable=False),
    sa.Column("launcher", sa.String(32), nullable=False),
    # What the launcher calls the run, where a person sees its output, and how much of its news was told.
    sa.Column("reference", sa.Text),
    sa.Column("link", sa.Text),
    sa.Column("cursor", sa.Integer, nullable=False),
    # Whose the run is, until when by the database's clock, and the fencing token of that claim.
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("lease_until", sa.Float, nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    # Why the run is to be ended; set by anybody, read by its owner.
    sa.Column("cancel", sa.Text),
    sa.Column("rc", sa.Integer),
    sa.Column("started_at", sa.Float, nullable=False),
    sa.Column("ended_at", sa.Float),
    sa.Index("runs_one_per_host", "host", unique=True, sqlite_where=_UNFINISHED, postgresql_where=_UNFINISHED),
    sa.Index("runs_incident", "incident_id"),
    sa.Index("runs_unfinished", "owner", sqlite_where=_UNFINISHED, postgresql_where=_UNFINISHED),
    sqlite_autoincrement=True,
)

fencing = sa.Table(
    "fencing",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("last", sa.BigInteger, nullable=False),
)

timeline = sa.Table(
    "timeline",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("incident_id", _Id, sa.ForeignKey("incidents.id"), nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Index("timeline_incident", "incident_id", "id"),
)
