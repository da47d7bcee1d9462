"""Recurrent networks that output the class or state of an automaton, as PyTorch modules `rnn` and `fc`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from mechlab.adopting.adopted_network import AdoptedNetwork
from mechlab.adopting.class_order import check_outputs
from mechlab.adopting.initial_state import INITIAL, common_names, initial_state
from mechlab.adopting.recurrent_weights import CELLS, renamed, sizes_of
from mechlab.adopting.weight_files import read_tensors, without_prefix
from mechlab.core.errors import ConfigError

WORDS = 2000  # of the training split, which is not used for training here
COPIES = "the state of the second layer is copied into both after each step, as in constructed networks"
FEW = 10  # number of accepted words below which samples cannot be balanced


def rnn_automaton(
    path: Path,
    automaton: str | Path,
    cell: Literal["relu", "tanh", "gru", "lstm", "rnn_relu", "rnn_tanh"],
    classes: Literal["given", "infer"] = "given",
    alphabet: str | list[str] | None = None,
    target: Literal["class", "state"] = "class",
    task: dict[str, Any] | None = None,
) -> AdoptedNetwork:
    """Return a torch.nn.RNN, GRU or LSTM with a linear read-out, and the automaton whose words it was trained on.

    Args:
        path: a state dict (.pt, .pth, .npz or .safetensors) with rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_ih_l0,
            rnn.bias_hh_l0, the same for further layers (_l1, ...), fc.weight and fc.bias; a common prefix is removed.
            init_state, if there is one, is the initial hidden state (of cell=relu or tanh), which is zero otherwise.
            Published networks constructed from a DFA have the names rnn_layer and output_layer; without init_state they
            get the initial state of their construction, and of two layers they copy the state of the second one into
            both after each step.
        automaton: a name (coffee, tomita3, L7; see `mechlab.automata.named`), a .dot file (DFA, Moore or Mealy machine;
            letters and classes sorted) or a .json file (these, or a pushdown automaton; letters and classes in the
            order of the network's inputs and outputs).
        cell: relu, tanh, gru or lstm; rnn_relu and rnn_tanh are other names of the first two.
        classes: given, in the order of the automaton; or infer, by matching outputs with the automaton's.
        alphabet: the letters in the order of the network's inputs (alphabet=a,b,c), where it is not the automaton's.
        target: class, if the network outputs the automaton's class; state, if it outputs its state.
        task: further settings of the task that the run gets (task.val_words=500, task.max_length=20).

    Raises:
        ConfigError: a file is invalid, or the files do not match.
    """
    import torch

    from mechlab.automata.definition import is_path, to_definition

    machine, reversed_classes = _machine(automaton)
    definition = _in_order(to_definition(machine), alphabet)
    kind = CELLS[cell.removeprefix("rnn_")]
    tensors = without_prefix(read_tensors(path), ("rnn.weight_ih_l0", "rnn_layer.weight_ih_l0"))
    tensors, constructed = common_names(tensors)
    initial = tensors.pop(INITIAL, None)
    hidden, layers, biases = sizes_of(tensors, cell.removeprefix("rnn_"), path)
    _check_letters(tensors["rnn.weight_ih_l0"].shape[1], definition["alphabet"], path)
    check_outputs(len(tensors["fc.weight"]), _output_names(machine, target), path)
    weights, notes = renamed(tensors, layers, biases)
    model = {"_target_": kind.target, **kind.arguments}
    start, note = initial_state(initial, constructed, machine, kind, (hidden, layers), path)
    copies = constructed and layers == 2 and "activation" in kind.arguments
    if start is not None or copies:
        start = torch.zeros(hidden * layers) if start is None else torch.as_tensor(start)
        weights["start"] = start.to(tensors["fc.weight"])
        model |= {"_target_": "mechlab.models.given_start.GivenStart", "copies": copies}
    if reversed_classes and target == "class":
        weights |= {name: value.flip(0) for name, value in weights.items() if name.startswith("readout.")}
        notes = [*notes, "the outputs are put into the order reject, accept"]
    arguments, more = _words(machine)
    name = "context_free" if definition["kind"] == "pushdown" else "automaton"
    node = {**arguments, "definition": definition, "target": target, "words": WORDS, **(task or {})}
    targets = {"automaton": "automaton.AutomatonWords", "context_free": "context_free.ContextFree"}
    return AdoptedNetwork(
        name=f"{name}-{kind.model}",
        task={**node, "_target_": f"mechlab.tasks.{targets[name]}"},
        model={**model, "hidden": hidden, "layers": layers, "bias": "readout.bias" in weights},
        weights=weights,
        files={"weights": path} | ({"automaton": Path(automaton)} if is_path(str(automaton)) else {}),
        outputs=[name for name in weights if name.startswith("readout.")],
        infer=classes == "infer",
        notes=[*notes, *note, *([COPIES] if copies else []), *more],
    )


def _machine(path: str | Path) -> tuple[Any, bool]:
    """Return the automaton of a name or file, and True if it is a pushdown automaton whose first class is the accepting
    one."""
    from mechlab.automata.definition import accepts_first, is_path, read_automaton
    from mechlab.automata.library import named

    try:
        return (read_automaton(path), accepts_first(path)) if is_path(str(path)) else (named(str(path)), False)
    except (OSError, ValueError) as error:
        fix = "give a name, a .dot file, or a .json file as mechlab/automata/definition.py describes it"
        must = "automaton must be the name or the file of an automaton"
        raise ConfigError(must, got=error, key="automaton", fix=fix) from None


def _output_names(machine: Any, target: str) -> tuple[str, ...]:
    """Return the names of the network's outputs."""
    if machine.kind == "pushdown":
        return replace(machine, says=target).classes
    return machine.classes if target == "class" else tuple(dict.fromkeys(machine.parts))


def _in_order(definition: dict[str, Any], alphabet: str | list[str] | None) -> dict[str, Any]:
    """Return the definition with its letters in another order."""
    if alphabet is None:
        return definition
    letters = alphabet.strip("[]").split(",") if isinstance(alphabet, str) else list(alphabet)
    letters = [str(letter).strip() for letter in letters]
    if sorted(letters) != sorted(definition["alphabet"]):
        must = f"alphabet must list the letters of the automaton, each once: {', '.join(definition['alphabet'])}"
        raise ConfigError(must, got=", ".join(letters), key="alphabet")
    order = [definition["alphabet"].index(letter) for letter in letters]
    with_columns = [key for key in ("transitions", "transition_output") if key in definition]
    tables = {key: [[row[i] for i in order] for row in definition[key]] for key in with_columns}
    return {**definition, "alphabet": letters, **tables}


def _check_letters(inputs: int, letters: list[str], path: Path) -> None:
    if inputs != len(letters):
        must = (
            f"the network must have one input for each letter of the automaton: {len(letters)} ({', '.join(letters)})"
        )
        fix = "list all letters of the network in the automaton's file, in the order of its inputs"
        raise ConfigError(must, got=f"{path}: rnn.weight_ih_l0 has {inputs} columns", key="automaton", fix=fix)


def _words(machine: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the task's settings for the automaton, and notes."""
    from mechlab.automata.pushdown.accepted_words import AcceptedWords
    from mechlab.automata.pushdown.pushdown import Pushdown

    longest = next(length for length in range(14, 0, -1) if len(machine.alphabet) ** length < 2**63)
    if not isinstance(machine, Pushdown):
        return {"language": "file", "max_length": longest}, []
    accepted = AcceptedWords(machine)
    if sum(map(accepted.count, range(5, longest + 1))) >= FEW:
        return {"grammar": "file", "max_length": longest}, []
    note = f"fewer than {FEW} words of 5 to {longest} letters are accepted, so words are walks (task.sampler=walk)"
    return {"grammar": "file", "max_length": longest, "sampler": "walk"}, [note]
