"""All irreducible representations of a finite group."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from mechlab.core.errors import ConfigError
from mechlab.groups.alternating import alternating_irreps
from mechlab.groups.closed_forms import cyclic_irreps, dihedral_irreps
from mechlab.groups.finite_group import Group
from mechlab.groups.irrep import Irrep
from mechlab.groups.names import group as named_group
from mechlab.groups.verification import verify
from mechlab.groups.young import symmetric_irreps

__all__ = ["Irrep", "irreps"]

CONSTRUCTIONS: dict[str, Callable[[Group], list[Irrep]]] = {
    "C": cyclic_irreps,
    "D": dihedral_irreps,
    "S": symmetric_irreps,
    "A": alternating_irreps,
}


def irreps(group: Group) -> list[Irrep]:
    """Return the irreducible representations of a group over the real numbers, the trivial one first.

    The names are those of the literature for C_n, D_n and S_n, where the table is that of the family.

    Raises:
        ConfigError: there is no construction for the group, or its result fails a check (`verification.verify`).
    """
    return list(_constructed(_Request(_family(group), group.digest, group)))


@dataclass(frozen=True)
class _Request:
    """What decides the irreps and their names: the table and, for a group of a family, which one it is."""

    family: str
    digest: str
    group: Group = field(compare=False)


@functools.lru_cache(maxsize=8)
def _constructed(request: _Request) -> tuple[Irrep, ...]:
    if request.family not in CONSTRUCTIONS:
        fix = "choose a cyclic, dihedral or symmetric group"
        raise ConfigError("the group must have a construction", got=request.group.name, key="task.group", fix=fix)
    result = CONSTRUCTIONS[request.family](request.group)
    verify(request.group, result)
    return tuple(result)


def _family(group: Group) -> str:
    """Return the letter of the family that has exactly this table and these elements under the group's name, or ''."""
    match = re.fullmatch(r"([A-Z])_?\d+", group.name)
    if not match or match[1] not in CONSTRUCTIONS:
        return ""
    member = named_group(group.name)
    same = member is group or (member.digest == group.digest and member.elements == group.elements)
    return match[1] if same else ""
