import itertools
import re

import numpy as np
import pytest

from mechlab.automata.pushdown.grammars import grammar
from mechlab.automata.pushdown.pushdown import ACTIONS, Pushdown, Rule

COUNTS = {  # control states with err, letters
    "L1": (4, 2), "L2": (4, 4), "L3": (10, 8), "L4": (7, 4), "L5": (10, 6), "L6": (7, 6), "L7": (3, 4), "L8": (3, 6),
    "L9": (3, 8), "L10": (11, 10), "L11": (5, 6), "L12": (4, 4), "L13": (3, 5), "L14": (3, 7), "L15": (5, 6),
}  # fmt: skip
PAIRS = {")": "(", "]": "[", "}": "{", ">": "<"}


def tokens_of(word, tokens):
    """Cut a word into tokens, or return None; tokens begin with different letters."""
    found = re.findall("|".join(tokens), word)
    return found if "".join(found) == word else None


def halves(first, second):
    """Membership in (first)^k (second)^k."""

    def member(word):
        found = tokens_of(word, [*first, *second])
        if not found:
            return False
        k = len(found) // 2
        return len(found) == 2 * k and set(found[:k]) <= set(first) and set(found[k:]) <= set(second)

    return member


def brackets(pairs, neutral=()):
    """Membership in balanced brackets, given as closing token -> opening token or opening tokens."""

    def member(word):
        opening = {token for tokens in pairs.values() for token in tokens}
        found, stack = tokens_of(word, [*map(re.escape, [*opening, *pairs]), *neutral]), []
        if not found:
            return False
        for token in found:
            if token in opening:
                stack.append(token)
            elif token in pairs and (not stack or stack.pop() not in pairs[token]):
                return False
        return not stack

    return member


def dyck(closing, neutral=()):
    return brackets({token: {PAIRS[token]} for token in closing}, neutral)


def single_nested(word):
    return dyck(")]")(word) and re.fullmatch(r"[(\[]+[)\]]+", word) is not None


LANGUAGES = {
    "L1": halves("a", "b"),
    "L2": halves("ab", "cd"),
    "L3": halves(["ab", "cd"], ["ef", "gh"]),
    "L4": halves(["ab"], ["cd"]),
    "L5": halves(["abc"], ["def"]),
    "L6": halves(["ab", "c"], ["de", "f"]),
    "L7": dyck(")]"),
    "L8": dyck(")]}"),
    "L9": dyck(")]}>"),
    "L10": brackets({"vwxyz": {"abcde"}}),
    "L11": brackets({"de": {"ab", "c"}, "f": {"ab", "c"}}),
    "L12": single_nested,
    "L13": dyck(")", "abc"),
    "L14": dyck(")]", "abc"),
    "L15": dyck(")", ["abc", "d"]),
}


def some_words(machine, length, rng):
    """All words of a length if they are few, else random ones and ones that follow the transitions."""
    m = len(machine.alphabet)
    if m**length <= 5000:
        return np.array(list(itertools.product(range(m), repeat=length)))
    words = rng.integers(m, size=(1500, length))
    for row in range(1000):  # follow the transitions
        for t in range(length):
            found = machine.run(words[row : row + 1, :t])
            possible = np.flatnonzero(machine.possible[found.states[0, -1], :, found.tops[0, -1]])
            words[row, t] = rng.choice(possible) if len(possible) else words[row, t]
    return words


def slow_run(machine, rules, word):
    """Read a word with a list for a stack and rules for transitions; return what is seen before and after letters."""
    state, stack = machine.states[0], ["$"]
    seen = [(state, tuple(stack))]
    for letter in word:
        fitting = [
            rule for rule in rules if rule.state == state and rule.letter == letter
            and (rule.guard is None or stack[-1] in rule.guard)
        ]  # fmt: skip
        if state == "err" or not fitting:
            state = "err"
        else:
            (rule,) = fitting
            pops = {"pop": 1, "pop2": 2}.get(rule.action, 0)
            if len(stack) <= pops:
                state = "err"
            else:
                state, stack = rule.target, stack[: len(stack) - pops]
                stack += {"push": [letter], "push2": [letter] * 2}.get(rule.action, [])
        seen.append((state, tuple(stack)))
    return seen


@pytest.mark.parametrize(
    "name", ["L1", "L7", *(pytest.param(name, marks=pytest.mark.ci) for name in LANGUAGES if name not in ("L1", "L7"))]
)
def test_a_grammar_has_the_published_numbers_and_accepts_its_language(name):
    machine, rng = grammar(name), np.random.default_rng(0)
    assert (len(machine.states), len(machine.alphabet)) == COUNTS[name] and machine.states[-1] == "err"
    accepted = 0
    for length in (1, 2, 3, 4, 6, 8):
        words = some_words(machine, length, rng)
        found = machine.outputs(words)
        for word, verdicts in zip(words, found, strict=True):
            text = "".join(machine.alphabet[letter] for letter in word)
            assert verdicts.tolist() == [LANGUAGES[name](text[: t + 1]) for t in range(length)]
        accepted += found.any(1).sum()
    assert accepted or name == "L10"  # whose shortest word has ten letters


def test_the_tenth_grammar_accepts_its_shortest_words():
    machine = grammar("L10")
    for text in ("abcdevwxyz", "abcdeabcdevwxyzvwxyz", "abcdevwxyzabcdevwxyz", "abcdevwxyzvwxyz"):
        word = [machine.alphabet.index(letter) for letter in text]
        assert machine.outputs([word])[0].tolist() == [LANGUAGES["L10"](text[: t + 1]) for t in range(len(text))]


def test_random_machines_do_what_a_list_for_a_stack_does():
    rng, alphabet, states = np.random.default_rng(0), "ab", ("p", "q")
    for _ in range(20):
        rules = [
            Rule(state, letter, guard, str(rng.choice(ACTIONS)), str(rng.choice(states)))
            for state in states for letter in alphabet for guard in ("a", "b$")
            if rng.random() < 0.9
        ]  # fmt: skip
        machine = Pushdown.of(alphabet, states, ["q"], rules)
        words = rng.integers(2, size=(40, 10))
        found, outputs = machine.run(words), machine.outputs(words)
        by_height, names = machine.labels(found, "height")
        by_top, top_names = machine.labels(found, "top")
        assert machine.labels(found)[0] is found.states and machine.labels(found)[1] == ["p", "q", "err"]
        for i, word in enumerate(words):
            seen = slow_run(machine, rules, [alphabet[letter] for letter in word])
            assert [machine.states[state] for state in found.states[i]] == [state for state, _ in seen]
            assert found.heights[i].tolist() == [len(stack) for _, stack in seen]
            assert [(*alphabet, "$")[top] for top in found.tops[i]] == [stack[-1] for _, stack in seen]
            assert outputs[i].tolist() == [state == "q" and stack == ("$",) for state, stack in seen[1:]]
            heights = [("0", "1", "2+")[min(len(stack), 3) - 1] for _, stack in seen]
            assert [names[j] for j in by_height[i]] == [f"{s}, {h}" for (s, _), h in zip(seen, heights, strict=True)]
            assert [top_names[j] for j in by_top[i]] == [f"{state}, {stack[-1]}" for state, stack in seen]


def test_the_published_brackets_of_four_kinds_take_one_for_another():
    published, fixed = grammar("L9", "published"), grammar("L9")
    for text, verdicts in (("{>", (1, 0)), ("<>", (0, 1)), ("{}", (1, 1)), ("([<>])", (0, 1))):
        word = [[fixed.alphabet.index(letter) for letter in text]]
        assert (published.outputs(word)[0, -1], fixed.outputs(word)[0, -1]) == verdicts


@pytest.mark.parametrize("name", LANGUAGES)
def test_what_else_is_published_differs_in_what_counts_as_possible_only(name):
    published, fixed = grammar(name, "published"), grammar(name)
    words = np.random.default_rng(0).integers(len(fixed.alphabet), size=(300, 8))
    if name != "L9":
        np.testing.assert_array_equal(published.run(words).states, fixed.run(words).states)
        assert (published.possible.sum() > fixed.possible.sum()) == (name in {"L1", "L2", "L4"})


def test_rules_that_make_no_deterministic_machine_are_refused():
    rule = Rule("q", "a", None, "push", "q")
    with pytest.raises(ValueError, match="at most one rule"):
        Pushdown.of("a", ["q"], ["q"], [rule, rule._replace(guard="$")])
    for change in ({"state": "p"}, {"letter": "b"}, {"guard": "b"}, {"action": "peek"}, {"target": "p"}):
        with pytest.raises(ValueError, match="states, letters and an action"):
            Pushdown.of("a", ["q"], ["q"], [rule._replace(**change)])
    with pytest.raises(ValueError, match=r"L1 to L15\. Got 'L16'"):
        grammar("L16")
