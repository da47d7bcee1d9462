"""Does the spectrum of a recurrent network at the origin follow the theory of the task?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch

from mechlab.binding.spectrum import Comparison, chance_angle_errors, compare
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import above, at_least
from mechlab.core.precision import in_precision
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.core.model import SequenceModel
    from mechlab.record.run import Run


class Spectrum(Analysis):
    """Compare the eigenvalues of the transition's Jacobian at the origin (state 0, input 0) with those of the task's
    companion matrix (Karuvally et al., arXiv 2310.02430).

    A modulus somewhat above the theoretical one is no error: a network that saturates turns linear growth into a limit
    cycle.

    Args:
        persistent: modulus above which an eigenvalue counts for the rank.
        angle: largest mean angle error, in radians, for the claim `angle`.
        modulus: how far a modulus may fall below the theoretical one, as a share of it, for the claim `modulus`.
        draws: random orthogonal matrices that tell the chance level of the angle error.
    """

    needs = Needs(kind="sequence", ground_truth=("companion matrix",))

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
        found = compare(learned, theory, self.persistent)
        untrained = compare(spectrum_at_origin(run.untrained()), theory, self.persistent)
        chance = chance_angle_errors(theory, rng, self.draws)
        self._save(out, learned, theory, found)
        scalars = {
            "angle_error": found.angle_error,
            "angle_error_max": found.angle_error_max,
            "chance_angle_error": chance.mean(),
            "modulus_error": found.modulus_error,
            "complex_error": found.complex_error,
            "rank": found.rank,
            "rank_theory": found.rank_theory,
            "rank_error": found.rank_error,
            "spectral_radius": np.abs(learned).max(),
        }
        return Finding({name: float(value) for name, value in scalars.items()}, self._claims(found, untrained, chance))

    def _claims(self, found: Comparison, untrained: Comparison, chance: np.ndarray) -> dict[str, Claim]:
        least = float(found.modulus_ratios.min())
        return {
            "rank": Claim(
                f"As many eigenvalues have a modulus above {self.persistent:g} as the theory has: {found.rank_theory}.",
                value=found.rank,
                threshold=found.rank_theory,
                holds=found.rank_error == 0,
                kind="exact",
                null=untrained.rank,
            ),
            "angle": Claim(
                f"The mean angle error is at most {self.angle:g} rad and below that of each of {len(chance)} random "
                "orthogonal matrices.",
                value=found.angle_error,
                threshold=self.angle,
                holds=bool(found.angle_error <= self.angle and found.angle_error < chance.min()),
                kind="statistical",
                null=float(chance.mean()),
            ),
            "modulus": Claim(
                f"The eigenvalues that follow the theory keep at least {1 - self.modulus:g} of its moduli.",
                value=least,
                threshold=1 - self.modulus,
                holds=len(found.learned) == found.rank_theory and least >= 1 - self.modulus,
                kind="exact",
                null=float(untrained.modulus_ratios.min()),
            ),
        }

    def _save(self, out: Artifacts, learned: np.ndarray, theory: np.ndarray, found: Comparison) -> None:
        import pandas as pd

        out.save_arrays("spectrum", learned=learned, theory=theory, matched=found.learned, partner=found.theory)
        pairs = {
            "theory_modulus": np.abs(found.theory),
            "theory_angle": np.angle(found.theory),
            "learned_modulus": np.abs(found.learned),
            "learned_angle": np.angle(found.learned),
            "angle_error": found.angle_errors,
        }
        out.save_table("pairs", pd.DataFrame(pairs))

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw both spectra."""
        from mechlab.plotting.spectrum import spectrum_figure

        saved = out.arrays("spectrum")
        return {"spectrum": spectrum_figure(saved["learned"], saved["theory"], saved["matched"], saved["partner"])}


def spectrum_at_origin(model: SequenceModel) -> np.ndarray:
    """Return the eigenvalues (S,) complex of d next state / d state at state 0 and input 0."""
    state = model.initial_state(1)[0].detach() * 0
    jacobian = model.jacobian(state.new_zeros(model.spec.inputs), state)
    return np.linalg.eigvals(in_precision(jacobian.detach().cpu(), torch.float64).numpy()).astype(complex)
