# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a notice inert in every service that it may be sent to: nobody is mentioned, nothing is markup.  Pure.

Once for all services instead of once for each: Apprise sends plain text as it stands to some that read markup in it
(Discord, Mattermost), escapes it for others by rules of theirs that know of no mentions, and has a hundred of them.
What is marked up by a character alone is replaced by the character's full-width form, because a character that nobody
sees beside it would leave it markup (CommonMark, Slack).  What takes several characters to be something (a mention, a
link behind another text, a heading) is parted by a word joiner, so that what is read stays as it was.
"""

from __future__ import annotations

import re

from autoglm_recovery.knowledge.host.plain import plain

JOINER = "\u2060"

# Emphasis, code, spoilers, struck text, HTML, and what Slack, Teams and Google Chat write mentions and links with.
_WIDE = {ord(character): chr(ord(character) + 0xFEE0) for character in "*`~|<>"}
# One between letters begins nothing anywhere, and names are full of them.  Beyond ASCII services differ in what is one.
_UNDERSCORE = re.compile(r"(?a)(?<![^\W_])_|_(?![^\W_])")
# @somebody, #channel, [text](url), [text][name], [name]: url, [!note], ![picture], &lt;
_PARTED = re.compile(r"@|#(?=\w)|\](?=[(\[:])|!(?=\[)|\[(?=[!^])|&(?=#?\w{1,32};)")
# A heading, a list, a rule or an underlined heading begins its line.
_BEGINS_LINE = re.compile(r"(?m)^(?= {0,3}(?:#|[-+=]|\d{1,9}[.)]))")
# As text a link is followed; it is for this very address, which is what a person sees.
_LINK = re.compile(r"(?i)\bhttps?://[^\s<>\"]+")
_IN_LINK = {ord(character): f"%{ord(character):02X}" for character in "*`~|@[](){}\\^"}


def inert(text: str) -> str:
    """Return a text of one or more lines as every service shows it: as text, with its links for what they say."""
    shown = "\n".join(plain(line) for line in text.split("\n"))
    parts, end = [], 0
    for link in _LINK.finditer(shown):
        parts += [_text(shown[end : link.start()]), _link(link.group())]
        end = link.end()
    return _BEGINS_LINE.sub(JOINER, "".join([*parts, _text(shown[end:])]))


def inert_line(text: str) -> str:
    """Return a text as one inert line: a title, which is a header of a mail."""
    return inert(" ".join(text.split()))


def _text(text: str) -> str:
    parted = _PARTED.sub(lambda found: found.group() + JOINER, text)
    return _UNDERSCORE.sub("\uff3f", parted).translate(_WIDE)


def _link(link: str) -> str:
    return _UNDERSCORE.sub("%5F", link.translate(_IN_LINK))
