"""Distilling on one thread: how often a known program is recovered from its network with permuted, rescaled and noisy
weights, the seconds that two networks take, and programs against nested loops. Times are processor time, so that other
work on the machine counts for little."""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from mechlab.distill import distill
from mechlab.distill.certificate import DistillError
from mechlab.distill.circuits import adder, automaton_step, majority, parity, random_circuit
from mechlab.distill.compiling import compile_program
from mechlab.distill.disturbing import disturb
from mechlab.distill.equality import same_program
from mechlab.distill.known_programs import elementary_rule, life, orientation, votes_of_clauses
from mechlab.distill.layers import activations, as_layers
from mechlab.distill.program import Program

NOISES = (0.0, 1e-6, 1e-3, 1e-1)
TOLERANCE = 1e-2  # of distill: more noise than this must not be ignored
INPUTS = 4096  # on which programs and networks are compared here, besides what `distill` compares

KINDS: dict[str, Callable[[int], Program]] = {
    "orientation 6 x 6": lambda seed: orientation(6),
    "orientation 28 x 28": lambda seed: orientation(28),
    "rule 110, ring of 9": lambda seed: elementary_rule(110, 9),
    "rule 30, ring of 9": lambda seed: elementary_rule(30, 9),
    "Life, torus of 5 x 5": lambda seed: life(5),
    "votes of 5 clauses": lambda seed: votes_of_clauses(5, 6),
    "adder of 4 bits": lambda seed: adder(4),
    "parity of 8 bits": lambda seed: parity(3),
    "majority of 9 bits": lambda seed: majority(2),
    "random circuit": lambda seed: random_circuit(10, [16, 8, 3], 3, np.random.default_rng(seed)),
    "random automaton": lambda seed: automaton_step(np.random.default_rng(seed).integers(0, 6, (6, 3))),
}


@dataclass(frozen=True)
class Trial:
    """The result of distilling one disturbed network.

    Args:
        outcome: "same": the known program; "other": another one that computes what the disturbed network computes;
            "refused": a DistillError; "wrong": anything else.
        lines: of the program; 0 if there is none.
        seconds: that distilling took.
    """

    outcome: Literal["same", "other", "refused", "wrong"]
    lines: int
    seconds: float


def main(arguments: argparse.Namespace) -> None:
    """Print the table of recovery, then times, each the median of some turns with the least and the greatest."""
    _recovery(arguments.trials)
    exact = compile_program(orientation(), 28)
    noisy = disturb(exact, np.random.default_rng(0), 1e-3)
    for name, layers, shape in (
        ("orientation 28 x 28", exact, (28, 28)),
        ("orientation 28 x 28, noise 1e-3", noisy, (28, 28)),
        ("votes of 50 clauses", compile_program(votes_of_clauses(50, 10)), (50, 10)),
    ):
        times = [_seconds(partial(distill, layers, shape)) for _ in range(arguments.repeats)]
        print(f"{name}, {sum(table.size for table in layers):,} parameters: {_spread(times, 's')}", flush=True)
    _programs(distill(exact, (28, 28)), arguments.repeats)


def known_program(program: Program) -> Program:
    """Return a program in the form in which `distill` writes it, from its exact network."""
    written = _distilled(compile_program(program), program)
    flat = _inputs(written, np.random.default_rng(0))
    if not (written(flat) == program(flat)).all():
        raise AssertionError(f"distilled from an exact network, the program differs: {written.source}")
    return written


def round_trip(known: Program, noise: float, seed: int) -> Trial:
    """Compile a program that `distill` wrote, disturb the network, and distill that.

    Noise of at most TOLERANCE may be ignored, so the known program is right even on inputs where a sum that is zero in
    it is not zero in the network. With more noise a program must compute what the disturbed network computes.
    """
    rng = np.random.default_rng([seed, 1])
    layers = disturb(compile_program(known), rng, noise)
    start = time.process_time()
    try:
        program = _distilled(layers, known)
    except DistillError:
        return Trial("refused", 0, time.process_time() - start)
    seconds = time.process_time() - start
    inputs = _inputs(known, rng)
    scores = activations(as_layers(layers), inputs)[-1]
    agrees = (program(inputs) == (scores.argmax(1) if known.returns == "class" else scores > 0)).all()
    same = same_program(program, known)
    if not agrees and not (same and noise <= TOLERANCE):
        return Trial("wrong", program.lines, seconds)
    return Trial("same" if same else "other", program.lines, seconds)


def _recovery(trials: int) -> None:
    """Print how often each outcome occurs; the interval is Wilson's for the share of recovered programs."""
    from mechlab.statistics.wilson import wilson

    print(f"{trials} networks each: units permuted, hidden units rescaled, weights with relative noise")
    print("  network               parameters   noise  same  interval 95 %  other  refused  wrong  lines  seconds")
    for name, maker in KINDS.items():
        known = [known_program(maker(seed)) for seed in range(trials if name.startswith("random") else 1)]
        size = statistics.median(sum(table.size for table in compile_program(program)) for program in known)
        for noise in NOISES:
            made = [round_trip(known[seed % len(known)], noise, seed) for seed in range(trials)]
            count = Counter(trial.outcome for trial in made)
            low, high = wilson(count["same"], trials)
            lines = statistics.median([trial.lines for trial in made if trial.lines] or [0])
            seconds = statistics.median(trial.seconds for trial in made)
            print(
                f"  {name:22} {size:9,.0f}  {noise:6g}  {count['same']:4}  {low:.3f} - {high:.3f}  {count['other']:5}  "
                f"{count['refused']:7}  {count['wrong']:5}  {lines:5.0f}  {seconds:7.2f}",
                flush=True,
            )


def _programs(program: Program, repeats: int) -> None:
    """Print the time for each image of the vectorised text and of the nested loops of one program."""
    images = (np.random.default_rng(0).random((1000, 28, 28)) < 0.2).astype(int)
    vectorised, loops = (_function(text) for text in (program.source, program.loops))
    expected = [int(loops(image)) for image in images[:20]]
    if vectorised(images[:20]).tolist() != expected:
        raise AssertionError("the two texts of a program must compute the same")
    slow = [_seconds(lambda: [loops(image) for image in images[:20]]) / 20 for _ in range(repeats)]
    print(f"nested loops, an image: {_spread([1e3 * value for value in slow], 'ms')}")
    for name, batch, turns in (("batch of 1,000 images", images, 1), ("single image", images[0], 1000)):
        count = turns if batch.ndim == 2 else len(batch)
        fast = [_seconds(partial(_repeated, vectorised, batch, turns)) / count for _ in range(repeats)]
        ratio = statistics.median(slow) / statistics.median(fast)
        print(f"vectorised, {name}: {_spread([1e3 * value for value in fast], 'ms')} each, {ratio:.0f} times faster")


def _repeated(function: Callable[[Any], Any], value: Any, turns: int) -> None:
    for _ in range(turns):
        function(value)


def _function(text: str) -> Callable[[Any], Any]:
    """Return the function `program` of a program's text."""
    names: dict[str, Any] = {}
    exec(text, names)
    return names["program"]


def _distilled(layers: list[np.ndarray], program: Program) -> Program:
    shapes = [tuple(int(length()) for length in tensor.shape) for tensor in program.inputs]
    return distill(layers, shapes, returns=program.returns, names=[tensor.name for tensor in program.inputs])


def _inputs(program: Program, rng: np.random.Generator) -> np.ndarray:
    """Return all bits (B, n) that a program may read, or random ones of all densities."""
    count = sum(math.prod(int(length()) for length in tensor.shape) for tensor in program.inputs)
    if 2**count <= INPUTS:
        return np.arange(2**count)[:, None] >> np.arange(count) & 1
    return (rng.random((INPUTS, count)) < rng.random((INPUTS, 1))).astype(int)


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _spread(times: list[float], unit: str) -> str:
    low, middle, high = min(times), statistics.median(times), max(times)
    return f"{middle:.3g} {unit} (min {low:.3g}, max {high:.3g}, n {len(times)})"
