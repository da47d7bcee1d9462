"""The smallest recurrent network of two multi-layer perceptrons that meets all targets of a sequence task."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated

import torch
from torch import Tensor, nn

from mechlab.core.constraints import Size, between
from mechlab.core.errors import ConfigError
from mechlab.core.progress import duration
from mechlab.core.task import Batch, TaskSpec
from mechlab.distill.recurrent.attempts import Attempt, Examples
from mechlab.distill.recurrent.batched_networks import BatchedNetworks, Sizes
from mechlab.distill.recurrent.estimating import estimated_seconds
from mechlab.distill.recurrent.smallest import SmallestSearch
from mechlab.models.mlp_rnn import MLPRNN


class SmallestMLPRNN(MLPRNN):
    """h' = f([h, x]) and y = g(h'), as MLPRNN, of sizes that are found before training: the smallest at which a network
    meets all targets of the examples.

    Of the examples the distinct sequences are used, half of them to fit; the other half is held out. If there are fewer
    than 2,000, all are to fit. A network is perfect if its rounded outputs are the targets at all positions of all of
    them. Sizes are compared in the published order: depth of g, depth of f, components of the state, width of
    g, width of f. An attempt at some sizes trains `starts` networks side by side with Adam on sequences that grow to
    their full length, and then the best of them with Levenberg-Marquardt steps; it ends early where these do not help.
    If no network is perfect, the most accurate one remains.

    The sizes that are tried and what comes of them are printed. Attempts are saved in the run directory as they end: a
    search that was interrupted goes on from there.

    Args:
        spec: of a task of integer sequences, the loss 1/2 log(1 + error^2).
        starts: networks of an attempt; a quarter of them for widths of f from 32.
        steps: of gradient descent in an attempt; four times as many for widths of f from 16, half as many where f is
            affine, more in further passes over the sizes.
        rounds: of ten Levenberg-Marquardt steps in an attempt, at most.
        tries: attempts at sizes below those of a perfect network.

    Raises:
        ConfigError: there are fewer than 64 examples to search with.

    Source: the order of sizes, and the networks, are those of Michaud et al., "Opening the AI black box: program
    synthesis via mechanistic interpretability", arXiv 2402.05110.
    """

    ground_truth = ("sequence rule",)

    def __init__(
        self,
        spec: TaskSpec,
        starts: Size = 32,
        steps: Size = 400,
        rounds: Annotated[int, between(0, 1000)] = 12,
        tries: Annotated[int, between(1, 100)] = 2,
    ):
        super().__init__(spec, hidden=8, transition_depth=2, readout_depth=1, transition_width=16)
        self.starts, self.steps, self.rounds, self.tries = starts, steps, rounds, tries

    @torch.no_grad()
    def solve(self, examples: Batch, rng: torch.Generator) -> None:
        """Set sizes and weights to those of the smallest perfect network that is found, computed on the CPU.

        Raises:
            ConfigError: there are too few examples.
        """
        if len(examples.inputs) < 64:
            must, fix = "trainer.eval_examples must be at least 64, to search with", "trainer.eval_examples=65536"
            raise ConfigError(must, got=len(examples.inputs), key="trainer.eval_examples", fix=fix)
        seeded = torch.Generator().manual_seed(int(torch.randint(2**62, (1,), generator=rng, device=rng.device)))
        pool = Examples(examples.inputs.cpu(), examples.targets.cpu())
        search = SmallestSearch(pool, seeded, self.starts, self.steps, self.rounds, self.tries, saved=self.saved)
        search.report = _Report(search.attempts)
        least, most = (duration(seconds) for seconds in estimated_seconds(search))
        print(f"searching for the smallest network: about {least}, or at most {most} if none is perfect", flush=True)
        found = search.run()
        words = "smallest perfect network" if found.perfect else "no network is perfect; the most accurate one has"
        print(f"{words}: {found.sizes}, {len(found.weights)} parameters", flush=True)
        self._take(found)

    def _take(self, found: Attempt) -> None:
        networks = BatchedNetworks(found.sizes, self.spec.inputs, self.spec.outputs)
        parts, weights = networks.layers(found.weights[None].to(self.transition[0].weight)), {}
        for name, maps in zip(("transition", "readout"), parts, strict=True):
            for place, matrix in enumerate(maps):
                weights[f"{name}.{place}.weight"] = matrix[0, :-1].T.contiguous()
                weights[f"{name}.{place}.bias"] = matrix[0, -1].clone()
        self.resize(weights)
        self.load_state_dict(weights)

    def resize(self, weights: Mapping[str, Tensor]) -> None:
        """Give f and g the number and the sizes of the affine maps in recorded weights."""
        for name in ("transition", "readout"):
            shapes = []
            while (place := f"{name}.{len(shapes)}.weight") in weights:
                shapes.append(weights[place].shape)
            sizes = [shapes[0][1], *(shape[0] for shape in shapes)]
            like = self.transition[0].weight
            layers = (
                nn.utils.skip_init(nn.Linear, n, m, device=like.device, dtype=like.dtype) for n, m in pairwise(sizes)
            )
            setattr(self, name, nn.ModuleList(layers))
        self.hidden = self.transition[-1].out_features

    @property
    def found(self) -> str:  # type: ignore[override]
        """The sizes of the network and the number of its parameters."""
        maps = self.transition, self.readout
        widths = (layers[0].out_features if len(layers) > 1 else 1 for layers in maps)
        sizes = Sizes(self.hidden, *map(len, maps), *widths)
        return f"{sizes}, {sum(tensor.numel() for tensor in self.parameters())} parameters"


class _Report:
    """Prints attempts as they end, numbered from 1 in the whole search, also where it goes on from saved ones.

    Args:
        earlier: the attempts of the search before the one that is reported; the search adds to them.
    """

    def __init__(self, earlier: Sequence[Attempt]) -> None:
        self.started, self.earlier = time.monotonic(), earlier

    def __call__(self, attempt: Attempt) -> None:
        result = "perfect" if attempt.perfect else f"accuracy {attempt.accuracy:.5f}"
        after = duration(time.monotonic() - self.started)
        print(f"  attempt {len(self.earlier) + 1}: {attempt.sizes}: {result} after {after}", flush=True)
