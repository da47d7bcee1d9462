"""The paths of a recurrent network's eigenvalues over training, and the step at which each is born."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np

from mechlab.analyses.binding.jacobian_spectra import spectrum_at_origin
from mechlab.binding.paths import births, fall_at_births, is_present, labelled_paths, partners, upper_half
from mechlab.binding.spectrum import compare, p_value
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import above, at_least
from mechlab.core.errors import ConfigError
from mechlab.core.evaluation import evaluate
from mechlab.core.state import digest
from mechlab.record.artifacts import Artifacts
from mechlab.record.run import spaced_steps

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.record.run import Run


class Moment(NamedTuple):
    """A network at one step: its eigenvalues (S,) at the origin, loss and accuracy on held-out sequences."""

    spectrum: np.ndarray
    loss: float
    accuracy: float


class SpectrumOverTraining(Analysis):
    """The eigenvalues of the transition's Jacobian at the origin (state 0, input 0) at the recorded steps, joined to
    paths, each of which has the theoretical eigenvalue at which it ends.

    An eigenvalue is born at the first recorded step from which the modulus of its path stays above `persistent`, and
    its angle within `angle` of the theoretical one. The scalars `modulus_at_D` and `angle_at_D` are those of the path
    that ends at the theoretical eigenvalue of angle D degrees (0 to 180; 7_5 is 7.5), means over the copies of a
    repeated one. As a callback with every=recorded they are curves in TensorBoard while the network is trained. (All
    scalars are of the last recorded step.)

    `loss_fall_at_births` is the mean fall of the log loss over the intervals between recorded steps in which
    eigenvalues are born, in nats, one term for each eigenvalue; `p_loss_fall` is the share of shifts in time of all
    births together for which it is as large.

    Args:
        persistent: modulus above which an eigenvalue counts.
        angle: largest angle, in radians, between an eigenvalue that is born and the theoretical one.
        frames: maximal number of the recorded steps, about evenly spaced in the logarithm of the step.
        examples: number of held-out sequences for the loss and accuracy at each step.
        tracked: maximal number of distinct theoretical eigenvalues whose modulus and angle are scalars, about evenly
            spaced in angle; 0 for none.

    Source: Karuvally et al., arXiv 2310.02430, for the theoretical spectrum.
    """

    needs = Needs(kind="sequence", ground_truth=("companion matrix",), history="sparse", model=("jacobian",))
    other_model = "choose a recurrent model, such as model=rnn, or analysis=[]"
    headline = ("born", "rank")

    def __init__(
        self,
        persistent: Annotated[float, above(0)] = 0.9,
        angle: Annotated[float, above(0)] = 0.05,
        frames: Annotated[int, at_least(2)] = 100,
        examples: Annotated[int, at_least(1)] = 50,
        tracked: Annotated[int, at_least(0)] = 20,
    ):
        self.persistent, self.angle, self.frames = persistent, angle, frames
        self.examples, self.tracked = examples, tracked
        self._moments: dict[tuple[str, int], Moment] = {}  # by folder and weights: callbacks return to them each time

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Follow the spectrum over the recorded steps; save paths and births."""
        if run.moment == "best":
            fix = "at=last, or at=STEP"
            raise ConfigError("paths need the step at which they end", got="at=best", key="at", fix=fix)
        theory, steps = run.task.ground_truth().spectrum, spaced_steps(run, self.frames)
        moments = [self._at(run.at(step)) for step in steps]
        paths = labelled_paths(np.stack([moment.spectrum for moment in moments]), theory, self.persistent)
        born = births(is_present(paths, theory, self.persistent, self.angle))
        comparisons = [compare(moment.spectrum, theory, self.persistent) for moment in moments]
        columns = {
            "step": steps,
            "loss": [moment.loss for moment in moments],
            "accuracy": [moment.accuracy for moment in moments],
            "rank": [comparison.rank for comparison in comparisons],
            "born": [int((born <= row).sum()) for row in range(len(steps))],
            "angle_error": [comparison.angle_error for comparison in comparisons],
            "spectral_radius": [np.abs(moment.spectrum).max() for moment in moments],
        }
        self._save(out, run, columns, paths, theory, born)
        last = {name: values[-1] for name, values in columns.items() if name != "step"}
        scalars = {**last, "rank_theory": len(theory), "steps": len(steps)}
        scalars |= self._of_births(steps, born, np.array(columns["loss"])) | self._tracked(paths[-1], theory)
        return Finding({name: float(value) for name, value in scalars.items()}, self._claims(run, theory, last["born"]))

    def _at(self, run: Run) -> Moment:
        model = run.model()
        key = str(run.folder), digest(model.state_dict())
        if key not in self._moments:
            scores = evaluate(model, run.task, run.evaluation("val", self.examples))
            self._moments[key] = Moment(spectrum_at_origin(model), scores["loss"], scores["accuracy"])
        return self._moments[key]

    def _of_births(self, steps: list[int], born: np.ndarray, loss: np.ndarray) -> dict[str, float]:
        """Return the steps of the first and the last birth, and how the loss falls at births, where there are any."""
        when = [steps[row] for row in born if row < len(steps)]
        scalars: dict[str, float] = {"first_birth": min(when), "last_birth": max(when)} if when else {}
        if len(steps) >= 3 and ((born > 0) & (born < len(steps))).any():
            fall, shifted = fall_at_births(born, loss)
            null = {"loss_fall_shifted": shifted.mean(), "p_loss_fall": p_value(-fall, -shifted)}
            scalars |= {"loss_fall_at_births": fall, **null}
        return scalars

    def _tracked(self, learned: np.ndarray, theory: np.ndarray) -> dict[str, float]:
        """Return the moduli and angles of the learned eigenvalues (R,) by the angles of the theoretical ones."""
        degrees = np.degrees(np.abs(np.angle(theory))).round(1)
        upper = upper_half(theory)
        distinct = np.unique(degrees[upper])
        chosen = distinct[np.linspace(0, len(distinct) - 1, min(self.tracked, len(distinct))).round().astype(int)]
        scalars = {}
        for degree in chosen:
            copies = [k for k in upper[degrees[upper] == degree] if np.isfinite(learned[k])]
            if not copies:
                continue
            name = f"{degree:g}".replace(".", "_")
            turned = np.angle(learned[copies] / theory[copies])
            scalars[f"modulus_at_{name}"] = np.abs(learned[copies]).mean()
            scalars[f"angle_at_{name}"] = (np.abs(np.angle(theory[copies])) + turned).mean()
        return scalars

    def _claims(self, run: Run, theory: np.ndarray, born: int) -> dict[str, Claim]:
        untrained = spectrum_at_origin(run.untrained())
        learned, labels = partners(untrained, theory, self.persistent)
        by_chance = is_present(untrained[learned], theory[labels], self.persistent, self.angle).sum()
        statement = (
            f"All {len(theory)} theoretical eigenvalues are born by the end: their paths stay above modulus "
            f"{self.persistent:g} and within {self.angle:g} rad."
        )
        return {"born": Claim(statement, born, len(theory), bool(born == len(theory)), "exact", null=float(by_chance))}

    def _save(
        self,
        out: Artifacts,
        run: Run,
        columns: dict[str, list],
        paths: np.ndarray,
        theory: np.ndarray,
        born: np.ndarray,
    ) -> None:
        import pandas as pd

        recipe, upper = run.recipe, upper_half(theory)
        stages = recipe.curriculum.first_stages if recipe.stages is None else recipe.stages
        table = pd.DataFrame(columns)
        at_birth = table.reindex(born[upper]).reset_index(drop=True)  # rows of NaN for those that are never born
        ends = {
            "theory_angle": np.abs(np.angle(theory[upper])),
            "theory_modulus": np.abs(theory[upper]),
            "eigenvalues": np.where(theory[upper].imag > 1e-9, 2, 1),  # a conjugate pair, or a real one
            "learned_angle": np.abs(np.angle(paths[-1, upper])),
            "learned_modulus": np.abs(paths[-1, upper]),
        }
        births_table = pd.DataFrame(ends).assign(
            birth=at_birth["step"], loss=at_birth["loss"], accuracy=at_birth["accuracy"]
        )
        count, width = paths[:, upper].shape
        long = {
            "step": np.repeat(columns["step"], width),
            "pair": np.tile(np.arange(width), count),  # the row of `births`
            "modulus": np.abs(paths[:, upper]).reshape(-1),
            "angle": np.angle(paths[:, upper]).reshape(-1),
        }
        out.save_arrays("paths", paths=paths, theory=theory, births=born)
        out.save_table("training", table)
        out.save_table("births", births_table)
        out.save_table("paths", pd.DataFrame(long))
        out.save_table("stages", pd.DataFrame(list(stages), columns=["step", "length"]))

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the paths in the complex plane beside rank and loss, and the moduli with the births."""
        from mechlab.plotting.spectrum_over_training import births_figure, paths_figure

        saved, training, stages = out.arrays("paths"), out.table("training"), out.table("stages")
        return {
            "paths": paths_figure(saved["paths"], saved["theory"], training, stages),
            "births": births_figure(out.table("births"), out.table("paths"), training, stages, self.persistent),
        }
