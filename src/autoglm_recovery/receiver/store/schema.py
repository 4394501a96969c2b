# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables.  Times are seconds since the epoch; texts that strangers wrote stay inside ``labels`` and the like.

Two partial unique indexes hold the promises that must survive any bug above them: one unfinished incident per target,
and one unfinished run per host.  ``fencing`` has one row with the last fencing token that was given, and
``fence_floors`` a row for each host that has seen a higher one: for a host tokens only grow, and none is given twice,
whoever asks.
"""

from __future__ import annotations

import sqlalchemy as sa

from autoglm_recovery.receiver.store.texts import String, Text

metadata = sa.MetaData()

_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")

_DOUBTED = sa.text("outcome = 'doubted'")
_ABSENT = sa.text("outcome = 'absent'")

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("redelivery_key", String(64), nullable=False, unique=True),
    sa.Column("deliveries", sa.Integer, nullable=False),
    sa.Column("group_key", Text, nullable=False),
    # Who told of it first: its name for itself and its address, as a digest.
    sa.Column("sender", String(16), nullable=False, server_default=""),
    # As the sender names it, by which Alertmanager knows it; alerts are told apart by identity, see values/model.py.
    sa.Column("fingerprint", String(128), nullable=False),
    sa.Column("identity", String(32), nullable=False, server_default=""),
    sa.Column("status", String(16), nullable=False),
    sa.Column("starts_at", sa.Float, nullable=False),
    sa.Column("ends_at", sa.Float),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("annotations", sa.JSON, nullable=False),
    sa.Column("generator_url", Text, nullable=False),
    sa.Column("committed_at", sa.Float, nullable=False),
    # new -> joined | refused | ignored; doubted -> new, see triage/news.py; absent, see store/absences.py
    sa.Column("outcome", String(16), nullable=False),
    sa.Column("failure_class", String(32)),
    # state | event | sticky, and NULL where nobody knows; see triage/nature.py.
    sa.Column("nature", String(8)),
    sa.Column("reason", Text),
    sa.Column("incident_id", _Id, sa.ForeignKey("incidents.id")),
    # When Alertmanager was first seen to have it, anew after each silence of ours; see observe/absence_watch.py.
    sa.Column("active_at", sa.Float),
    sa.Index("alerts_absent", "committed_at", sqlite_where=_ABSENT, postgresql_where=_ABSENT),
    sa.Index("alerts_new", "id", sqlite_where=sa.text("outcome = 'new'"), postgresql_where=sa.text("outcome = 'new'")),
    sa.Index("alerts_doubted", "committed_at", sqlite_where=_DOUBTED, postgresql_where=_DOUBTED),
    sa.Index("alerts_incident", "incident_id", "identity"),
    sa.Index("alerts_identity", "identity"),
)

rejects = sa.Table(
    "rejects",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("received_at", sa.Float, nullable=False),
    sa.Column("reason", Text, nullable=False),
    sa.Column("raw", Text, nullable=False),
)

_ACTIVE = sa.text("state NOT IN ('resolved', 'closed')")

_HAS_GPU = sa.text("gpu IS NOT NULL")
_EXPLAINED = sa.text("explained_by IS NOT NULL")

incidents = sa.Table(
    "incidents",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    # Host and service in one text, because NULLs are never equal in a unique index.
    sa.Column("target_key", Text, nullable=False),
    sa.Column("host", Text, nullable=False),
    sa.Column("service", Text),
    sa.Column("pool", Text),
    sa.Column("gpu", Text),
    sa.Column("failure_class", String(32), nullable=False),
    sa.Column("fault_mode", String(16), nullable=False),
    # The class that a playbook's own reading has denied: no alert names it again.
    sa.Column("ruled_out", String(32)),
    sa.Column("state", String(16), nullable=False),
    sa.Column("reason", Text, nullable=False),
    sa.Column("root_cause", Text, nullable=False),
    # Why, in words for people: the failed task and the server's last words, or what the alert itself says.
    sa.Column("cause", Text),
    sa.Column("approved", sa.Boolean, nullable=False),
    # Attempts before this one count no more: a person said "retry".
    sa.Column("attempts_from", sa.Integer, nullable=False),
    sa.Column("first_starts_at", sa.Float, nullable=False),
    sa.Column("opened_at", sa.Float, nullable=False),
    sa.Column("due_at", sa.Float, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
    sa.Column("ended_at", sa.Float),
    # Held because of another incident, until that one ends.
    sa.Column("explained_by", _Id),
    # Waits for the end of other runs or incidents, not only for a time.
    sa.Column("queued", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Index("incidents_one_per_target", "target_key", unique=True, sqlite_where=_ACTIVE, postgresql_where=_ACTIVE),
    sa.Index("incidents_state", "state", "due_at"),
    sa.Index("incidents_target", "target_key"),
    sa.Index("incidents_host", "host"),
    sa.Index("incidents_gpu", "gpu", sqlite_where=_HAS_GPU, postgresql_where=_HAS_GPU),
    sa.Index("incidents_explained", "explained_by", sqlite_where=_EXPLAINED, postgresql_where=_EXPLAINED),
)

_UNFINISHED = sa.text("state IN ('launching', 'running')")

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    # What names the run over all databases; empty for one that an earlier release began.
    sa.Column("key", String(32), nullable=False, server_default=""),
    sa.Column("incident_id", _Id, sa.ForeignKey("incidents.id"), nullable=False),
    sa.Column("host", Text, nullable=False),
    sa.Column("action", String(64), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("state", String(16), nullable=False),
    sa.Column("reason", Text, nullable=False),
    sa.Column("directory", Text, nullable=False),
    sa.Column("launcher", String(32), nullable=False),
    # What the launcher calls the run, where a person sees its output, and how much of its news was told.
    sa.Column("reference", Text),
    sa.Column("link", Text),
    sa.Column("cursor", _Id, nullable=False),
    # Whose the run is, until when by the database's clock, and the fencing token of that claim.
    sa.Column("owner", String(64), nullable=False),
    sa.Column("lease_until", sa.Float, nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    # What the host said when it refused the run because a newer one had been there.
    sa.Column("refused", Text),
    # Who was at work on the host, where its lock refused the run.
    sa.Column("held_by", Text),
    # What it read of the service: the worst verdict, and the words for it.
    sa.Column("verdict", String(16)),
    sa.Column("said", Text),
    # Why the run is to be ended; set by anybody, read by its owner.
    sa.Column("cancel", Text),
    sa.Column("rc", sa.Integer),
    # Which of its tasks failed, and why.
    sa.Column("cause", Text),
    sa.Column("started_at", sa.Float, nullable=False),
    sa.Column("ended_at", sa.Float),
    sa.Index("runs_one_per_host", "host", unique=True, sqlite_where=_UNFINISHED, postgresql_where=_UNFINISHED),
    sa.Index("runs_incident", "incident_id"),
    sa.Index("runs_unfinished", "owner", sqlite_where=_UNFINISHED, postgresql_where=_UNFINISHED),
    sa.Index("runs_host", "host", "started_at"),
    sa.Index("runs_action", "action", "ended_at"),
    sa.Index("runs_ended", "ended_at"),
    sqlite_autoincrement=True,
)

fencing = sa.Table(
    "fencing",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("last", sa.BigInteger, nullable=False),
)

fence_floors = sa.Table(
    "fence_floors",
    metadata,
    sa.Column("host", Text, primary_key=True),
    sa.Column("floor", sa.BigInteger, nullable=False),
)

timeline = sa.Table(
    "timeline",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("incident_id", _Id, sa.ForeignKey("incidents.id"), nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("kind", String(16), nullable=False),
    sa.Column("text", Text, nullable=False),
    sa.Index("timeline_incident", "incident_id", "id"),
)

_UNSENT = sa.text("sent_at IS NULL AND given_up_at IS NULL")

# An outbox: written in the transaction that decided, sent by a thread of its own, at least once.
notices = sa.Table(
    "notices",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    # None where it is about no incident: a kind of alert that was refused.
    sa.Column("incident_id", _Id, sa.ForeignKey("incidents.id")),
    sa.Column("occasion", String(16), nullable=False),
    # What it was about when it was written, by which the routes of the policy in force are chosen.
    sa.Column("about", sa.JSON, nullable=False),
    sa.Column("title", Text, nullable=False),
    sa.Column("body", Text, nullable=False),
    # Digests of the addresses that have taken it; the addresses themselves may hold secrets.
    sa.Column("delivered", sa.JSON, nullable=False),
    # Digests of the addresses that were called, whatever came of it, each with until when that call may go on (0: it
    # has ended).  Written with the claim, before anybody is called.
    sa.Column("attempted", sa.JSON, nullable=False, server_default="{}"),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("due_at", sa.Float, nullable=False),
    sa.Column("sent_at", sa.Float),
    sa.Column("given_up_at", sa.Float),
    sa.Column("error", Text),
    sa.Index("notices_unsent", "due_at", sqlite_where=_UNSENT, postgresql_where=_UNSENT),
    sa.Index("notices_incident", "incident_id"),
)

_UNTOLD = sa.text("told_at IS NULL")

# The kinds of alerts that were refused, each with its newest as the example.
refusals = sa.Table(
    "refusals",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    # A digest of what makes the kind.
    sa.Column("kind", String(64), nullable=False, unique=True),
    sa.Column("refused_as", String(32), nullable=False),
    sa.Column("alert", Text, nullable=False),
    sa.Column("sender", Text, nullable=False),
    sa.Column("failure_class", String(32), nullable=False),
    sa.Column("reason", Text, nullable=False),
    sa.Column("advice", Text, nullable=False),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("times", sa.Integer, nullable=False),
    sa.Column("first_at", sa.Float, nullable=False),
    sa.Column("last_at", sa.Float, nullable=False),
    sa.Column("told_at", sa.Float),
    sa.Index("refusals_untold", "id", sqlite_where=_UNTOLD, postgresql_where=_UNTOLD),
)

# The switch that pauses all actions: its newest row counts, and the older ones say who did what.
pauses = sa.Table(
    "pauses",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("paused", sa.Boolean, nullable=False),
    sa.Column("who", Text, nullable=False),
    sa.Column("reason", Text, nullable=False),
)

# One row, made with the schema.
installation = sa.Table("installation", metadata, sa.Column("name", String(32), primary_key=True))

_STANDING = sa.text("ended_at IS NULL")

# Alerts that are silenced in Alertmanager while a run goes on; see store/own_silences.py.
own_silences = sa.Table(
    "own_silences",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    # Stands in the silence's comment, by which it is found when its number was never heard.
    sa.Column("key", String(32), nullable=False, unique=True),
    sa.Column("incident_id", _Id, sa.ForeignKey("incidents.id"), nullable=False),
    sa.Column("run_id", _Id, sa.ForeignKey("runs.id"), nullable=False),
    sa.Column("fingerprint", String(128), nullable=False),
    sa.Column("identity", String(32), nullable=False, server_default=""),
    sa.Column("alert", Text, nullable=False),
    # When it ends by itself.
    sa.Column("until", sa.Float, nullable=False),
    sa.Column("asked_at", sa.Float),
    # What Alertmanager calls it.
    sa.Column("silence", String(100)),
    sa.Column("ended_at", sa.Float),
    sa.Column("error", Text),
    sa.Index("own_silences_standing", "id", sqlite_where=_STANDING, postgresql_where=_STANDING),
)

# When what always comes came last: the Watchdog, which proves the whole way from Prometheus to this database.
heard = sa.Table(
    "heard",
    metadata,
    sa.Column("name", String(32), primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("since", sa.Float),
)

# Logged out before their cookies ran out; see ended_sessions.py.
ended_sessions = sa.Table(
    "ended_sessions",
    metadata,
    sa.Column("session", String(64), primary_key=True),
    sa.Column("until", sa.Float, nullable=False),
)
