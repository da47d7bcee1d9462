"""Which automaton is a network, and is it the ground truth?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from mechlab.analyses.extracted import Extracted, Machine, named, save_counterexample, save_machine
from mechlab.analyses.reached import drawn_words, evaluation_words, padded, supported
from mechlab.automata.automaton import Automaton
from mechlab.automata.bounds import lower_bound
from mechlab.automata.definition import from_definition
from mechlab.automata.equivalence import equivalent, minimise
from mechlab.automata.extraction.cluster_automaton import observe
from mechlab.automata.extraction.conformance import conformance, empty_class, outputs_of
from mechlab.automata.extraction.counterexamples import CounterexampleSearch
from mechlab.automata.extraction.learning import Oracle, learn, oracle
from mechlab.automata.extraction.refinement import refine
from mechlab.automata.extraction.word_classifier import WordClassifier
from mechlab.automata.mealy import minimal_mealy
from mechlab.automata.pushdown.learning import learn_visibly
from mechlab.automata.pushdown.pushdown import Pushdown
from mechlab.automata.pushdown.visibly import visible_alphabet
from mechlab.automata.words.prefixes import distinct_prefixes
from mechlab.clustering.kmeans import kmeans, starts_for
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import above, at_least, between
from mechlab.core.errors import ConfigError
from mechlab.core.task import Split, Task
from mechlab.record.artifacts import Artifacts
from mechlab.record.files import read_mapping

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.record.run import Run


class Extraction(Analysis):
    """Extract an automaton from a network, and compare it with the ground truth and with the network.

    Of a finite ground truth equivalence is decided, with a shortest counterexample; a pushdown automaton is compared on
    balanced words. On the empty word a network tells nothing; the automaton says there what the ground truth says.
    Where the ground truth is a Mealy machine, a Mealy machine is extracted, and states are counted as its states.

    Args:
        method: "clusters" makes clusters of the network's states the automaton's states, and splits them where it and
            the network disagree; "lstar" and "kv" learn it from membership queries; "vpl" so learns a visibly pushdown
            automaton, where the ground truth's letters each always push one, always pop one, or do neither.
        start: what refinement begins with: clusters by k-means (the best of `starts`, which the finding holds), or one
            for each class that is told ("outputs").
        multiple: clusters of k-means per state of the ground truth.
        words: number of evaluation words whose prefixes are clustered, each once.
        split: split that they are taken from.
        oracle: where "lstar" and "kv" look for counterexamples.
        tests: number of random words to look for disagreements in; balanced ones, as all random words, if the ground
            truth is a pushdown automaton.
        lengths: letters of the shortest and the longest random word.
        extra: no automaton with at most so many more states passes the W-method, unless it is equivalent.
        tolerance: share of the random words on which network and automaton may disagree: on long words a network need
            not be any automaton.
        rounds: at most so many rounds of refinement, or hypotheses.
        queries: at most so many membership queries.
        agreement_words: number of fresh random words on which automaton and network are compared in the end.
        delta: probability with which the bound on their agreement may be wrong.
        threshold: least agreement for the claim `agrees`.
        nulls: whether to extract from the untrained network as well.

    Source: the loop of abstraction and refinement follows Weiss, Goldberg and Yahav (2018), arXiv 1711.09576, with the
    cluster automaton of Muskardin et al., arXiv 2306.16854; bounds as in probably approximately correct learning.
    """

    needs = Needs(kind="sequence", ground_truth=("automaton", "pushdown"))
    version = 2

    def __init__(
        self,
        method: Literal["clusters", "lstar", "kv", "vpl"] = "clusters",
        start: Literal["k_means", "outputs"] = "k_means",
        multiple: Annotated[float, above(0)] = 4.0,
        words: Annotated[int, at_least(1)] = 1000,
        split: Split = "val",
        oracle: Oracle = "all",
        tests: Annotated[int, at_least(2)] = 2000,
        lengths: tuple[Annotated[int, between(1, 1000)], Annotated[int, between(1, 1000)]] = (16, 30),
        extra: Annotated[int, between(0, 5)] = 2,
        tolerance: Annotated[float, between(0, 1)] = 0.02,
        rounds: Annotated[int, at_least(1)] = 50,
        queries: Annotated[int, at_least(1)] = 5000,
        agreement_words: Annotated[int, at_least(1)] = 10_000,
        delta: Annotated[float, between(1e-9, 0.5)] = 0.05,
        threshold: Annotated[float, between(0, 1)] = 0.99,
        nulls: bool = True,
    ):
        self.method, self.start, self.multiple, self.words, self.split = method, start, multiple, words, split
        self.oracle, self.tests, self.lengths, self.extra, self.tolerance = oracle, tests, lengths, extra, tolerance
        self.rounds, self.queries, self.agreement_words = rounds, queries, agreement_words
        self.delta, self.threshold, self.nulls = delta, threshold, nulls

    def check(self, name: str, task_name: str, task: Task, key: str, model: Any = None) -> None:
        """Raise ConfigError also where a visibly pushdown automaton is asked for and the letters are not visible."""
        super().check(name, task_name, task, key, model)
        if self.method == "vpl":
            truth = task.ground_truth()
            try:
                if not isinstance(truth, Pushdown) or truth.says != "class":
                    raise ValueError("the ground truth says more, or is no pushdown automaton")
                visible_alphabet(truth)
            except ValueError as error:
                raise ConfigError(
                    "method=vpl needs a task of words that a visibly pushdown automaton accepts",
                    got=f"task={task_name}: {error}",
                    key=f"{key}.method",
                    fix=f"{key}.method=clusters, lstar or kv, or task=context_free with any grammar but L6",
                ) from None

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Extract and compare; save the automaton, what each round found, and the counterexample if there is one."""
        import pandas as pd

        truth = run.task.ground_truth()
        mine, control, fresh = rng.spawn(3)
        words, lengths = self._words(truth, fresh, self.agreement_words)
        found = self._extract(run, run.model(), truth, mine)
        said, told = outputs_of(found.machine, words), found.network.outputs(words, lengths)
        agreement = conformance(told, said, lengths)
        bound = lower_bound(round(agreement.accuracy * agreement.words), agreement.words, self.delta)
        scalars = {
            "states": found.machine.size,
            "agreed": found.agreed,
            "rounds": len(found.rounds),
            **found.scalars,
            "agreement": agreement.accuracy,
            "epsilon": 1 - bound,
            "queries": found.network.queries,
            "steps": found.network.steps,
        }
        constant = conformance(said, told, lengths).constant_words
        null = self._extract(run, run.untrained(), truth, control).machine if self.nulls else None
        if isinstance(truth, Automaton):
            compared, claim = self._equivalent(found, truth, null, out)
        else:
            compared, claim = self._conforms(found, truth, null, words, lengths)
        out.save_table("rounds", pd.DataFrame(found.rounds))
        save_machine(found.machine, out)
        claims = {**claim, "agrees": self._agrees(truth, bound, constant)}
        scalars = {name: float(value) for name, value in {**scalars, **compared}.items()}
        return supported(scalars, claims, distinct_prefixes(padded(words, lengths)), "random words")

    def _words(self, truth: Automaton | Pushdown, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        sampler = "uniform" if isinstance(truth, Automaton) else "balanced"
        return drawn_words(truth, self.lengths, n, rng, sampler)

    def _extract(self, run: Run, model: Any, truth: Automaton | Pushdown, rng: np.random.Generator) -> Extracted:
        network, names = WordClassifier(model, empty_class(truth)), (truth.alphabet, truth.classes)
        search = self._words(truth, rng, self.tests), rng, self.extra, self.tolerance
        smallest = minimal_mealy if isinstance(truth, Automaton) and truth.mealy else minimise
        if self.method == "clusters":
            observed = observe(network, distinct_prefixes(evaluation_words(run, self.words, self.split)))
            k = max(1, round(self.multiple * (truth.size if isinstance(truth, Automaton) else len(truth.states))))
            starts = starts_for(observed.states, k) if self.start == "k_means" else 0
            clusters = kmeans(observed.states, k, rng, starts) if starts else observed.predicted
            result = refine(
                network, observed, clusters, *names, CounterexampleSearch(network, *search), self.rounds, smallest
            )
            first, last = result.rounds[0], result.rounds[-1]
            scalars = {
                "conflict_rate": first.transition_conflicts,
                "output_conflict_rate": first.output_conflicts,
                "start_states": first.states,
                "starts": starts,
                "clusters": last.clusters,
                "added_prefixes": result.added,
            }
            rounds = [line._asdict() for line in result.rounds]
            return Extracted(named(result.automaton), result.agreed, rounds, scalars, network)
        if self.method == "vpl":
            pool = drawn_words(truth, (1, max(self.lengths)), self.tests, rng, "balanced")
            budget = self.tests, self.rounds, self.queries, self.tolerance
            result = learn_visibly(network, truth, pool, rng, *budget)
        else:
            counterexamples = oracle(self.oracle, network, *search)
            result = learn(network, *names, counterexamples, self.method, self.rounds, self.queries, smallest)
        both = zip(result.states, result.shares, strict=True)
        rounds = [{"states": states, "disagreement": share} for states, share in both]
        machine = named(result.automaton) if isinstance(result.automaton, Automaton) else result.automaton
        return Extracted(machine, result.agreed, rounds, {}, network)

    def _equivalent(
        self, found: Extracted, truth: Automaton, null: Machine | None, out: Artifacts
    ) -> tuple[dict[str, float], dict[str, Claim]]:
        word = equivalent(found.machine, truth)
        if word is not None:
            save_counterexample(word, found, truth, out)
        control = None if null is None else float(equivalent(null, truth) is None)
        claim = Claim(
            f"The extracted automaton, of {found.machine.size} states, is equivalent to the ground truth.",
            value=float(word is None),
            threshold=1.0,
            holds=word is None,
            kind="exact",
            null=control,
        )
        length = -1 if word is None else len(word)
        smallest = minimal_mealy(truth) if truth.mealy else minimise(truth)
        sizes = {"true_states": smallest.size, "counterexample_length": length}
        return {"equivalent": word is None, **sizes}, {"equivalent": claim}

    def _conforms(
        self, found: Extracted, truth: Pushdown, null: Machine | None, words: np.ndarray, lengths: np.ndarray
    ) -> tuple[dict[str, float], dict[str, Claim]]:
        right = outputs_of(truth, words)
        scores = conformance(outputs_of(found.machine, words), right, lengths)
        bound = lower_bound(round(scores.accuracy * scores.words), scores.words, self.delta)
        control = scores.constant_words
        if null is not None:
            control = conformance(outputs_of(null, words), right, lengths).accuracy
        claim = Claim(
            f"The extracted automaton, of {found.machine.size} states, says what the ground truth says after "
            f"every prefix of {self._kind(truth)} with probability at least {self.threshold:g}.",
            value=bound,
            threshold=self.threshold,
            holds=bound >= self.threshold,
            kind="statistical",
            null=control,
        )
        return {"truth": scores.accuracy, "truth_balanced": scores.balanced}, {"conforms": claim}

    def _agrees(self, truth: Automaton | Pushdown, bound: float, constant: float) -> Claim:
        return Claim(
            f"Network and extracted automaton agree after every prefix of {self._kind(truth)} with probability at "
            f"least {self.threshold:g} (at confidence {1 - self.delta:g}).",
            value=bound,
            threshold=self.threshold,
            holds=bound >= self.threshold,
            kind="statistical",
            null=constant,
        )

    def _kind(self, truth: Automaton | Pushdown) -> str:
        shortest, longest = sorted(self.lengths)
        sampler = "uniform" if isinstance(truth, Automaton) else "balanced"
        return f"a {sampler} word of {shortest} to {longest} letters"

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the automaton, if it is finite."""
        from mechlab.plotting.automaton import automaton_figure

        path = out.folder / "automaton.json"
        if not path.exists():
            return {}
        found = from_definition(read_mapping(path))
        says = [found.classes[output] for output in found.outputs]
        accepting = [word == "accept" for word in says] if found.classes == ("reject", "accept") else None
        shape = found.states, says, found.alphabet, found.transitions, found.initial
        split = ", each drawn once for every output on the way in" if found.mealy else ""
        return {"automaton": automaton_figure(*shape, accepting, f"Extracted automaton ({found.size} states{split})")}
