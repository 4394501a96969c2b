# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a unit of systemd needs to know to run one inference service: worked out of two descriptions of it. Pure.

C(autoglm_services) says what remedies need of a service, and the role's own list how it is run. What both could say is
said once, in the first.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from . import inference_containers as containers

DIRECTORY = "/etc/autoglm/inference"
# The variables in which a unit has its arguments. The second is for remedies: of two equal options engines take the
# last.
ARGUMENTS, OVERRIDES = "AUTOGLM_ENGINE_ARGS", "AUTOGLM_ENGINE_OVERRIDES"
# By this a running process tells with which configuration it was started.
DIGEST = "AUTOGLM_CONFIGURATION"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_UNIT = re.compile(r"[A-Za-z0-9:_.@-]+\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z")
_MEMORY = re.compile(r"([0-9]+(\.[0-9]+)?[KMGTPE]?|[0-9]{1,3}%|infinity)?\Z")
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+\Z")
_SHARED = (
    *("engine", "engine_options", "url", "serving_url", "ca_path", "unit", "api_key", "model"),
    *("stop_timeout", "ready_timeout", "checkpoint"),
)
_NO_MODEL = "has no model_path; give a GGUF file for llama_cpp, for vllm a directory or the name of a model"
# What a process keeps as it was when it was started.
_KEPT = ("exec", "user", "groups", "writes", "home", "gpu", "memory_max", "credentials", "api_key")


class UnitMistake(ValueError):
    """A service that cannot be run as it is described; the message says what would be right."""


class Defaults(NamedTuple):
    """What holds for every service that says nothing else."""

    user: str
    commands: Mapping[str, Sequence[str]]
    stop_timeout: int = 120


def planned(
    services: Sequence[Mapping[str, Any]], declared: Sequence[Mapping[str, Any]], defaults: Defaults
) -> list[dict[str, Any]]:
    """Return what is needed of each service. Raises UnitMistake."""
    known = {each.get("name"): each for each in declared}
    plans = [_plan(service, known.get(service.get("name")) or {}, defaults) for service in services]
    for key in ("name", "unit"):
        values = [plan[key] for plan in plans]
        if twice := sorted({value for value in values if values.count(value) > 1}):
            raise UnitMistake(f"two services have the {key} {twice[0]}; give each one of its own")
    return plans


def _plan(own: Mapping[str, Any], declared: Mapping[str, Any], defaults: Defaults) -> dict[str, Any]:
    name = str(own.get("name") or "")
    if not _NAME.match(name):
        raise UnitMistake(f"{name[:80]!r} is no name of a service; write letters, digits, '_', '.' and '-', 64 at most")
    said = {key: declared[key] for key in _SHARED if declared.get(key) is not None}
    service = {**said, **{key: value for key, value in own.items() if value is not None}}
    try:
        return _of(name, service, defaults)
    except UnitMistake as mistake:
        raise UnitMistake(f"service {name}: {mistake}") from None


def _of(name: str, service: Mapping[str, Any], defaults: Defaults) -> dict[str, Any]:
    for key in ("engine", "url", "unit"):
        if not service.get(key):
            raise UnitMistake(f"has no {key}; say it in autoglm_services, in the entry of this name")
    unit = str(service["unit"])
    unit = unit if unit.endswith(".service") else f"{unit}.service"
    if not _UNIT.match(unit):
        raise UnitMistake(f"{unit[:80]!r} is no name of a unit, such as {name}.service")
    slots = str((service.get("checkpoint") or {}).get("engine_state_dir") or "")
    user = str(service.get("user") or defaults.user)
    paths = [*(str(path) for path in service.get("read_write_paths") or []), *([slots] if slots else [])]
    for path in (*paths, *(str(service.get(key) or "/.") for key in ("tls_cert", "tls_key"))):
        if not path.startswith("/") or not path.isprintable() or set(path) & set(' "\\$%'):
            raise UnitMistake(f"{path[:120]!r} is no absolute path that a unit can name")
    _plain_lines(service, user)
    if wrong := containers.mistake(service):
        raise UnitMistake(wrong)
    words = _in_container(name, service, paths) if service.get("image") else _words(service, defaults.commands)
    for word in words:
        _one_line("a word of its command", word)
    key = str(service.get("api_key") or "")
    if not key.isprintable() or " " in key:
        raise UnitMistake("its api_key must be one line without blanks")
    plan = {
        "name": name,
        "unit": unit,
        "engine": str(service["engine"]),
        "url": str(service["url"]),
        "model": str(service.get("model") or ""),
        "api_key": key,
        "engine_options": service.get("engine_options") or {},
        "ca_path": str(service.get("ca_path") or ""),
        "user": user,
        "groups": [str(group) for group in service.get("groups") or []],
        "programs": _programs(service, words, defaults.commands),
        "model_path": str(service.get("model_path") or ""),
        "exec": " ".join([*_quoted(service, words), *_from_systemd(service), f"${ARGUMENTS}", f"${OVERRIDES}"]),
        "image": str(service.get("image") or ""),
        "devices": containers.devices(service) if service.get("image") else [],
        "container": containers.container(name),
        "slots": slots,
        "writes": paths,
        "tls_key": str(service.get("tls_key") or ""),
        "memory_max": str(service.get("memory_max") or ""),
        "restart": str(service.get("restart") or "no"),
        "stop_timeout": int(service.get("stop_timeout") or defaults.stop_timeout),
        "ready_timeout": int(service.get("ready_timeout") or 120),
        "gpu": bool(service.get("gpu", True)),
        "home": "read-only" if _below_home([*words, str(service.get("model_path") or "")]) else "yes",
        "directory": f"{DIRECTORY}/{name}",
        "credentials": _credentials(service),
    }
    variables = _variables(service)
    whole = json.dumps([variables, *(plan[key] for key in _KEPT)], sort_keys=True)
    plan["digest"] = hashlib.sha256(whole.encode()).hexdigest()[:16]
    plan["environment"] = "".join(
        f"{key}={_in_file(str(value))}\n" for key, value in sorted({**variables, DIGEST: plan["digest"]}.items())
    )
    return plan


def _words(service: Mapping[str, Any], commands: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the command line without what an environment file brings."""
    engine = str(service["engine"])
    command = _command(service, commands)
    prefix = [str(word) for word in service.get("prefix") or []]
    for first in (*prefix[:1], command[0]):
        if not first.startswith("/"):
            raise UnitMistake(f"the program {first[:120]!r} must be an absolute path")
    if engine not in _CONTRACTS:
        return [*prefix, *command]
    if not service.get("model_path"):
        raise UnitMistake(_NO_MODEL)
    return [*prefix, *command, *_CONTRACTS[engine](service, *_listening(service))]


def _in_container(name: str, service: Mapping[str, Any], writes: Sequence[str]) -> list[str]:
    """Return the command line of podman with that of the engine, without what an environment file brings."""
    seen = containers.mounts(name, service, writes)
    for path in seen:
        if ".." in path.split("/") or path.strip("/") == "" or set(path) & set(":,") or not path.isprintable():
            raise UnitMistake(
                f"{path[:120]!r} is no path that a container can be given; no part may be '..', ':' or ','"
            )
    engine = str(service["engine"])
    if engine in _CONTRACTS and not service.get("model_path"):
        raise UnitMistake(_NO_MODEL)
    own = _CONTRACTS[engine](service, *_listening(service)) if engine in _CONTRACTS else []
    return [*containers.words(name, service, seen, [*_own_variables(service), DIGEST]), *own]


def _quoted(service: Mapping[str, Any], words: Sequence[str]) -> list[str]:
    """Return the words as ExecStart has them; who a container runs as is a variable of the unit."""
    quoted = [_in_unit(word) for word in words]
    return [*quoted[:2], f"--user=${{{containers.USER}}}", *quoted[2:]] if service.get("image") else quoted


def _programs(service: Mapping[str, Any], words: Sequence[str], commands: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the programs that the host must have before; those of a container are in its image."""
    if service.get("image"):
        return []
    return [words[0], *([_command(service, commands)[0]] if service.get("prefix") else [])]


def _command(service: Mapping[str, Any], commands: Mapping[str, Sequence[str]]) -> list[str]:
    engine = str(service["engine"])
    command = [str(word) for word in service.get("command") or commands.get(engine) or []]
    if not command:
        raise UnitMistake(f"nothing here knows how to start {engine}; give command, with all arguments that it needs")
    return command


def _listening(service: Mapping[str, Any]) -> tuple[str, int]:
    """Return where the engine listens: at its url, and where the balancer has another address of it, as told."""
    url, serving = (urlsplit(str(service.get(key) or "")) for key in ("url", "serving_url"))
    try:
        host, port = url.hostname, url.port or (443 if url.scheme == "https" else 80)
    except ValueError as error:
        raise UnitMistake(f"its url is no address: {error}") from None
    if url.scheme not in ("http", "https") or not host:
        raise UnitMistake("its url is no address, such as http://127.0.0.1:8080")
    if (url.scheme == "https") != bool(service.get("tls_cert") and service.get("tls_key")):
        raise UnitMistake("an url with https:// needs tls_cert and tls_key, and these need such an url")
    if listen := service.get("listen"):
        try:
            return str(ipaddress.ip_address(str(listen))), port
        except ValueError:
            raise UnitMistake(f"listen must be an IP address, not {str(listen)[:80]!r}") from None
    if serving.hostname and serving.hostname != host:
        what = f"its url has the address {host} and its serving_url {serving.hostname}, and an engine listens at one"
        raise UnitMistake(f"{what}: write the latter in both, or listen: 0.0.0.0 and an api_key or a firewall")
    return host, port


def _llama_cpp(service: Mapping[str, Any], host: str, port: int) -> list[str]:
    words = ["--model", str(service["model_path"]), "--host", host, "--port", str(port), "--metrics", "--slots"]
    if service.get("model"):
        words += ["--alias", str(service["model"])]
    if slots := (service.get("checkpoint") or {}).get("engine_state_dir"):
        words += ["--slot-save-path", str(slots)]
    return words


def _vllm(service: Mapping[str, Any], host: str, port: int) -> list[str]:
    """Words as C(vllm serve) takes them: tried with the parser of vLLM 0.32.0, where the last of two options counts."""
    served = str(service.get("model") or service["model_path"])
    return [str(service["model_path"]), "--host", host, "--port", str(port), "--served-model-name", served]


_CONTRACTS: Mapping[str, Callable[[Mapping[str, Any], str, int], list[str]]] = {"llama_cpp": _llama_cpp, "vllm": _vllm}


def _from_systemd(service: Mapping[str, Any]) -> list[str]:
    """Return the words with the place of credentials, which systemd fills in."""
    engine, words, contained = str(service["engine"]), [], bool(service.get("image"))
    if engine == "llama_cpp" and service.get("api_key") and not contained:
        words += ["--api-key-file", "${CREDENTIALS_DIRECTORY}/api-key"]
    if service.get("tls_key"):
        options = {"llama_cpp": ("--ssl-cert-file", "--ssl-key-file"), "vllm": ("--ssl-certfile", "--ssl-keyfile")}
        if engine not in options:
            raise UnitMistake(f"nothing here knows how {engine} is given a certificate; put that into its command")
        certificate, private = options[engine]
        key = _in_unit(str(service["tls_key"])) if contained else "${CREDENTIALS_DIRECTORY}/tls-key"
        words += [certificate, _in_unit(str(service["tls_cert"])), private, key]
    return words


def _credentials(service: Mapping[str, Any]) -> list[str]:
    """Return what systemd hands the process in files of its own, as LoadCredential has it."""
    loaded: list[str] = []
    if service.get("image"):
        return loaded
    if service.get("api_key") and str(service["engine"]) == "llama_cpp":
        loaded.append(f"api-key:{DIRECTORY}/{service['name']}/api-key")
    if service.get("tls_key"):
        loaded.append(f"tls-key:{service['tls_key']}")
    return loaded


def _own_variables(service: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that are the engine's own, its key among them where it reads that from there."""
    variables = {str(key): str(value) for key, value in (service.get("environment") or {}).items()}
    engine, key = str(service["engine"]), service.get("api_key")
    # A file of systemd's is for the user of a unit, which that of a container is not.
    by_name = {"vllm": "VLLM_API_KEY", **({"llama_cpp": "LLAMA_API_KEY"} if service.get("image") else {})}
    if key and engine in by_name:
        variables[by_name[engine]] = str(key)
    return variables


def _variables(service: Mapping[str, Any]) -> dict[str, str]:
    """Return what its environment file has: the arguments that may change, and secrets."""
    variables = _own_variables(service)
    for key, value in variables.items():
        if not _VARIABLE.match(key) or key in (ARGUMENTS, OVERRIDES, DIGEST, containers.USER):
            raise UnitMistake(f"{key[:80]!r} is no variable that its environment may have")
        _one_line(f"the variable {key}", value)
    arguments = [str(word) for word in service.get("args") or []]
    for word in arguments:
        _one_line("one of its args", word)
    return {**variables, ARGUMENTS: " ".join(map(_in_variable, arguments))}


def _plain_lines(service: Mapping[str, Any], user: str) -> None:
    """Refuse what would be more than a word in a line of the unit."""
    groups = [("group", group) for group in service.get("groups") or []]
    for what, word in (("engine", service["engine"]), ("user", user), *groups):
        if not _WORD.match(str(word)):
            raise UnitMistake(f"its {what} must be a name of letters, digits, '_', '.' and '-', not {str(word)[:80]!r}")
    if not _MEMORY.match(str(service.get("memory_max") or "")):
        raise UnitMistake(f"memory_max is no size, such as 64G: {str(service['memory_max'])[:80]!r}")


def _one_line(what: str, text: str) -> None:
    if not text.isprintable():
        raise UnitMistake(f"{what} must be one line of printable characters")


def _in_unit(word: str) -> str:
    """Quote a word of ExecStart that stands for itself."""
    text = word.replace("%", "%%").replace("$", "$$")
    return text if _PLAIN.match(word) else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _in_variable(word: str) -> str:
    """Quote a word of a variable that systemd splits into words."""
    return word if _PLAIN.match(word) else '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _in_file(value: str) -> str:
    """Quote a value in an environment file."""
    return '"' + re.sub(r'([\\"`$])', r"\\\1", value) + '"'


def _below_home(paths: Sequence[str]) -> bool:
    return any(path.startswith(("/home/", "/root/", "/run/user/")) for path in paths)
