# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets do not get into evidence; what is no secret stays readable."""

from __future__ import annotations

import string

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.host.redaction import (
    MARK,
    is_secret_name,
    redact_argv,
    redact_environment,
    redact_text,
)
from hypothesis import given
from hypothesis import strategies as st

# Long enough not to be part of the text around it by chance, and free of the blanks that end a value.
secrets = st.text(alphabet=string.ascii_letters + string.digits + "+/=_.!#%&*", min_size=12, max_size=60).map(
    lambda text: f"zQ7{text}zQ7"
)

FORMS = [
    "HF_TOKEN={}",
    "Environment=HF_TOKEN={} LANG=C",
    'Environment="OPENAI_API_KEY={}" LANG=C',
    "PGPASSWORD={}",
    "export AWS_SECRET_ACCESS_KEY='{}'",
    "password: {}",
    "apiKey = {}",
    "session_token = {}",
    '{{"api_key": "{}", "port": 8080}}',
    "{{'clientSecret': '{}'}}",
    "llama-server --api-key {} --port 8080",
    "llama-server --api-key={} --port 8080",
    "llama-server --verbose --api-key {}",
    "a=b=c=HF_TOKEN={}",
    "argv[]=/usr/bin/vllm serve m --hf-token {} ; ignore_errors=no",
    "Authorization: Bearer {}",
    "authorization: Basic {}",
    "curl -H 'Authorization: Bearer {}' http://a",
    "Cookie: a={}; b=c",
    "GET /v1/models?api_key={} HTTP/1.1",
    "GET https://a.blob.core.windows.net/m/x.gguf?sv=2024-11-04&se=2026-12-01&sr=b&sig={} HTTP/1.1",
    "a SAS token: sig={}&se=2026-12-01",
    "sv=2024-11-04&sig={}",
    r'{{"url":"https://a.blob.core.windows.net/m/x?sv=2024-11-04\u0026sig={}"}}',
    "GET /proxy?url=https%3A%2F%2Fa.blob.core.windows.net%2Fm%3Fsv%3D2024-11-04%26sig%3D{} HTTP/1.1",
    "GET /proxy?url=https%3A%2F%2Fb.s3.amazonaws.com%2Fm%3FX-Amz-Date%3D1%26X-Amz-Signature%3D{} HTTP/1.1",
    "https://b.s3.amazonaws.com/m?X-Amz-Security-Token={}&X-Amz-Expires=60",
    "https://b.s3.amazonaws.com/m?X-Amz-Date=1&X-Amz-Signature={}",
    "https://storage.googleapis.com/b/m?X-Goog-Signature={}",
    "https://b.oss-cn.aliyuncs.com/m?OSSAccessKeyId=x&Expires=1&Signature={}",
    "https://b.cos.ap.myqcloud.com/m?q-sign-algorithm=sha1&q-signature={}",
    "https://cdn.example.org/m?hdnea=exp=1~acl=/*~hmac={}",
    "https://cdn.example.org/m?e=1&sign={}",
    "https://user:{}@example.org/x",
    "https://{}@example.org/x",
]


@pytest.mark.parametrize("form", FORMS)
@given(secret=secrets)
def test_no_form_lets_a_secret_through(form: str, secret: str) -> None:
    assert secret not in redact_text(f"before\n{form.format(secret)}\nafter")


@pytest.mark.parametrize(
    "shape",
    [
        "hf_AbCdEfGhIjKlMnOpQrStUv",
        "sk-proj-abcdefghijklmnopqrstuvwx",
        "ghp_abcdefghijklmnopqrstuvwxyz012345",
        "AKIAIOSFODNN7EXAMPLE",
        "nvapi-abcdefghijklmnopqrstuvwxyz",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcDEF123",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nabcd==\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nabcd==",
    ],
)
def test_shapes_are_known_without_a_name(shape: str) -> None:
    assert shape.rsplit("\n", maxsplit=1)[-1] not in redact_text(f"loaded {shape} from somewhere")


@pytest.mark.parametrize(
    "text",
    [
        "llamacpp:prompt_tokens_total 31",
        "print_info: EOS token        = 2 '</s>'",
        "n_tokens = 512, max_tokens: 4",
        "TLS_KEY_FILE=/etc/ssl/a.key",
        "--ssl-key-file /etc/ssl/a.key",
        "monkey=1 keyboard=us",
        'audit: type=1701 audit(1.0:1): pid=7 comm="vllm" exe="/x" sig=11 res=1',
        "Memory cgroup out of memory: Killed process 9725 (llama-server) total-vm:752984kB",
        "http://127.0.0.1:8080/health",
        "2026-11-22T21:17:37+0000 systemd[1]: llama-server.service: Failed with result 'signal'.",
        "oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg=/system.slice/a.service,task=llama-server,pid=9725,uid=0",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    "text", ["a=" * 100_000, "--a " * 100_000, "'" * 100_000, 'token="\\' * 50_000, "http://" * 50_000]
)
def test_text_made_to_be_slow_or_deep_is_read_through(text: str) -> None:
    assert redact_text(f"{text} HF_TOKEN=s3cret-value").count("s3cret-value") == 0


@given(st.text())
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = redact_text(text)
    assert redact_text(once) == once


@given(st.text(min_size=1), secrets)
def test_a_known_value_is_gone_wherever_it_stands(text: str, secret: str) -> None:
    assert secret not in redact_text(f"{text}{secret}{text}", [secret])


@given(st.dictionaries(st.sampled_from(["HF_TOKEN", "DB_PASSWORD", "MY_KEY_2", "AWS_ACCESS_KEY_ID", "dsn"]), secrets))
def test_environments(variables: dict[str, str]) -> None:
    block = b"PATH=/usr/bin\0" + b"".join(f"{key}={value}\0".encode() for key, value in variables.items())
    clean = redact_environment(block)
    assert "PATH=/usr/bin\n" in clean
    assert all(f"{key}={MARK}\n" in clean for key in variables)
    assert not any(value in clean for value in variables.values())


def test_a_variable_with_a_line_break_stays_on_its_line() -> None:
    assert redact_environment(b"A=x\ny\0B=1\0") == "A=x\\ny\nB=1\n"


@given(secrets)
def test_argument_after_a_secret_flag(secret: str) -> None:
    argv = ["vllm", "serve", "--api-key", secret, "--hf-token=" + secret, "--max-tokens", "5"]
    assert redact_argv(argv) == ["vllm", "serve", "--api-key", MARK, f"--hf-token={MARK}", "--max-tokens", "5"]


@pytest.mark.parametrize(
    "name", ["TOKENIZERS_PARALLELISM", "max_tokens", "--key-file", "keyboard", "PATH", "--n-tokens"]
)
def test_harmless_names(name: str) -> None:
    assert not is_secret_name(name)
