# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An HTTP server that answers as AWX's API version 2 is documented to.  Not AWX: it runs nothing."""

from tests.support.fake_awx.server import Fault, running
from tests.support.fake_awx.state import FakeAwx

__all__ = ["FakeAwx", "Fault", "running"]
