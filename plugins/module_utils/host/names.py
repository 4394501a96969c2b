# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names from outside: made safe as one component of a path, and checked to mean one host."""

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

    A text that had to be changed gets a part of its digest appended, so that two texts never share a name.
    """
    fit = _UNFIT.sub("_", text).lstrip(".-_")
    if fit == text and 0 < len(text) <= _MAX_LENGTH:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    return f"{fit[: _MAX_LENGTH - _DIGEST_LENGTH - 1] or default}-{digest}"


def is_one_host(name: str) -> bool:
    """Whether Ansible reads a name of an inventory as this one host, and never as a pattern.

    This does not check whether a group of the inventory has the same name.
    """
    return _PLAIN_HOST.match(name) is not None or _is_ipv6(name)


def _is_ipv6(name: str) -> bool:
    try:
        return isinstance(ipaddress.ip_address(name), ipaddress.IPv6Address) and "%" not in name
    except ValueError:
        return False
