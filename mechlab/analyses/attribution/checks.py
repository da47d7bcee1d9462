"""Whether the outputs of a training can be attributed, checked before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

from mechlab.analyses.attribution.explained_examples import ExplainedExamples, Outputs, scalars_of
from mechlab.core.device import arithmetic_device
from mechlab.core.errors import ConfigError
from mechlab.core.recipe import Recipe
from mechlab.core.task import Batch

if TYPE_CHECKING:
    from mechlab.kernels.functional_model import FunctionalModel


def check_attribution(
    name: str,
    recipe: Recipe,
    examples: ExplainedExamples,
    outputs: Outputs,
    key: str,
    products: Callable[[FunctionalModel, Tensor, Batch], object] | None = None,
) -> None:
    """Raise ConfigError if the outputs of a recipe's model cannot be attributed to its training examples.

    Refused are models that draw random numbers or update buffers in training, optimizers other than SGD, Adam and AdamW
    or with options such as amsgrad, functions of the outputs that do not return finite numbers, and layers that torch
    cannot differentiate as the analysis does.

    Args:
        name: of the analysis.
        recipe: of the training.
        examples: the explained examples, two of which are tried, or all where a function of the outputs is explained.
        outputs: the explained scalars.
        key: the config key of the analysis.
        products: derivatives of the losses of a batch at parameters (P,), tried on two training examples.
    """
    from mechlab.kernels.explained import Explained
    from mechlab.kernels.trajectory import functional_model_of

    try:
        arithmetic_device(examples.device)
        functional, _ = functional_model_of(recipe, examples.torch_dtype)
        batch = examples.batch(recipe.source())
        batch = batch if callable(outputs) else batch[:2]  # a function may need them all
        explained = Explained(functional, functional.placed(batch), scalars_of(outputs, recipe.task))
        theta = functional.layout.join(dict(functional.model.named_parameters()))
        explained.values(theta)
        try:
            if products is not None:
                products(functional, theta, functional.placed(recipe.source().batch(0)[:2]))
        except RuntimeError as error:
            must, fix = "torch must be able to differentiate the model as the analysis does", "dtype=float64"
            raise ConfigError(must, got=str(error).splitlines()[0], key="dtype", fix=f"{key}.{fix}") from None
    except ConfigError as error:
        leave_out = f"leave {name} out of {key.partition('.')[0]}=[...]"
        raise ConfigError(
            f"analysis={name}: {error.must}",
            got=error.got,
            key=f"{key}.{error.key}" if error.key in ("outputs", "examples", "dtype", "device") else error.key,
            fix=leave_out if error.fix is None else f"{error.fix}, or {leave_out}",
        ) from None


def second_derivatives(functional: FunctionalModel, theta: Tensor, batch: Batch) -> object:
    """Differentiate the losses of a batch twice, as metagradients do."""
    from mechlab.kernels.metagradients import second_order

    return second_order(functional, theta, batch, theta.expand(2, -1))
