# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that came from outside: made fit to be one component of a path, and told whether they are one host."""

from __future__ import annotations

import hashlib
import ipaddress
import re

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_LENGTH = 64
_DIGEST_LENGTH = 12
# No comma, colon, wildcard, bracket, ~, !, & or @.
_PLAIN_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}\Z", re.ASCII)


def safe_component(text: str, default: str = "unnamed") -> str:
    """A file name of at most 64 characters that is no path, no hidden file and no option.

    A text that had to be altered gets a piece of its own digest, so that two different texts never share a name.
    """
    fit = _UNFIT.sub("_", text).lstrip(".-_")
    if fit == text and 0 < len(text) <= _MAX_LENGTH:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    return f"{fit[: _MAX_LENGTH - _DIGEST_LENGTH - 1] or default}-{digest}"


def is_one_host(name: str) -> bool:
    """Whether Ansible reads a name of an inventory as this one host, and never as a pattern.

    Whether a group has the same name only the inventory knows.
    """
    return _PLAIN_HOST.match(name) is not None or _is_ipv6(name)


def _is_ipv6(name: str) -> bool:
    try:
        return isinstance(ipaddress.ip_address(name), ipaddress.IPv6Address) and "%" not in name
    except ValueError:
        return False
