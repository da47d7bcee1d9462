"""Essence networks: layers of pairwise separators, fitted without gradients."""

from __future__ import annotations

import numpy as np

from mechlab.core.errors import ConfigError
from mechlab.distill.separators import Kind, dividing, separator, tightened
from mechlab.distill.subconcepts import merged

ROUNDING = 1e-9  # of least squares, relative to the largest weight
UNITS = 50_000  # differentia units of one network


def essence_network(
    points: np.ndarray,
    concepts: np.ndarray,
    subconcepts: np.ndarray,
    kind: Kind = "margin",
    groups: np.ndarray | None = None,
    outputs: int | np.ndarray | None = None,
) -> list[np.ndarray]:
    """Return the three layers (n_in + 1, n_out) of an essence network, biases in the last rows.

    Layer D has a separator of the samples of each pair of subconcepts of different concepts, in lexicographic order;
    layer S one of each subconcept from all samples of other concepts, by their signs in D; the last layer one of each
    concept from the others, by their signs in S.

    Args:
        points: samples (n, d).
        concepts: of each sample (n,), int.
        subconcepts: of each sample (n,), int; no two concepts share one.
        kind: of separators.
        groups: of each sample (n,), int: units of D compare subconcepts of one group, and units of S read units of D of
            their own group. All samples are one group by default.
        outputs: number of outputs, where concepts are classes below it; or values (n, k) of k outputs, which the last
            layer approximates by least squares. By default a single output, positive for the larger of two concepts.

    Raises:
        ConfigError: there are more pairs than UNITS.

    Source: Blazek and Lin, "Explainable neural networks that simulate reasoning", Nature Computational Science 1
    (2021).
    """
    labels, first = _numbered(concepts, subconcepts)
    kinds, parts = concepts[first], np.zeros(len(first), int) if groups is None else groups[first]
    differentia, pairs = _differentia(points, labels, kinds, parts, kind)
    if not len(pairs):
        return constant_network(points.shape[1], concepts, outputs)
    codes, read = signs(points, differentia), parts[pairs[:, 0]]
    subconcept = np.zeros((len(pairs) + 1, len(first)))
    for a in range(len(first)):
        inside = np.flatnonzero(read == parts[a])
        if not len(inside):  # nothing to compare with
            subconcept[-1, a] = -1
            continue
        own, others = codes[np.ix_(labels == a, inside)], codes[np.ix_(concepts != kinds[a], inside)]
        subconcept[np.append(inside, len(pairs)), a] = separator(kind, own, others)
    return [differentia, subconcept, concept_layer(signs(codes, subconcept), concepts, kind, outputs)]


def merged_network(
    points: np.ndarray, concepts: np.ndarray, kind: Kind = "margin", outputs: int | None = None
) -> list[np.ndarray]:
    """Return the layers of an essence network of few units; see `essence_network` for the arguments.

    Subconcepts are merged while they are separable in pairs. Units of D without which the concepts remain as separable
    are left out, and in S all subconcepts are merged that remain separable from the samples of other concepts; two
    concepts need units of S for one of them alone. Thresholds of S are beside the subconcept's own samples. Where D
    does not separate the concepts, the network is the `essence_network` of the merged subconcepts.
    """
    if len(np.unique(concepts)) == 1:
        return constant_network(points.shape[1], concepts, outputs)
    subconcepts = merged(points, concepts)
    labels, first = _numbered(concepts, subconcepts)
    differentia = _distinct(_differentia(points, labels, concepts[first], np.zeros(len(first), int), kind)[0])
    codes = signs(points, differentia)
    chosen = list(range(differentia.shape[1]))
    parts = _parts(codes, concepts)
    if parts is None:
        return essence_network(points, concepts, subconcepts, kind, outputs=outputs)
    for unit in reversed(chosen[1:] if len(np.unique(concepts)) == 2 else []):
        rest = [k for k in chosen if k != unit]
        if (fewer := _parts(codes[:, rest], concepts)) is not None and len(fewer) <= len(parts):
            chosen, parts = rest, fewer
    codes = codes[:, chosen]
    columns = [separator(kind, codes[part], codes[concepts != concepts[part][0]]) for part in parts]
    subconcept = np.stack([tightened(column, codes[part]) for column, part in zip(columns, parts, strict=True)], 1)
    return [differentia[:, chosen], subconcept, concept_layer(signs(codes, subconcept), concepts, kind, outputs)]


def concept_layer(
    codes: np.ndarray, concepts: np.ndarray, kind: Kind, outputs: int | np.ndarray | None = None
) -> np.ndarray:
    """Return the last layer (n_in + 1, n_out) for the signs (n, n_in) of samples; see `essence_network`.

    A class without samples has a constant output below all others.
    """
    if isinstance(outputs, np.ndarray):
        mean, centre = outputs.mean(0), codes.mean(0)
        weight = np.linalg.lstsq(codes - centre, outputs - mean, rcond=None)[0]
        layer = np.concatenate([weight, (mean - centre @ weight)[None]])
        return np.where(np.abs(layer) > ROUNDING * np.abs(layer).max(), layer, 0.0)
    if outputs is None:
        positive = concepts == concepts.max()
        return separator(kind, codes[positive], codes[~positive])[:, None]
    layer = np.zeros((codes.shape[1] + 1, outputs))
    present = np.unique(concepts)
    for concept in present:
        layer[:, concept] = separator(kind, codes[concepts == concept], codes[concepts != concept])
    absent = np.setdiff1d(np.arange(outputs), present)
    layer[-1, absent] = -1 - np.abs(layer).sum(0).max()
    return layer


def constant_network(inputs: int, concepts: np.ndarray, outputs: int | np.ndarray | None = None) -> list[np.ndarray]:
    """Return the layers of a network of one unit for samples of a single concept; 0 is the negative one of a single
    output."""
    if isinstance(outputs, np.ndarray):
        bias = outputs.mean(0)
    elif outputs is None:
        bias = np.array([1.0 if concepts[0] else -1.0])
    else:
        bias = np.where(np.arange(outputs) == concepts[0], 1.0, -1.0)
    return [np.append(np.zeros(inputs), 1.0)[:, None], np.array([[1.0], [0.0]]), np.stack([0 * bias, bias])]


def signs(points: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """Return the signs (n, n_out) of a layer's outputs for points (n, n_in)."""
    return np.sign(points @ layer[:-1] + layer[-1])


def _numbered(concepts: np.ndarray, subconcepts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return subconcepts (n,) numbered concept by concept, and the first sample of each."""
    names, first, labels = np.unique(subconcepts, return_index=True, return_inverse=True)
    order = np.lexsort((names, concepts[first]))
    return np.argsort(order)[labels], first[order]


def _differentia(
    points: np.ndarray, labels: np.ndarray, kinds: np.ndarray, parts: np.ndarray, kind: Kind
) -> tuple[np.ndarray, np.ndarray]:
    """Return layer D, and the pair of subconcepts (D, 2) that each of its units separates."""
    compared = (kinds[:, None] < kinds) & (parts[:, None] == parts)
    pairs = np.argwhere(compared)
    if len(pairs) > UNITS:
        must, fix = f"an essence network must have at most {UNITS} pairs of subconcepts", "use fewer subconcepts"
        raise ConfigError(must, got=len(pairs), key="model.subconcepts", fix=fix)
    members = [points[labels == a] for a in range(len(kinds))]
    columns = [separator(kind, members[a], members[b]) for a, b in pairs]
    return np.stack(columns, 1) if columns else np.zeros((points.shape[1] + 1, 0)), pairs


def _distinct(layer: np.ndarray) -> np.ndarray:
    """Return a layer without units that repeat an earlier one, or its negative."""
    seen: dict[bytes, int] = {}
    for unit, column in enumerate(layer.T + 0.0):
        if column.tobytes() not in seen and (0.0 - column).tobytes() not in seen:
            seen[column.tobytes()] = unit
    return layer[:, list(seen.values())]


def _parts(codes: np.ndarray, concepts: np.ndarray) -> list[np.ndarray] | None:
    """Return masks (n,) of the unions of subconcepts that are separable from all samples of other concepts: of every
    concept, or of the one of two that has fewer. None if a code belongs to two concepts, or is not separable."""
    distinct, inverse = np.unique(codes, axis=0, return_inverse=True)
    owners = [np.unique(inverse[concepts == concept]) for concept in np.unique(concepts)]
    if sum(map(len, owners)) > len(distinct):
        return None
    parts = []
    for own in owners:
        unions = _unions(distinct, own, np.setdiff1d(np.arange(len(distinct)), own))
        if unions is None:
            return None
        parts.append([np.isin(inverse, union) for union in unions])
    return min(parts[::-1], key=len) if len(parts) == 2 else [part for own in parts for part in own]


def _unions(distinct: np.ndarray, own: np.ndarray, others: np.ndarray) -> list[list[int]] | None:
    """Return unions of a concept's codes, each separable from the codes of other concepts."""
    unions: list[list[int]] = []
    if dividing(distinct[own], distinct[others]) is not None:
        return [list(own)]
    for code in own:
        for union in unions:
            if dividing(distinct[[*union, code]], distinct[others]) is not None:
                union.append(code)
                break
        else:
            if dividing(distinct[[code]], distinct[others]) is None:
                return None
            unions.append([code])
    return unions
