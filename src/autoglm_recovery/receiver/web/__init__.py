# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiver's HTTP interface.

A part of it is a function ``routes(services)`` that returns ``Guarded`` and ``GuardedMount`` routes; ``app.AREAS``
names them all.  Each route says what it needs (``Need``), and the guard holds it to that: a handler is called only for
somebody who may, and gets them with ``who(request)``.  A route that says nothing is refused when the application is
built.

A route of the API has a ``Contract``, of which the OpenAPI document is made.  One without is a page for browsers:
whoever is not logged in is sent to ``/login`` and back, and a form carries ``form_token(request)`` in a hidden field of
that name.  The fields of a form that was sent are ``form(request)``.
"""
