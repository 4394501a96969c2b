# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``notify`` in the policy file: whom to tell when a person is needed, by Apprise's addresses."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr, model_validator

from autoglm_recovery.policy.launchers import PositiveDuration, Url
from autoglm_recovery.policy.section import FailureClass, Section, choices, known

# escalated: the receiver can do no more.  approval: it may not act without a person's word.  resolved: what somebody
# was called about is over.  refused: alerts of a new kind are not acted on, because they name no host, or several.
# receiver: alerts do not get to the receiver, or it does not act on them.  digest: what would have been done under
# ``autonomy: watch``, collected.
OCCASIONS = ("escalated", "approval", "resolved", "refused", "receiver", "digest")

Occasion = Annotated[str, known(OCCASIONS), choices(OCCASIONS)]


@cache
def understood(url: str) -> bool:
    """Tell whether Apprise knows the service of an address and has all that it needs in it."""
    import apprise  # noqa: PLC0415 - a second of imports that only those pay who notify

    # It logs what it does not understand as it stands, secrets and all.
    logging.getLogger("apprise").disabled = True
    return apprise.Apprise.instantiate(url, suppress_exceptions=True) is not None


def _check_address(value: SecretStr) -> SecretStr:
    """Refuse what Apprise cannot use.  The message names the scheme alone, since the rest may be a secret."""
    url = value.get_secret_value()
    if not understood(url):
        scheme = url.partition("://")[0] if "://" in url[:40] else "what is there"
        raise ValueError(f"Apprise cannot use this address ({scheme}); see github.com/caronc/apprise for its form")
    return value


Address = Annotated[SecretStr, AfterValidator(_check_address)]


class Route(Section):
    """Addresses, and what is sent to them: everything, or what fits each condition that is given."""

    urls: tuple[Address, ...] = ()
    urls_file: Path | None = None
    occasions: Annotated[tuple[Occasion, ...], Field(min_length=1)] = OCCASIONS
    severities: tuple[str, ...] = ()
    classes: tuple[FailureClass, ...] = ()
    pools: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Route:
        if not self.urls and self.urls_file is None:
            raise ValueError("give urls, or urls_file with one address a line")
        return self

    def wants(self, occasion: str, failure_class: str, pool: str | None, severities: Iterable[str]) -> bool:
        """Tell whether a notice goes here."""
        return (
            occasion in self.occasions
            and (not self.classes or failure_class in self.classes)
            and (not self.pools or pool in self.pools)
            and (not self.severities or bool(set(self.severities) & set(severities)))
        )

    def addresses(self) -> list[str]:
        """Return the addresses, with those of the file as it is now.

        Raises OSError if the file cannot be read.
        """
        found = [url.get_secret_value() for url in self.urls]
        if self.urls_file is not None:
            lines = (line.strip() for line in self.urls_file.read_text("utf-8").splitlines())
            found += [line for line in lines if line and not line.startswith("#")]
        return found


class Notify(Section):
    """``routes`` say who is told; ``console`` is the receiver's address as people reach it, for links in notices.

    ``digest`` is how long is collected what would have been done under ``autonomy: watch``, until it is told.
    """

    routes: tuple[Route, ...] = ()
    console: Url | None = None
    digest: PositiveDuration = timedelta(hours=1)

    @model_validator(mode="before")
    @classmethod
    def _plain_list(cls, data: Any) -> Any:
        """Accept a plain list of addresses or routes."""
        if isinstance(data, list):
            data = {"routes": data}
        if not isinstance(data, dict) or not isinstance(data.get("routes"), list):
            return data
        routes = [{"urls": [route]} if isinstance(route, str) else route for route in data["routes"]]
        return {**data, "routes": routes}
