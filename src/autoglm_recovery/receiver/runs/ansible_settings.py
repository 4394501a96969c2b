# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How every playbook of the receiver is run, warm or cold, here or in a container, whatever the environment says."""

from __future__ import annotations

from typing import Final

# A host's facts are not made variables: they would rank above the inventory, so that one host could say where the rest
# of its run goes. Our own playbooks hold without it; a site's own actions are kept from it by this.
ENVIRONMENT: Final = {"ANSIBLE_INJECT_FACT_VARS": "False"}
