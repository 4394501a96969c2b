# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the lab keeps its things, and the names by which it finds them again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sys.executable).parent  # autoglm, ansible-playbook: those of the environment that runs us
FILES = Path(__file__).parent / "files"

# Hosts of a molecule scenario are made as those of the lab are, beside them: under a name of their own.
NAME = os.environ.get("AUTOGLM_LAB_NAME", "autoglm-lab")  # prefix of every container, and the network
LABEL = NAME.replace("-", ".")  # on everything that podman makes for us

STATE = Path("/var/lib") / NAME  # one running lab; removed with it. Not /run: that is often mounted noexec
CACHE = Path("/var/cache/autoglm-lab")  # outlives the lab: images' packages, the model
LOCK = Path("/var/lib") / f"{NAME}.lock"

MARK = "AUTOGLM_LAB"  # environment variable that every process of the lab inherits

RECEIVER_PORT = 8484  # fleet.yml tells Alertmanager
HOME = STATE / "receiver-home"  # of the receiver's user on this machine
LOGIN = "autoglm"  # of the receiver on hosts; it may have one program run as root
