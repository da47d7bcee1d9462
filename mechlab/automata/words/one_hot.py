"""Words as one-hot letters, which is how networks read them."""

from __future__ import annotations

import numpy as np
from torch import Tensor


def letters_of(inputs: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the letters (B, T) int64 of one-hot words (B, T, m), 0 after the end of a word, and where there is a
    letter, (B, T) bool.

    >>> import torch
    >>> letters, inside = letters_of(torch.tensor([[[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]]))
    >>> letters.tolist(), inside.tolist()
    ([[1, 0, 0]], [[True, True, False]])
    """
    return inputs.argmax(-1).cpu().numpy(), inputs.any(-1).cpu().numpy()
