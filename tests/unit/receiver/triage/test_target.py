# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which host an alert is about.  The words are hostile; what is chosen is one right host or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.receiver.fleet.fleet import fleet_from
from autoglm_recovery.receiver.triage.subject import INSTANCE, LAST_WORD, NAMES
from autoglm_recovery.receiver.triage.target import Refusal, named_host, resolve
from autoglm_recovery.receiver.values.refusal import RefusalReason

HOST_LABELS = (LAST_WORD, *NAMES, INSTANCE)
FLEET = fleet_from(
    {
        "_meta": {
            "hostvars": {
                "node-a": {
                    "ansible_host": "192.0.2.1",
                    "autoglm_aliases": ["alpha.example", "shared", "192.0.2.101"],
                    "autoglm_services": [{"name": "llama", "pool": "chat"}],
                },
                "node-b": {
                    "ansible_host": "fd00::1",
                    "autoglm_aliases": ["Shared", "bare"],
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
        "inference": {"hosts": ["node-a", "node-b", "bare", "plain"]},
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
        ({"node": "plain"}, "plain"),
        ({"Hostname": "node-a", "instance": "10.0.0.1:9400"}, "node-a"),
        ({"host": "", "instance": "node-a:1"}, "node-a"),
        ({"host": "NODE-A"}, "node-a"),
        ({"instance": "http://192.0.2.1:8000/metrics"}, "node-a"),
        ({"instance": "https://[fd00::1]/health?x=1"}, "node-b"),
        ({"host": "alpha.example"}, "node-a"),
        ({"instance": "Alpha.Example:9100"}, "node-a"),
    ],
)
def test_the_one_right_host(labels, host):
    assert resolve(labels, FLEET).target.host == host


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
        "\u212aode-a",
        "shared",
        "SHARED",
        "bare",
        "http://node-a@example.com/",
        "http://user@node-a/",
        "http://example.com\\@node-a/",
        "http://example.com#@node-a",
        "http://node-a /",
        "node-a/metrics",
        "rabbit@node-a",
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
        resolve({label: word}, FLEET)
    assert len(str(caught.value)) < 600


def test_no_label_is_no_host():
    with pytest.raises(Refusal, match="no label says which host"):
        resolve({"alertname": "X"}, FLEET)


def test_a_wrong_host_label_is_not_rescued_by_a_right_instance():
    with pytest.raises(Refusal):
        resolve({"host": "nobody", "instance": "node-a:9400"}, FLEET)


def test_the_service_is_chosen_by_equality_or_by_being_the_only_one():
    assert resolve({"host": "node-a"}, FLEET).target.service == "llama"
    assert resolve({"host": "node-b"}, FLEET).target.service is None
    embed = resolve({"host": "node-b", "service": "embed"}, FLEET).target
    assert (embed.service, embed.pool) == ("embed", "vectors")
    with pytest.raises(
        Refusal, match=r"'embed' is not among the services of node-a \(llama\), but of node-b"
    ) as caught:
        resolve({"host": "node-a", "service": "embed"}, FLEET)
    assert caught.value.why is RefusalReason.service_elsewhere


def test_a_service_that_is_nobodys_is_passed_over_and_said_so():
    found = resolve({"host": "node-a", "service": "llama; reboot", "endpoint": "http"}, FLEET)
    assert found.target.service == "llama"
    assert found.ignored == ("service='llama; reboot': no host of the inventory has such a service",)
    assert resolve({"host": "node-b", "service": "kube-prometheus"}, FLEET).target.service is None


def test_what_the_metric_says_of_its_service_wins_over_its_target():
    labels = {"host": "node-b", "service": "llama", "exported_service": "embed"}
    assert resolve(labels, FLEET).target.service == "embed"
    assert resolve({"host": "node-b", "service": "llama", "exported_service": "x"}, FLEET).target.service == "llama"
    with pytest.raises(Refusal, match="not among the services of node-a"):
        resolve({"host": "node-a", "service": "llama", "exported_service": "embed"}, FLEET)


@pytest.mark.parametrize(
    ("labels", "why", "said"),
    [
        (
            {"host": "node-a", "node": "node-b"},
            RefusalReason.contradiction,
            ("host='node-a' names node-a", "node='node-b'"),
        ),
        (
            {"host": "node-a", "instance": "[fd00::1]:1"},
            RefusalReason.contradiction,
            ("instance='[fd00::1]:1' names node-b",),
        ),
        ({"host": "shared"}, RefusalReason.shared_name, ("2 hosts: node-a, node-b",)),
        ({"host": "bare"}, RefusalReason.shared_name, ("bare, node-b",)),
        ({"instance": "192.0.2.9:1"}, RefusalReason.shared_name, ("twin-1, twin-2",)),
        ({"host": "inference"}, RefusalReason.not_limitable, ("a pattern or a group",)),
        ({"alertname": "DatasourceError", "host": "node-a"}, RefusalReason.nothing_read, ("Grafana",)),
        ({"job": "pushgateway", "instance": "node-a:9091"}, RefusalReason.messenger_only, ("where Pushgateway runs",)),
        ({"server": "node-b", "instance": "node-a:1"}, RefusalReason.contradiction, ("server='node-b' names node-b",)),
        ({"host": "nobody", "instance": "node-a:1"}, RefusalReason.no_such_host, ("does not make it right",)),
    ],
)
def test_a_refusal_names_the_labels_that_are_at_fault_and_what_would_help(labels, why, said):
    with pytest.raises(Refusal) as caught:
        resolve(labels, FLEET)
    assert caught.value.why is why
    assert all(words in str(caught.value) for words in said)
    assert caught.value.advice


def test_the_alias_that_would_help_is_told_with_its_host():
    with pytest.raises(Refusal) as caught:
        resolve({"nodename": "ip-192-0-2-1", "instance": "node-a:9100"}, FLEET)
    assert "'ip-192-0-2-1' is another name of a host, add it to autoglm_aliases of node-a" in caught.value.advice


def test_the_last_word_decides_alone():
    labels = {"autoglm_host": "node-a", "host": "node-b", "instance": "node-b:1", "job": "kube-state-metrics"}
    found = resolve(labels, FLEET)
    assert found.target.host == "node-a"
    assert any("host='node-b': autoglm_host decides" in line for line in found.ignored)


def test_here_contradicts_nobody():
    assert resolve({"host": "node-a", "instance": "localhost:9400"}, FLEET).target.host == "node-a"
    fleet = fleet_from({"_meta": {"hostvars": {"a": {}, "controller": {"ansible_host": "127.0.0.1"}}}})
    assert resolve({"host": "a", "instance": "127.0.0.1:9400"}, fleet).target.host == "a"


def test_without_an_inventory_the_host_that_is_named_is_told():
    assert named_host({"instance": "node-z:9100"}) == "node-z"
    assert named_host({"instance": "10.0.0.1:8080", "job": "kube-state-metrics"}) is None
    assert named_host({"alertname": "X"}) is None


@pytest.mark.parametrize("gpu", ["GPU-3b0f7d2a-1111-2222-3333-444455556666", "0000:3b:00", "00000000:3B:00.0"])
def test_a_gpu_is_taken_only_in_the_form_of_one(gpu):
    assert resolve({"host": "node-a", "gpu": gpu}, FLEET).target.gpu == gpu


@pytest.mark.parametrize("gpu", ["0", "all", "GPU-{{ x }}", "GPU-3b0f7d2a\n", "../0000:3b:00"])
def test_another_word_is_no_gpu(gpu):
    assert resolve({"host": "node-a", "gpu": gpu}, FLEET).target.gpu is None


@given(st.dictionaries(st.sampled_from([*HOST_LABELS, "service", "gpu", "pool"]), st.text(max_size=40)))
def test_whatever_the_labels_say_only_hosts_of_the_inventory_come_out(labels):
    try:
        target = resolve(labels, FLEET).target
    except Refusal as refusal:
        assert str(refusal)
        return
    assert target.host in FLEET.hosts
    assert FLEET.limitable(target.host)


NAMES_OF = {
    "node-a": ("node-a", "NODE-A", "192.0.2.1", "alpha.example", "192.0.2.101"),
    "node-b": ("node-b", "Node-B", "fd00::1"),
    "twin-1": ("twin-1",),
    "plain": ("plain",),
}
FORMS = ("{}", "{}:9400", "http://{}:8000/x", "https://{}/")
MESSENGERS = ("kube-state-metrics", "pushgateway", "federate", "otel-collector", "haproxy", "statsd")
JOBS = ("node", "vllm", "blackbox", "kubernetes-pods", "telegraf", *MESSENGERS)
OF_OTHERS = ("server", "url", "api_base", "peer")
LABELS = (*HOST_LABELS, *(f"exported_{label}" for label in HOST_LABELS[1:]), "target", *OF_OTHERS)


@st.composite
def words(draw):
    """Draw a word of a host, in a form that labels have, and the host, or a word of nobody."""
    host = draw(st.sampled_from([None, *NAMES_OF]))
    if host is None:
        return None, draw(st.sampled_from(["nobody", "shared", "10.42.0.7:8080", "192.0.2.9", "", "3f9c0d21ab47", "*"]))
    name, form = draw(st.sampled_from(NAMES_OF[host])), draw(st.sampled_from(FORMS))
    bare = form == "{}"
    return host, form.format(f"[{name}]" if ":" in name and not bare else name)


@given(
    st.dictionaries(st.sampled_from(LABELS), words(), max_size=6),
    st.sampled_from([*JOBS, ""]),
    st.sampled_from(["X", "KubePodCrashLooping", "KubeNodeNotReady", "BlackboxProbeFailed", "HaproxyServerDown"]),
)
def test_never_the_wrong_host(said, job, alertname):
    """A target is a host that a label names by equality, that no label which counts contradicts, and no messenger."""
    labels = {"alertname": alertname, "job": job, **{label: word for label, (_host, word) in said.items()}}
    try:
        found = resolve(labels, FLEET)
    except Refusal:
        return
    host = found.target.host
    naming = {label for label, (named, _word) in said.items() if named == host}
    assert naming
    assert found.by.partition("=")[0] in naming
    # What the metric says of itself is never passed over for where it was scraped.
    for label, (named, word) in said.items():
        if label.startswith("exported_") and word and label.removeprefix("exported_") in naming:
            assert named == host or naming - {label.removeprefix("exported_")}
    if job in MESSENGERS and "autoglm_host" not in naming:
        assert naming - {"instance"}, "chosen by nothing but where the messenger runs"
    told = " ".join(found.ignored)
    scraped = found.by.startswith(("instance=", "exported_instance="))
    for label, (named, word) in said.items():
        if named not in (None, host) and (label not in OF_OTHERS or scraped):
            assert f"{label}={word!r}" in told, f"{label} names {named}, and nobody says why that does not count"


@pytest.mark.parametrize("services", ["llama", {"name": "x"}, [{"pool": "x"}], ["x"], [{"name": 5}], None])
def test_a_wrong_declaration_of_services_is_named(services):
    with pytest.raises(ValueError, match="autoglm_services of h must be a list"):
        fleet_from({"_meta": {"hostvars": {"h": {"autoglm_services": services}}}})


@pytest.mark.parametrize("aliases", ["gpu-1", {"a": 1}, [5], [""], [None]])
def test_a_wrong_declaration_of_aliases_is_named(aliases):
    with pytest.raises(ValueError, match="autoglm_aliases of h must be a list"):
        fleet_from({"_meta": {"hostvars": {"h": {"autoglm_aliases": aliases}}}})
