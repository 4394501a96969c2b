# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calling NVML through C(pynvml) of nvidia-ml-py; errors keep their name and their kind.

This runs in the child process that session.py starts and is the only file that touches the library.
"""

from __future__ import annotations

import ctypes
import importlib
import sys
from collections.abc import Sequence
from typing import Any, Callable

# Kinds of an error.  Only NOT_SUPPORTED says something of the device: it cannot tell, for it has no such thing.
# MISSING: the driver or the binding is older than the question.  All others: there is an answer that we did not get.
NOT_SUPPORTED = "not_supported"
MISSING = "missing"
UNREADABLE = "unreadable"
LOST = "lost"
RESET_REQUIRED = "reset_required"
HUNG = "hung"
NOT_READ = "not_read"

PACKAGE = "nvidia-ml-py"
MISSING_PACKAGE = "pynvml_missing"
HOW_TO_GET = "install nvidia-ml-py for {0} (pip install nvidia-ml-py); the PyPI package named pynvml is not it"

# Without these a module of the name pynvml is an older package, or another one.
_NEEDED = ("nvmlInitWithFlags", "nvmlShutdown", "nvmlDeviceGetFieldValues", "nvmlDeviceGetHandleByIndex", "NVMLError")

_KINDS = {
    "NVML_ERROR_NOT_SUPPORTED": NOT_SUPPORTED,
    "NVML_ERROR_FUNCTION_NOT_FOUND": MISSING,
    "NVML_ERROR_ARGUMENT_VERSION_MISMATCH": MISSING,
    "NVML_ERROR_GPU_IS_LOST": LOST,
    "NVML_ERROR_RESET_REQUIRED": RESET_REQUIRED,
}

# nvmlValueType_t -> the member of nvmlValue_t that holds the value.  Newer drivers may know more types.
_MEMBERS = {0: "dVal", 1: "uiVal", 2: "ulVal", 3: "ullVal", 4: "sllVal", 5: "siVal", 6: "usVal"}


class NvmlFailure(Exception):
    """A value was not read. error: NVML's own name of the error, where it is NVML's. kind: one of the kinds above."""

    def __init__(self, error: str, kind: str, text: str = "") -> None:
        super().__init__(f"{error}: {text}" if text else error)
        self.error = error
        self.kind = kind
        self.text = text

    def as_dict(self) -> dict[str, str]:
        return {"error": self.error, "kind": self.kind, "text": self.text}


class Nvml:
    """The binding, loaded and initialised. Every method raises NvmlFailure and nothing else."""

    def __init__(self, library: str | None = None) -> None:
        """library: path of libnvidia-ml.so.1, loaded first so that the name by which pynvml asks for it finds it
        (sudo strips LD_LIBRARY_PATH)."""
        if library is not None:
            try:
                ctypes.CDLL(library)
            except OSError as error:
                raise NvmlFailure("NVML_ERROR_LIBRARY_NOT_FOUND", UNREADABLE, str(error)) from None
        self._binding = _binding()
        self._names = _error_names(self._binding)

    def init(self) -> None:
        self.call("nvmlInitWithFlags", 0)

    def shutdown(self) -> None:
        self.call("nvmlShutdown")

    def call(self, name: str, *arguments: Any) -> Any:
        """One function of the binding, by name."""
        function = getattr(self._binding, name, None)
        if function is None:
            raise NvmlFailure("NVML_ERROR_FUNCTION_NOT_FOUND", MISSING, f"the installed nvidia-ml-py has no {name}")
        try:
            return function(*arguments)
        except self._binding.NVMLError as error:
            raise self.failure(int(error.value)) from None
        except (ctypes.ArgumentError, TypeError, ValueError, AttributeError, OSError) as error:
            # throwOnVersionMismatch and odd structures of other versions of the binding end here.
            raise NvmlFailure(type(error).__name__, UNREADABLE, f"{name}: {error}") from None

    def first(self, *attempts: Callable[[], Any]) -> Any:
        """The first attempt that the driver knows: from newest to oldest. Another failure ends the chain."""
        last: NvmlFailure | None = None
        for attempt in attempts:
            try:
                return attempt()
            except NvmlFailure as failure:
                if failure.kind not in (MISSING, NOT_SUPPORTED):
                    raise
                # That one of two cannot be supported is more than that the other one is not there.
                last = failure if last is None or failure.kind == NOT_SUPPORTED else last
        raise last or NvmlFailure("NVML_ERROR_FUNCTION_NOT_FOUND", MISSING)

    def structure(self, name: str) -> Any:
        """A fresh structure of the binding, with its version set."""
        kind = getattr(self._binding, name, None)
        if kind is None:
            raise NvmlFailure("NVML_ERROR_FUNCTION_NOT_FOUND", MISSING, f"the installed nvidia-ml-py has no {name}")
        return kind()

    def fields(self, device: Any, ids: Sequence[int | tuple[int, int]]) -> dict[Any, Any]:
        """Field values by id, or by (id, scope): the value in its own type, or the NvmlFailure of that item."""
        items = self.call("nvmlDeviceGetFieldValues", device, list(ids))
        return {key: self._item(item) for key, item in zip(ids, items)}

    def field(self, device: Any, key: int | tuple[int, int]) -> Any:
        """One field value. Raises NvmlFailure, also the item's own."""
        value = self.fields(device, [key])[key]
        if isinstance(value, NvmlFailure):
            raise value
        return value

    def failure(self, code: int) -> NvmlFailure:
        name = self._names.get(code, f"NVML_ERROR_{code}")
        try:
            text = str(self._binding.NVMLError(code))
        except Exception:  # noqa: BLE001  # the text is a courtesy; the binding may trip over codes that it does not know
            text = ""
        return NvmlFailure(name, _KINDS.get(name, UNREADABLE), text)

    def _item(self, item: Any) -> Any:
        if item.nvmlReturn != 0:
            failure = self.failure(int(item.nvmlReturn))
            if failure.error == "NVML_ERROR_INVALID_ARGUMENT":  # how a driver answers to an id newer than itself
                return NvmlFailure(failure.error, MISSING, f"field {item.fieldId} is not known to the driver")
            return failure
        member = _MEMBERS.get(int(item.valueType))
        if member is None or not hasattr(item.value, member):
            return NvmlFailure(
                "unknown_value_type", UNREADABLE, f"field {item.fieldId} has value type {item.valueType}"
            )
        return getattr(item.value, member)


def _binding() -> Any:
    how = HOW_TO_GET.format(sys.executable)
    try:
        binding = importlib.import_module("pynvml")
    except ImportError as error:
        raise NvmlFailure(MISSING_PACKAGE, UNREADABLE, f"{error}; {how}") from None
    lacking = [name for name in _NEEDED if not hasattr(binding, name)]
    if lacking:
        place = getattr(binding, "__file__", "somewhere")
        reason = f"{place} is not the pynvml of nvidia-ml-py, it lacks {', '.join(lacking)}; {how}"
        raise NvmlFailure("pynvml_unusable", UNREADABLE, reason)
    return binding


def _error_names(binding: Any) -> dict[int, str]:
    names: dict[int, str] = {}
    for name in dir(binding):
        if name.startswith("NVML_ERROR_") and isinstance(getattr(binding, name), int):
            names.setdefault(getattr(binding, name), name)
    return names
