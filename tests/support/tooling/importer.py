# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""galaxy-importer on the built archive: what Galaxy and Automation Hub say of it when it is uploaded."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

from tests.support.tooling import environments
from tests.support.tooling.workplace import CHECKOUT, StepFailedError, Workplace

# It wants an older attrs than our tests do. ansible-core is that of the importer's own images or newer.
REQUIREMENTS = ("galaxy-importer==0.4.44", "ansible-core==2.21.5", "ansible-lint==26.10.1")
# ansible-test's turn is the step sanity: the importer runs it in a container of its own.
CONFIGURATION = """\
[galaxy-importer]
ansible_local_tmp={folder}/ansible
check_changelog=True
check_required_tags=True
offline_ansible_lint=True
run_ansible_doc=True
run_ansible_lint=True
run_ansible_test=False
"""
COMPLAINT = re.compile(r"^(WARNING|ERROR|CRITICAL)\b.*", re.MULTILINE)
# Without these it has left something out, and has nothing to complain of.
DONE = ("...ansible-lint run complete", "Importer processing completed successfully")
DOCUMENTED = {"module", "lookup", "filter", "inventory", "eda/plugins/event_filter"}


def run(workplace: Workplace) -> str:
    """Import the archive; every complaint fails, and so does content that it finds no documentation of."""
    importer = environments.on_newer_python("galaxy-importer", REQUIREMENTS)
    if importer is None:
        return environments.LEFT_OUT
    with tempfile.TemporaryDirectory(prefix="autoglm-importer-") as temporary:
        folder = Path(temporary)
        workplace.read(workplace.program("ansible-galaxy"), "collection", "build", "--output-path", temporary)
        archive = next(folder.glob("*.tar.gz"))
        (folder / "importer.cfg").write_text(CONFIGURATION.format(folder=folder))
        environment = importer.environment(GALAXY_IMPORTER_CONFIG=str(folder / "importer.cfg"), HOME=temporary)
        log = CHECKOUT / ".cache/logs/importer.log"
        command = [importer.python, "-m", "galaxy_importer.main", archive.name]
        importer.run_logged(*command, log=log, show=COMPLAINT, cwd=folder, env=environment)
        said = log.read_text("utf-8")
        result = json.loads((folder / "importer_result.json").read_text("utf-8"))
    if complaints := COMPLAINT.findall(said):
        raise StepFailedError(f"galaxy-importer complains {len(complaints)} times; all it said: {log}")
    if missing := [line for line in DONE if line not in said]:
        raise StepFailedError(f"galaxy-importer did not say {missing}; all it said: {log}")
    return f"{archive.name}, {_documented(result['docs_blob']['contents'])} plugins and roles documented"


def _documented(contents: list[dict[str, object]]) -> int:
    """Return of how much there is documentation; raises StepFailedError where there should be."""
    of_plugins = {_name(each): each["doc_strings"] for each in contents if each["content_type"] in DOCUMENTED}
    of_roles = {_name(each): each["readme_html"] for each in contents if each["content_type"] == "role"}
    found = {**of_plugins, **of_roles}
    modules = {path.stem for path in (CHECKOUT / "plugins/modules").glob("[a-z]*.py")}
    missing = {f"module {name}" for name in modules} - found.keys() | {name for name, told in found.items() if not told}
    if missing:
        raise StepFailedError(f"galaxy-importer finds no documentation of: {', '.join(sorted(missing))}")
    return len(found)


def _name(content: dict[str, object]) -> str:
    return f"{content['content_type']} {content['content_name']}"
