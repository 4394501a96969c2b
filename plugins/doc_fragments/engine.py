# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options by which a module finds one inference server."""

from __future__ import annotations


class ModuleDocFragment:
    """Address and key of one inference server."""

    DOCUMENTATION = r"""
options:
  engine:
    description:
      - The inference engine that listens at O(url).
      - V(generic) is any other server, described by O(engine_options).
    type: str
    choices: [generic, llama_cpp, ollama, onnx_runtime, sglang, tensorrt_llm, tgi, triton, vllm]
  engine_options:
    description:
      - What else has to be said about the engine. Which keys there are depends on O(engine) and is told by
        U(https://github.com/autoglm/recovery/blob/main/docs/engines.md). An unknown key is an error.
      - Some that matter most. V(ollama), V(triton) and V(onnx_runtime) take C(model), the model that the server is
        there for. V(triton) takes C(backend) (V(vllm) or V(tensorrt_llm)) and C(metrics_url).
        V(generic) takes C(live_path), C(ready_path), C(metrics_path), C(running_metric), C(waiting_metric) and
        C(completion).
    type: dict
    default: {}
  url:
    description:
      - The base URL of the server, such as V(http://127.0.0.1:8080), as seen from the host on which the module runs.
      - Proxies of the environment are never used and redirects are never followed.
        Either would let another server answer in place of this one.
    type: str
  api_key:
    description:
      - Sent as a bearer token with each question.
    type: str
  validate_certs:
    description:
      - Whether the certificate of an C(https) server is verified.
    type: bool
    default: true
  ca_path:
    description:
      - File of certificates that are trusted in place of those of the system.
    type: path
"""

    # Apart: a module with another clock of its own, such as checkpoint_model, has the rest.
    TIMEOUT = r"""
options:
  timeout:
    description:
      - Seconds for each single question, from the look-up of the name to the last byte of the answer.
        A server that accepts and never answers costs this long, and no longer.
    type: float
    default: 5.0
"""
