"""Extraction of an automaton from a network, and its equivalence to the ground truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from mechlab.analyses.extraction_result import ExtractionResult, Machine, named, save_counterexample, save_machine
from mechlab.analyses.given_words import WordAnalysis, WordSource
from mechlab.analyses.labelled_states import evaluation_words, padded, supported_finding, word_sample
from mechlab.automata.automaton import Automaton
from mechlab.automata.bounds import lower_bound
from mechlab.automata.definition import from_definition
from mechlab.automata.equivalence import equivalent, minimise
from mechlab.automata.extraction.cluster_automaton import observe
from mechlab.automata.extraction.conformance import Scores, conformance, empty_class, outputs_of
from mechlab.automata.extraction.counterexamples import CounterexampleSearch
from mechlab.automata.extraction.learning import Oracle, learn, oracle
from mechlab.automata.extraction.refinement import refine
from mechlab.automata.extraction.word_classifier import WordClassifier
from mechlab.automata.mealy import mealy_of, minimal_mealy
from mechlab.automata.pushdown.learning import learn_visibly
from mechlab.automata.pushdown.pushdown import Pushdown
from mechlab.automata.pushdown.visibly import visible_alphabet
from mechlab.automata.words.prefixes import distinct_prefixes
from mechlab.automata.words.sampling import Sample
from mechlab.clustering.kmeans import kmeans, starts_for
from mechlab.core.analysis import Claim, Finding, Needs
from mechlab.core.constraints import above, at_least, between
from mechlab.core.errors import ConfigError
from mechlab.core.task import Split, Task
from mechlab.record.artifacts import Artifacts
from mechlab.record.files import read_mapping

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.record.run import Run


class Extraction(WordAnalysis):
    """Extraction of an automaton from a network, compared with the ground truth and with the network.

    For a finite ground truth equivalence is decided, with a shortest counterexample; pushdown automata are compared on
    balanced words. On the empty word, where a network has no prediction, the automaton has the ground truth's output.
    If the ground truth is a Mealy machine, a Mealy machine is extracted, and its states are counted.

    The scalar `agreement` is the share of the fresh random words on which network and automaton agree after every
    prefix, and 1 - `epsilon` is its lower confidence bound. `conflict_rate` is the share of observed steps that go
    against the majority of their cluster and letter, and `start_states` the number of states of the minimal automaton,
    both before refinement; `clusters` is the number of clusters after it. `added_prefixes` counts the prefixes that
    were read so that each letter is observed in each cluster; `queries` and `steps` count the words and letters that
    the network read.

    Args:
        method: "clusters" takes clusters of the network's states for states, and splits them where the automaton and
            the network disagree; "lstar" and "kv" learn it from membership queries; "vpl" learns a visibly pushdown
            automaton from them, for a ground truth whose letters each always push one, pop one, or do neither.
        start: initial clusters of refinement: by k-means (the best of `starts` in the finding), or one for each
            predicted class ("outputs").
        multiple: clusters of k-means per state of the ground truth.
        words: number of evaluation words whose prefixes are clustered, each once, or words of one's own; see
            `WordSource`.
        split: split of drawn words.
        oracle: source of counterexamples for "lstar" and "kv".
        tests: number of random words to search for counterexamples; balanced ones, as all random words, if the ground
            truth is a pushdown automaton.
        lengths: lengths of the shortest and the longest random word, in letters.
        extra: number of extra states of the W-method.
        tolerance: tolerated share of the random words on which network and automaton disagree: on long words a network
            need not be an automaton.
        rounds: maximal number of rounds of refinement, or hypotheses.
        queries: maximal number of membership queries.
        agreement_words: number of fresh random words for the final comparison of automaton and network, or words of
            one's own; of these nothing is inferred about other words, so that the finding has no `epsilon`.
        delta: probability that the bound on their agreement is wrong.
        threshold: least agreement for the claim `agrees`.
        nulls: True to extract from the untrained network too.

    Source: the loop of abstraction and refinement follows Weiss, Goldberg and Yahav (2018), arXiv 1711.09576, with the
    cluster automaton of Muškardin et al., arXiv 2306.16854; bounds as in probably approximately correct learning.
    """

    needs = Needs(kind="sequence", ground_truth=("automaton", "pushdown"))
    version = 2
    word_sources = ("words", "agreement_words")
    headline = ("states", "agreement")

    def __init__(
        self,
        method: Literal["clusters", "lstar", "kv", "vpl"] = "clusters",
        start: Literal["k_means", "outputs"] = "k_means",
        multiple: Annotated[float, above(0)] = 4.0,
        words: WordSource = 1000,
        split: Split = "val",
        oracle: Oracle = "all",
        tests: Annotated[int, at_least(2)] = 2000,
        lengths: tuple[Annotated[int, between(1, 1000)], Annotated[int, between(1, 1000)]] = (16, 30),
        extra: Annotated[int, between(0, 5)] = 2,
        tolerance: Annotated[float, between(0, 1)] = 0.02,
        rounds: Annotated[int, at_least(1)] = 50,
        queries: Annotated[int, at_least(1)] = 5000,
        agreement_words: WordSource = 10_000,
        delta: Annotated[float, between(1e-9, 0.5)] = 0.05,
        threshold: Annotated[float, between(0, 1)] = 0.99,
        nulls: bool = True,
    ):
        self.method, self.start, self.multiple, self.words, self.split = method, start, multiple, words, split
        self.oracle, self.tests, self.lengths, self.extra, self.tolerance = oracle, tests, lengths, extra, tolerance
        self.rounds, self.queries, self.agreement_words = rounds, queries, agreement_words
        self.delta, self.threshold, self.nulls = delta, threshold, nulls

    def check(self, name: str, task_name: str, task: Task, key: str, model: Any = None) -> None:
        """Raise ConfigError also for method "vpl" if the letters are not a visibly pushdown alphabet."""
        super().check(name, task_name, task, key, model)
        if self.method == "vpl":
            truth = task.ground_truth()
            try:
                if not isinstance(truth, Pushdown) or truth.says != "class":
                    raise ValueError("the ground truth outputs states, or is not a pushdown automaton")
                visible_alphabet(truth)
            except ValueError as error:
                raise ConfigError(
                    "method=vpl needs a task of words that a visibly pushdown automaton accepts",
                    got=f"task={task_name}: {error}",
                    key=f"{key}.method",
                    fix=f"{key}.method=clusters, lstar or kv, or task=context_free with any grammar but L6",
                ) from None

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Extract and compare; save the automaton, the table of rounds, and the counterexample if there is one."""
        import pandas as pd

        truth = run.task.ground_truth()
        trained, control, fresh = rng.spawn(3)
        words, lengths = self._words(truth, fresh, self.agreement_words)
        result = self._extract(run, run.model(), truth, trained)
        extracted, predicted = outputs_of(result.machine, words), result.network.outputs(words, lengths)
        agreement = conformance(predicted, extracted, lengths)
        least = self._least(agreement)
        scalars = {
            "states": result.machine.size,
            "agreed": result.agreed,
            "rounds": len(result.rounds),
            **result.scalars,
            "agreement": agreement.accuracy,
            **({} if self._given else {"epsilon": 1 - least}),
            "queries": result.network.queries,
            "steps": result.network.steps,
        }
        constant = conformance(extracted, predicted, lengths).constant_words
        null = self._extract(run, run.untrained(), truth, control).machine if self.nulls else None
        if isinstance(truth, Automaton):
            compared, claim = self._equivalent(result, truth, null, out)
        else:
            compared, claim = self._conforms(result, truth, null, words, lengths)
        out.save_table("rounds", pd.DataFrame(result.rounds))
        save_machine(result.machine, out)
        claims = {**claim, "agrees": self._agrees(truth, least, constant)}
        scalars = {name: float(value) for name, value in {**scalars, **compared}.items()}
        sample = "given words" if self._given else "random words"
        return supported_finding(scalars, claims, distinct_prefixes(padded(words, lengths)), sample)

    def _words(self, truth: Automaton | Pushdown, rng: np.random.Generator, words: WordSource) -> Sample:
        sampler = "uniform" if isinstance(truth, Automaton) else "balanced"
        return word_sample(truth, self.lengths, words, rng, sampler)

    @property
    def _given(self) -> bool:
        """True if automaton and network are compared on words of the user's own."""
        return not isinstance(self.agreement_words, int)

    def _least(self, scores: Scores) -> float:
        """Return the accuracy on given words, or a lower confidence bound of that on random words."""
        if self._given:
            return scores.accuracy
        return lower_bound(round(scores.accuracy * scores.words), scores.words, self.delta)

    def _extract(self, run: Run, model: Any, truth: Automaton | Pushdown, rng: np.random.Generator) -> ExtractionResult:
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
            return ExtractionResult(named(result.automaton), result.agreed, rounds, scalars, network)
        if self.method == "vpl":
            pool = word_sample(truth, (1, max(self.lengths)), self.tests, rng, "balanced")
            budget = self.tests, self.rounds, self.queries, self.tolerance
            result = learn_visibly(network, truth, pool, rng, *budget)
        else:
            counterexamples = oracle(self.oracle, network, *search)
            result = learn(network, *names, counterexamples, self.method, self.rounds, self.queries, smallest)
        both = zip(result.states, result.shares, strict=True)
        rounds = [{"states": states, "disagreement": share} for states, share in both]
        machine = named(result.automaton) if isinstance(result.automaton, Automaton) else result.automaton
        return ExtractionResult(machine, result.agreed, rounds, {}, network)

    def _equivalent(
        self, result: ExtractionResult, truth: Automaton, null: Machine | None, out: Artifacts
    ) -> tuple[dict[str, float], dict[str, Claim]]:
        word = equivalent(result.machine, truth)
        if word is not None:
            save_counterexample(word, result, truth, out)
        control = None if null is None else float(equivalent(null, truth) is None)
        claim = Claim(
            f"The extracted automaton, of {result.machine.size} states, is equivalent to the ground truth.",
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
        self, result: ExtractionResult, truth: Pushdown, null: Machine | None, words: np.ndarray, lengths: np.ndarray
    ) -> tuple[dict[str, float], dict[str, Claim]]:
        targets = outputs_of(truth, words)
        scores = conformance(outputs_of(result.machine, words), targets, lengths)
        least = self._least(scores)
        control = scores.constant_words
        if null is not None:
            control = conformance(outputs_of(null, words), targets, lengths).accuracy
        claim = Claim(
            f"The extracted automaton, of {result.machine.size} states, has the output of the ground truth after "
            f"every prefix of {self._sampled(truth)}.",
            value=least,
            threshold=self.threshold,
            holds=least >= self.threshold,
            kind="statistical",
            null=control,
        )
        return {"truth": scores.accuracy, "truth_balanced": scores.balanced}, {"conforms": claim}

    def _agrees(self, truth: Automaton | Pushdown, least: float, constant: float) -> Claim:
        confidence = "" if self._given else f" (at confidence {1 - self.delta:g})"
        return Claim(
            f"Network and extracted automaton agree after every prefix of {self._sampled(truth)}{confidence}.",
            value=least,
            threshold=self.threshold,
            holds=least >= self.threshold,
            kind="statistical",
            null=constant,
        )

    def _sampled(self, truth: Automaton | Pushdown) -> str:
        """Return the end of a claim's statement: the words, and the least share or probability of them."""
        if self._given:
            return f"a share of at least {self.threshold:g} of the given words"
        shortest, longest = sorted(self.lengths)
        sampler = "uniform" if isinstance(truth, Automaton) else "balanced"
        words = f"a {sampler} word of {shortest} to {longest} letters"
        return f"{words} with probability at least {self.threshold:g}"

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the automaton, if it is finite."""
        from mechlab.plotting.automaton import automaton_figure

        path = out.folder / "automaton.json"
        if not path.exists():
            return {}
        machine = from_definition(read_mapping(path))
        if machine.mealy:
            mealy = mealy_of(machine)
            graph = mealy.states, mealy.states, machine.alphabet, mealy.transitions, mealy.initial
            labels = [[machine.classes[output] for output in row] for row in mealy.outputs]
            heading = f"Extracted Mealy machine ({machine.size} states)"
            return {"automaton": automaton_figure(*graph, heading=heading, edge_outputs=labels)}
        outputs = [machine.classes[output] for output in machine.outputs]
        accepting = [output == "accept" for output in outputs] if machine.classes == ("reject", "accept") else None
        graph = machine.states, outputs, machine.alphabet, machine.transitions, machine.initial
        return {"automaton": automaton_figure(*graph, accepting, f"Extracted automaton ({machine.size} states)")}
