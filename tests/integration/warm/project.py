# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A project as people have one, and what ansible-playbook and the receiver's runs see there."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret

from autoglm_recovery.receiver.runs.local import run_directory
from autoglm_recovery.receiver.runs.warm.warmer import Warmer
from tests.integration.warm.running import Place, ready, seen

PROGRAM = Path(sys.executable).with_name("ansible-playbook")


@dataclass
class Project:
    """A folder with what people have in one, in which the receiver is started."""

    place: Place
    folder: Path
    patch: pytest.MonkeyPatch
    playbook: str = "settings"
    # The ansible.cfg that counts, from the folder on, and what is in it.
    configuration: str = "ansible.cfg"
    sections: dict[str, dict[str, object]] = field(default_factory=dict)
    # Words before the commands that shall see files in other places.
    enter: tuple[str, ...] = ()

    def write(self, name: str, text: str, mode: int = 0o644) -> Path:
        """Write one of its files."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def configure(self, **sections: dict[str, object]) -> Path:
        """Write the ansible.cfg, with what is in it already."""
        lines = []
        for section, settings in sections.items():
            self.sections.setdefault(section, {}).update(settings)
        for section, settings in self.sections.items():
            lines += [f"[{section}]", *(f"{key} = {value}" for key, value in settings.items())]
        return self.write(self.configuration, "\n".join(lines) + "\n")

    def vault(self, password: str, text: str, label: str = "default") -> str:
        """Encrypt a text, as a value in YAML."""
        encrypted = VaultLib([(label, VaultSecret(password.encode()))]).encrypt(text, vault_id=label).decode()
        return "!vault |\n" + "\n".join(f"  {line}" for line in encrypted.splitlines())

    def by_hand(self, *options: str, **target: object) -> dict[str, Any]:
        """Return what ansible-playbook sees here."""
        out = self.folder.with_suffix(".by-hand")
        variables = {"autoglm_incident": {"id": 0}, "autoglm_target": {"out": str(out), **target}}
        words = ["-i", str(self.place.inventory), "-e", json.dumps(variables), "--limit", "node-a", *options]
        done = subprocess.run(
            [*self.enter, str(PROGRAM), f"autoglm.recovery.{self.playbook}", *words],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return seen(out)

    def by_receiver(self, how: str, **target: object) -> dict[str, Any]:
        """Return what a run of a receiver sees that was started here: cold, warm, or in the place's container."""
        self.patch.chdir(self.folder)
        if how == "cold":
            run = self.place.start(self._spawn, self.playbook, **target)
            assert run.result()["rc"] == 0, run.said()
            return run.seen()
        warmer = Warmer(run_directory.spawn, self.folder.with_suffix(".log"))
        try:
            ready(warmer)
            run = self.place.start(warmer.spawn, self.playbook, **target)
            assert run.result()["rc"] == 0, run.said()
            assert not isinstance(run.process, subprocess.Popen), "it was cold"
            assert run.cold is None
            return run.seen()
        finally:
            warmer.stop()

    def _spawn(self, directory: Path) -> subprocess.Popen[bytes]:
        """Start a supervisor, where it shall see what it shall."""
        with pytest.MonkeyPatch.context() as patch:
            popen = subprocess.Popen
            patch.setattr(subprocess, "Popen", lambda words, **given: popen([*self.enter, *words], **given))
            return run_directory.spawn(directory)
