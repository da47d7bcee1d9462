"""Groups by name."""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Callable

import numpy as np

from mechlab.core.errors import ConfigError, closest
from mechlab.groups.families import (
    alternating,
    cyclic,
    dicyclic,
    dihedral,
    direct_product,
    from_cycles,
    quaternion,
    semidirect_product,
    symmetric,
)
from mechlab.groups.finite_group import Group
from mechlab.groups.isomorphisms import extended
from mechlab.groups.matrices import projective_general_linear, projective_special_linear, special_linear
from mechlab.groups.permutations import permutation_group
from mechlab.groups.tables import is_table, read_group

FAMILIES: dict[str, Callable[[int], Group]] = {
    "C": cyclic,
    "D": dihedral,
    "S": symmetric,
    "A": alternating,
    "Q": quaternion,
    "Dic": dicyclic,
    "SL2": special_linear,
    "PSL2": projective_special_linear,
    "PGL2": projective_general_linear,
}
ALIASES = {
    "cyclic": "C",
    "dihedral": "D",
    "symmetric": "S",
    "alternating": "A",
    "quaternion": "Q",
    "dicyclic": "Dic",
    "Z": "C",
    "Dih": "D",
    "Sym": "S",
    "Alt": "A",
}
LONGEST = 100  # members and signs of a name
MUST = "a group must be given by its name or by a file with its multiplication table"
FIX = "such as S5, D59, Q8, Dic5, SL2_3, C3xS3, C7:C3, perm:0-1-2+0-1 or FILE.csv"
TOKEN = re.compile(r"(?P<member>[A-Za-wyz]+(\(2,\d+\)|2_\d+|_?\d+))|(?P<images>@\d+(\.\d+)*)|[x:()]")


def group(name: str) -> Group:
    """Return the group with a name.

    Args:
        name: one of the following.
            - A member of a family: C113 (cyclic), D59 (dihedral, of order 118), S5, A5, Q8 and Q16 (quaternion, by
              order), Dic5 (dicyclic, of order 20), SL2_3, PSL2_7 and PGL2_5 (matrices modulo a prime; also SL(2,3)).
              The families' full names, such as dicyclic5, are accepted too.
            - A direct product, C3xS3.
            - A semidirect product N:Cm, such as C7:C3. The generator of Cm acts on N = C_n as multiplication by k,
              where the order of k modulo n is the largest that divides m, and k is the smallest such number. N:Cm@k
              sets k; for any N, @ gives the numbers of the images of its `generators`, joined by points, as in
              C2xC2:C3@2.3. The colon joins products: C3xC3:C2 is (C3xC3):C2. Parentheses set another order.
            - Generators of a permutation group: perm:0-1-2-3-4+0-1/2-3 for (0 1 2 3 4) and (0 1)(2 3); also in cycle
              notation, perm:(0 1 2 3 4),(0 1)(2 3). See `permutation_group`.
            - The path of a .csv or .npy file with a multiplication table; see `read_group`.

    Raises:
        ConfigError: there is no such group, or its table does not fit into memory.
    """
    if not isinstance(name, str):
        raise ConfigError(MUST, got=repr(name), key="task.group", fix=FIX)
    return read_group(name) if is_table(name) else _named(name)


@functools.lru_cache(maxsize=16)
def _named(name: str) -> Group:
    if name.startswith("perm:"):
        return _generated(name)
    parser = _Parser(re.sub(r"\s+", "", name))
    product = parser.product()
    if parser.tokens:
        raise parser.error()
    return product


class _Parser:
    """Recursive descent: product = direct (: direct [@ images])*; direct = factor (x factor)*."""

    def __init__(self, name: str):
        self.name, self.tokens, place = name, [], 0
        while match := TOKEN.match(name, place):
            self.tokens.append(match)
            place = match.end()
        if place < len(name) or not name:
            raise self.error(name[place:])
        if len(self.tokens) > LONGEST:
            raise ConfigError(f"the name of a group must have at most {LONGEST} parts", got=name, key="task.group")

    def product(self) -> Group:
        result = self.direct()
        while self._next(":"):
            acting = self.direct()
            images = self.tokens.pop(0)[0][1:] if self.tokens and self.tokens[0]["images"] else None
            result = _semidirect(result, acting, images)
        return result

    def direct(self) -> Group:
        factors = [self.factor()]
        while self._next("x"):
            factors.append(self.factor())
        return factors[0] if len(factors) == 1 else direct_product(*factors)

    def factor(self) -> Group:
        if self._next("("):
            inside = self.product()
            if not self._next(")"):
                raise self.error()
            return inside
        if not self.tokens or not self.tokens[0]["member"]:
            raise self.error()
        return _member(self.tokens.pop(0)[0])

    def error(self, rest: str | None = None) -> ConfigError:
        rest = "".join(token[0] for token in self.tokens) if rest is None else rest
        where = f", which cannot be read from {rest!r} on" if rest else ", which ends too early"
        got = repr(self.name) + (where if rest != self.name else "")
        return ConfigError(MUST, got=got, key="task.group", fix=FIX)

    def _next(self, symbol: str) -> bool:
        if self.tokens and self.tokens[0][0] == symbol:
            self.tokens.pop(0)
            return True
        return False


def _member(name: str) -> Group:
    match = re.fullmatch(r"([A-Za-z]+)(?:\(2,(\d+)\)|2_(\d+)|_?(\d+))", name)
    letters, *numbers = match.groups()
    number = next(filter(None, numbers))
    family = ALIASES.get(letters, letters) + ("" if match[4] else "2")
    if family not in FAMILIES:
        by_case = {each.lower(): each for each in (*FAMILIES, *ALIASES)}
        near = [by_case[family.lower()]] if family.lower() in by_case else closest(family, by_case.values(), most=1)
        fix = f"did you mean '{near[0]}{'_' * (near[0][-1] == '2')}{number}'?" if near else FIX
        raise ConfigError("a group must be of a known family", got=repr(name), key="task.group", fix=fix)
    if len(number) > 6 or int(number) < 1:
        must = "the number of a group must be at least 1 and have at most six digits"
        raise ConfigError(must, got=name, key="task.group", fix=f"such as {letters}5")
    return FAMILIES[family](int(number))


def _semidirect(normal: Group, acting: Group, images: str | None) -> Group:
    name = ":".join(f"({each.name})" if ":" in each.name else each.name for each in (normal, acting))
    if acting.generators != (1,):
        must = "the group that acts in a semidirect product must be cyclic, C2 or larger"
        fix = "write generators as permutations, perm:..., or give the multiplication table as a file"
        raise ConfigError(must, got=name, key="task.group", fix=fix)
    if images is None:
        numbers = [_multiplier(name, normal, acting.order)]
    else:
        name, numbers = f"{name}@{images}", [int(image) for image in images.split(".")]
    automorphism = _endomorphism(name, normal, numbers)
    powers = [np.arange(normal.order)]  # generator 1 of C_m has the power h as element h
    while len(powers) < acting.order:
        powers.append(automorphism[powers[-1]])
    return semidirect_product(name, normal, acting, np.array(powers))


def _endomorphism(name: str, normal: Group, images: list[int]) -> np.ndarray:
    """Return the map (n,) of a group into itself that takes its generators to images."""
    if len(images) == len(normal.generators) and max(images) < normal.order:
        maps = extended(normal, normal, list(normal.generators), np.array([images]))
        if len(maps):
            return maps[0]
    generators = ".".join(map(str, normal.generators))
    must = f"after @, there must be the images of the elements {generators} of {normal.name} under an automorphism"
    raise ConfigError(must, got=name, key="task.group", fix="give numbers of elements, joined by points")


def _multiplier(name: str, normal: Group, m: int) -> int:
    """Return the number k below n of largest multiplicative order modulo n that divides m, the smallest of these."""
    n = normal.order
    if normal.order > 1 and normal.generators != (1,):
        must = "in a semidirect product N:Cm whose N is not cyclic, the action must be given"
        images = ".".join(map(str, normal.generators))
        fix = f"{name}@ and the images of the elements {images} of {normal.name} under the generator of C{m}"
        raise ConfigError(must, got=name, key="task.group", fix=fix)
    orders = {1: 1} | {k: _multiplicative_order(k, n) for k in range(2, n) if math.gcd(k, n) == 1}
    best = max((k for k in orders if m % orders[k] == 0), key=lambda k: (orders[k], -k))
    if best == 1:
        must = f"the generator of C{m} must act on {normal.name} by an automorphism other than the identity"
        fix = f"{name.replace(':', 'x')}, the direct product"
        raise ConfigError(must, got=f"{name}, where there is none", key="task.group", fix=fix)
    return best


def _multiplicative_order(k: int, n: int) -> int:
    order, power = 1, k
    while power != 1:
        order, power = order + 1, power * k % n
    return order


def _generated(name: str) -> Group:
    """Return the group of a name such as perm:0-1-2+0-1/2-3, or in cycle notation."""
    text = re.sub(r"\)\s*\(", "/", name.removeprefix("perm:"))
    text = re.sub(r"\)\s*,\s*\(", "+", text).strip().removeprefix("(").removesuffix(")")
    text = re.sub(r"[\s,]+", "-", text)
    if not re.fullmatch(r"\d{1,4}(-\d{1,4})*([/+]\d{1,4}(-\d{1,4})*)*", text):
        must = "permutations must be products of disjoint cycles of the points 0, 1, ..."
        fix = "such as perm:0-1-2-3-4+0-1/2-3 or perm:(0 1 2 3 4),(0 1)(2 3)"
        raise ConfigError(must, got=repr(name), key="task.group", fix=fix)
    generators = [
        [tuple(int(point) for point in cycle.split("-")) for cycle in generator.split("/")]
        for generator in text.split("+")
    ]
    moved = [[point for cycle in generator for point in cycle] for generator in generators]
    if twice := [points for points in moved if len(set(points)) < len(points)]:
        must = "in each generator, the cycles of a permutation must be disjoint"
        raise ConfigError(must, got=f"{name!r}, with {twice[0]}", key="task.group", fix="multiply the cycles out")
    degree = 1 + max(itertools.chain.from_iterable(moved))
    return permutation_group(f"perm:{text}", [from_cycles(generator, degree) for generator in generators])
