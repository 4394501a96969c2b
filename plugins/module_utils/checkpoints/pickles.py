# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contents of a pickle, read without executing it.

C(pickle.load) runs any code that the pickle names. Here its opcodes are read with C(pickletools.genops) and applied to
a stack of inert values: a global is its name, a call is a record of the call, and nothing is imported or called. The
stack effects come from C(pickletools) itself, so that opcodes without a handler keep the stack balanced too.
"""

from __future__ import annotations

import itertools
import pickletools
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from .problems import Damaged

_MAX_OPCODES = 50_000_000

# Globals that no checkpoint needs and many attacks use. The list cannot be complete: a checkpoint from an untrusted
# source should be loaded with C(weights_only=True).
# fmt: off
_HARMFUL_MODULES = frozenset((
    "os", "posix", "nt", "subprocess", "sys", "runpy", "socket", "shutil", "importlib", "ctypes", "pty", "commands",
    "code", "codeop", "pickle", "_pickle", "marshal", "webbrowser", "pip", "bdb", "pdb", "timeit", "profile",
    "cProfile",
))
_HARMFUL_BUILTINS = frozenset((
    "eval", "exec", "compile", "__import__", "open", "getattr", "setattr", "delattr", "input", "breakpoint",
))
# fmt: on


@dataclass(frozen=True)
class PickleGlobal:
    """A global that the pickle refers to."""

    module: str
    name: str


@dataclass(eq=False)
class PickledObject:
    """The record of a call's result, of an instance with its state, or of a container with pairs."""

    of: Any = None
    arguments: Any = None
    state: Any = None
    pairs: list[tuple[Any, Any]] = field(default_factory=list)


@dataclass(eq=False)
class PickleContents:
    """Persistent ids, globals, text constants, and the objects in the order in which they were built."""

    persistent: list[Any] = field(default_factory=list)
    names: set[PickleGlobal] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    made: list[PickledObject] = field(default_factory=list)

    def harmful(self) -> list[str]:
        """Globals by which the pickle would run arbitrary code when it is loaded."""
        return sorted(f"{each.module}.{each.name}" for each in self.names if _is_harmful(each))


class _StackMark:
    pass


_MARK = _StackMark()


def read_pickle(stream: BinaryIO, what: str) -> PickleContents:
    """Read one pickle up to its STOP. what: its name in errors. Raises Damaged."""
    machine = _Machine()
    try:
        for opcode, argument, _at in itertools.islice(pickletools.genops(stream), _MAX_OPCODES):
            machine.step(opcode, argument)
            if opcode.name == "STOP":
                return machine.contents
    except (ValueError, KeyError, IndexError, TypeError, OverflowError, MemoryError, EOFError, AttributeError) as error:
        # genops and int() fail in many ways on bytes that are no pickle; all of them mean the same.
        raise Damaged(f"{what}: is no whole pickle ({type(error).__name__}: {str(error)[:120]})") from error
    raise Damaged(f"{what}: has more than {_MAX_OPCODES} opcodes")


class _Machine:
    """The stack, the memo, and the contents found so far."""

    def __init__(self) -> None:
        self.contents = PickleContents()
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def step(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        special = getattr(self, "_" + opcode.name.lower(), None)
        if special is not None:
            special(argument)
        elif opcode.name in _TUPLES:
            count = _TUPLES[opcode.name]
            items = self._pop_to_mark() if count is None else [self._stack.pop() for _each in range(count)][::-1]
            self._stack.append(tuple(items))
        elif opcode.name in _PUTS:
            self._memo[int(argument)] = self._stack[-1]
        elif opcode.name in _GETS:
            self._stack.append(self._memo[int(argument)])
        else:
            self._balance(opcode, argument)

    def _balance(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        """Pop and push as many values as the opcode would."""
        before = list(opcode.stack_before)
        if pickletools.markobject in before:
            self._pop_to_mark()
            before = before[: before.index(pickletools.markobject)]
        for _taken in before:
            self._stack.pop()
        for _put in opcode.stack_after:
            self._stack.append(argument if argument is not None else PickledObject(of=opcode.name))
        if isinstance(argument, str) and opcode.stack_after:
            self.contents.texts.add(argument)

    def _pop_to_mark(self) -> list[Any]:
        items = []
        while (top := self._stack.pop()) is not _MARK:
            items.append(top)
        return items[::-1]

    def _mark(self, _argument: Any) -> None:
        self._stack.append(_MARK)

    def _pop(self, _argument: Any) -> None:
        self._stack.pop()

    def _dup(self, _argument: Any) -> None:
        self._stack.append(self._stack[-1])

    def _memoize(self, _argument: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _global(self, argument: Any) -> None:
        module, _blank, name = argument.partition(" ")
        self._push_global(module, name)

    def _stack_global(self, _argument: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._push_global(str(module), str(name))

    def _inst(self, argument: Any) -> None:
        arguments = self._pop_to_mark()
        self._global(argument)
        self._push_call(self._stack.pop(), arguments)

    def _push_global(self, module: str, name: str) -> None:
        found = PickleGlobal(module, name)
        self.contents.names.add(found)
        self._stack.append(found)

    def _reduce(self, _argument: Any) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        self._push_call(function, arguments)

    _newobj = _reduce

    def _push_call(self, function: Any, arguments: Any) -> None:
        made = PickledObject(function, arguments)
        self.contents.made.append(made)
        self._stack.append(made)

    def _build(self, _argument: Any) -> None:
        state = self._stack.pop()
        if isinstance(self._stack[-1], PickledObject):
            self._stack[-1].state = state

    def _setitem(self, _argument: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._add_pairs([key, value])

    def _setitems(self, _argument: Any) -> None:
        self._add_pairs(self._pop_to_mark())

    def _dict(self, _argument: Any) -> None:
        items = self._pop_to_mark()
        self._stack.append(PickledObject(of="DICT"))
        self._add_pairs(items)

    def _add_pairs(self, items: list[Any]) -> None:
        if isinstance(self._stack[-1], PickledObject):
            self._stack[-1].pairs.extend(zip(items[::2], items[1::2]))

    def _persid(self, argument: Any) -> None:
        self._persistent(argument)

    def _binpersid(self, _argument: Any) -> None:
        self._persistent(self._stack.pop())

    def _persistent(self, which: Any) -> None:
        self.contents.persistent.append(which)
        self._stack.append(PickledObject(of="PERSISTENT", arguments=which))


_TUPLES: dict[str, int | None] = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "TUPLE": None}
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_GETS = ("GET", "BINGET", "LONG_BINGET")


def _is_harmful(name: PickleGlobal) -> bool:
    if name.module in ("builtins", "__builtin__"):
        return name.name.partition(".")[0] in _HARMFUL_BUILTINS
    # A dotted name can reach another module through a harmless one, as in  torch.serialization os.system.
    words = {name.module.partition(".")[0], *name.name.split(".")[:-1]}
    return bool(words & _HARMFUL_MODULES)
