"""Tables and numbers of the terms of a path-kernel decomposition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from mechlab.kernels.decomposition import PathKernelDecomposition
    from mechlab.record.artifacts import Artifacts

ALWAYS = ("data", "decay", "clipping", "residual", "arithmetic")
OF_CHOSEN_STEPS = ("earlier", "rest")


def terms_of(result: PathKernelDecomposition, chosen: bool) -> dict[str, np.ndarray]:
    """Return the terms (X, C) by name, whose sum is the change of the scalars.

    Args:
        chosen: whether chosen steps are explained, so that there are terms of the others.
    """
    return {name: getattr(result, name) for name in (*ALWAYS, *(OF_CHOSEN_STEPS if chosen else ()))}


def table_of_terms(result: PathKernelDecomposition, terms: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return a row for the movement and for each term: its mean with sign over the explained scalars, the mean of its
    absolute values, the share of these in those of all terms, and its mean in units of the movement's."""
    import pandas as pd

    movement = result.final - result.initial
    total = _nonzero(sum(np.abs(term).mean() for term in terms.values()))
    rows = [
        {
            "term": name,
            "sum": term.mean(),
            "size": np.abs(term).mean(),
            "share": np.nan if name == "movement" else np.abs(term).mean() / total,
            "of_movement": term.mean() / movement.mean() if movement.mean() else np.nan,
        }
        for name, term in {"movement": movement, **terms}.items()
    ]
    return pd.DataFrame(rows)


def save_decomposition(
    out: Artifacts, result: PathKernelDecomposition, terms: dict[str, np.ndarray], groups: dict[str, list[str]]
) -> None:
    """Save the arrays of a decomposition, and its tables by term, step, component and tensor.

    Args:
        groups: names of the tensors of each component.
    """
    import pandas as pd

    sums = {name: term for name, term in terms.items() if name != "data"}  # that is the sum of the influences
    arrays = {name: getattr(result, name) for name in ("initial", "final", "influence")} | sums
    arrays |= {"uncorrected": result.by_step["uncorrected"].sum(0), "gaps": result.gaps}
    arrays |= {f"influence_by_group.{name}": value for name, value in result.influence_by_group.items()}
    if result.influence_by_bin is not None:
        arrays["influence_by_bin"] = result.influence_by_bin
    if result.scores is not None:
        arrays |= {"scores": result.scores, "decay_scores": result.decay_scores}
    out.save_arrays("account", **arrays, **{f"by_tensor.{k}": v for k, v in result.by_tensor.items()})
    by_step = {f"by_step.{name}": value for name, value in result.by_step.items()}
    by_tensor = {} if result.data_by_step is None else {"data_by_step": result.data_by_step}
    out.save_arrays("steps", **by_step, **by_tensor)
    out.save_table("steps", table_of_steps(result))
    out.save_table("lines", table_of_terms(result, terms))
    names, places = result.layout.names, {name: i for i, name in enumerate(result.layout.names)}
    by_group = {
        f"{line}:{group}": result.mass[line][:, [places[name] for name in members]].sum(1)
        for line in ("data", "decay")
        for group, members in groups.items()
    }
    out.save_table("mass", pd.DataFrame({"step": result.steps, **by_group}))
    sizes = [place.stop - place.start for place in result.layout.places.values()]
    per_tensor = {line: np.abs(result.by_tensor[line]).mean((0, 1)) for line in ("data", "decay", "clipping")}
    out.save_table("tensors", pd.DataFrame({"tensor": names, "size": sizes, **per_tensor}))


def numbers_of(result: PathKernelDecomposition, terms: dict[str, np.ndarray], secant: bool) -> dict[str, float]:
    """Return the scalars of the finding: sizes, signed sums, residuals in units of the movement, and costs."""
    sizes = {name: float(np.abs(term).mean()) for name, term in terms.items()}
    total = _nonzero(sum(sizes.values()))
    movement = np.abs(result.final - result.initial).mean()
    along = np.abs(result.final - result.initial - result.rest).mean()  # the explained steps
    uncorrected = np.abs(result.by_step["uncorrected"].sum(0)).mean()
    return {
        "movement": float(movement),
        **{f"{name}_share": size / total for name, size in sizes.items()},
        "residual_of_movement": float(sizes["residual"] / along) if along else 0.0,
        **({"uncorrected_of_movement": float(uncorrected / along) if along else 0.0} if secant else {}),
        "arithmetic_of_movement": float(sizes["arithmetic"] / along) if along else 0.0,
        "completeness_error": float(np.abs(result.completeness).max() / total),
        "movement_sum": float((result.final - result.initial).mean()),
        **{f"{name}_sum": float(term.mean()) for name, term in terms.items()},
        **({"explained_share_at_most": explained_share(result)} if "rest" in terms else {}),
        "nodes": float(result.nodes.mean()),
        "evaluations": float(result.evaluations.mean()),
        "steps": float(len(result.nodes)),
    }


def explained_share(result: PathKernelDecomposition) -> float:
    """Return an upper bound on the share of the explained steps in the path length of the scalars, the sum over all
    steps of their absolute changes: along other steps it is at least the change between the ends of each gap."""
    along = np.abs(result.by_step["change"]).sum()
    return float(along / _nonzero(along + np.abs(result.gaps).sum()))


def sentence(terms: dict[str, np.ndarray], movement: np.ndarray) -> str:
    """Return the sum of the terms as a sentence: means over the explained scalars, with their signs."""
    parts = " ".join(f"{term.mean():+.4g} ({name})" for name, term in terms.items())
    return f"The explained outputs move by {movement.mean():+.4g} on average = {parts}."


def table_of_steps(result: PathKernelDecomposition) -> pd.DataFrame:
    """Return a row for each explained step: nodes, and for each term the mean over scalars of its absolute value (by
    its name) and of its value (NAME_sum); masses and norms of the contributions of parameters; and the deviation of the
    predicted from the true change along the step (`single`), and of their sums up to the step (`running`)."""
    import pandas as pd

    single = result.by_step["uncorrected"]
    running = single.cumsum(0)
    columns = {"step": result.steps, "nodes": result.nodes, "evaluations": result.evaluations}
    columns |= {name: np.abs(value).mean((1, 2)) for name, value in result.by_step.items()}
    columns |= {f"{name}_sum": value.mean((1, 2)) for name, value in result.by_step.items()}
    columns["predicted"] = np.abs(result.by_step["change"] - single).mean((1, 2))
    for name in ("data", "decay"):
        columns |= {f"{name}_mass": result.mass[name].sum(1), f"{name}_norm": result.norm[name]}
    for name, errors in {"single": single, "running": running}.items():
        columns |= {f"{name}_mean": np.abs(errors).mean((1, 2)), f"{name}_max": np.abs(errors).max((1, 2))}
    return pd.DataFrame(columns)


def _nonzero(value: float) -> float:
    return max(float(value), np.finfo(float).tiny)
