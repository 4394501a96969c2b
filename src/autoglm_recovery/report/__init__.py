# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of one incident, as a document for the people who review it afterwards."""

from autoglm_recovery.report.document import Report, report_on
from autoglm_recovery.report.html import to_html
from autoglm_recovery.report.markdown import to_markdown
from autoglm_recovery.report.text import to_text

__all__ = ["Report", "report_on", "to_html", "to_markdown", "to_text"]
