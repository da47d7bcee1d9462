"""Results of the parts of a long computation, saved until the whole is finished."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from mechlab.record.tensors import load_tensors, save_tensors


class Checkpointed:
    """Saves the results of parts of a long computation.

    Args:
        folder: of the files; it exists until the computation is finished.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def __call__(self, name: str, compute: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Return the tensors of a part: those saved before, else computed and saved."""
        path = self.file(name)
        if not path.exists():
            save_tensors(path, {key: value.contiguous() for key, value in compute().items()})
        return load_tensors(path)

    def file(self, name: str) -> Path:
        """Return the file of a part."""
        return self.folder / f"{name}.safetensors"

    def clear(self) -> None:
        """Remove all files, and the folders that are then empty."""
        for path in self.folder.glob("*.safetensors"):
            path.unlink()
        for folder in (self.folder, self.folder.parent):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
