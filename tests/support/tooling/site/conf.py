# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Sphinx builds the site. Nothing is fetched while it is built, and a page fetches nothing while it is read."""

from __future__ import annotations

from pygments.lexers.special import TextLexer

from tests.support.tooling.site import elsewhere

project = "autoglm.recovery"
author = "autoglm.recovery maintainers"
project_copyright = "2026, autoglm.recovery maintainers"
language = "en"

extensions = ["myst_parser", "sphinx_antsibull_ext"]
# GitHub gives the same anchors to headings: a link is right in both places.
myst_heading_anchors = 6
myst_enable_extensions = ["attrs_inline", "deflist"]
suppress_warnings = ["toc.excluded"]

html_theme = "furo"
html_title = "autoglm.recovery"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_use_index = False
# Commands are copied from here: two dashes stay two.
smartquotes = False
html_theme_options = {
    "source_repository": "https://github.com/autoglm/recovery/",
    "source_branch": "main",
    "source_directory": "docs/",
    "top_of_page_buttons": [],
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"
highlight_language = "text"
antsibull_ext_color_scheme = "none"


def setup(app):
    """Connect what Sphinx asks about single pages and references."""
    # GitHub colours it, Pygments does not know it.
    app.add_lexer("haproxy", TextLexer)
    app.connect("missing-reference", elsewhere.resolve)
    app.connect("html-page-context", _language)


def _language(_app, page, _template, context, _doctree):
    """Say of a Chinese page that it is one: browsers choose fonts by it, and readers aloud their voice."""
    if page.endswith(".zh"):
        context["language"] = "zh-Hans"
