# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever may read a token that the policy names has AWX or Prometheus; whoever may write one has the receiver's."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from autoglm_recovery.policy import Policy
from autoglm_recovery.policy.load import parse_policy
from autoglm_recovery.receiver.access.entries import AuthError
from autoglm_recovery.receiver.access.named_files import judge_named_files, named_files
from autoglm_recovery.receiver.serve import serve
from autoglm_recovery.receiver.serve.reloader import Reloader

# Each key of the policy that names a file; a test below holds this to the schema.
PLACES = {
    "launchers.awx.token_file": "launchers: {awx: {url: 'https://awx', token_file: FILE}}",
    "launchers.awx.ca_path": "launchers: {awx: {url: 'https://awx', token_file: /none, ca_path: FILE}}",
    "monitoring.prometheus.token_file": "monitoring: {prometheus: {url: 'http://p:9090', token_file: FILE}}",
    "monitoring.prometheus.ca_path": "monitoring: {prometheus: {url: 'https://p:9090', ca_path: FILE}}",
    "monitoring.alertmanager.token_file": "monitoring: {alertmanager: {url: 'http://a:9093', token_file: FILE}}",
    "monitoring.alertmanager.ca_path": "monitoring: {alertmanager: {url: 'https://a:9093', ca_path: FILE}}",
    "guardrails.silences.token_file": "guardrails: {silences: {alertmanager: 'http://a:9093', token_file: FILE}}",
    "guardrails.silences.ca_path": "guardrails: {silences: {alertmanager: 'https://a:9093', ca_path: FILE}}",
    "notify.routes.urls_file": "notify: [{urls_file: FILE}]",
}
SECRETS = [key for key in PLACES if not key.endswith("ca_path")]


def policy(tmp_path: Path, key: str, mode: int) -> Policy:
    """A policy that names one file of a mode."""
    path = tmp_path / "it"
    path.write_text("0123456789abcdef\n")
    path.chmod(mode)
    return parse_policy(PLACES[key].replace("FILE", str(path)))


def _places(schema: dict, at: dict, path: str = "") -> set[str]:
    """The keys of a JSON Schema whose values are files."""
    found = set()
    for option in at.get("anyOf", [at]):
        inner = schema["$defs"][option["$ref"].rpartition("/")[2]] if "$ref" in option else option
        if inner.get("format") == "path":
            found.add(path)
        for key, value in inner.get("properties", {}).items():
            found |= _places(schema, value, f"{path}.{key}".strip("."))
        if isinstance(inner.get("items"), dict):
            found |= _places(schema, inner["items"], path)
    return found


def test_every_file_that_a_policy_can_name_is_judged(tmp_path: Path) -> None:
    schema = Policy.model_json_schema()
    assert _places(schema, schema) == set(PLACES)
    for key in PLACES:
        assert key in {each.key for each in named_files(policy(tmp_path, key, 0o600))}


@pytest.mark.parametrize("key", PLACES)
def test_what_others_may_write_is_refused_with_what_to_do(tmp_path: Path, key: str) -> None:
    with pytest.raises(AuthError) as refused:
        judge_named_files(policy(tmp_path, key, 0o646))
    assert f"{key} {tmp_path}/it has mode 0646: others than its owner may write it; chmod" in str(refused.value)


def test_an_own_playbook_that_others_may_write_is_refused(tmp_path: Path) -> None:
    playbook = tmp_path / "it.yml"
    playbook.write_text("- hosts: all\n")
    playbook.chmod(0o664)
    declared = "actions: {flush: {playbook: FILE}}\n".replace("FILE", str(playbook))
    with pytest.raises(AuthError, match=r"actions\.flush\.playbook .*has mode 0664: others than its owner may write"):
        judge_named_files(parse_policy(declared))
    playbook.chmod(0o644)
    assert judge_named_files(parse_policy(declared)) == []


@pytest.mark.parametrize("key", SECRETS)
def test_a_secret_that_everybody_may_read_is_refused_and_one_of_a_group_is_told(tmp_path: Path, key: str) -> None:
    with pytest.raises(AuthError, match="everybody on this machine may read it; chmod u=rw,go="):
        judge_named_files(policy(tmp_path, key, 0o644))
    assert any("its group may read it" in each for each in judge_named_files(policy(tmp_path, key, 0o640)))
    assert judge_named_files(policy(tmp_path, key, 0o600)) == []


@pytest.mark.parametrize("key", [key for key in PLACES if key.endswith("ca_path")])
def test_authorities_are_no_secret(tmp_path: Path, key: str) -> None:
    assert judge_named_files(policy(tmp_path, key, 0o644)) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_secret_as_kubernetes_mounts_it_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's, readable by the group of the receiver (fsGroup), behind two links."""
    named = policy(tmp_path, "launchers.awx.token_file", 0o440)
    (tmp_path / "..2026").mkdir()
    (tmp_path / "it").rename(tmp_path / "..2026/it")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "it").symlink_to("..data/it")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert judge_named_files(named) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_somebody_else_owns_is_refused(tmp_path: Path) -> None:
    named = policy(tmp_path, "notify.routes.urls_file", 0o600)
    os.chown(tmp_path / "it", 12345, 12345)
    with pytest.raises(AuthError, match="is of user 12345, who can change it at any time"):
        judge_named_files(named)


def test_all_of_them_are_said_at_once_and_what_is_not_there_by_who_reads_it(tmp_path: Path) -> None:
    for name in ("awx", "urls"):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o666)
    text = f"launchers: {{awx: {{url: 'https://awx', token_file: {tmp_path}/awx, ca_path: /none}}}}\n"
    with pytest.raises(AuthError) as refused:
        judge_named_files(parse_policy(f"{text}notify: [{{urls_file: {tmp_path}/urls}}]"))
    assert "launchers.awx.token_file" in str(refused.value)
    assert "notify.routes.urls_file" in str(refused.value)


def test_a_policy_that_is_read_again_has_its_files_judged_and_each_is_told_once(tmp_path: Path) -> None:
    loose = policy(tmp_path, "launchers.awx.token_file", 0o644)
    fleet = SimpleNamespace(hosts={})
    config = SimpleNamespace(now=SimpleNamespace(policy=loose, fleet=fleet), read_again=lambda: None)
    metrics = SimpleNamespace(config_read=lambda _hosts: None)
    made = Reloader(config, metrics, lambda: None)  # type: ignore[arg-type]
    with capture_logs() as told:
        made.worker.attempt()
        made.worker.attempt()
    (warning,) = [each["what"] for each in told if each["event"] == "a file is open to others"]
    assert f"launchers.awx.token_file {tmp_path}/it has mode 0644" in warning


def test_the_receiver_does_not_start_with_a_token_that_everybody_may_read(tmp_path: Path) -> None:
    config = SimpleNamespace(now=SimpleNamespace(policy=policy(tmp_path, "launchers.awx.token_file", 0o644)))
    listen = serve.AccessSettings(listen="127.0.0.1:0")
    settings = serve.ReceiverSettings(None, tmp_path / "hosts", listen, tmp_path / "state", None, 1 << 20)
    with pytest.raises(AuthError, match=r"launchers\.awx\.token_file"):
        serve.serve(settings, config)  # type: ignore[arg-type]
