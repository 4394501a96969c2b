# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which host an alert is about.  The words are hostile; what is chosen is one right host or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.receiver.fleet import fleet_from
from autoglm_recovery.receiver.target import HOST_LABELS, Refusal, resolve_target

FLEET = fleet_from(
    {
        "_meta": {
            "hostvars": {
                "node-a": {"ansible_host": "192.0.2.1", "autoglm_services": [{"name": "llama", "pool": "chat"}]},
                "node-b": {
                    "ansible_host": "fd00::1",
                    "autoglm_services": [{"name": "llama", "pool": "chat"}, {"name": "embed", "pool": "vectors"}],
                },
                "twin-1": {"ansible_host": "192.0.2.9"},
                "twin-2": {"ansible_host": "192.0.2.9"},
                "inference": {},
                "web[1:3]": {},
                "fd00::7": {},
            }
        },
        "all": {"children": ["ungrouped", "inference"]},
        "inference": {"hosts": ["node-a", "node-b", "bare"]},
    }
)


@pytest.mark.parametrize(
    ("labels", "host"),
    [
        ({"host": "node-a"}, "node-a"),
        ({"host": "node-a:9400"}, "node-a"),
        ({"instance": "node-a:9400"}, "node-a"),
        ({"instance": "192.0.2.1:9100"}, "node-a"),
        ({"instance": "[fd00::1]:9400"}, "node-b"),
        ({"instance": "[fd00:0:0::1]:9400"}, "node-b"),
        ({"host": "fd00::1"}, "node-b"),
        ({"host": "fd00::7"}, "fd00::7"),
        ({"node": "bare"}, "bare"),
        ({"Hostname": "node-a", "instance": "10.0.0.1:9400"}, "node-a"),
        ({"host": "", "instance": "node-a:1"}, "node-a"),
    ],
)
def test_the_one_right_host(labels, host):
    assert resolve_target(labels, FLEET).host == host


@pytest.mark.parametrize(
    "word",
    [
        "all",
        "*",
        "node-*",
        "!node-a",
        "&node-a",
        "node-a,node-b",
        "node-a:node-b",
        "~.*",
        "~node-a",
        "@/etc/passwd",
        "inference",
        "ungrouped",
        "localhost",
        "NODE-A",
        "node-a ",
        " node-a",
        "node-a\n",
        "node-a\nnode-b",
        "node-a:99999999",
        "node-a:",
        "node-a:0x1f",
        "node-a:9400:9400",
        "[node-a]:9400",
        "[fd00::1",
        "fd00::1]:9400",
        "../x",
        "/etc/passwd",
        "$(x)",
        "`x`",
        "; rm -rf /",
        "{{ 'node-a' }}",
        "{{ lookup('pipe', 'touch /tmp/x') }}",
        "{% raw %}node-a{% endraw %}",
        "web[1:3]",
        "192.0.2.9",
        "192.0.2.1/24",
        "3221225985",
        "0xC0000201",
        "node-a" + "a" * 65536,
        "node\u2010a",
        "node-a\u200b",
        "\uff4eode-a",
        "node-a.",
    ],
)
@pytest.mark.parametrize("label", ["host", "instance"])
def test_a_refusal_for_everything_else(word, label):
    with pytest.raises(Refusal) as caught:
        resolve_target({label: word}, FLEET)
    assert len(str(caught.value)) < 600


def test_no_label_is_no_host():
    with pytest.raises(Refusal, match="no label says which host"):
        resolve_target({"alertname": "X"}, FLEET)


def test_a_wrong_host_label_is_not_rescued_by_a_right_instance():
    with pytest.raises(Refusal):
        resolve_target({"host": "nobody", "instance": "node-a:9400"}, FLEET)


def test_the_service_is_chosen_by_equality_or_by_being_the_only_one():
    assert resolve_target({"host": "node-a"}, FLEET).service == "llama"
    assert resolve_target({"host": "node-b"}, FLEET).service is None
    embed = resolve_target({"host": "node-b", "service": "embed"}, FLEET)
    assert (embed.service, embed.pool) == ("embed", "vectors")
    with pytest.raises(Refusal, match="not among the services of node-a: llama"):
        resolve_target({"host": "node-a", "service": "llama; reboot"}, FLEET)


@pytest.mark.parametrize("gpu", ["GPU-3b0f7d2a-1111-2222-3333-444455556666", "0000:3b:00", "00000000:3B:00.0"])
def test_a_gpu_is_taken_only_in_the_form_of_one(gpu):
    assert resolve_target({"host": "node-a", "gpu": gpu}, FLEET).gpu == gpu


@pytest.mark.parametrize("gpu", ["0", "all", "GPU-{{ x }}", "GPU-3b0f7d2a\n", "../0000:3b:00"])
def test_another_word_is_no_gpu(gpu):
    assert resolve_target({"host": "node-a", "gpu": gpu}, FLEET).gpu is None


@given(st.dictionaries(st.sampled_from([*HOST_LABELS, "service", "gpu", "pool"]), st.text(max_size=40)))
def test_whatever_the_labels_say_only_hosts_of_the_inventory_come_out(labels):
    try:
        target = resolve_target(labels, FLEET)
    except Refusal as refusal:
        assert str(refusal)
        return
    assert target.host in FLEET.hosts
    assert FLEET.limitable(target.host)


@pytest.mark.parametrize("services", ["llama", {"name": "x"}, [{"pool": "x"}], ["x"], [{"name": 5}], None])
def test_a_wrong_declaration_of_services_is_named(services):
    with pytest.raises(ValueError, match="autoglm_services of h must be a list"):
        fleet_from({"_meta": {"hostvars": {"h": {"autoglm_services": services}}}})
