"""All irreducible representations of a finite group."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from mechlab.core.errors import ConfigError
from mechlab.groups.alternating import alternating_irreps
from mechlab.groups.closed_forms import cyclic_irreps, dicyclic_irreps, dihedral_irreps
from mechlab.groups.decomposition import general_irreps
from mechlab.groups.finite_group import Group
from mechlab.groups.irrep import Irrep
from mechlab.groups.names import group as named_group
from mechlab.groups.structure import lettered
from mechlab.groups.verification import verify
from mechlab.groups.young import symmetric_irreps

__all__ = ["Irrep", "irreps"]


def irreps(group: Group) -> list[Irrep]:
    """Return the irreducible representations of a group over the real numbers, the trivial one first.

    Irreps of C_n, D_n, Dic_n, S_n and A_n have the names of the literature, those of direct products names such as
    sign_x_standard, provided that the table is that of the group of this name. All others are named by dimension. The
    arrays are shared by all calls, and read-only.

    Raises:
        ConfigError: the result fails a check (see `verification.verify`), or does not fit into memory.
    """
    family, member = _member(group)
    return list(_constructed(_Request(family, group.digest, member)))


@dataclass(frozen=True)
class _Request:
    """What decides the irreps and their names: the table and, for a group of a family, which one it is."""

    family: str
    digest: str
    group: Group = field(compare=False)


@functools.lru_cache(maxsize=8)
def _constructed(request: _Request) -> tuple[Irrep, ...]:
    result = CONSTRUCTIONS.get(request.family, general_irreps)(request.group)
    verify(request.group, result)
    return tuple(result)


def _member(group: Group) -> tuple[str, Group]:
    """Return the family that a group's name states, and its member of this name, if that has exactly this table;
    otherwise no family, and the group."""
    parts = group.name.split("x")
    family = "product" if len(parts) > 1 else "".join(re.findall("^(C|D|Dic|Q|S|A)(?=[0-9]+$)", group.name))
    if not family or not all(re.fullmatch("[A-Za-z]+[0-9_]+", part) for part in parts):
        return "", group
    try:
        member = named_group(group.name)
    except ConfigError:
        return "", group
    return (family, member) if member.digest == group.digest else ("", group)


def _product_irreps(group: Group) -> list[Irrep]:
    """The irreps of a direct product, named after those irreps of the factors that they restrict to multiples of."""
    factors = [named_group(name) for name in group.name.split("x")]
    numbers = np.arange(group.order).reshape([factor.order for factor in factors])
    parts = general_irreps(group)
    places, names = [], []  # for each factor, the irrep that each part restricts to
    for axis, factor in enumerate(factors):
        others: list[int | slice] = [other.identity for other in factors]
        others[axis] = slice(None)
        restricted = np.array([rho.character[numbers[tuple(others)]] for rho in parts])
        candidates = irreps(factor)
        places.append((restricted @ np.array([rho.character for rho in candidates]).T).argmax(1))
        names.append([candidates[place].name for place in places[-1]])
    joined = ["_x_".join(row) for row in zip(*names, strict=True)]
    order = np.lexsort((*reversed(places), [rho.dimension for rho in parts]))
    final = ["trivial", *lettered([joined[part] for part in order[1:]])]
    return [replace(parts[part], name=name) for part, name in zip(order, final, strict=True)]


CONSTRUCTIONS: dict[str, Callable[[Group], list[Irrep]]] = {
    "C": cyclic_irreps,
    "D": dihedral_irreps,
    "Dic": dicyclic_irreps,
    "Q": dicyclic_irreps,
    "S": symmetric_irreps,
    "A": alternating_irreps,
    "product": _product_irreps,
}
