"""Expected numbers are those of the language that is chosen."""

from __future__ import annotations

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from mechlab.config.choices import config_dir
from mechlab.config.identity import masked
from mechlab.config.launch import register, resolve
from mechlab.config.schema import Expected, typed
from mechlab.jobs.prepare import prepare_run
from mechlab.jobs.result import compare

STATES = {  # mean weighted ambiguity of 40 networks, k-means with 8 n clusters, by control state
    **{"L1": 0.063, "L2": 0.098, "L3": 0.129, "L4": 0.027, "L5": 0.091, "L6": 0.180, "L7": 0.504, "L8": 0.607},
    **{"L9": 0.756, "L10": 0.147, "L11": 0.318, "L12": 0.253, "L13": 0.019, "L14": 0.301, "L15": 0.196},
}


def composed(*overrides: str) -> DictConfig:
    register([config_dir()])
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
        return hydra.compose("train", list(overrides))


def numbered(cfg: DictConfig) -> dict[str, Expected]:
    """Return the expectations of a configuration that have a number."""
    nodes = OmegaConf.to_container(cfg.expected, resolve=True)
    entries = {name: typed(Expected, node, f"expected.{name}.") for name, node in nodes.items()}
    return {name: entry for name, entry in entries.items() if entry.number is not None}


def test_every_grammar_has_its_own_number() -> None:
    cfg = composed("experiment=context_free")
    for name, number in STATES.items():
        cfg.task.grammar = name
        found = numbered(cfg)["clusterings/k_means_8"]
        assert found.published == number and f"on {name}," in found.source


def means(*place: str) -> dict[str, float]:
    """Return the published means over the networks of a grid, by scalar."""
    table = OmegaConf.load(config_dir() / "published" / f"{place[0]}.yaml").means
    for key in place[1:]:
        table = table[key]
    return {f"ambiguity_over_runs/{method}": number for method, number in table.items()}


PINNED = {  # two published numbers of each table, as they are in print
    ("regular",): {"k_means_8": 0.0181, "DBSCAN": 0.1792},
    ("context_free", "state"): {"k_means_8": 0.246, "DBSCAN": 0.172},
    ("context_free", "height"): {"k_means_8": 0.234, "DBSCAN": 0.250},
    ("context_free", "top"): {"k_means_8": 0.242, "DBSCAN": 0.285},
}


@pytest.mark.parametrize("place", PINNED, ids="-".join)
def test_the_published_means_are_those_in_print(place: tuple[str, ...]) -> None:
    known = means(*place)
    assert len(known) == 19
    for method, number in PINNED[place].items():
        assert known[f"ambiguity_over_runs/{method}"] == number


CHOSEN = {
    ("experiment=context_free", "task.grammar=L7", "analysis.clusterings.by=height"): {"clusterings/k_means_8": 0.323},
    ("experiment=context_free", "analysis.clusterings.by=top"): {},
    ("experiment=context_free", "task.grammar=file"): {},
    ("experiment=clustering_grid_cfg", "task.grammar=L8"): {"clusterings/k_means_8": 0.607}
    | means("context_free", "state"),
    ("experiment=regular",): {"conformance/accuracy": 1.0},
    ("experiment=regular", "task.language=coffee"): {"conformance/accuracy": 1.0},
    ("experiment=regular", "task.language=tomita4"): {},
    ("experiment=regular", "task.language=random"): {},
    ("experiment=clustering_quick", "task.index=7"): {"conformance/accuracy": 1.0, "clusterings/k_means_8": 0.0},
    ("experiment=clustering_quick", "task.index=4"): {},
    ("experiment=tomita7_ambiguity", "task.index=3"): {"test/accuracy": 0.9985},
    ("experiment=clustering_grid", "task.language=angluin"): means("regular"),  # of the grid
    ("experiment=construction_noise",): {"noise_dose/clean_accuracy": 1.0},
    ("experiment=construction_noise", "model.noise=0.5", "task.language=random"): {
        "retraining/retrained_accuracy": 1.0
    },
    ("experiment=construction_noise", "model.noise=.1"): {
        "noise_dose/clean_accuracy": 1.0,
        "retraining/retrained_accuracy": 1.0,
    },
}


@pytest.mark.parametrize("overrides", CHOSEN)
def test_what_is_expected_belongs_to_what_was_chosen(overrides: tuple[str, ...]) -> None:
    assert {name: entry.number for name, entry in numbered(composed(*overrides)).items()} == CHOSEN[overrides]


@pytest.mark.ci
def test_nothing_is_expected_of_a_language_that_nothing_was_published_of() -> None:
    few = [f"task.{name}=100" for name in ("words", "val_words", "test_words")]
    cfg = composed("experiment=regular", "task.language=tomita4", "name=some", "analysis=[]", *few)
    assert prepare_run(resolve(cfg), masked(cfg)).expected == {}


def test_what_is_expected_of_a_set_is_not_compared_with_a_run() -> None:
    few = [f"task.{name}=100" for name in ("words", "val_words", "test_words")]
    cfg = composed("experiment=clustering_grid", "name=some", *few)
    setup = prepare_run(resolve(cfg), masked(cfg))
    assert list(setup.sets) == ["ambiguity_over_runs"] and "clusterings/k_means_8" in setup.expected
    assert not [name for name in setup.expected if name.startswith("ambiguity_over_runs/")]


def test_networks_of_a_group_have_the_settings_and_numbers_of_their_group_and_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By group and seed: share of training pairs, and excluded losses as published and as corrected."""
    cfg = composed("experiment=groups_table", "analysis=[]")
    choices = OmegaConf.create({"hydra": {"runtime": {"choices": {"model": "group_mlp"}}}})
    monkeypatch.setattr(HydraConfig.instance(), "cfg", choices)
    for name, seed, share, number, right in (("C118", 3, 0.3, 1.0, None), ("A5", 4, 0.5, 0.9914, 1.0)):
        cfg.task.group, cfg.seed = name, seed
        found = numbered(cfg)["irreps/embed_x_fve"]
        assert cfg.task.train_fraction == share and cfg.task.seed == cfg.model.seed == seed
        assert found.corrected == right and found.published == pytest.approx(number, abs=2e-3)
    cfg.task.group = "S4"  # has no published network
    assert not numbered(cfg) and (cfg.task.train_fraction, cfg.trainer.max_steps) == (0.4, 250_000)


def test_a_large_dose_of_noise_is_trained_as_long_as_published() -> None:
    """And ends sooner once the network is right, so that small doses do not take longer than they need."""
    trainer = composed("experiment=construction_noise", "model.noise=0.5").trainer
    assert (trainer.max_steps, trainer.stop_at) == (98_000, 1.0)


def test_the_tables_name_grammars_that_there_are() -> None:
    tables = OmegaConf.load(config_dir() / "published" / "context_free.yaml").k_means_8
    assert all(set(table) == set(STATES) for table in tables.values())


def test_a_number_at_the_end_of_the_tolerance_is_within_it() -> None:
    """Though .98 + .02 is below 1 in floating point."""
    expected = {"test/accuracy": Expected(published=0.98, tolerance=0.02)}
    assert 1.0 - 0.98 > 0.02 and compare(expected, {"test/accuracy": 1.0}, {})["test/accuracy"]["within"]
    assert not compare(expected, {"test/accuracy": 0.9599}, {})["test/accuracy"]["within"]
