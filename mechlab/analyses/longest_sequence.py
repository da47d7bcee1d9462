"""Whether a model can read sequences as long as an analysis gives it."""

from __future__ import annotations

from mechlab.core.errors import ConfigError
from mechlab.core.recipe import Recipe


def check_longest(name: str, recipe: Recipe, longest: int, key: str) -> None:
    """Raise ConfigError, before training, if a recipe's model has a context that is too short.

    Args:
        name: of the analysis.
        recipe: of the training.
        longest: steps of the longest sequence that the analysis gives the model.
        key: the config key of the analysis.
    """
    context = getattr(recipe.architecture(), "context", None)
    if context is not None and context < longest:
        leave_out = f"leave {name} out of {key.partition('.')[0]}=[...]"
        raise ConfigError(
            f"analysis={name} reads sequences of up to {longest} steps, so model.context must be at least {longest}",
            got=f"model.context={context}",
            key="model.context",
            fix=f"model.context={longest}, or {leave_out}",
        )
