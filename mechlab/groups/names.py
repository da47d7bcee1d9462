"""Groups by name."""

from __future__ import annotations

import functools
import re

from mechlab.core.errors import ConfigError
from mechlab.groups.families import FAMILIES, check_size, direct_product
from mechlab.groups.finite_group import Group


@functools.lru_cache(maxsize=16)
def group(name: str) -> Group:
    """Return the group with a name.

    Args:
        name: a cyclic, dihedral, symmetric or alternating group, such as C113, D59 (of order 118), S5 and A5; or a
            direct product of these, such as C3xS3.

    Raises:
        ConfigError: there is no such group, or its table does not fit into memory.
    """
    if "x" in name:
        return direct_product(*(group(part) for part in name.split("x")))
    match = re.fullmatch(r"([A-Z])_?(\d{1,6})", name)
    if not match or match[1] not in FAMILIES:
        fix = "such as S5, A5, C113, D59 or C3xS3"
        raise ConfigError("a group must be named", got=repr(name), key="task.group", fix=fix)
    check_size(name, int(match[2]))
    return FAMILIES[match[1]](int(match[2]))
