# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report as one HTML file that needs nothing from anywhere, for mail and for printing."""

from __future__ import annotations

import jinja2
from markupsafe import Markup

from autoglm_recovery.knowledge.host.plain import plain
from autoglm_recovery.report.document import Report, duration, moment, output, when


def _spelled(value: object) -> object:
    """Spell out controls, and what turns or hides writing."""
    return value if isinstance(value, Markup) else plain(value)


_environment = jinja2.Environment(
    loader=jinja2.PackageLoader("autoglm_recovery.report", "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=_spelled,
)
_environment.filters.update(duration=duration, moment=moment, output=output, when=when)


def to_html(report: Report) -> str:
    """Write the report."""
    return _environment.get_template("report.html.j2").render(report=report)
