"""Agreement of a recurrent network's spectrum at the origin with the theory of the task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch

from mechlab.binding.spectrum import SpectrumComparison, chance_angle_errors, compare
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import above, at_least
from mechlab.core.precision import in_precision
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.core.model import SequenceModel
    from mechlab.record.run import Run


class Spectrum(Analysis):
    """Agreement of the eigenvalues of the transition's Jacobian at the origin (state 0, input 0) with those of the
    task's companion matrix (Karuvally et al., arXiv 2310.02430).

    A modulus somewhat above the theoretical one is not an error: in a network that saturates, linear growth becomes a
    limit cycle.

    Args:
        persistent: modulus above which an eigenvalue counts for the rank.
        angle: largest mean angle error, in radians, for the claim `angle`.
        modulus: largest relative deficit of a modulus against the theoretical one, for the claim `modulus`.
        draws: number of random orthogonal matrices for the chance level of the angle error.
    """

    needs = Needs(kind="sequence", ground_truth=("companion matrix",), model=("jacobian",))
    other_model = "choose a recurrent model, such as model=rnn, or analysis=[]"
    headline = ("rank", "angle_error")

    def __init__(
        self,
        persistent: Annotated[float, above(0)] = 0.9,
        angle: Annotated[float, above(0)] = 0.05,
        modulus: Annotated[float, above(0)] = 0.05,
        draws: Annotated[int, at_least(1)] = 100,
    ):
        self.persistent, self.angle, self.modulus, self.draws = persistent, angle, modulus, draws

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Compare the spectra; save every eigenvalue and every pair."""
        theory = run.task.ground_truth().spectrum
        learned = spectrum_at_origin(run.model())
        comparison = compare(learned, theory, self.persistent)
        untrained = compare(spectrum_at_origin(run.untrained()), theory, self.persistent)
        chance = chance_angle_errors(theory, rng, self.draws)
        self._save(out, learned, theory, comparison)
        scalars = {
            "angle_error": comparison.angle_error,
            "angle_error_max": comparison.angle_error_max,
            "chance_angle_error": chance.mean(),
            "modulus_error": comparison.modulus_error,
            "complex_error": comparison.complex_error,
            "rank": comparison.rank,
            "rank_theory": comparison.rank_theory,
            "rank_error": comparison.rank_error,
            "spectral_radius": np.abs(learned).max(),
        }
        return Finding(
            {name: float(value) for name, value in scalars.items()}, self._claims(comparison, untrained, chance)
        )

    def _claims(
        self, comparison: SpectrumComparison, untrained: SpectrumComparison, chance: np.ndarray
    ) -> dict[str, Claim]:
        least = float(comparison.modulus_ratios.min())
        return {
            "rank": Claim(
                f"The number of eigenvalues of modulus above {self.persistent:g} is the theoretical one, "
                f"{comparison.rank_theory}.",
                value=comparison.rank,
                threshold=comparison.rank_theory,
                holds=comparison.rank_error == 0,
                kind="exact",
                null=untrained.rank,
            ),
            "angle": Claim(
                f"The mean angle error is at most {self.angle:g} rad and below that of each of {len(chance)} random "
                "orthogonal matrices.",
                value=comparison.angle_error,
                threshold=self.angle,
                holds=bool(comparison.angle_error <= self.angle and comparison.angle_error < chance.min()),
                kind="statistical",
                null=float(chance.mean()),
            ),
            "modulus": Claim(
                f"The moduli of the matched eigenvalues are at least {1 - self.modulus:g} of the theoretical ones.",
                value=least,
                threshold=1 - self.modulus,
                holds=len(comparison.learned) == comparison.rank_theory and least >= 1 - self.modulus,
                kind="exact",
                null=float(untrained.modulus_ratios.min()),
            ),
        }

    def _save(self, out: Artifacts, learned: np.ndarray, theory: np.ndarray, comparison: SpectrumComparison) -> None:
        import pandas as pd

        out.save_arrays(
            "spectrum", learned=learned, theory=theory, matched=comparison.learned, partner=comparison.theory
        )
        pairs = {
            "theory_modulus": np.abs(comparison.theory),
            "theory_angle": np.angle(comparison.theory),
            "learned_modulus": np.abs(comparison.learned),
            "learned_angle": np.angle(comparison.learned),
            "angle_error": comparison.angle_errors,
        }
        out.save_table("pairs", pd.DataFrame(pairs))

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw both spectra."""
        from mechlab.plotting.spectrum import spectrum_figure

        saved = out.arrays("spectrum")
        values = [saved[name] for name in ("learned", "theory", "matched", "partner")]
        return {"spectrum": spectrum_figure(*values, self.persistent)}


def spectrum_at_origin(model: SequenceModel) -> np.ndarray:
    """Return the eigenvalues (S,) complex of d next state / d state at state 0 and input 0."""
    state = model.initial_state(1)[0].detach() * 0
    jacobian = model.jacobian(state.new_zeros(model.spec.inputs), state)
    return np.linalg.eigvals(in_precision(jacobian.detach().cpu(), torch.float64).numpy()).astype(complex)
