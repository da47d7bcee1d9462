"""A GRU-20 on Tomita 3: reading its states and testing it, each against a plain loop over letters and against one fused
call of torch.nn.GRU on all words, padded; and clustering its states. Seconds are processor time of one thread, so that
other work on the machine counts for little."""

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
TURNS = 5  # of what takes milliseconds, in each repeat
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
    """Read the states after every prefix of all words: `trie_states` against the two references."""
    import numpy as np

    from mechlab.automata import trie_states

    result, rows = trie_states(model, words), _looped(model, words)
    errors = [np.abs(result.states[result.index] - np.array(other)).max() for other in (rows, _fused(model, words))]
    print(f"states of {len(words)} words, {len(rows)} letters, {len(result.states)} distinct prefixes")
    print(f"  largest difference from the loop {errors[0]:.1e}, from the fused call {errors[1]:.1e}")
    times = []
    for _ in range(repeats):
        ours, fused = _seconds(lambda: trie_states(model, words), TURNS), _seconds(lambda: _fused(model, words), TURNS)
        times.append([ours, _seconds(lambda: _looped(model, words)), fused])
    _compare("trie_states", times)


def _conformance(model: Any, truth: Any, repeats: int) -> None:
    """Count the words that are right after every prefix: against one fused call, and against a loop that ends at the
    first error."""
    import numpy as np
    import torch

    from mechlab.automata.extraction.conformance import conformance, draw_words, outputs_of
    from mechlab.automata.extraction.word_classifier import WordClassifier

    words, lengths = draw_words(truth, SHORTEST, LONGEST, TESTED, np.random.default_rng(1), "uniform")

    def at_once(n: int) -> float:
        predicted = WordClassifier(model).outputs(words[:n], lengths[:n])
        return conformance(predicted, outputs_of(truth, words[:n]), lengths[:n]).accuracy

    def looped() -> float:
        chosen = np.random.default_rng(2).choice(TESTED, LOOPED, replace=False)
        return float(np.mean([_right(model, truth, words[row, : lengths[row]].tolist()) for row in chosen]))

    def fused() -> float:
        inside = np.arange(words.shape[1]) < lengths[:, None]
        with torch.no_grad():
            hidden, _ = model.layers[0](torch.eye(model.spec.inputs)[torch.from_numpy(words)])
            predicted = model.readout(hidden).argmax(-1).numpy()
        return float(((predicted == outputs_of(truth, words)) | ~inside).all(1).mean())

    print(f"conformance of {TESTED} words of {SHORTEST} to {LONGEST} letters: accuracy {at_once(TESTED):.4f}")
    print(f"  accuracy of the loop {looped():.4f} (on {LOOPED} words; its time is scaled up), fused {fused():.4f}")
    times = []
    for _ in range(repeats):
        loop = _seconds(looped) * TESTED / LOOPED
        times.append([_seconds(lambda: at_once(TESTED), TURNS), loop, _seconds(fused, TURNS)])
    _compare("conformance", times)


def _compare(name: str, times: list[list[float]]) -> None:
    """Print the median seconds of our way, of the loop and of the fused call, and the ratios to ours of the latter."""
    ours, loop, fused = (statistics.median(column) for column in zip(*times, strict=True))
    for what, seconds, place in (("a call for each letter", loop, 1), ("one fused call, padded", fused, 2)):
        ratios = [row[place] / row[0] for row in times]
        print(f"  {what:22} {seconds:8.4f} s; {_ratio_text(ratios)}")
    print(f"  {name:22} {ours:8.4f} s", flush=True)


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
        start = time.process_time()
        clustering = cluster(method, rows, np.random.default_rng(0))
        seconds = time.process_time() - start
        total += seconds
        weighted = ambiguity(clustering.clusters, labels[clustering.rows], clustering.counts).weighted
        print(f"  {method:18} {seconds:6.2f} s  weighted ambiguity {weighted:.4f}", flush=True)
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"  {'all':18} {total:6.2f} s  greatest memory of the process {gigabytes:.2f} GiB")


def _looped(model: Any, words: list[list[int]]) -> list[list[float]]:
    """Return the state after each letter, read by a call of its own."""
    import torch

    states = []
    with torch.no_grad():
        for word in words:
            state = None
            for letter in word:
                _, state = _call(model, letter, state)
                states.append(state.flatten().tolist())
    return states


def _fused(model: Any, words: list[list[int]]) -> Any:
    """Return the state after each letter (R, H), read by one call of torch's GRU on all words, padded."""
    import torch

    from mechlab.automata.words.trie import padded

    letters = torch.from_numpy(padded(words))  # -1 past the end of a word
    with torch.no_grad():
        states, _ = model.layers[0](torch.eye(model.spec.inputs)[letters])
    return states[letters >= 0].numpy()


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


def _seconds(work: Callable[[], object], turns: int = 1) -> float:
    """Return the median processor seconds of some turns."""
    times = []
    for _ in range(turns):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)


def _ratio_text(ratios: list[float]) -> str:
    low, high = min(ratios), max(ratios)
    return f"median ratio {statistics.median(ratios):.3g} (min {low:.3g}, max {high:.3g}, n {len(ratios)})"


if __name__ == "__main__":
    sys.exit("python scripts/bench.py automata")
