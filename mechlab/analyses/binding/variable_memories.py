"""Variable memories of a recurrent network: where its state holds the last s vectors of the system that it models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch

from mechlab.analyses.binding.linear_network import LinearNetwork, check_read_out, held_out_inputs
from mechlab.analyses.binding.variable_decoding import Decoding, decode, double, matrix_error
from mechlab.binding.published import published_picture
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import Size, above, between
from mechlab.record.artifacts import Artifacts
from mechlab.statistics.bootstrap import bootstrap

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from mechlab.core.task import Task
    from mechlab.record.run import Run

FITTED = 1000  # sequences for the probe and the mean state
ELEMENTS = 2**26  # of their states at most
CONTROL = 100  # sequences for the untrained network
LEAST_SEQUENCES, LEAST_VARIABLES = 50, 1000  # distinct sequences, and variables in all of them, that a claim needs
PICTURE_HORIZON = 200  # steps for which the published picture was continued
RING_STEPS = 24  # of the animation
METHODS = ("decoder", "origin", "published", "probe", "untrained", "shuffled")


class VariableMemories(Analysis):
    """The basis of a recurrent network's state in which it holds the variables of its linear rule: by the published
    construction Psi, and by the observability decoder D; see `binding.published` and `binding.decoder`.

    Both follow from the linearisation at the origin, without training. The states at the end of the input are large,
    and the `decoder` of the claims has the mean secant of the first step from such states; `origin` is the decoder by
    the origin alone. States are taken relative to the mean state of the same moment. The interaction matrices
    Psi* W_hh Psi and D W_hh D^+, of the decoder at the origin, are compared with the companion matrix Phi.

    A variable is decoded correctly if its sign is. Only variables on cycles of Phi count, since the others have no
    lasting future. For comparison: a ridge regression of the variables on the states at each moment, fitted to other
    sequences (`probe`); the decoder of the untrained network; and the variables of another sequence (`shuffled`).

    Scalars are the shares of right signs, named by the method and the moment: `decoder_end` at the end of the input,
    `decoder_later` s steps after it, `decoder_after` the mean over all steps after it. `decoder_lost_end` is the
    relative norm of the part of the state that the variables do not give. `phi_error` is the relative Frobenius error
    of D W_hh D^+ on variables of cycles, and `phi_error_scaled` that after one common scale.

    Args:
        sequences: number of held-out sequences.
        after: number of steps after the input over which accuracies are averaged.
        accuracy: least accuracy of decoding, for the claims `end_of_input` and `after`.
        error: largest relative error of D W_hh D^+ after one common scale, for the claim `interaction`.

    Source: Karuvally et al., arXiv 2310.02430.
    """

    needs = Needs(kind="sequence", ground_truth=("companion matrix",), model=("jacobian",))
    other_model = "choose a recurrent model, such as model=rnn, or analysis=[]"
    headline = ("decoder_end", "phi_error_scaled")

    def __init__(
        self,
        sequences: Size = 256,
        after: Size = 100,
        accuracy: Annotated[float, between(0, 1)] = 0.99,
        error: Annotated[float, above(0)] = 0.1,
    ):
        self.sequences, self.after, self.accuracy, self.error = sequences, after, accuracy, error

    def check(self, name: str, task_name: str, task: Task, key: str, model: Any = None) -> None:
        """Raise ConfigError also if the model does not say how outputs follow from its state."""
        super().check(name, task_name, task, key, model)
        check_read_out(name, model, key)

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Decode the variables at each moment; save maps, matrices, accuracies and examples."""
        network, fresh = LinearNetwork.of(run), LinearNetwork(run.untrained(), run.task.ground_truth())
        for_fit, for_test = rng.spawn(2)
        size = network.model.initial_state(1).shape[1]
        fitted = max(1, min(FITTED, ELEMENTS // ((self.after + 1) * size)))
        others = held_out_inputs(run.task, fitted, self.after, for_fit)
        inputs = held_out_inputs(run.task, self.sequences, self.after, for_test)
        decoding = decode(network, network.observe(others), network.observe(inputs))
        control = decode(fresh, fresh.observe(others[:CONTROL]), fresh.observe(inputs[:CONTROL]))
        right = {**decoding.right, "untrained": control.right["decoder"]}
        self._save(out, network, decoding, right)
        self._save_examples(out, network, inputs[:1], decoding)
        distinct = len(torch.unique(inputs[:, : network.truth.s].flatten(1), dim=0))
        return self._finding(network, decoding, right, _errors(fresh, control), distinct)

    def _finding(
        self,
        network: LinearNetwork,
        decoding: Decoding,
        right: dict[str, np.ndarray],
        null: dict[str, float],
        distinct: int,
    ) -> Finding:
        later, errors = min(network.truth.s, self.after), _errors(network, decoding)
        scalars = {f"{name}_end": right[name][:, 0].mean() for name in METHODS}
        scalars |= {f"{name}_later": right[name][:, later].mean() for name in METHODS}
        scalars |= {f"{name}_after": right[name][:, 1:].mean() for name in METHODS}
        scalars |= {"least_variable_end": right["decoder"][:, 0].mean(0).min(), **errors}
        for name, lost in decoding.lost.items():
            scalars |= {f"{name}_lost_end": lost[0], f"{name}_lost_after": lost[1:].mean()}
        active = np.count_nonzero(network.active)
        scalars |= {"rank": len(decoding.origin.eigenvalues), "variables": active, "sequences": distinct}
        if np.isfinite(decoding.origin.condition):
            scalars["condition"] = decoding.origin.condition
        scalars = {name: float(value) for name, value in scalars.items()}
        claims, notes = {}, {}
        if distinct >= LEAST_SEQUENCES and distinct * active >= LEAST_VARIABLES:
            claims = self._claims(right)
        else:
            notes["too_few_sequences"] = (
                f"Too few sequences for a claim about decoding: {distinct} distinct ones of {active} variables; a "
                f"claim needs {LEAST_SEQUENCES}, and {LEAST_VARIABLES} variables in all."
            )
        claims["interaction"] = self._interaction(errors, null)
        return Finding(scalars, claims, notes)

    def _claims(self, right: dict[str, np.ndarray]) -> dict[str, Claim]:
        statements = {
            "end_of_input": "The decoder recovers the active variables at the end of the input",
            "after": f"The decoder recovers the active variables over the {self.after} steps after the input",
        }
        claims = {}
        for slug, statement in statements.items():
            steps = slice(0, 1) if slug == "end_of_input" else slice(1, None)
            each = right["decoder"][:, steps].mean((1, 2))  # (B,)
            low, high = bootstrap(each)
            claims[slug] = Claim(
                f"{statement} with an accuracy of at least {self.accuracy:g} (interval over sequences).",
                value=float(each.mean()),
                threshold=self.accuracy,
                holds=low >= self.accuracy,
                kind="statistical",
                null=float(right["untrained"][:, steps].mean()),
                interval=(low, high),
            )
        return claims

    def _interaction(self, errors: dict[str, float], null: dict[str, float]) -> Claim:
        return Claim(
            "The interaction matrix of the decoder's basis is the companion matrix, up to one factor, with a relative "
            f"error of at most {self.error:g}.",
            value=errors["phi_error_scaled"],
            threshold=self.error,
            holds=errors["phi_error_scaled"] <= self.error,
            kind="exact",
            null=null["phi_error_scaled"],
        )

    def _save(self, out: Artifacts, network: LinearNetwork, decoding: Decoding, right: dict[str, np.ndarray]) -> None:
        import pandas as pd

        origin = decoding.origin
        learned, published = _interactions(network, decoding)
        out.save_arrays(
            "variables",
            phi=network.truth.matrix,
            interaction=learned,
            published_interaction=published,
            decode=decoding.decoder.decode,
            origin_decode=origin.decode,
            basis=origin.basis,
            subspace=origin.subspace,
            eigenvalues=origin.eigenvalues,
            psi=decoding.psi,
            dual=decoding.dual,
            active=network.active,
        )
        curves = {name: right[name].mean((0, 2)) for name in METHODS}
        lost = {f"{name}_lost": values for name, values in decoding.lost.items()}
        out.save_table("decoding", pd.DataFrame({"step": np.arange(self.after + 1), **curves, **lost}))
        block, component = np.divmod(np.flatnonzero(network.active), network.truth.d)
        each = {name: right[name][:, 0].mean(0) for name in METHODS}
        table = pd.DataFrame({"block": block + 1, "component": component + 1, **each})
        out.save_table("variables", table)

    def _save_examples(self, out: Artifacts, network: LinearNetwork, inputs: Tensor, decoding: Decoding) -> None:
        """Save what is drawn of a held-out sequence (1, T, d), and of the published picture where it fits."""
        s, d = network.truth.s, network.truth.d
        decode = decoding.decoder.decode
        seen = network.observe(inputs)
        states = double(seen.states)[0] - decoding.mean
        with torch.no_grad():
            early = double(network.model(seen.inputs).states)[0, 1 : RING_STEPS + 1]  # from the first input on
        system = np.concatenate([np.zeros((s - 1, d)), double(seen.inputs)[0, :s], double(seen.targets)[0, s:]])
        windows = np.lib.stride_tricks.sliding_window_view(system, s, 0)[: len(early)]  # (steps, d, s)
        examples = {"example": seen}
        if s == d == 8:
            picture = torch.zeros(1, s + PICTURE_HORIZON, d)
            picture[0, :s] = torch.from_numpy(published_picture())
            examples["picture"] = network.observe(picture)
        arrays = {}
        for name, observed in examples.items():
            for part in ("inputs", "targets", "outputs"):
                arrays[f"{name}_{part}"] = double(getattr(observed, part))[0]
        out.save_arrays(
            "examples",
            variables=double(seen.variables)[0],
            decoded=states @ decode.T,
            ring=early @ decode.T,
            ring_variables=windows.swapaxes(1, 2).reshape(len(early), s * d).copy(),  # else a read-only view
            **arrays,
        )

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the interaction matrices, the accuracy over time, and what was decoded and predicted of an example."""
        from mechlab.plotting.variable_pictures import prediction_figure, snapshots_figure
        from mechlab.plotting.variables import decoding_figure, interaction_figure

        saved, examples = out.arrays("variables"), out.arrays("examples")
        d = examples["example_inputs"].shape[1]
        matrices = {
            "theory": saved["phi"],
            "decoder": saved["interaction"],
            "published": saved["published_interaction"],
        }
        grids = examples["variables"], examples["decoded"]
        return {
            "interaction": interaction_figure(matrices, saved["active"], d),
            "decoding": decoding_figure(out.table("decoding"), out.table("variables"), d, self.accuracy),
            "prediction": prediction_figure(examples, len(saved["phi"]) // d),
            "snapshots": snapshots_figure(*grids, saved["active"], d),
        }

    def animations(self, out: Artifacts) -> dict[str, bytes]:
        """Draw an animation of the decoded variables as they move round a ring of s groups."""
        from mechlab.plotting.variable_ring import ring_animation

        return {"ring": ring_animation(out.arrays("examples"), out.arrays("variables")["active"], out.subject)}


def _interactions(network: LinearNetwork, decoding: Decoding) -> tuple[np.ndarray, np.ndarray]:
    """Return D W_hh D^+ and Psi* W_hh Psi, (s d, s d) each."""
    W_hh, origin = network.linear.recurrent, decoding.origin
    return origin.decode @ W_hh @ origin.basis, decoding.dual @ W_hh @ decoding.psi


def _errors(network: LinearNetwork, decoding: Decoding) -> dict[str, float]:
    """Return the relative errors of both interaction matrices, as they are and after one common scale."""
    phi, active = network.truth.matrix, network.active
    learned, published = _interactions(network, decoding)
    return {
        "phi_error": matrix_error(learned, phi, active),
        "phi_error_scaled": matrix_error(learned, phi, active, scaled=True),
        "published_phi_error": matrix_error(published, phi, active),
        "published_phi_error_scaled": matrix_error(published, phi, active, scaled=True),
    }
