# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take secrets out of what strangers write, before it is kept or logged.

The same rules as for evidence (``knowledge.evidence.redaction``), with a quick look first: a storm brings tens of
thousands of texts of which next to none holds anything that could be a secret.
"""

from __future__ import annotations

from autoglm_recovery.knowledge.host.redaction import redact_text

# At least one of these is in every text from which redact_text takes something; a property test holds this to it.
_HINTS = (
    *("@", "secret", "pass", "pwd", "credential", "key", "token", "auth", "bearer", "basic", "cookie", "dsn"),
    *("signature", "session", "jwt", "sas", "hf_", "sk-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    *("xox", "akia", "nvapi-", "glpat-", "eyj", "sig=", "sig%3d"),
    *("sign=", "sign%3d", "hmac=", "hmac%3d"),
)


def without_secrets(text: str) -> str:
    """Return a text without what looks like a secret: passwords in URLs, tokens, keys."""
    lower = text.lower()
    return redact_text(text) if any(hint in lower for hint in _HINTS) else text
