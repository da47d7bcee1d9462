"""The files of a finding: arrays, tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mechlab.record.files import atomic
from mechlab.record.spreadsheet import as_text, from_text
from mechlab.record.tensors import load_tensors, save_tensors

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from torch import Tensor


@dataclass(frozen=True)
class Artifacts:
    """The folder of an analysis: arrays (.safetensors), tables (.csv) and figures (.svg and .png).

    Args:
        folder: the folder.
        subject: the sentence that every figure bears: network, task and seed.
    """

    folder: Path
    subject: str = ""

    def save_arrays(self, name: str, **arrays: np.ndarray | Tensor) -> None:
        """Save real or complex arrays under one name; complex ones as (..., 2), with `.complex` after their name."""
        import torch

        tensors = {}
        for key, array in arrays.items():
            tensor = torch.as_tensor(np.asarray(array) if not isinstance(array, torch.Tensor) else array)
            if tensor.is_complex():
                tensors[f"{key}.complex"] = torch.view_as_real(tensor)
            else:
                tensors[key] = tensor
        save_tensors(self.folder / f"{name}.safetensors", tensors)

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Read what `save_arrays` saved under this name."""
        import torch

        arrays = {}
        for key, tensor in load_tensors(self.folder / f"{name}.safetensors").items():
            if key.endswith(".complex"):
                arrays[key.removesuffix(".complex")] = torch.view_as_complex(tensor).numpy()
            else:
                arrays[key] = tensor.numpy()
        return arrays

    def save_table(self, name: str, table: pd.DataFrame) -> None:
        """Save a table as CSV, without its index; text that a spreadsheet would take for a formula is marked."""
        with atomic(self.folder / f"{name}.csv") as path:
            _each_text(table, as_text).to_csv(path, index=False)

    def table(self, name: str) -> pd.DataFrame:
        """Read a table that `save_table` saved."""
        import pandas as pd

        return _each_text(pd.read_csv(self.folder / f"{name}.csv"), from_text)

    def with_subject(self, figures: Mapping[str, Figure]) -> Mapping[str, Figure]:
        """Write the subject on each of the figures, and return them."""
        from mechlab.plotting import style

        for figure in figures.values():
            style.subject(figure, self.subject)
        return figures

    def save_figure(self, name: str, figure: Figure, endings: Sequence[str] = ("svg", "png")) -> None:
        """Save a figure as .svg and .png, or with other endings (pdf); the same figure gives the same bytes."""
        import matplotlib

        for suffix in endings:
            metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(suffix, {})
            with (
                atomic(self.folder / f"{name}.{suffix}") as path,
                matplotlib.rc_context({"svg.hashsalt": name}),  # else element names are random
            ):
                figure.savefig(path, format=suffix, dpi=150, bbox_inches="tight", metadata=metadata)

    def save_bytes(self, name: str, content: bytes) -> None:
        """Save a file as it is; its name has an ending, such as that of an animation (.gif)."""
        with atomic(self.folder / name) as path:
            path.write_bytes(content)


def _each_text(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """Return a table with all its texts changed, those of its header among them."""

    def changed(value: Any) -> Any:
        return change(value) if isinstance(value, str) else value

    table = table.copy(deep=False)
    for name in table.columns:
        if table[name].dtype.kind not in "biufc":
            table[name] = table[name].map(changed)
    return table.rename(columns=changed)
