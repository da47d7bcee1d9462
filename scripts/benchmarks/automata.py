"""A GRU-20 on Tomita 3: reading its states, testing it, and clustering its states, each against a plain loop."""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

WORDS, LENGTHS = 2000, 14  # words whose states are read, by the published rule of lengths
TESTED, SHORTEST, LONGEST = 10_000, 16, 30  # words of the conformance test
LOOPED = 500  # number of these that the loop reads; its time is scaled up


def main(arguments: argparse.Namespace) -> None:
    """Print seconds, ratios, and of each clustering its seconds; at last the greatest memory in use."""
    import torch

    torch.set_num_threads(1)
    model, truth, words = _network()
    _states(model, words, arguments.repeats)
    _conformance(model, truth, arguments.repeats)
    _clusterings(model, truth, words)


def _network() -> tuple[Any, Any, list[list[int]]]:
    """Train the network for a moment; return it, its ground truth, and words (without padding)."""
    import numpy as np
    import torch

    from mechlab.automata.words.sampling import uniform_words
    from mechlab.core.recipe import Recipe
    from mechlab.core.schedule import Schedule
    from mechlab.models.gru import GRU
    from mechlab.tasks.tomita import Tomita

    task, steps = Tomita(3), 800
    recipe = Recipe(
        task=task,
        make_model=lambda spec: GRU(spec, 20),
        make_optimizer=lambda parameters: torch.optim.Adam(parameters, lr=1e-2, fused=True),
        schedule=Schedule("cosine"),
        seed=0,
        max_steps=steps,
        steps_per_epoch=None,
        batch_size=128,
        clip=1.0,
    )
    model = recipe.model()
    optimizer, source = recipe.optimizer(model), recipe.source()
    for step in range(steps):
        recipe.update(model, optimizer, source, step)
    words, lengths = uniform_words(2, LENGTHS, WORDS, np.random.default_rng(0))
    return model.eval(), task.ground_truth(), [word[:n].tolist() for word, n in zip(words, lengths, strict=True)]


def _states(model: Any, words: list[list[int]], repeats: int) -> None:
    """Read the states after every prefix of all words: `trie_states` against a module call for each letter."""
    import numpy as np

    from mechlab.automata import trie_states

    result = trie_states(model, words)
    rows, seconds = _looped(model, words)
    error = np.abs(result.states[result.index] - np.array(rows)).max()
    ratios = [_looped(model, words)[1] / _seconds(lambda: trie_states(model, words)) for _ in range(repeats)]
    print(f"states of {len(words)} words, {len(rows)} letters, {len(result.states)} distinct prefixes")
    print(f"  a call for each letter {seconds:7.2f} s; largest difference {error:.1e}")
    print(f"  trie_states            {seconds / statistics.median(ratios):7.4f} s; {_ratio_text(ratios)}", flush=True)


def _conformance(model: Any, truth: Any, repeats: int) -> None:
    """Count the words that are right after every prefix: all at once against letter by letter until the first error."""
    import numpy as np

    from mechlab.automata.extraction.conformance import conformance, draw_words, outputs_of
    from mechlab.automata.extraction.word_classifier import WordClassifier

    words, lengths = draw_words(truth, SHORTEST, LONGEST, TESTED, np.random.default_rng(1), "uniform")

    def at_once(n: int) -> float:
        predicted = WordClassifier(model).outputs(words[:n], lengths[:n])
        return conformance(predicted, outputs_of(truth, words[:n]), lengths[:n]).accuracy

    def looped() -> float:
        chosen = np.random.default_rng(2).choice(TESTED, LOOPED, replace=False)
        return float(np.mean([_right(model, truth, words[row, : lengths[row]].tolist()) for row in chosen]))

    ratios = []
    for _ in range(repeats):
        slow, fast = _seconds(looped) * TESTED / LOOPED, _seconds(lambda: at_once(TESTED))
        ratios.append(slow / fast)
    print(f"conformance of {TESTED} words of {SHORTEST} to {LONGEST} letters: accuracy {at_once(TESTED):.4f}")
    print(f"  a call for each letter {slow:7.2f} s (from {LOOPED} words; accuracy {looped():.4f})")
    print(f"  all at once            {fast:7.4f} s; {_ratio_text(ratios)}", flush=True)


def _clusterings(model: Any, truth: Any, words: list[list[int]]) -> None:
    """Cluster the states by every method, in the fair setting."""
    import numpy as np

    from mechlab.automata.words.prefixes import distinct_prefixes
    from mechlab.automata.words.trie import padded, prefix_states
    from mechlab.clustering.methods import METHODS, LabelledPoints, cluster
    from mechlab.clustering.scores import ambiguity

    prefixes = distinct_prefixes(padded(words))
    labels, states = prefixes.automaton_states(truth), prefix_states(model, prefixes).astype(np.float64)
    rows, total = LabelledPoints(states, labels, prefixes.index, len(truth.states)), 0.0
    print(f"clusterings of {len(prefixes)} states, fair setting")
    for method in METHODS:
        start = time.perf_counter()
        clustering = cluster(method, rows, np.random.default_rng(0))
        seconds = time.perf_counter() - start
        total += seconds
        weighted = ambiguity(clustering.clusters, labels[clustering.rows], clustering.counts).weighted
        print(f"  {method:18} {seconds:6.2f} s  weighted ambiguity {weighted:.4f}", flush=True)
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"  {'all':18} {total:6.2f} s  greatest memory of the process {gigabytes:.2f} GiB")


def _looped(model: Any, words: list[list[int]]) -> tuple[list, float]:
    """Read words letter by letter, each by a call of its own; return the states and the seconds."""
    import torch

    start, states = time.perf_counter(), []
    with torch.no_grad():
        for word in words:
            state = None
            for letter in word:
                _, state = _call(model, letter, state)
                states.append(state.flatten().tolist())
    return states, time.perf_counter() - start


def _right(model: Any, truth: Any, word: list[int]) -> bool:
    """Read one word until the first letter after which the network is wrong."""
    import torch

    state, place = None, truth.initial
    with torch.no_grad():
        for letter in word:
            output, state = _call(model, letter, state)
            place = truth.transitions[place, letter]
            if int(torch.softmax(output, -1).argmax()) != truth.outputs[place]:
                return False
    return True


def _call(model: Any, letter: int, state: Any) -> tuple[Any, Any]:
    """Call torch's GRU and the read-out for one letter, as a script for single words does."""
    import torch

    x = torch.zeros(1, 1, model.spec.inputs)
    x[0, 0, letter] = 1
    hidden, state = model.layers[0](x, state)
    return model.readout(hidden[:, -1])[0], state


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _ratio_text(ratios: list[float]) -> str:
    low, high = min(ratios), max(ratios)
    return f"median ratio {statistics.median(ratios):.0f} (min {low:.0f}, max {high:.0f}, n {len(ratios)})"


if __name__ == "__main__":
    sys.exit("python scripts/bench.py automata")
