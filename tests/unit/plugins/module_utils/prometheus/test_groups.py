# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A group is made of a text that fits a name, and of one alone."""

from __future__ import annotations

from typing import Any

from ansible_collections.autoglm.recovery.plugins.module_utils.prometheus.groups import KINDS, grouped, groups_of


def host(**changes: Any) -> dict[str, Any]:
    """Return variables of a host."""
    lists = ("gpu_models", "pool_names", "roles", "service_names")
    known = {"autoglm_presence": "heard", "autoglm_verdict": "healthy", **{f"autoglm_{name}": [] for name in lists}}
    return {**known, **{f"autoglm_{name}": value for name, value in changes.items()}}


def test_every_kind_of_group() -> None:
    whole = host(
        gpu_models=["NVIDIA H200"], pool_names=["chat-1"], roles=["primary"], service_names=["llama"], quarantined=True
    )
    assert dict(groups_of({"a": whole, "b": host(quarantined=False)}, KINDS).members) == {
        "autoglm_fleet": ["a", "b"],
        "autoglm_gpu_NVIDIA_H200": ["a"],
        "autoglm_pool_chat_1": ["a"],
        "autoglm_presence_heard": ["a", "b"],
        "autoglm_quarantined": ["a"],
        "autoglm_role_primary": ["a"],
        "autoglm_service_llama": ["a"],
        "autoglm_verdict_healthy": ["a", "b"],
    }
    assert list(groups_of({"a": whole}, []).members) == ["autoglm_fleet"]


def test_two_texts_that_would_be_one_group_are_none() -> None:
    found = groups_of({"a": host(pool_names=["chat-1"]), "b": host(pool_names=["chat.1"])}, ["pool"])
    assert list(found.members) == ["autoglm_fleet"]
    assert found.warnings == ("there is no group autoglm_pool_chat_1: 'chat-1' and 'chat.1' would be one",)


def test_a_text_that_fits_no_name_is_none() -> None:
    found = groups_of({"a": host(pool_names=["..", "{{ x }}", "a\nb", "", "x" * 64])}, ["pool"])
    assert list(found.members) == ["autoglm_fleet"]
    assert len(found.warnings) == 5
    assert all(warning.isprintable() for warning in found.warnings)


def test_no_host_has_the_name_of_a_group() -> None:
    hosts = {name: host(pool_names=["chat"]) for name in ("a", "all", "web", "autoglm_pool_chat")}
    found = grouped(hosts, ["pool"], hosts_there=(), groups_there=("web",))
    assert list(found.hosts) == ["a"]
    assert dict(found.groups) == {"autoglm_fleet": ["a"], "autoglm_pool_chat": ["a"]}
    assert len(found.warnings) == 3


def test_no_group_has_the_name_of_a_host_that_is_there() -> None:
    found = grouped({"a": host(pool_names=["chat"])}, ["pool"], hosts_there=("autoglm_pool_chat",))
    assert list(found.groups) == ["autoglm_fleet"]
    assert len(found.warnings) == 1
