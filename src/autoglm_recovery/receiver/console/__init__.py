# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The console at ``/``: what engineers look at when something has failed.

``pages`` and ``ordering`` are the shells: they ask the database, and answer with HTML.  What a page shows is worked out
by pure functions, one file a page, from plain rows; templates only lay it out.  Every page is whole without JavaScript;
with it, a page asks for itself again and puts in what has changed.

Every text goes through ``plain`` and is escaped (``rendering``), so that no template can forget either.
"""
