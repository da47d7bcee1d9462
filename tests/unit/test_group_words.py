"""Words over a group: labels by explicit products, and the Cayley graph as an automaton that is extracted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mechlab.automata.equivalence import equivalent, minimise
from mechlab.core.errors import ConfigError
from mechlab.core.task import SPLITS
from mechlab.groups import group
from mechlab.groups.cayley_graph import cayley_graph
from mechlab.tasks.group_words import GroupWords


@pytest.mark.parametrize(("name", "letters"), [("S3", "generators"), ("D4", "all"), ("C5", "generators")])
def test_targets_are_products_of_the_letters(name, letters):
    task, of = GroupWords(name, letters, words=300, val_words=50, test_words=50), group(name)
    elements = of.generators if letters == "generators" else range(len(of))
    for split in SPLITS:
        batch = task.examples(split)
        for x, y, counted in zip(batch.inputs[:20], batch.targets, batch.mask, strict=False):
            product = of.identity
            for t in range(int(x.sum())):
                product = of.table[product, elements[int(x[t].argmax())]]
                assert int(y[t]) == product and bool(counted[t])
            assert not counted[t + 1 :].any()


@pytest.mark.parametrize("name", ["S3", "D4", "C6", "A4"])
def test_the_cayley_graph_is_minimal_and_recovers_the_table(name):
    """n states, of which none are equivalent; reading a word for x and then one for y gives x y."""
    of = group(name)
    graph = cayley_graph(of, of.generators)
    assert len(minimise(graph).states) == len(of)
    words, border = {of.identity: ()}, [of.identity]
    for x in border:  # a word for each element, by breadth-first search in the automaton
        for letter, y in enumerate(graph.transitions[x].tolist()):
            if y not in words:
                words[y] = (*words[x], letter)
                border.append(y)
    for x in range(len(of)):
        for y in range(len(of)):
            word = np.array([words[x] + words[y]], dtype=np.int64).reshape(1, -1)
            assert graph.run(word)[0, -1] == of.table[x, y]


def test_graphs_of_different_groups_are_not_equivalent():
    """The negative control of extraction: D4 and C4xC2, of eight elements, with the same names."""
    one, other = (group(name) for name in ("D4", "C4xC2"))
    graphs = [cayley_graph(of, of.generators) for of in (one, other)]
    renamed = replace(graphs[0], transitions=graphs[1].transitions)
    assert len(graphs[0].alphabet) == len(graphs[1].alphabet) == 2
    assert equivalent(graphs[0], replace(graphs[0])) is None and equivalent(graphs[0], renamed) is not None


def test_longer_words_are_for_test_alone():
    task = GroupWords("S3", words=100, val_words=20, test_words=20, max_length=8, test_lengths=(20, 30))
    lengths = {split: task.examples(split).inputs.sum((1, 2)) for split in SPLITS}
    assert lengths["train"].max() <= 8 and lengths["test"].min() >= 20 and lengths["test"].max() <= 30
    assert task.at_length(12).max_length == 12
    assert torch.equal(task.targets(task.examples("test").inputs)[0], task.examples("test").targets)


def test_a_group_of_one_element_is_refused():
    with pytest.raises(ConfigError, match="two elements"):
        GroupWords("C1")
