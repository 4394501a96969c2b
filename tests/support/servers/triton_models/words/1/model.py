# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fake model, real server: says max_tokens words, and waits first when the prompt says so. Runs in Triton's Python."""

from __future__ import annotations

import json
import os
import sys
import time

sys.path.insert(0, os.environ["WORDS_SITE"])

import numpy as np
import triton_python_backend_utils as backend


class TritonPythonModel:
    """One request at a time, as a model without batching."""

    def execute(self, requests: list) -> list:
        return [self._answer(request) for request in requests]

    def _answer(self, request: object) -> object:
        prompt = backend.get_input_tensor_by_name(request, "text_input").as_numpy()[0].decode()
        count = int(json.loads(request.parameters() or "{}").get("max_tokens", 1))
        if prompt.startswith("wait "):
            time.sleep(float(prompt.split()[1]))
        outputs = {
            "text_output": np.array([" word" * count], dtype=object),
            "finish_reason": np.array(["length"], dtype=object),
            "num_output_tokens": np.array([count], dtype=np.uint32),
        }
        return backend.InferenceResponse([backend.Tensor(name, value) for name, value in outputs.items()])
