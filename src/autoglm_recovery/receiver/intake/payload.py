# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read Alertmanager's webhook, version 4, and Grafana's, version 1, without trusting anything in them.

Grafana's (grafana/alerting, receivers/webhook) has the same alerts with more beside them, which is not read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StrictStr, ValidationError

from autoglm_recovery.receiver.process.redact import without_secrets
from autoglm_recovery.receiver.values.model import Alert

# Of Alertmanager, and of Grafana-managed alerts.
VERSIONS = ("4", "1")
MOST_ALERTS = 20_000
MOST_LABELS = 256
LONGEST_NAME = 1024
LONGEST_TEXT = 128 << 10
# It is stored with every alert of a delivery.
LONGEST_GROUP_KEY = 4096
# A count beyond all sense is still a count; beyond this a float has no place for it.
MOST_LEFT_OUT = 10**9
# Years 1970 to 9998: what every calendar, database and time zone can show.
_MOMENTS = range(253_370_764_800)
# Go's zero time, which Alertmanager writes for none. In another zone the year 1 may be one that no calendar here shows.
_NONE = datetime(1, 1, 1, tzinfo=UTC)


class PayloadError(ValueError):
    """A payload that can never be accepted.  ``status`` is the HTTP status that says so."""

    def __init__(self, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.status = status


@dataclass(frozen=True)
class Rejected:
    """One alert of an otherwise good payload that cannot be read; it is kept as it came."""

    raw: str
    reason: str


@dataclass(frozen=True)
class WebhookPayload:
    """A payload that was read.  ``truncated`` counts the alerts that Alertmanager left out.

    ``external_url`` is what the sender calls itself; it is only ever compared.
    """

    group_key: str
    receiver: str
    alerts: tuple[Alert, ...]
    rejected: tuple[Rejected, ...]
    truncated: int
    external_url: str = ""


def storable(text: str) -> str:
    """Refuse what no database stores as text: NUL and lone surrogates."""
    if "\x00" in text:
        raise ValueError("holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("is not valid Unicode text") from error
    return text


def _moment(moment: datetime) -> datetime:
    if (moment.year > 1 or moment < _NONE) and int(moment.timestamp()) not in _MOMENTS:
        raise ValueError("is not between the years 1970 and 9998")
    return moment


_Text = Annotated[StrictStr, Field(max_length=LONGEST_TEXT), AfterValidator(storable), AfterValidator(without_secrets)]
_Name = Annotated[StrictStr, Field(max_length=LONGEST_NAME), AfterValidator(storable)]
_Labels = Annotated[dict[_Name, _Text], Field(max_length=MOST_LABELS)]
_Moment = Annotated[AwareDatetime, AfterValidator(_moment)]


class AlertIn(BaseModel):
    """An alert as Alertmanager sends it."""

    model_config = ConfigDict(extra="ignore")

    status: Literal["firing", "resolved"]
    labels: _Labels
    annotations: _Labels = {}
    startsAt: _Moment  # noqa: N815 - the wire's own name
    endsAt: _Moment | None = None  # noqa: N815
    generatorURL: _Text = ""  # noqa: N815
    fingerprint: Annotated[_Text, Field(max_length=128)] = ""


def parse_webhook(body: bytes) -> WebhookPayload:
    """Read one POST.

    Alerts are judged one by one: a malformed one is set aside with a reason, and the others still count.

    Raises PayloadError if nothing in the payload can be used; the sender must not try it again.
    """
    data = _decode(body)
    if data.get("version") not in VERSIONS:
        raise PayloadError(
            f'version is {_shown(data.get("version"))}; this receiver reads Alertmanager\'s version "4"'
            ' and Grafana\'s version "1"'
        )
    entries = data.get("alerts")
    if not isinstance(entries, list):
        raise PayloadError(f"alerts must be a list, not {_shown(entries)}")
    if len(entries) > MOST_ALERTS:
        raise PayloadError(f"{len(entries)} alerts in one payload; at most {MOST_ALERTS} are read", 413)
    alerts: list[Alert] = []
    rejected: list[Rejected] = []
    for entry in entries:
        try:
            alerts.append(_alert(entry))
        except ValueError as error:
            rejected.append(Rejected(_raw(entry), _describe_error(error)))
    truncated = data.get("truncatedAlerts", 0)
    return WebhookPayload(
        group_key=_group_key(_envelope_text(data, "groupKey")),
        receiver=_envelope_text(data, "receiver"),
        alerts=tuple(alerts),
        rejected=tuple(rejected),
        truncated=min(truncated, MOST_LEFT_OUT) if isinstance(truncated, int) and truncated > 0 else 0,
        external_url=url if isinstance(url := data.get("externalURL"), str) else "",
    )


def _decode(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except RecursionError as error:
        raise PayloadError("the body is nested too deeply") from error
    except ValueError as error:
        raise PayloadError(f"the body is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise PayloadError(f"the body must be a JSON object, not {_shown(data)}")
    return data


def _envelope_text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key, "")
    if not isinstance(value, str):
        raise PayloadError(f"{key} must be text, not {_shown(value)}")
    try:
        return without_secrets(storable(value))
    except ValueError as error:
        raise PayloadError(f"{key} {error}") from error


def _group_key(text: str) -> str:
    """Return what tells groups apart: the key itself, or of one that is too long its beginning and a digest of it."""
    if len(text) <= LONGEST_GROUP_KEY:
        return text
    return f"{text[:200]}... sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _alert(entry: object) -> Alert:
    read = AlertIn.model_validate(entry)
    return Alert(
        status=read.status,
        labels=read.labels,
        annotations=read.annotations,
        starts_at=read.startsAt.timestamp(),
        ends_at=_ended(read.endsAt),
        fingerprint=read.fingerprint or fingerprint(read.labels),
        generator_url=read.generatorURL,
    )


def _ended(moment: datetime | None) -> float | None:
    # Alertmanager writes the year 1 for an alert that has not ended.
    return None if moment is None or moment.year <= 1 else moment.timestamp()


def fingerprint(labels: Mapping[str, str]) -> str:
    """Identify an alert by its labels, for senders that give no fingerprint."""
    return hashlib.sha256(json.dumps(sorted(labels.items())).encode()).hexdigest()[:16]


def redelivery_key(group_key: str, alert: Alert, round_: int = 0) -> str:
    """Return a key that is equal for two deliveries of the same news, and only then.

    ``round_`` counts the opposite news that was known of the same firing before: an alert may fire again, end again and
    keep its start, because Alertmanager let it expire while Prometheus could not reach it.
    """
    parts = (group_key, alert.identity, f"{alert.starts_at:.6f}", alert.status, *((round_,) if round_ else ()))
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def sender_of(external_url: str, address: str) -> str:
    """Return what is equal for two deliveries of the same Alertmanager: of its name for itself and its address."""
    return hashlib.sha256(json.dumps((external_url, address)).encode()).hexdigest()[:16]


def _raw(entry: object) -> str:
    """Return an entry as it came, as far as anything could keep it."""
    try:
        return without_secrets(json.dumps(entry))
    except RecursionError:
        return "(nested too deeply to be kept)"


def _describe_error(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=True)[0]
    where = ".".join(_shown(part, 60) if isinstance(part, str) else str(part) for part in first["loc"]) or "alert"
    return without_secrets(f"{where}: {first['msg']}, got {_shown(first['input'])}")


def _shown(value: object, most: int = 120) -> str:
    """Show a stranger's value in a message: as JSON, so that no control character gets through, and short."""
    try:
        text = json.dumps(value)
    except (RecursionError, TypeError, ValueError):
        text = type(value).__name__
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"
