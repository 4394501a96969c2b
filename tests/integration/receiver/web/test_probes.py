# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the receiver says of itself to whoever watches it, while its own threads hang or fail."""

from __future__ import annotations

import threading

import pytest

from autoglm_recovery.receiver.process.worker import Worker, Workers
from tests.support.servers.waiting import until

from .serving import serving


class Hanging:
    """A step that hangs until it is let go, and one that fails until then."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.going_on, self.let_go = threading.Event(), threading.Event()

    def __call__(self) -> float:
        if not self.let_go.is_set():
            self.going_on.set()
            if self.how == "fails":
                raise PermissionError(13, "Permission denied: /secret/path")
            self.let_go.wait()
        return 3600.0


@pytest.mark.parametrize(
    ("how", "vital", "status"), [("hangs", True, 503), ("hangs", False, 200), ("fails", True, 200)]
)
def test_a_thread_in_trouble_is_named_in_readyz_until_it_is_over(tmp_path, how, vital, status):
    """Not ready is who cannot store alerts or act on them: a slow Prometheus takes no receiver out of its balancer."""
    step, workers, patience = Hanging(how), Workers(), 0.0 if how == "hangs" else 60.0
    worker = Worker("silences", step, stuck_after=lambda: patience, first_pause_s=0.01, vital=vital)
    workers.take(worker)
    with serving(tmp_path, workers=workers) as served:
        assert served.ask("GET", "/readyz").text == "ready\n"
        worker.start()
        assert step.going_on.wait(60)
        until("trouble", lambda: worker.trouble)
        answer = served.ask("GET", "/readyz")
        assert answer.status_code == status
        assert "silences" in answer.text
        # Open to anybody, it tells who is in trouble and not what is wrong.
        assert "secret" not in answer.text
        assert served.ask("GET", "/healthz").status_code == 200
        step.let_go.set()
        until("its end", lambda: not worker.trouble)
        answer = served.ask("GET", "/readyz")
        assert (answer.status_code, answer.text) == (200, "ready\n")
        worker.stop()
