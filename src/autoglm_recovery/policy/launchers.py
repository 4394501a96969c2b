# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where playbooks run: ``launchers`` in the policy file."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from autoglm_recovery.knowledge.host.redaction import redact_text
from autoglm_recovery.policy.section import Action, Duration, Section, choices, known, positive

LAUNCHERS = ("local", "awx")

LauncherName = Annotated[str, known(LAUNCHERS), choices(LAUNCHERS)]
PositiveDuration = Annotated[Duration, AfterValidator(positive)]


def called(key: str) -> Callable[[object], object]:
    """Accept a text in place of a mapping that has only ``key``."""
    return lambda value: {key: value} if isinstance(value, str) else value


def _check_image(value: str) -> str:
    """Refuse a text that podman would not take for an image, such as an option."""
    # An @ separates the digest; a name and password before an @ are refused.
    if not re.fullmatch(r"(?=.{1,255}\Z)[A-Za-z0-9][A-Za-z0-9._/:-]*(@[A-Za-z0-9:]+)?", value, re.ASCII):
        raise ValueError("is no name of an image; write for example registry.example.org/team/autoglm-ee:1")
    return value


def _check_mount(value: str) -> str:
    if not re.fullmatch(r"/[^:]*:/[^:]*(:[^:]+)?", value):
        raise ValueError("is no mount; write for example /etc/autoglm/ssh:/root/.ssh:ro")
    return value


def _check_podman_option(value: str) -> str:
    if not value.startswith("--"):
        raise ValueError("is no option of podman run; write for example --userns=keep-id")
    name, _sign, rest = value.partition("=")
    if redact_text(rest) != rest or name == "--creds":
        raise ValueError(
            f"{name} holds what looks like a secret, which everybody could read in podman's command line; "
            "use --env-file, or a secret of podman's own"
        )
    return value


class ExecutionEnvironment(Section):
    """A container image that holds Ansible and this collection, in which podman runs the playbooks.

    ``mounts`` are ``/ON/THIS/MACHINE:/IN/THE/CONTAINER[:ro]``, for SSH keys above all; ``options`` are words for
    ``podman run``, such as ``--userns=keep-id``.
    """

    image: Annotated[str, AfterValidator(_check_image)]
    pull: Literal["always", "missing", "never"] = "missing"
    mounts: tuple[Annotated[str, AfterValidator(_check_mount)], ...] = ()
    options: tuple[Annotated[str, AfterValidator(_check_podman_option)], ...] = ()


class LocalLauncherSettings(Section):
    """Runs on the receiver's machine, by ansible-runner; in a container where an execution environment is named."""

    execution_environment: (
        Annotated[ExecutionEnvironment, BeforeValidator(called("image"), str | ExecutionEnvironment)] | None
    ) = None
    artifacts_keep: int = Field(default=1000, ge=1, le=1_000_000)
    artifacts_max_age: PositiveDuration = timedelta(days=14)


class AwxTemplate(Section):
    """A job template, or a workflow job template, by its exact name."""

    name: Annotated[str, Field(min_length=1, max_length=512)]
    workflow: bool = False


def plain_url(value: str) -> str:
    """Accept an address over HTTP without credentials in it."""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False  # urllib's message is not shown, because it may quote a part of a password
    if not usable:
        raise ValueError("is no address; write for example https://awx.example.org")
    if parts.username or parts.password or redact_text(value) != value:
        raise ValueError("holds a name or a password; a policy is read by many, put secrets into a file of their own")
    return value.rstrip("/")


Url = Annotated[str, AfterValidator(plain_url)]


class AwxLauncherSettings(Section):
    """Runs as jobs of an AWX or Automation Controller.

    ``token_file`` holds an OAuth2 token of AWX in its first line.  ``timeout`` is for one request, ``follow_timeout``
    for a whole job where its strategy names no shorter ``timeout``.  An action without an entry in ``templates`` is the
    job template ``autoglm ACTION``, which the playbook ``awx_setup`` creates.  Certificates are always verified;
    ``ca_path`` is a file of authorities that are trusted in place of the system's.  ``api_path`` is where the API
    begins: behind the gateway of Ansible Automation Platform 2.5 that is /api/controller/v2.
    """

    url: Url
    token_file: Path
    ca_path: Path | None = None
    api_path: Annotated[str, Field(pattern=r"^/[A-Za-z0-9._/-]{1,200}$")] = "/api/v2"
    timeout: PositiveDuration = timedelta(seconds=10)
    follow_timeout: PositiveDuration = timedelta(hours=1)
    organization: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    templates: dict[Action, Annotated[AwxTemplate, BeforeValidator(called("name"), str | AwxTemplate)]] = Field(
        default_factory=dict
    )

    def template(self, action: str) -> AwxTemplate:
        """Return the job template that is launched for an action."""
        return self.templates.get(action) or AwxTemplate(name=f"autoglm {action}")


class Launchers(Section):
    """``default`` runs every action for which its strategy names no other ``launcher``."""

    default: LauncherName = "local"
    local: LocalLauncherSettings = LocalLauncherSettings()
    awx: AwxLauncherSettings | None = None

    @model_validator(mode="after")
    def _default_is_there(self) -> Launchers:
        if self.default == "awx" and self.awx is None:
            raise ValueError("default is awx, but launchers.awx says nothing about it; give its url and token_file")
        return self
