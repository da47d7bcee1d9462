"""The state of a long computation in a file of the run directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mechlab.core.errors import RunError
from mechlab.record.tensors import load_tensors, save_tensors


@dataclass(frozen=True)
class SavedState:
    """Keeps the state of a computation that may be interrupted; see `core.saved.Saved`.

    Args:
        file: in a folder that is removed with it if it is empty then.
    """

    file: Path

    def load(self) -> dict[str, Tensor]:
        """Return the state that was saved last and say so; empty if there is none, or the file is damaged."""
        if not self.file.exists():
            return {}
        try:
            state = load_tensors(self.file)
        except RunError as error:
            print(f"starts from the beginning, since {self.file} cannot be read: {error.must}", flush=True)
            return {}
        print(f"resumes from {self.file}", flush=True)
        return state

    def save(self, state: Mapping[str, Tensor]) -> None:
        """Replace the saved state."""
        save_tensors(self.file, state)

    def remove(self) -> None:
        """Remove the saved state, if there is one."""
        self.file.unlink(missing_ok=True)
        if self.file.parent.is_dir() and not any(self.file.parent.iterdir()):
            self.file.parent.rmdir()
