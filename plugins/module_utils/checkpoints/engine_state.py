# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a running engine, through the engine protocol: the engine writes and reads files of its directory."""

from __future__ import annotations

from pathlib import Path

from ..engines.protocol import Engine, EngineError, NotSupported, SavedState
from .names import check_relative
from .problems import CheckpointError, Damaged


def state_name(series: str) -> str:
    """The name of a saved state in the engine's directory. One per series, so that the directory does not grow."""
    return f"autoglm-{series}"


def write(engine: Engine, series: str, directory: Path) -> SavedState:
    """Have the engine save. Raises CheckpointError unless every file that it names is in the directory."""
    try:
        saved = engine.save_state(state_name(series))
    except (NotSupported, EngineError) as error:
        raise CheckpointError(f"{engine.name} did not save its state: {error}") from error
    try:
        missing = [name for name in saved.parts if not (directory / check_relative(name, "state file")).is_file()]
    except Damaged as error:
        raise CheckpointError(f"{engine.name}: {error}") from error
    if missing or not saved.parts:
        raise CheckpointError(
            f"{engine.name} says that it saved {', '.join(missing) or 'nothing'}, which is not in {directory}; "
            "engine_state_dir must be the directory that the engine was started with"
        )
    return saved


def load(engine: Engine, series: str) -> SavedState:
    """Have the engine load the state in its directory. Raises CheckpointError."""
    try:
        return engine.load_state(state_name(series))
    except (NotSupported, EngineError) as error:
        raise CheckpointError(f"the files are back, and {engine.name} did not load them: {error}") from error
