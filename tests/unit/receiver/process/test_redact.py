# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The quick look finds every text from which the thorough one would take something."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.knowledge.host.redaction import redact_text
from autoglm_recovery.receiver.process.redact import without_secrets

PIECES = st.sampled_from(
    [
        *(
            "HF_TOKEN=",
            "password: ",
            '"api_key": "',
            "--auth ",
            "PGPASSWORD=x",
            "Bearer ",
            "Basic ",
            "Cookie: ",
            "dsn=",
        ),
        *("hf_", "sk-", "ghp_", "github_pat_", "xoxb-", "AKIA", "nvapi-", "glpat-", "eyJ", "://", "user:word@", "JWT="),
        "dsn=",
        *("-----BEGIN PRIVATE KEY-----", "abcdefghijklmnopqrst", "ABCDEFGHIJKLMNOP1234", "_", "-", " ", "\n", '"', "x"),
    ]
)


@given(st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=60))
def test_the_quick_look_misses_nothing(text):
    assert without_secrets(text) == redact_text(text)
