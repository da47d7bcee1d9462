"""The sentence under which figures name network, task and seed."""

from __future__ import annotations

import yaml

from mechlab.config.describe import _short, describe, describe_set


def config(task="tomita", model="gru", seed=0, task_keys=None, model_keys=None):
    return {
        "name": f"{task}-{model}",
        "seed": seed,
        "task": {"_target_": "some.Class", **(task_keys or {})},
        "model": {"_target_": "some.Class", **(model_keys or {})},
    }


def test_names_the_first_parameter_and_those_that_are_not_as_usual():
    plain = config(task_keys={"index": 3, "words": 50000}, model_keys={"hidden": 64, "layers": 1, "bias": True})
    assert describe(plain) == "gru (hidden 64) on tomita (index 3), seed 0"
    other = config(task_keys={"words": 500, "index": 5}, model_keys={"layers": 2, "hidden": 8, "per_transition": None})
    assert describe(other, 2000) == "gru (hidden 8, layers 2) on tomita (index 5, words 500), seed 0, step 2,000"
    assert describe(plain, "best").endswith("seed 0, best checkpoint")


def test_a_yaml_that_builds_on_another_is_read_with_it():
    inherited = config(model="rnn_tanh", task_keys={"index": 3}, model_keys={"hidden": 128, "bias": True})
    assert describe(inherited) == "rnn_tanh (hidden 128) on tomita (index 3), seed 0"


def test_names_of_tasks_that_have_no_yaml_and_contents_of_files():
    own = config("mine", "net", 4, {"size": 7, "definition": "digraph\n{}"}, {})
    assert describe(own) == "net on mine (size 7), seed 4"
    assert describe(config("mine", "net", 4, {"text": "a" * 99})).count("a" * 23) == 1


def test_a_seed_that_is_that_of_the_run_is_named_once():
    tied = config("group", "group_mlp", 2, {"group": "A5", "seed": 2}, {"hidden": 128, "seed": 2})
    assert describe(tied) == "group_mlp (hidden 128) on group (A5), seed 2"
    other = config("group", "group_mlp", 2, {"group": "A5", "seed": 3}, {"hidden": 128, "seed": None})
    assert describe(other) == "group_mlp (hidden 128) on group (A5, seed 3), seed 2"


def test_sets_of_runs():
    seeds = [config(seed=seed, task_keys={"index": 3}, model_keys={"hidden": 64}) for seed in (2, 0, 1)]
    assert describe_set(seeds) == "gru (hidden 64) on tomita (index 3), seeds 0 to 2"
    assert describe_set([*seeds[:1], config(seed=9, task_keys={"index": 3}, model_keys={"hidden": 64})]).endswith(
        "2, 9"
    )
    mixed = [*seeds, config(model="rnn", model_keys={"hidden": 128})]
    assert describe_set(mixed) == "4 runs: 3 of gru on tomita, 1 of rnn on tomita"


def test_every_shipped_task_and_model_is_described_by_its_own_yaml():
    from mechlab.config.choices import config_dir

    for path in sorted(config_dir().glob("task/*.yaml")):
        node = yaml.safe_load(path.read_text())["task"]
        first = next(key for key in node if key != "_target_")
        described = describe(config(path.stem, "linear", 0, node, {"ridge": 1e-3}))
        start = f"linear (ridge 0.001) on {path.stem}"
        assert described.startswith(start) and described.endswith(", seed 0")
        shown = described.removeprefix(start).removesuffix(", seed 0")
        named = _short(node[first]) if first == path.stem else f"{first} {_short(node[first])}"
        assert shown == ("" if node[first] is None else f" ({named})")
