"""Named sets of a model's tensors, through which attribution is divided."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from mechlab.core.constraints import Filled
from mechlab.core.errors import ConfigError, did_you_mean
from mechlab.core.state import matching

Components = (
    Literal["similar", "module", "tensor"] | Annotated[dict[str, Annotated[tuple[str, ...], Filled()]], Filled()]
)


def components_of(shapes: Mapping[str, Sequence[int]], components: Components) -> dict[str, list[str]]:
    """Return the names of the tensors of each component.

    Args:
        shapes: of the trained tensors by name.
        components: "tensor": each tensor by itself; "module": the tensors of each module; "similar": the tensors of all
            modules whose names differ in a number alone and whose tensors have the same shapes, such as the heads of a
            layer; or patterns of names by component, such as {"attention": ["head*"], "all": ["*"]}, which may overlap.

    Raises:
        ConfigError: a pattern matches no tensor.

    >>> components_of({"linear.weight": (2, 3), "linear.bias": (2,)}, "module")
    {'linear': ['linear.weight', 'linear.bias']}
    >>> components_of({"head1.weight": (2, 3), "head2.weight": (2, 3), "linear.weight": (3, 2)}, "similar")
    {'head*': ['head1.weight', 'head2.weight'], 'linear': ['linear.weight']}
    """
    if isinstance(components, Mapping):
        return {name: _matching(list(shapes), patterns) for name, patterns in components.items()}
    owners = {name: name if components == "tensor" else name.rpartition(".")[0] or name for name in shapes}
    if components == "similar":
        owners = _without_numbers(owners, shapes)
    groups: dict[str, list[str]] = {}
    for name, owner in owners.items():
        groups.setdefault(owner, []).append(name)
    return groups


def _without_numbers(owners: Mapping[str, str], shapes: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """Return each tensor's module, with * for the numbers in which modules with tensors of the same shapes differ."""
    tensors: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    for name, module in owners.items():
        tensors.setdefault(module, []).append((name.removeprefix(module), tuple(shapes[name])))
    alike: dict[tuple[str, str], list[str]] = {}
    for module, kind in tensors.items():
        alike.setdefault((re.sub(r"\d+", "*", module), str(kind)), []).append(module)
    sets = [(general, modules) for (general, _), modules in alike.items() if len(modules) > 1]
    taken = [*tensors, *(general for general, _ in sets)]
    names = {module: general for general, modules in sets for module in modules if taken.count(general) == 1}
    return {name: names.get(module, module) for name, module in owners.items()}


def _matching(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    for pattern in patterns:
        if not matching(names, [pattern]):
            fix = did_you_mean(pattern, list(names))
            must = "components must name trained tensors of the model"
            raise ConfigError(must, got=pattern, key="components", fix=fix)
    return list(matching(names, patterns))
