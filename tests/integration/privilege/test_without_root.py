# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recovery from an alert to its proof, by a receiver and a login that are not root; and what that login cannot do.

Real sshd, sudo, llama-server and receiver.  The receiver is a user of its own with a key of its own; on the host it
logs in as a user who may run one program with sudo, which docs/security.md has installed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from autoglm_recovery.root.declared import declaration
from tests.integration.receiver.running import alert, now, payload
from tests.lab import model
from tests.lab.places import CACHE
from tests.lab.waiting import wait_for
from tests.support.servers import account, ansiballz, llama, machine
from tests.support.servers.ports import free_port

HOST = "node-a"
PROGRAMS = Path(sys.executable).parent
ROOT = "/usr/local/libexec/autoglm-root"
TOKEN = "token-of-an-operator-0123456789"
OWNED = "/root/owned"
SECONDS = 180


@dataclass
class Site:
    """A host, and what the receiver's user has for it."""

    host: machine.Machine
    folder: Path
    service: dict[str, Any]

    @property
    def home(self) -> Path:
        """Where the receiver's user has its files."""
        return self.folder / "home"

    def as_receiver(self, *program: str) -> list[str]:
        """Words that run a program as the receiver's user."""
        return account.command(self.folder / "account", self.home, *program)

    @property
    def environment(self) -> dict[str, str]:
        """What it finds around it."""
        path = f"{PROGRAMS}:{os.environ['PATH']}"
        return {"PATH": path, "HOME": str(self.home), "LANG": "C.UTF-8", "ANSIBLE_NOCOLOR": "1"}

    def does(self, *program: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program as the receiver's user, to its end."""
        return subprocess.run(
            self.as_receiver(*program), env=self.environment, cwd=self.home, input=text, text=True, timeout=120,
            capture_output=True, check=False, **({} if text is not None else {"stdin": subprocess.DEVNULL}),
        )  # fmt: skip

    def ssh(self, *command: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command on the host as a thief of the receiver's key would."""
        options = ["-F", "none", "-i", "key", "-o", "UserKnownHostsFile=known_hosts", "-o", "BatchMode=yes"]
        login = f"{machine.LOGIN}@127.0.0.1"
        return self.does("ssh", *options, "-p", str(self.host.port), login, *command, text=text)

    def asks(self, file: str) -> subprocess.CompletedProcess[str]:
        """Have such a file run as root, by the words with which Ansible does."""
        line = "echo BECOME-SUCCESS-a ; /usr/bin/python3"
        return self.ssh(f"sudo -n {ROOT} -u root /bin/sh -c '{line}'", text=file)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Prepare the host as docs/security.md says."""
    folder = Path(tempfile.mkdtemp(prefix="autoglm-privilege-"))
    folder.chmod(0o711)
    home = folder / "home"
    home.mkdir()
    port, engine = free_port(), free_port()
    service = {
        "name": "llama",
        "engine": "llama_cpp",
        "url": f"http://127.0.0.1:{engine}",
        "pid_file": "/run/llama.pid",
        "log_file": "/var/log/llama.log",
        "start_command": llama.words("/var/lib/llama/tiny.gguf", engine),
        "user": machine.SERVICE_USER,
    }
    _keys(home, folder / "tree", port)
    _inventory(home / "inventory.yml", port, service)
    _prepared(folder, home / "inventory.yml")
    subprocess.run(["chown", "-R", f"{account.UID}:{account.UID}", str(home)], check=True)
    try:
        with machine.running(folder, folder / "tree", port) as host:
            yield Site(host, folder, service)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _keys(home: Path, tree: Path, port: int) -> None:
    (tree / "etc/ssh").mkdir(parents=True)
    for key in (home / "key", tree / "etc/ssh/ssh_host_ed25519_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    shutil.copy(home / "key.pub", tree / "authorized_keys")
    public = (tree / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
    (home / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}")


def _inventory(path: Path, port: int, service: dict[str, Any]) -> None:
    known = path.parent / "known_hosts"
    host = {
        "ansible_host": "127.0.0.1",
        "ansible_port": port,
        "ansible_user": machine.LOGIN,
        "ansible_become_exe": f"sudo -n {ROOT}",
        "ansible_become_flags": "",
        "ansible_pipelining": True,
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_private_key_file": str(path.parent / "key"),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={known} -o StrictHostKeyChecking=yes",
        "autoglm_services": [service],
    }
    path.write_text(yaml.safe_dump({"all": {"hosts": {HOST: host}}}))


def _prepared(folder: Path, inventory: Path) -> None:
    tree, out = folder / "tree", folder / "root"
    subprocess.run([str(PROGRAMS / "autoglm"), "root", "-i", str(inventory), "--out", str(out)], check=True, cwd=folder)
    for source, place in (
        (out / "autoglm-root", ROOT),
        (out / "sudoers", "/etc/sudoers.d/autoglm"),
        (out / "hosts" / HOST / "root.json", "/etc/autoglm/root.json"),
        (model.ensure(CACHE), "/var/lib/llama/tiny.gguf"),
    ):
        target = tree / place.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def test_a_recovery_from_the_alert_to_its_proof(site: Site) -> None:
    port = free_port()
    (site.home / "access").write_text(TOKEN)
    (site.home / "access").chmod(0o600)
    os.chown(site.home / "access", account.UID, account.UID)
    policy = site.home / "policy.yaml"
    policy.write_text("recovery: {strategies: {crash: {action: restart_process, delay: 0s}}}")
    words = ["serve", "-i", "inventory.yml", "--policy", "policy.yaml", "--state-dir", "state"]
    words += ["--listen", f"127.0.0.1:{port}", "--access-file", "access"]
    client = httpx.Client(
        base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False, timeout=30
    )
    with (site.folder / "receiver.log").open("ab") as log:
        receiver = subprocess.Popen(
            site.as_receiver(str(PROGRAMS / "autoglm"), *words), env=site.environment, cwd=site.home,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for("the receiver", lambda: _answers(client), SECONDS)
        status = Path(f"/proc/{receiver.pid}/status").read_text("ascii").splitlines()
        assert f"Uid:\t{account.UID}\t{account.UID}\t{account.UID}\t{account.UID}" in status

        fault = alert(HOST, start=now(), alertname="Crash", failure_class="crash", service="llama")
        assert client.post("/api/v1/alerts", json=payload(fault)).status_code == httpx.codes.OK

        run = wait_for("the run's end", lambda: _ended(client), SECONDS)
        timeline = json.dumps(client.get("/api/v1/incidents/1").json()["timeline"], indent=1)
        assert run["state"] == "succeeded", timeline + (site.folder / "receiver.log").read_text()[-3000:]
    finally:
        client.close()
        receiver.terminate()
        receiver.wait(60)
    body = {"prompt": "a", "max_tokens": 2}
    assert httpx.post(f"{site.service['url']}/v1/completions", json=body, trust_env=False, timeout=30).is_success
    assert site.host.run("ps", "-o", "user=", "-C", "llama-server").stdout.split() == [machine.SERVICE_USER]
    # The evidence, the fence and the lock are root's on the host: this was not done by leaving them out.
    assert site.host.run("sh", "-c", "ls /var/lib/autoglm/evidence/*").returncode == 0
    assert site.host.run("stat", "-c", "%U", "/run/autoglm/fence").stdout == "root\n"


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").is_success
    except httpx.HTTPError:
        return False


def _ended(client: httpx.Client) -> dict[str, Any] | None:
    incidents = client.get("/api/v1/incidents").json()["incidents"]
    runs = client.get(f"/api/v1/incidents/{incidents[0]['id']}").json()["runs"] if incidents else []
    return next((run for run in runs if run["state"] in {"succeeded", "failed"}), None)


# Each must fail, and none may show what root alone sees.
ATTEMPTS = (
    "sudo -n id",
    f"sudo -n /bin/sh -c 'touch {OWNED}'",
    "sudo -n -u llama id",
    "sudo -n -e /etc/shadow",
    f"sudo -n {ROOT}x",
    f"sudo -n {ROOT} id",
    f"sudo -n {ROOT} /bin/sh -c 'touch {OWNED}'",
    f"sudo -n {ROOT} -H -S -n -u root /bin/sh -c 'echo BECOME-SUCCESS-a ; touch {OWNED}'",
    f"sudo -n {ROOT} -u root /bin/sh -c 'echo BECOME-SUCCESS-a ; /usr/bin/python3 -c pass'",
    f"sudo -n {ROOT} -u root /bin/sh -c 'echo BECOME-SUCCESS-a ; /usr/bin/python3 /home/autoglm/evil.py'",
    f"sudo -n {ROOT} -u root /bin/sh -c 'echo BECOME-SUCCESS-a ; /usr/bin/python3 /home/autoglm/AnsiballZ_evil.py'",
    f"sudo -n {ROOT} -u root /bin/sh -c 'echo BECOME-SUCCESS-a ; /usr/bin/python3 /home/autoglm/AnsiballZ_link.py'",
    f"PYTHONPATH=/home/autoglm PYTHONSTARTUP=/home/autoglm/evil.py sudo -n {ROOT} id",
    f"sudo -n -E {ROOT} id",
    f"sudo -n PYTHONPATH=/home/autoglm {ROOT} id",
    f"cp {ROOT} autoglm-root; sudo -n ./autoglm-root id",
)


def test_the_login_has_no_other_way_to_root(site: Site) -> None:
    evil = f"open({OWNED!r}, 'w').write('a')\n"
    lines = ["cat > evil.py; cp evil.py ansible.py; cp evil.py AnsiballZ_evil.py; ln -sf /etc/shadow AnsiballZ_link.py"]
    lines += [f"({words}); echo ended with $?" for words in ATTEMPTS]
    done = site.ssh("\n".join(lines), text=evil)
    ends = [line for line in done.stdout.splitlines() if line.startswith("ended with")]
    assert len(ends) == len(ATTEMPTS), done
    assert "ended with 0" not in ends, done
    assert "uid=" not in done.stdout
    assert "root:" not in done.stdout + done.stderr
    assert site.host.run("ls", OWNED).returncode != 0


def test_sudo_lists_one_program(site: Site) -> None:
    listed = site.ssh("sudo -n -l").stdout
    assert listed[listed.index("may run") :].splitlines()[1:] == [f"    (root) NOPASSWD: {ROOT}"]


def test_what_was_sent_is_read_and_not_run(site: Site) -> None:
    """A module's file as Ansible sends it; the same with other code in its place; the same for another unit."""
    file = ansiballz.of("fence", {"host": HOST, "service": "other", "token": 9})
    other = ansiballz.with_code(file, "fence", f"open({OWNED!r}, 'w').write('a')\n")
    unit = ansiballz.for_module(file, "inference_service", {"unit": "ssh.service", "state": "restarted"})

    as_it_is, other_code, other_unit = (site.asks(each).stdout for each in (file, other, unit))

    assert '"highest": 9' in as_it_is, as_it_is
    assert "was prepared with another release" in other_code
    assert "no one of the declared services" in other_unit
    assert site.host.run("ls", OWNED).returncode != 0


def test_the_note_on_a_service_is_root_s_and_no_way_to_another_file(site: Site) -> None:
    """What root has installed writes it, and has nothing of Ansible's own that would put a file anywhere."""
    note = declaration(HOST, {HOST: {"autoglm_services": [site.service]}})["notes"][0]["path"]
    asked = {"path": note, "state": "present", "service": "llama"}
    sent = ansiballz.for_module(ansiballz.of("taken_out", asked), "taken_out", asked)  # and not in check mode
    options = {"dest": note, "mode": "0600", "src": "/etc/shadow", "_original_basename": OWNED}
    copied = ansiballz.for_module(sent, "ansible.modules.copy", options)
    elsewhere = ansiballz.for_module(sent, "taken_out", {**asked, "path": OWNED})

    written, of_ansible, of_another = (site.asks(each).stdout for each in (sent, copied, elsewhere))

    assert '"changed": true' in written, written
    assert site.host.run("stat", "-c", "%U %a", note).stdout == "root 640\n"
    assert "ansible.modules.copy is no module that is run as root here" in of_ansible
    assert "no one of the declared notes" in of_another
    assert site.host.run("ls", OWNED).returncode != 0


def test_by_hand_without_pipelining(site: Site) -> None:
    """Then the module lies in a file on the host."""
    words = [HOST, "-i", "inventory.yml", "--become", "-e", "ansible_pipelining=false"]
    program = str(PROGRAMS / "ansible")
    ours = site.does(program, *words, "-m", "autoglm.recovery.fence", "-a", f"host={HOST} service=other token=10")
    theirs = site.does(program, *words, "-m", "ansible.builtin.command", "-a", f"touch {OWNED}")
    assert ours.returncode == 0, ours
    assert '"highest": 10' in ours.stdout
    assert theirs.returncode != 0
    assert "Refused by autoglm-root, nothing was changed by this step: no one of the declared commands" in theirs.stdout
    assert site.host.run("ls", OWNED).returncode != 0


def test_the_doctor_s_look_at_a_host(site: Site) -> None:
    """It becomes root to see that this can be done; units and addresses it asks for without."""
    other = {"balancer": {"kind": "file_sd", "file": "/etc/shadow"}, "servers": []}
    look = {HOST: {"urls": [{"url": site.service["url"]}], "containers": [{"runtime": "podman", "name": "other"}]}}
    look[HOST]["balancers"] = [other]
    words = ["autoglm.recovery.look_at_hosts", "-i", "inventory.yml", "-e", json.dumps({"autoglm_look": look}), "-v"]
    done = site.does(str(PROGRAMS / "ansible-playbook"), *words)
    clock, _, rest = done.stdout.partition("TASK [Unit]")
    assert f"ok: [{HOST}]" in clock, done
    assert "no one of the declared commands" in rest  # that container is not one of this host's
    assert "no one of the declared drains" in rest  # nor is that balancer
    assert "unreachable=0    failed=0" in rest
