"""Agreement of a recurrent network's spectrum at the origin with the theory of the task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from mechlab.analyses.binding.jacobian_spectra import PLACES, Spectra, spectrum_at_origin
from mechlab.binding.published import published_spectral_error
from mechlab.binding.spectrum import (
    SpectrumComparison,
    chance_angle_errors,
    compare,
    p_value,
    permuted_angle_errors,
)
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import above, at_least
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.record.run import Run


Place = Literal["trajectory", "fixed_points"]


class Spectrum(Analysis):
    """Agreement of the eigenvalues of the transition's Jacobian at the origin (state 0, input 0) with those of the
    task's companion matrix (Karuvally et al., arXiv 2310.02430).

    A modulus somewhat above the theoretical one is not an error: in a network that saturates, linear growth becomes a
    limit cycle.

    Two null hypotheses have a Monte Carlo p-value, each from `draws` spectra that are matched anew, as the learned one
    is (pairs that are permuted after the best matching can only be worse, so a test of these would reject always):

    - `p_value`: the learned eigenvalues are those of a uniformly random orthogonal matrix.
    - `p_value_permutation`: the theoretical ones are those of a uniformly random signed permutation of as many cells:
      the network agrees with the rule of its own task no better than with other rules.

    Args:
        persistent: modulus above which an eigenvalue counts for the rank.
        angle: largest mean angle error, in radians, for the claim `angle`.
        modulus: largest relative deficit of a modulus against the theoretical one, for the claim `modulus`.
        draws: number of random spectra for the chance level of the angle error, and for each p-value; p-values are at
            least 1 / (1 + draws).
        compat: "published" also gives `published_error`, the published error of the same spectra with its defects; it
            is NaN where the published code has no number, for which a note gives the cause. `published_scored` is then
            0, so that its mean over runs is the share of runs that have a number.
        also_at: further states at which the spectrum is compared: "trajectory" is those that held-out sequences pass
            after the input, "fixed_points" the fixed points at input 0 that are reached from these and from state 0
            (which is one itself in a network without biases). Scalars are means over the states, with their 5th and
            95th percentiles.
        points: number of states of a trajectory, each of a sequence of its own.
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
        compat: Literal["published"] | None = None,
        also_at: tuple[Place, ...] = (),
        points: Annotated[int, at_least(1)] = 20,
    ):
        self.persistent, self.angle, self.modulus, self.draws = persistent, angle, modulus, draws
        self.compat, self.also_at, self.points = compat, also_at, points

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Compare the spectra; save every eigenvalue and every pair."""
        theory = run.task.ground_truth().spectrum
        learned = spectrum_at_origin(run.model())
        comparison = compare(learned, theory, self.persistent)
        untrained = compare(spectrum_at_origin(run.untrained()), theory, self.persistent)
        chance = chance_angle_errors(theory, rng, self.draws)
        permuted = permuted_angle_errors(learned, theory, rng, self.draws)
        self._save(out, learned, theory, comparison)
        scalars = {
            "angle_error": comparison.angle_error,
            "angle_error_max": comparison.angle_error_max,
            "chance_angle_error": chance.mean(),
            "p_value": p_value(comparison.angle_error, chance),
            "permuted_angle_error": permuted.mean(),
            "p_value_permutation": p_value(comparison.angle_error, permuted),
            "modulus_error": comparison.modulus_error,
            "complex_error": comparison.complex_error,
            "rank": comparison.rank,
            "rank_theory": comparison.rank_theory,
            "rank_error": comparison.rank_error,
            "spectral_radius": np.abs(learned).max(),
        }
        notes = {}
        if self.compat == "published":
            scalars["published_error"] = published_spectral_error(learned, theory, self.persistent)
            scalars["published_scored"] = np.isfinite(scalars["published_error"])
            notes = _published_note(comparison, scalars["published_error"])
        for place in self.also_at:
            scalars |= self._elsewhere(place, PLACES[place](run, self.points), theory, out)
        claims = self._claims(comparison, untrained, chance)
        return Finding({name: float(value) for name, value in scalars.items()}, claims, notes)

    def _elsewhere(self, place: str, spectra: Spectra, theory: np.ndarray, out: Artifacts) -> dict[str, float]:
        """Save the spectra at P states, and return P and the errors of these spectra."""
        import pandas as pd

        pairs = [compare(learned, theory, self.persistent) for learned in spectra.values]
        columns = {
            "angle_error": [pair.angle_error for pair in pairs],
            "radius": np.abs(spectra.values).max(1),
            "rank": [pair.rank for pair in pairs],
        }
        out.save_arrays(place, spectra=spectra.values)
        out.save_table(place, pd.DataFrame({**spectra.states, **columns}))
        scalars = {f"{place}_states": float(len(pairs))}
        for name, values in columns.items() if pairs else ():
            low, high = np.quantile(values, (0.05, 0.95))
            scalars |= {f"{place}_{name}": np.mean(values), f"{place}_{name}_low": low, f"{place}_{name}_high": high}
        return scalars

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
        from mechlab.plotting.spectrum import spectra_figure, spectrum_figure

        saved = out.arrays("spectrum")
        values = [saved[name] for name in ("learned", "theory", "matched", "partner")]
        figures = {"spectrum": spectrum_figure(*values, self.persistent)}
        for place in self.also_at:
            spectra, states = out.arrays(place)["spectra"], out.table(place)
            if len(spectra):
                figures[place] = spectra_figure(spectra, states.iloc[:, 0].to_numpy(), saved["theory"], place)
        return figures


def _published_note(comparison: SpectrumComparison, error: float) -> dict[str, str]:
    """Return the note on a published error that is NaN."""
    if np.isfinite(error):
        return {}
    cause = "a cosine exceeds 1 by rounding"
    if comparison.rank_error:
        cause = f"{comparison.rank} persistent eigenvalues were learned, and {comparison.rank_theory} are in theory"
    return {"published_error": f"published_error is NaN, as the published code has it: {cause}."}
