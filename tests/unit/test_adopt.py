"""Adopted networks, against PyTorch's own modules token by token and automata run by hand."""

import contextlib
import copy
import hashlib
import json
import math
import subprocess
import sys
from collections import defaultdict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from test_definition import DFA, MEALY, MOORE, PUSHDOWN
from torch import nn

import mechlab
from mechlab.adopt import adopt, formats, parse
from mechlab.analyses.labelled_states import evaluation_words, labelled_states
from mechlab.automata import trie_states
from mechlab.automata.definition import from_definition
from mechlab.automata.dot import to_dot
from mechlab.clustering import ambiguity
from mechlab.core.errors import ConfigError, MechlabError
from mechlab.record.tensors import load_tensors

SMALL = {"words": 150, "val_words": 60, "test_words": 60, "max_length": 9}
CELLS = {
    "relu": lambda m, h, layers: nn.RNN(m, h, layers, nonlinearity="relu"),
    "tanh": nn.RNN,
    "gru": nn.GRU,
    "lstm": nn.LSTM,
}
KINDS = {"dfa": DFA, "moore": MOORE, "mealy": MEALY, "pushdown": PUSHDOWN}


class Net(nn.Module):
    """A network as other people write it."""

    def __init__(self, cell: str, inputs: int, outputs: int, hidden: int = 6, layers: int = 1):
        super().__init__()
        self.rnn = CELLS[cell](inputs, hidden, layers)
        self.fc = nn.Linear(hidden, outputs)


def net(cell: str, kind: str, layers: int = 1, seed: int = 0) -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = Net(cell, len(KINDS[kind]["alphabet"]), len(KINDS[kind]["classes"]), layers=layers)
        for parameter in made.parameters():
            nn.init.normal_(parameter, std=0.7 if cell != "relu" else 0.3)
    return made


def save(state: dict, path) -> None:
    if path.suffix == ".npz":
        np.savez(path, **{name: value.numpy() for name, value in state.items()})
    elif path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)


@pytest.fixture
def files(tmp_path):
    """Write a network and its automaton; return the arguments that adopt them."""

    def write(made: Net, definition: dict, suffix: str = ".pt", prefix: str = "") -> dict:
        save({prefix + name: value for name, value in made.state_dict().items()}, tmp_path / f"weights{suffix}")
        (tmp_path / "automaton.json").write_text(json.dumps(definition))
        paths = {"path": tmp_path / f"weights{suffix}", "automaton": tmp_path / "automaton.json"}
        return {"format": "rnn_automaton", "root": tmp_path / "runs", "task": SMALL, **paths}

    return write


@torch.no_grad()
def token_by_token(made: Net, word: list[int]) -> list[np.ndarray]:
    """The states after each letter: all layers' h, then all layers' c, from one call of the module per letter."""
    state, states = None, []
    for letter in word:
        x = torch.zeros(1, 1, made.rnn.input_size)
        x[0, 0, letter] = 1
        _, state = made.rnn(x, state)
        parts = state if isinstance(state, tuple) else (state,)
        states.append(torch.cat([part.flatten() for part in parts]).numpy())
    return states


def by_hand(kind: str, word: list[int]) -> list[str]:
    """The automaton's state after each letter."""
    definition = KINDS[kind]
    alphabet, states = definition["alphabet"], definition["states"]
    state, stack, found = definition["initial"], ["$"], []
    state = states[state] if isinstance(state, int) else state
    for letter in (alphabet[i] for i in word):
        if kind == "pushdown":
            state = pushdown_step(state, letter, stack)
        else:
            rows = definition["transitions"]
            row = rows[state] if isinstance(rows, dict) else rows[states.index(state)]
            cell = (
                row.get(letter, row.get(str(alphabet.index(letter))))
                if isinstance(row, dict)
                else row[alphabet.index(letter)]
            )
            state = cell if isinstance(cell, str) else states[cell]
        found.append(state)
    return found


def pushdown_step(state: str, letter: str, stack: list[str]) -> str:
    """a^k b^k, as PUSHDOWN defines it."""
    if letter == "a" and state in ("start", "open"):
        stack.append("a")
        return "open"
    if letter == "b" and state in ("open", "done") and stack[-1] == "a":
        stack.pop()
        return "done"
    return "err"


def textbook(clusters: list[int], labels: list[str]) -> tuple[float, float, float, float]:
    """Mean, weighted, largest and least ambiguity by loops over rows."""
    table, base = defaultdict(lambda: defaultdict(int)), len(set(labels))
    for cluster, label in zip(clusters, labels, strict=True):
        table[cluster][label] += 1
    scores, sizes = [], []
    for row in table.values():
        size = sum(row.values())
        shares = [count / size for count in row.values()]
        scores.append(-sum(share * math.log(share) / math.log(base) for share in shares) if base > 1 else 0.0)
        sizes.append(size)
    weighted = sum(size * score for size, score in zip(sizes, scores, strict=True)) / sum(sizes)
    return sum(scores) / len(scores), weighted, max(scores), min(scores)


PAIRS = [
    (cell, kind, 1 + (i + j) % 2, (".pt", ".npz", ".safetensors", ".pth")[(2 * i + j) % 4])
    for i, cell in enumerate(CELLS)
    for j, kind in enumerate(KINDS)
]


@pytest.mark.parametrize(("cell", "kind", "layers", "suffix"), PAIRS)
def test_states_and_ambiguity_are_those_of_a_loop_over_letters(files, cell, kind, layers, suffix):
    made = net(cell, kind, layers)
    run = adopt(**files(made, KINDS[kind], suffix), cell=cell)
    words = [[int(letter) for letter in row if letter >= 0] for row in evaluation_words(run, 40, "val")]
    found = trie_states(run.model(), words)
    expected = np.stack([state for word in words for state in token_by_token(made, word)])
    assert expected.shape[1] == 6 * layers * (2 if cell == "lstm" else 1)
    np.testing.assert_allclose(found.states[found.index], expected, atol=1e-5)
    with torch.no_grad():
        top = expected[:, 6 * (layers - 1) : 6 * layers]
        said = run.model().readout(torch.from_numpy(found.states[found.index][:, 6 * (layers - 1) : 6 * layers]))
        torch.testing.assert_close(said, made.fc(torch.from_numpy(top)), atol=1e-5, rtol=0)

    here = labelled_states(run, 40, "val")
    names = np.array(here.names)[here.labels][here.prefixes.index]
    by_loop = [state for word in words for state in by_hand(kind, word)]
    assert names.tolist() == by_loop
    for columns in (1, 3):  # clusters by the signs of some units about their means
        signs = here.states[:, :columns] > here.states[:, :columns].mean(0)
        clusters = signs @ (1 << np.arange(columns))
        scores = ambiguity(clusters, here.labels, here.prefixes.count)
        every = clusters[here.prefixes.index].tolist()
        np.testing.assert_allclose(scores, textbook(every, by_loop), rtol=0, atol=1e-12)


def test_a_run_is_complete(files):
    arguments = files(net("gru", "moore", 2), MOORE, ".npz")
    run = adopt(**arguments, cell="gru")
    assert (
        run.status["status"] == "done" and run.folder.parent.name == "automaton-gru" and run.folder.name.endswith("-s0")
    )
    metrics = run.results["metrics"]
    assert metrics["steps"] == 0 and run.metrics["test/accuracy"].tolist() == [metrics["test/accuracy"]]
    batch = run.evaluation("test")
    right = (run.model()(batch.inputs).outputs.argmax(-1) == batch.targets) & batch.mask
    share = (right.sum(1) / batch.mask.sum(1)).mean().item()
    assert metrics["test/accuracy"] == pytest.approx(share, abs=1e-6)
    record = json.loads((run.folder / "provenance" / "adoption.json").read_text())
    assert (record["alphabet"], record["classes"]) == (MOORE["alphabet"], MOORE["classes"])
    digest = hashlib.sha256(arguments["path"].read_bytes()).hexdigest()
    assert record["files"]["weights"] == {"path": str(arguments["path"]), "sha256": digest}
    assert run.config["task"]["definition"]["classes"] == MOORE["classes"]
    assert run.history.steps == [] and run.seed == 0
    for path in (arguments["path"], arguments["automaton"]):
        path.unlink()
    again = mechlab.load_run(run.folder)  # nothing outside of it is needed
    assert again.task.ground_truth() == from_definition(MOORE)
    assert all(torch.equal(a, b) for a, b in zip(run.model().parameters(), again.model().parameters(), strict=True))


def test_the_same_again_is_the_same_run(files, capsys):
    made = net("tanh", "dfa")
    run = adopt(**files(made, DFA), cell="tanh")
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*") if path.is_file()}
    assert adopt(**files(made, DFA, ".npz"), cell="rnn_tanh").folder == run.folder  # whatever file they came from
    assert "adopted already" in capsys.readouterr().out
    del before[run.folder / ".lock"]
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    other = [
        adopt(**files(net("tanh", "dfa", seed=1), DFA), cell="tanh"),
        adopt(**files(made, DFA), cell="relu"),
        adopt(**files(made, DFA | {"accepting": ["odd"]}), cell="tanh"),
        adopt(**files(made, DFA | {"alphabet": ["a", "b"]}), cell="tanh"),
        adopt(**{**files(made, DFA), "task": SMALL | {"val_words": 70}}, cell="tanh"),
        adopt(**files(copy.deepcopy(made).double(), DFA), cell="tanh"),
    ]
    assert len({run.folder, *(one.folder for one in other)}) == 7


def test_precision_is_kept(files):
    made = net("gru", "dfa").double()
    run = adopt(**files(made, DFA, ".safetensors"), cell="gru")
    assert {weight.dtype for weight in run.model().parameters()} == {torch.float64}
    assert run.config["trainer"]["precision"] == 64
    saved = load_tensors(run.folder / "checkpoints" / "weights.safetensors")
    assert torch.equal(saved["layers.0.weight_hh_l0"], made.rnn.weight_hh_l0)


@pytest.mark.parametrize("prefix", ["module.", "net.model."])
def test_a_common_prefix_is_left_out(files, prefix):
    made = net("lstm", "mealy", 2)
    run = adopt(**files(made, MEALY, prefix=prefix), cell="lstm")
    assert torch.equal(run.model().layers[1].weight_ih_l0, made.rnn.weight_ih_l1)


def test_a_network_without_biases_has_zeros_where_they_are_needed(files):
    made = net("gru", "dfa")
    arguments = files(made, DFA)
    for left, bias in ((("rnn.bias", "fc.bias"), False), (("rnn.bias",), True)):
        state = {name: value for name, value in made.state_dict().items() if not name.startswith(left)}
        torch.save({"state_dict": state}, arguments["path"])
        run = adopt(**arguments, cell="gru")
        assert run.config["model"]["bias"] is bias
        if bias:
            assert not run.model().layers[0].bias_hh_l0.any() and torch.equal(run.model().readout.bias, made.fc.bias)


def perfect(kind: str) -> Net:
    """A relu network that is right after every letter: one unit for each transition, and for each first letter."""
    truth = from_definition(KINDS[kind])
    n, m = truth.transitions.shape
    units = [(q, a) for q in range(n) for a in range(m)] + [(None, a) for a in range(m)]
    leads = [truth.transitions[truth.initial if q is None else q, a] for q, a in units]
    made = Net("relu", m, len(truth.classes), len(units))
    for parameter in made.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        for i, (q, a) in enumerate(units):  # on after this transition: where it starts was reached, and its letter came
            made.rnn.weight_ih_l0[i, a] = 1
            made.rnn.bias_ih_l0[i] = 0 if q is None else -1
            for j, reached_state in enumerate(leads):
                made.rnn.weight_hh_l0[i, j] = -1 if q is None else float(reached_state == q)
            made.fc.weight[truth.outputs[leads[i]], i] = 1
    return made


@pytest.mark.parametrize(("kind", "order"), [("dfa", [1, 0]), ("moore", [2, 0, 1]), ("mealy", [1, 2, 0])])
def test_permuted_classes_are_wrong_as_given_and_right_when_inferred(files, capsys, kind, order):
    """Networks whose classes are in a forgotten order score about 0, and 1 once the order is found."""
    made, names = perfect(kind), KINDS[kind]["classes"]
    whole = adopt(**files(made, KINDS[kind]), cell="relu")
    assert whole.results["metrics"]["test/accuracy"] == 1 and "warning" not in capsys.readouterr().out
    with torch.no_grad():
        made.fc.weight.copy_(made.fc.weight[order])
        made.fc.bias.copy_(made.fc.bias[order])
    given = adopt(**files(made, KINDS[kind]), cell="relu")
    assert given.results["metrics"]["test/accuracy"] < 0.05
    assert "warning" in (printed := capsys.readouterr().out) and "classes=infer" in printed
    inferred = adopt(**files(made, KINDS[kind]), cell="relu", classes="infer")
    assert "fits 1.0000" in (printed := capsys.readouterr().out) and "warning" not in printed
    assert inferred.results["metrics"]["test/accuracy"] == 1
    assert torch.equal(inferred.model().readout.weight, whole.model().readout.weight)
    assert inferred.folder == whole.folder != given.folder
    found = adopt(**files(made, KINDS[kind]) | {"name": "other-rnn"}, cell="relu", classes="infer")
    record = json.loads((found.folder / "provenance" / "adoption.json").read_text())["class_order"]
    assert record["asked"] == "infer" and record["fit"] == 1 and record["clear"]
    assert record["outputs"] == [names[i] for i in order] and record["given"] < 0.05
    assert found.spec.classes == tuple(names)  # the order of the file, whatever the order of the outputs


def test_an_order_that_cannot_be_told_is_called_ambiguous(files, capsys):
    made = net("gru", "moore")
    nn.init.zeros_(made.fc.weight)  # it always says the same
    adopt(**files(made, MOORE), cell="gru", classes="infer")
    assert "warning: the order of the classes is ambiguous" in capsys.readouterr().out


def test_letters_may_have_another_order_than_in_the_file(files):
    made = net("gru", "dfa")
    run = adopt(**files(made, DFA), cell="gru", alphabet="a,b")
    assert run.spec.vocabulary == ("a", "b")
    assert run.task.ground_truth().transitions.tolist() == [[1, 0], [0, 1]]
    with pytest.raises(ConfigError, match="each once: b, a"):
        adopt(**files(made, DFA), cell="gru", alphabet=["a", "c"])


@pytest.mark.ci
def test_a_dot_file_has_sorted_letters_and_classes_whatever_the_hash_seed(tmp_path):
    path = tmp_path / "machine.dot"
    path.write_text(to_dot(from_definition(MOORE)))
    code = f"from mechlab.automata.definition import *; a = read_automaton({str(path)!r}); print(a.alphabet, a.classes)"
    environment = {"PYTHONHASHSEED": "1", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "('x', 'y') ('n', 'p', 'z')"


def change(**tensors):
    """Return what changes tensors of a state dict; None removes one."""

    def apply(state):
        for name, value in tensors.items():
            state.pop(name.replace("__", "."), None)
            if value is not None:
                state[name.replace("__", ".")] = value
        return state

    return apply


@pytest.mark.parametrize(
    ("apply", "options", "key", "message"),
    [
        (change(fc__weight=None), {}, "path", "no fc.weight"),
        (change(rnn__weight_hh_l0=None), {}, "path", "no rnn.weight_hh_l0"),
        (change(rnn__bias_hh_l0=None), {}, "path", "no rnn.bias_hh_l0"),
        (change(rnn__weight_ih_l2=torch.ones(18, 6)), {}, "path", "no rnn.weight_hh_l1|no rnn.weight_ih_l1"),
        (change(rnn__weight_ih_l0_reverse=torch.ones(18, 2)), {}, "path", "both directions"),
        (change(embedding__weight=torch.ones(2, 2)), {}, "path", "also embedding.weight"),
        (change(rnn__bias_ih_l0=torch.ones(17)), {}, "path", r"must have the shape \(18,\)"),
        (change(fc__weight=torch.ones(2, 5)), {}, "path", r"fc.weight must have the shape \(2, 6\)"),
        (change(fc__weight=torch.ones(2)), {}, "path", "fc.weight must have 2 axes"),
        (change(fc__bias=torch.ones(3)), {}, "path", r"fc.bias must have the shape \(2,\)"),
        (change(fc__weight=torch.ones(3, 6), fc__bias=torch.ones(3)), {}, "automaton", r"2 \(reject, accept\)"),
        (change(rnn__weight_ih_l0=torch.ones(18, 3)), {}, "automaton", r"2 \(b, a\)"),
        (change(fc__bias=torch.ones(2, dtype=torch.int64)), {}, "path", "fc.bias is torch.int64"),
        (change(fc__bias=torch.tensor([0, torch.inf])), {}, "path", "finite"),
        (change(), {"cell": "lstm"}, "cell", "(?s)4 row.*cell=gru"),
        (change(), {"cell": "gruu"}, "cell", "(?s)one of relu.*did you mean 'gru'"),
        (change(), {"cell": None}, "cell", "one of relu"),
        (change(), {"sell": "gru"}, "sell", "(?s)no option.*did you mean 'cell'"),
        (change(), {"classes": "guess"}, "classes", "one of given, infer"),
        (change(), {"target": "state", "automaton": "moore.json"}, "automaton", "x"),
        (change(), {"format": "rnn_automata"}, "format", "did you mean 'rnn_automaton'"),
        (change(), {"name": "../x"}, "name", "it is a folder"),
        (change(), {"path": "none.pt"}, "path", "no such file"),
        (change(), {"path": "weights.bin"}, "path", "path must end in .pt"),
        (change(), {"automaton": "none.json"}, "automaton", "none.json"),
        (change(), {"task": {"val_wrds": 1}}, "task.val_wrds", "did you mean 'val_words'"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_written(files, tmp_path, apply, options, key, message):
    arguments = files(net("gru", "dfa"), DFA) | {"cell": "gru"} | options
    if "path" not in options:
        torch.save(apply(torch.load(arguments["path"], weights_only=True)), arguments["path"])
    if options.get("target") == "state":
        definition = MOORE | {"alphabet": ["a", "b"], "transitions": [[0, 1], [1, 2], [2, 0]]}
        (tmp_path / "moore.json").write_text(json.dumps(definition))
        arguments["automaton"], message = tmp_path / "moore.json", r"3 \(s0, s1, s2\)"
    with pytest.raises(ConfigError, match=message) as caught:
        adopt(**arguments)
    assert caught.value.key == key and not (tmp_path / "runs").exists()


def test_files_that_are_not_plain_tensors_are_refused_and_run_no_code(files, tmp_path):
    arguments = files(net("gru", "dfa"), DFA)
    for name, write in {
        "module.pt": lambda path: torch.save(net("gru", "dfa"), path),
        "list.pt": lambda path: torch.save([torch.ones(2)], path),
        "objects.npz": lambda path: np.savez(path, a=np.array([{}], object)),
        "text.npz": lambda path: path.write_text("no"),
        "text.safetensors": lambda path: path.write_text("no"),
        "cut.pt": lambda path: path.write_bytes(arguments["path"].read_bytes()[:500]),
        "empty.pt": lambda path: torch.save({}, path),
    }.items():
        with contextlib.suppress(AttributeError):  # a class of a test cannot always be written
            write(tmp_path / name)
        with pytest.raises(ConfigError, match=name) as caught:
            adopt(**{**arguments, "path": tmp_path / name}, cell="gru")
        assert caught.value.key == "path"


def test_command_lines_are_read_as_they_are_written():
    words = ["format=f", "path=w.pt", "paths.root=there", "task.val_words=5", "task.test_lengths=[16,64]", "cell=gru"]
    task = {"val_words": 5, "test_lengths": [16, 64]}
    assert parse(words) == {"format": "f", "path": "w.pt", "root": "there", "task": task, "cell": "gru"}
    for bad in (["path=w.pt"], ["format=f"], ["format"], ["format=f", "path=w", "path=v"], ["task=1", "task.a=2"]):
        with pytest.raises(MechlabError):
            parse(bad)


def test_every_format_says_what_it_wants():
    for name, reader in formats().items():
        assert reader.__name__ == name and "Args:" in reader.__doc__


@pytest.mark.ci
def test_the_outputs_of_a_pushdown_automaton_whose_first_class_accepts_change_places(files):
    network = net("gru", "pushdown", 1)
    right = adopt(**files(network, PUSHDOWN, ".npz"), cell="gru").model()
    turned = {**PUSHDOWN, "classes": ["accept", "reject"]}
    other = adopt(**files(network, turned, ".npz"), cell="gru").model()
    x = torch.eye(len(PUSHDOWN["alphabet"]))[None]
    torch.testing.assert_close(other(x).outputs, right(x).outputs.flip(-1))
