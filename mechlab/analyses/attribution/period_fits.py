"""Fits of periods to several similarities of examples, and their tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mechlab.analyses.attribution.score_cosines import cosine_matrices

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from mechlab.kernels.periods import PairDifferences, PeriodFit

SCORES, FIRST, ACTIVATIONS = "scores", "scores of the first step", "activations"  # kinds of similarity
QUANTILE = 0.95


@dataclass(frozen=True)
class FamilyFits:
    """Fits of both families of periods to similarities, with what chance gives.

    Args:
        harmonic, whole: fits of the periods p / k and 2, ..., p, by kind and name.
        null_amplitude, null_explained: 95 % quantiles over random orders of the residues of the largest harmonic
            amplitude, and of the largest share explained by harmonics, of all components.
        null_whole: (2,) the same amplitude and share for whole periods, of the component with the largest share.
    """

    harmonic: dict[tuple[str, str], PeriodFit]
    whole: dict[tuple[str, str], PeriodFit]
    null_amplitude: float
    null_explained: float
    null_whole: tuple[float, float]

    @classmethod
    def of(
        cls,
        matrices: Mapping[tuple[str, str], np.ndarray],
        sums: np.ndarray,
        chosen: np.ndarray,
        pairs: PairDifferences,
        p: int,
        alpha: float,
        permutations: int,
        rng: np.random.Generator,
    ) -> FamilyFits:
        """Fit similarities (X, X) of the chosen (X, X) pairs of examples with these sums (X,)."""
        from mechlab.kernels.periods import harmonic_periods, permuted_fits, whole_periods

        harmonics, wholes = harmonic_periods(p), whole_periods(p)
        harmonic = {key: pairs.fit(matrix, harmonics, alpha) for key, matrix in matrices.items()}
        whole = {key: pairs.fit(matrix, wholes, alpha) for key, matrix in matrices.items()}
        scores = [key for key in matrices if key[0] == SCORES]
        best = max(scores, key=lambda key: whole[key].explained)
        nulls = [
            permuted_fits([matrices[key] for key in keys], sums, p, chosen, periods, permutations, rng, alpha)
            for keys, periods in ((scores, harmonics), ([best], wholes))
        ]
        ends = [
            (
                np.quantile(null.amplitude, QUANTILE, method="higher"),
                np.quantile(null.explained, QUANTILE, method="higher"),
            )
            for null in nulls
        ]
        (amplitude, explained), null_whole = [(float(a), float(b)) for a, b in ends]
        return cls(harmonic, whole, amplitude, explained, null_whole)

    def table(self) -> pd.DataFrame:
        """Return a row for each kind and name: shares explained by both families, and their largest amplitudes."""
        import pandas as pd

        rows = []
        for (kind, name), fit in self.harmonic.items():
            row = {"kind": kind, "name": name, "harmonic": fit.explained}
            largest = int(np.argmax(fit.amplitude))
            frequency = largest + 1 if fit.amplitude[largest] > 0 else 0
            row |= {"frequency": frequency, "harmonic_amplitude": fit.amplitude[largest]}
            other = self.whole[kind, name]
            largest = int(np.argmax(other.amplitude))
            row |= {"whole": other.explained, "whole_period": other.periods[largest]}
            nulls = {"harmonic_null": self.null_explained, "whole_null": self.null_whole[1]}
            rows.append({**row, "whole_amplitude": other.amplitude[largest], **nulls})
        return pd.DataFrame(rows)

    def periods(self, key: tuple[str, str]) -> pd.DataFrame:
        """Return a row for each period of both families: coefficients, amplitude, and the null of the amplitude."""
        import pandas as pd

        parts = []
        families = {"p / k": (self.harmonic, self.null_amplitude), "whole": (self.whole, self.null_whole[0])}
        for family, (fits, null) in families.items():
            fit = fits[key]
            columns = {"period": fit.periods, "cosine": fit.cosine, "sine": fit.sine, "amplitude": fit.amplitude}
            parts.append(pd.DataFrame({"family": family, **columns, "null": null}))
        return pd.concat(parts, ignore_index=True)

    def differences(self, pairs: PairDifferences, key: tuple[str, str], similarity: np.ndarray) -> pd.DataFrame:
        """Return a row for each difference: pairs, their mean similarity, and the fits."""
        import pandas as pd

        count, means = pairs.means(similarity)
        fits = {"harmonic": self.harmonic[key].values, "whole": self.whole[key].values}
        return pd.DataFrame({"difference": pairs.differences, "pairs": count, "cosine": means, **fits})


def slice_table(
    pairs: PairDifferences,
    slices: Mapping[tuple[int, int], Mapping[str, np.ndarray]],
    fits: FamilyFits,
    alpha: float,
) -> pd.DataFrame:
    """Return a row for each slice of training and component: the share explained by the periods p / k, and the
    amplitude of the component's strongest frequency in the whole training."""
    import pandas as pd

    rows = []
    for (first, stop), matrices in slices.items():
        for name, matrix in matrices.items():
            row = {"first": first, "stop": stop, "name": name, "explained": np.nan, "frequency": 0, "amplitude": np.nan}
            if (SCORES, name) in fits.harmonic and np.isfinite(matrix).all():
                whole = fits.harmonic[SCORES, name]
                strongest = int(np.argmax(whole.amplitude))
                fit = pairs.fit(matrix, whole.periods, alpha)
                row |= {"explained": fit.explained, "frequency": strongest + 1, "amplitude": fit.amplitude[strongest]}
            rows.append({**row, "null": fits.null_explained})
    return pd.DataFrame(rows, columns=["first", "stop", "name", "explained", "frequency", "amplitude", "null"])


def activation_cosines(activations: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Return the cosines (X, X) between examples' activations, less their mean, at each place where they differ."""
    cosines = {}
    for name, values in activations.items():
        rows = values.detach().flatten(1).double()
        rows = (rows - rows.mean(0)).numpy()
        matrix = cosine_matrices(rows @ rows.T)
        if np.isfinite(matrix).all():
            cosines[name] = matrix
    return cosines
