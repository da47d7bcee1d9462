"""Ambiguity over many networks: by method, against accuracy and against the epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mechlab.record.files import write_text
from mechlab.reporting.collect import read_curves
from mechlab.reporting.networks import ANALYSIS, HELD_OUT, Network, Survey
from mechlab.reporting.pictures import drawn
from mechlab.reporting.rows import Row, write_csv
from mechlab.reporting.table import Mean, Number, Table, count
from mechlab.statistics.bootstrap import Summary
from mechlab.statistics.correlation import RESAMPLES, cluster_interval, line, mean, pearson, spearman, whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "ambiguity"
SHOWN = ("k_means_8", "lda", "DBSCAN", "k_means_4")  # methods whose curves are drawn; else the first ones
MOST = 3
EVERYTHING = "all"
OVER_CHECKPOINTS = f"analyses/{ANALYSIS}/moments/over_training.csv"
OVER_TRAINING = "analyses/states_over_training/training.csv"


def method_rows(survey: Survey) -> Iterator[Row]:
    """Yield each method with all networks, then with those of each type of cell, if there are several."""
    for kind in (EVERYTHING, *(survey.kinds if len(survey.kinds) > 1 else ())):
        for method in survey.methods:
            networks = survey.with_method(method, None if kind == EVERYTHING else kind)
            if networks:
                yield {"cell_type": kind, "method": method, **_spread(networks, method)}


def _spread(networks: Sequence[Network], method: str) -> Row:
    values = np.array([network.ambiguity[method] for network in networks])
    automata = [network.automaton for network in networks]
    low, high = cluster_interval(lambda weights: mean(values, weights), automata)
    return {
        "networks": len(values),
        "automata": len(set(automata)),
        "mean": float(values.mean()),
        "low": low,
        "high": high,
        "std": float(values.std(ddof=1)) if len(values) > 1 else None,
        "median": float(np.median(values)),
        "max": float(values.max()),
        "zeros": int((values == 0).sum()),
        "zero_share": float((values == 0).mean()),
    }


def correlation_rows(survey: Survey) -> Iterator[Row]:
    """Yield how the ambiguity of each method goes with the accuracy."""
    for method in survey.methods:
        accuracy, ambiguity, networks = survey.pairs(method)
        if len(networks) < 2:
            continue
        automata = [network.automaton for network in networks]
        slope, intercept = line(accuracy, ambiguity) or (None, None)
        row = {"method": method, "accuracy": survey.metric, "networks": len(networks), "automata": len(set(automata))}
        for name, statistic in (("pearson", pearson), ("spearman", spearman)):

            def of(weights: np.ndarray, statistic: Any = statistic, pair: Any = (accuracy, ambiguity)) -> np.ndarray:
                return statistic(*pair, weights)

            low, high = cluster_interval(of, automata)
            row |= {name: whole(of, len(networks)), f"{name}_low": low, f"{name}_high": high}
        yield {**row, "slope": slope, "intercept": intercept}


def methods_table(rows: Sequence[Row]) -> Table:
    """Return the table of methods, in groups by type of cell."""
    columns = ["method", "networks", "automata", "mean", "sd", "max", "zeros", "share of zeros"]
    groups = []
    for kind in dict.fromkeys(row["cell_type"] for row in rows):
        lines = [
            [
                row["method"],
                Number(row["networks"]),
                Number(row["automata"]),
                Mean(Summary((), row["mean"], row["low"], row["high"])),
                Number(row["std"]),
                Number(row["max"]),
                Number(row["zeros"]),
                Number(row["zero_share"]),
            ]
            for row in rows
            if row["cell_type"] == kind
        ]
        groups.append(("all networks" if kind == EVERYTHING else kind, lines))
    caption = "Weighted ambiguity by method; the interval of the mean resamples automata"
    return Table(f"{NAME}-methods", caption, columns, groups if len(groups) > 1 else [(None, groups[0][1])])


def correlation_table(rows: Sequence[Row], metric: str) -> Table:
    """Return the table of correlations."""
    columns = ["method", "networks", "automata", "Pearson", "Spearman", "slope"]
    lines = []
    for row in rows:
        found = [(row[name], row[f"{name}_low"], row[f"{name}_high"]) for name in ("pearson", "spearman")]
        means = [Mean(None if value is None else Summary((), value, low, high)) for value, low, high in found]
        lines.append([row["method"], Number(row["networks"]), Number(row["automata"]), *means, Number(row["slope"])])
    caption = f"Weighted ambiguity against {metric}; intervals resample automata"
    return Table(f"{NAME}-accuracy", caption, columns, [(None, lines)])


def figures(survey: Survey, correlations: Sequence[Row]) -> Iterator[tuple[str, Figure, str]]:
    """Yield (name, figure, text) of the boxes, of ambiguity against accuracy, and of ambiguity against the epoch."""
    from mechlab.plotting.report import Learning, learning
    from mechlab.plotting.survey import against_accuracy, boxes

    values = {method: [one.ambiguity[method] for one in survey.with_method(method)] for method in survey.methods}
    yield "methods", boxes(values), f"Weighted ambiguity of {len(survey.networks)} networks by method"
    of_method = {row["method"]: row for row in correlations}
    chosen = _chosen(survey.methods)
    for method in chosen:
        if method in of_method:
            accuracy, ambiguity, networks = survey.pairs(method)
            kinds = [network.kind for network in networks]
            figure = against_accuracy(method, survey.metric, accuracy, ambiguity, kinds, of_method[method])
            yield f"accuracy-{method}", figure, f"ambiguity of {method} against {survey.metric}"
    curves = [(network, epoch_curves(network)) for network in survey.networks]
    for method in chosen:
        cells = [
            Learning(kind, [read[method] for network, read in curves if network.kind == kind and method in read])
            for kind in survey.kinds
        ]
        cells = [cell for cell in cells if cell.runs]
        if cells:
            figure = learning(f"ambiguity of {method}", cells, "epoch", named=True)
            yield f"epochs-{method}", figure, f"ambiguity of {method} against the epoch, by type of cell"


def epoch_curves(network: Network) -> dict[str, tuple[list[float], list[float]]]:
    """Return (epochs, ambiguities) by method: over the checkpoints that were asked about, else as logged while
    training, else of the states over training. Nothing where a curve would be a point."""
    record = network.record
    length = _epoch(network)
    if length is None:
        return {}
    known = set(network.ambiguity)
    multiple = record.config.get("analysis.states_over_training.multiple")
    renamed = {"weighted": f"k_means_{multiple:g}"} if isinstance(multiple, int | float) else {}
    sources = [
        ("metrics.csv", {f"{ANALYSIS}/{name}": name for name in known}),
        (OVER_CHECKPOINTS, {name: name for name in known}),
        (OVER_TRAINING, {**renamed, "lda": "lda", f"lda{HELD_OUT}": f"lda{HELD_OUT}"}),
    ]
    found: dict[str, tuple[list[float], list[float]]] = {}
    for file, names in sources:
        if (record.folder / file).is_file():
            read = read_curves(record, lambda columns, names=names: [name for name in columns if name in names], file)
            for column, (steps, values) in read.items():
                if len(steps) > 1 and len(steps) > len(found.get(names[column], ([],))[0]):
                    found[names[column]] = [step / length for step in steps], values
    return found


def part(survey: Survey, folder: Path) -> Iterator[str]:
    """Yield the part of the page, and write its tables and figures."""
    yield f'<section id="{NAME}">\n<h2>Ambiguity over networks</h2>\n<p>{escape(_told(survey))}</p>\n'
    if not survey.networks:
        yield "</section>\n"
        return
    methods, correlations = list(method_rows(survey)), list(correlation_rows(survey))
    write_csv(folder / f"{NAME}_methods.csv", ("cell_type", "method"), methods)
    write_csv(folder / f"{NAME}_accuracy.csv", ("method", "accuracy"), correlations)
    tables = [methods_table(methods), *([correlation_table(correlations, survey.metric)] if correlations else [])]
    for table in tables:
        write_text(folder / f"{table.name}.tex", table.latex())
        yield table.html()
    yield '<div class="plots">\n'
    for name, figure, text in figures(survey, correlations):
        yield f"<figure>{drawn(figure, folder / 'figures' / f'{NAME}-{name}', text)}</figure>\n"
    yield "</div>\n<figcaption>Boxes reach from the lower to the upper quartile, whiskers to the most extreme network "
    yield "within 1.5 times their distance. Lines are least-squares fits over all networks. Intervals are percentiles "
    yield f"of {RESAMPLES:,} resamples of automata, each with all its networks: networks of one automaton are not "
    yield "independent. With few automata they are too narrow.</figcaption>\n</section>\n"


def _told(survey: Survey) -> str:
    networks, filters = survey.networks, survey.filters.told
    start = f"{count(len(networks), 'network')} of {survey.automata} automata"
    rest = f" of the {survey.found} whose states were clustered pass the filters {filters}" if filters else ""
    if not networks:
        return f"None of the {survey.found} networks whose states were clustered passes the filters {filters}."
    return f"{start}{rest}. Accuracy is {survey.metric}."


def _chosen(methods: Sequence[str]) -> list[str]:
    known = [method for method in SHOWN if method in methods]
    return (known or list(methods))[:MOST]


def _epoch(network: Network) -> float | None:
    """Return how many optimiser steps an epoch has: as configured, else where the first validation was."""
    record = network.record
    if isinstance(steps := record.config.get("trainer.steps_per_epoch"), int):
        return steps
    read = read_curves(record, lambda columns: [name for name in columns if name == "val/loss"])
    steps = [step for step in read.get("val/loss", ([], []))[0] if step > 0]
    return steps[0] if steps else None
