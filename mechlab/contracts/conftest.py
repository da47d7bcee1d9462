"""Contracts that every task, model, analysis and yaml must keep, applied to whatever the configuration holds.

A new member is tested from the moment that its yaml exists; no list names it. To hold your own package to the same
contracts, run them where Python finds the package, with the folder given to `--config-dir`:

    python -m mechlab.contracts --contracts-dir conf

The option may be repeated. Only what these folders hold is then tested.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from mechlab.contracts.registry import CONTEXT, Registry

REGISTRY = pytest.StashKey[Registry]()
LONG = {  # members that continuous integration alone tests, by test or fixture: slow, or much like others
    "trained": {
        *("ambiguity", "causal", "cosets", "datamodeling", "dynamics", "irreps", "metagradient", "neurons"),
        *("noise_dose", "path_kernel", "pictures", "spectrum_over_training", "state_irreps", "states_over_training"),
        *("maxsat_table", "variable_memories", "ambiguity_over_runs", "binding_table", "group_table", "universality"),
        *("agreement", "beyond_labels", "pruning"),
        *("datamodel", "datamodel_over_runs"),
        "components",
        *("families", "distill_sizes"),
        "attribution_table",
        *("balance", "phases", "periodicity"),
        *("swap", "training_curves", "transplant"),
        *("distill_rnn", "mips_table"),
        *("certify", "retraining"),
    },
    "test_every_yaml_composes_and_builds": {"analysis", "callbacks", "experiment"},
    "test_a_solution_follows_from_examples_and_generator_and_can_be_loaded": {"enn", "smallest_mlp_rnn"},
    "test_tensors_are_made_on_the_device_of_the_inputs": {
        *("deltanet", "linear_attention", "lru", "poly_hopfield", "poly_hopfield_delay", "s4", "s4d", "wrnn"),
        "mlp_rnn",
    },
    "test_a_step_of_training_goes_through": {
        *("compose_copy", "copying_memory", "dynamical_system", "fibonacci", "game_of_life", "game_of_life_scanning"),
        *("group_words", "integer_fibonacci", "logic", "phases", "repeat_copy", "tomita"),
        *("argmax", "automaton", "boolean", "cellular_automaton", "cifar", "life", "linear_binding", "mips"),
    },
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that points the contracts at somebody's own configuration."""
    text = "configuration folder whose members to test instead of mechlab's own (may be repeated)"
    parser.addoption("--contracts-dir", action="append", default=[], metavar="DIR", type=Path, help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Look at what there is to test."""
    folders = [path.resolve() for path in config.getoption("--contracts-dir", [])]
    missing = [str(path) for path in folders if not path.is_dir()]
    if missing:
        raise pytest.UsageError(f"--contracts-dir must name a folder. Got {', '.join(missing)} instead.")
    config.stash[REGISTRY] = Registry(folders)
    config.addinivalue_line("markers", "ci: takes long, and is run by continuous integration only")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Apply a test to every member of the group that its arguments name."""
    registry, wanted = metafunc.config.stash[REGISTRY], set(metafunc.fixturenames)
    similar: set[tuple[str, ...]] = set()
    if {"model", "task"} <= wanted:
        names = "model task"
        rows = []
        for model in registry.names("model"):
            seen: set[tuple[str, bool, int]] = set()
            for task in registry.tasks_of_each_kind(model):
                kind = registry.inputs_of(task)
                rows.append((model, task))
                if kind in seen:  # another loss alone
                    similar.add((model, task))
                seen.add(kind)
    elif {"analysis", "task"} <= wanted:
        names, rows = "analysis task", list(product(registry.names("analysis"), registry.partners("task")))
    elif "set_analysis" in wanted:
        names, rows = "set_analysis", [(name,) for name in registry.names("set_analysis")]
    elif {"group", "name", "parameter"} <= wanted:
        built = [(group, name) for group, name in registry.yamls() if group in CONTEXT]
        rows = [(group, name, word) for group, name in built for word in registry.parameters(group, name)]
        names = "group name parameter"
    elif {"group", "name"} <= wanted:
        names, rows = "group name", registry.yamls()
    elif found := wanted & set(CONTEXT):
        names = found.pop()
        rows = [(name,) for name in registry.names(names)]
    else:
        return
    about = {metafunc.function.__name__, *wanted}
    long = set() if registry.extra else {name for key, names in LONG.items() if key in about for name in names}
    if registry.extra:
        similar.clear()
    late = [[pytest.mark.ci] if long & set(row) or row in similar else [] for row in rows]
    marked = [pytest.param(*row, marks=marks, id="-".join(row)) for row, marks in zip(rows, late, strict=True)]
    metafunc.parametrize(names.split(), marked)


@pytest.fixture(scope="session")
def registry(request: pytest.FixtureRequest) -> Registry:
    """What there is to test."""
    return request.config.stash[REGISTRY]
