"""Sizes of trials: as small as they can be with the analysis still meaningful."""

from __future__ import annotations

from typing import Any

STEPS = 4  # of training
WORDS = {"words": 200, "val_words": 60, "test_words": 60, "max_length": 8}
BINDING = {"d": 3, "s": 3, "horizon": 6}
ATTRIBUTION = {"examples": 2, "nodes": 1, "tolerance": None}
TINY: dict[str, dict[str, Any]] = {
    "task/automaton": WORDS,
    "task/tomita": WORDS,
    "task/context_free": WORDS,
    "task/group_words": WORDS,
    "task/arithmetic": {"d": 4, "repeats": 2},
    "task/cellular_automaton": {"size": 6, "examples": 30, "held_out": 20},
    "task/boolean": {"examples": 30, "held_out": 20},
    "task/argmax": {"n": 4, "held_out": 50},
    "task/clock_automaton": {"steps": 12},
    "task/compose_copy": {"d": 4, "s": 4, "horizon": 6},
    "task/copying_memory": {"s": 3, "delay": 4},
    "task/digits": {"classes": [3, 8]},
    "task/dynamical_system": BINDING,
    "task/fibonacci": BINDING,
    "task/game_of_life": {"n": 3, "horizon": 4},
    "task/game_of_life_scanning": {"d": 3, "horizon": 6},
    "task/group": {"group": "A4"},
    "task/integer_fibonacci": {"d": 4, "horizon": 6},
    "task/life": {"size": 5, "examples": 40, "held_out": 20},
    "task/linear_binding": {"horizon": 6},
    "task/logic": {"s": 4},
    "task/maxsat": {"variables": 4, "held_out": 40},
    "task/modular_addition": {"p": 13},
    "task/orientation": {"size": 12, "held_out": 20},
    "task/phases": {"d": 3, "horizon": 6},
    "task/repeat_copy": {"d": 3, "s": 3, "repeats": 2},
    "model/smallest_mlp_rnn": {"starts": 2, "steps": 20, "rounds": 2, "tries": 1},
    "model/mlp": {"embedding": 16},
    "model/group_mlp": {"embedding": 16},
    "model/group_transformer": {"heads": 2, "head_width": 8},
    "model/threshold_network": {"widths": [16, 8]},
    "model/resnet9": {"width": 4},
    "model/wrnn": {"channels": 2},
    "model/causal_transformer": {"layers": 1, "heads": 2},
    "analysis/ambiguity": {"curve": [], "bootstrap": 20, "causal": 2, "n_init": 1, "words": 60},
    "analysis/clusterings": {"words": 60},
    "analysis/pictures": {"words": 60, "points": 30, "reduce": ["pca"], "dimensions": [2], "trajectories": 1},
    "analysis/states_over_training": {"words": 60, "frames": 3},
    "analysis/extraction": {"words": 60, "tests": 50, "queries": 100, "agreement_words": 100, "rounds": 3, "extra": 0},
    "analysis/conformance": {"words": 100, "lengths": [7, 9]},
    "analysis/noise_dose": {"doses": [0.1], "repeats": 2, "words": 60, "evaluation_words": 60, "n_init": 1},
    "analysis/retraining": {"words": 60, "long_words": 60},
    "analysis/state_irreps": {"words": 60, "permutations": 100},
    "analysis/causal": {"sequences": 30, "horizon": 10, "flip_horizon": 10, "draws": 2, "dose_sequences": 5},
    "analysis/dynamics": {
        **{"horizon": 200, "sequences": 20, "trajectories": 5, "transient": 10, "steps": 20, "starts": 4},
        **{"longest_period": 10, "noise_levels": [0.1], "noise_steps": 20, "exponents": 4},
    },
    "analysis/spectrum": {"draws": 20},
    "analysis/spectrum_over_training": {"frames": 3, "examples": 10, "tracked": 4},
    "analysis/variable_memories": {"sequences": 60, "after": 10},
    "analysis/binding_table": {"horizon": 10},
    "analysis/input_gradients": {"examples": 20},
    "analysis/agreement": {"examples": 8, "tolerance": None},
    "analysis/balance": {**ATTRIBUTION, "slice_steps": 2},
    "analysis/beyond_labels": {
        "examples": 8,
        "divisions": 2,
        "resamples": 20,
        "permutations": 20,
    },
    "analysis/components": {"examples": 8, "nodes": 1, "permutations": 20, "resamples": 20},
    "analysis/datamodel": {
        **{"examples": 2, "retrainings": [4], "weightings": 2, "ceiling": 0, "subsets": 4, "resamples": 20},
        **{"workers": 1},
    },
    "analysis/datamodeling": {
        **{"examples": 2, "compared": ["path_kernel", "metagradient", "tracin"], "fractions": [0.1], "subsets": 2},
        **{"leave_one_out": 2, "other_seeds": 0, "resamples": 20, "tolerance": None, "workers": 1},
    },
    "analysis/metagradient": {"examples": 2},
    "analysis/path_kernel": ATTRIBUTION,
    "analysis/periodicity": {"examples": 20, "nodes": 1, "permutations": 20, "slices": 0},
    "analysis/pruning": {"examples": 16, "repeats": 2, "kept": [0.5], "at": 0.5},
    "analysis/swap": {"examples": 20, "steps": 3},
    "analysis/phases": {"resamples": 10},
    "analysis/certify": {"most": 3},
    "analysis/cosets": {"partitions": 20, "draws": 2, "pairs": 100},
    "analysis/neurons": {"pairs": 200, "steps": 2},
    "analysis/irreps": {"checkpoints": 3},
    "analysis/families": {"n": 50},
    "analysis/maxsat_table": {"instances": 5, "trials": 2, "clauses": [8]},
    "analysis/distill": {"samples": 1000, "test_examples": 100},
    "analysis/distill_sizes": {"samples": 500, "test_examples": 100},
    "analysis/distill_rnn": {"samples": 5000},
}
FIRST_TASKS = (  # in the order in which an analysis is tried on a model
    *("tomita", "repeat_copy", "group_words", "mips"),
    *("modular_addition", "group", "cellular_automaton", "digits", "orientation", "maxsat"),
)
SETTINGS = {  # overrides with which an analysis can be run on a task, or on a model
    **{
        ("beyond_labels", name): "task.supervise=last"
        for name in ("automaton", "context_free", "group_words", "tomita")
    },
    **{(name, "causal_transformer"): "model.context=30" for name in ("conformance", "extraction", "noise_dose")},
    **{(name, "causal_transformer"): "model.context=1000" for name in ("distill_rnn", "mips_table")},
}
