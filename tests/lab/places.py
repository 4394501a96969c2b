# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the lab keeps its things, and the names by which it finds them again."""

from __future__ import annotations

import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sys.executable).parent  # autoglm, ansible-playbook: those of the environment that runs us
FILES = Path(__file__).parent / "files"

STATE = Path("/var/lib/autoglm-lab")  # one running lab; removed with it. Not /run: that is often mounted noexec
CACHE = Path("/var/cache/autoglm-lab")  # outlives the lab: downloaded packages, the model
LOCK = Path("/var/lib/autoglm-lab.lock")

NAME = "autoglm-lab"  # prefix of every container, and the network
LABEL = "autoglm.lab"  # on everything that podman makes for us
MARK = "AUTOGLM_LAB"  # environment variable that every process of the lab inherits

RECEIVER_PORT = 8484
HOME = STATE / "receiver-home"  # of the receiver's user on this machine
LOGIN = "autoglm"  # of the receiver on hosts; it may have one program run as root
