# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users of a balancer until a file is there: users BALANCER FILE. Prints what became of their requests."""

import json
import sys
import time
from pathlib import Path

from tests.support.servers.traffic import Traffic

balancer, enough = sys.argv[1:]
users = Traffic(balancer, per_second=4)
users.start()
while not Path(enough).exists():
    time.sleep(0.2)
users.stop()
print(json.dumps(vars(users.counts)))
