"""Build objects from the configuration: the one place where a `_target_` becomes a class."""

from __future__ import annotations

import importlib
import inspect
import itertools
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from mechlab.core.analysis import Analysis
from mechlab.core.constraints import ConstraintError, Location, OnlyWhereSet, check, hints_of, takes_function
from mechlab.core.errors import ConfigError, MechlabError, WrongValue, did_you_mean, out_of_memory
from mechlab.core.model import Model
from mechlab.core.set_analysis import SetAnalysis
from mechlab.core.task import Task

ALLOWED = ("mechlab.", "torch.optim.", "pytorch_lightning.loggers.")


@dataclass(frozen=True)
class Imported:
    """A function named by its path in a configuration, checked like a `_target_`.

    Args:
        function: the function.
        path: package.module.function, which represents the function in an identity.
    """

    function: Callable
    path: str


@dataclass(frozen=True)
class Prepared:
    """A class with checked arguments, not yet called.

    Args:
        target: the class.
        arguments: typed keyword arguments; nested objects are Prepared too, functions Imported.
        key: its config key.
    """

    target: Any
    arguments: dict[str, Any]
    key: str

    def __call__(self, *context: Any) -> Any:
        """Return the object built from positional `context` of the framework and the configured arguments."""
        arguments = {name: _built(value) for name, value in self.arguments.items()}
        try:
            return self.target(*context, **arguments)
        except MechlabError:
            raise
        except (TypeError, ValueError, OverflowError, RuntimeError, MemoryError) as error:
            if (large := out_of_memory(error, self.key)) is not None:
                raise large from error
            if isinstance(error, RuntimeError):
                raise
            given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
            must = f"{self.target.__name__} refused its arguments: {error}"
            raise ConfigError(
                must, got=given or "no arguments", key=self.key, fix=f"see --cfg job, under {self.key}"
            ) from error

    def targets(self) -> tuple[Any, ...]:
        """Return the target, those of the objects among its arguments, and the functions among these."""
        values = self.arguments.values()
        functions = [value.function for value in values if isinstance(value, Imported)]
        nested = (value.targets() for value in values if isinstance(value, Prepared))
        return (self.target, *functions, *itertools.chain.from_iterable(nested))

    def identity(self) -> dict[str, Any]:
        """Return the target's name and arguments as plain data, with our own defaults, without `OnlyWhereSet`
        parameters at their default, and without any `Location`."""
        name = f"{self.target.__module__}.{self.target.__qualname__}"
        values = {}
        parameters = inspect.signature(self.target).parameters
        if not name.startswith(("torch.", "pytorch_lightning.")):  # newer versions of these may add parameters
            values = {n: p.default for n, p in parameters.items() if p.default is not inspect.Parameter.empty}
        values |= self.arguments
        for key, hint in hints_of(self.target.__init__).items():
            marks = get_args(hint)
            if Location() in marks or (OnlyWhereSet() in marks and values.get(key) == parameters[key].default):
                values.pop(key, None)
        return {"_target_": name, **{key: _identity(value) for key, value in values.items()}}


def prepare(
    node: Any,
    key: str,
    base: type | tuple[type, ...],
    allow: Sequence[str] = (),
    context: int = 0,
    lenient: bool = False,
) -> Prepared:
    """Return a config node's class and arguments, checked by its signature, type hints and declared constraints.

    Args:
        node: a mapping with `_target_` and the target's arguments.
        key: the config key of the node, for messages.
        base: the required base class. It is checked before any call: a configuration may come from somebody else's
            run, and must not name arbitrary functions.
        allow: packages other than mechlab that targets may come from.
        context: number of leading positional parameters that the framework supplies.
        lenient: True to accept values that violate their hints (for an identity with a masked seed).

    Raises:
        ConfigError: with the key and a hint.
    """
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise ConfigError(
            f"{key} must name a class under _target_",
            got=dict(node) if isinstance(node, Mapping) else node,
            key=f"{key}._target_",
            fix=f"choose one with {key.split('.')[0]}=NAME, or set +{key}._target_=package.module.Class",
        )
    target = _find(node["_target_"], f"{key}._target_", allow)
    if not (inspect.isclass(target) and issubclass(target, base)):
        names = " or ".join(kind.__name__ for kind in (base if isinstance(base, tuple) else (base,)))
        raise ConfigError(f"{key} must be a class of kind {names}", got=node["_target_"], key=f"{key}._target_")
    hints = hints_of(target.__init__)
    parameters = _parameters(target, context)
    arguments = {}
    for name, value in node.items():
        if name == "_target_":
            continue
        if name not in parameters:
            must = f"{key}.{name} is not a parameter of {target.__name__}"
            raise ConfigError(must, key=f"{key}.{name}", fix=did_you_mean(name, parameters))
        arguments[name] = _argument(value, hints.get(name, object), f"{key}.{name}", target, allow, lenient)
    missing = [n for n, p in parameters.items() if p.default is inspect.Parameter.empty and n not in arguments]
    if missing:
        must = f"{target.__name__} needs a value for {', '.join(missing)}"
        raise ConfigError(must, key=f"{key}.{missing[0]}", fix=f"+{key}.{missing[0]}=...")
    return Prepared(target, arguments, key)


def without_files(node: Any, key: str, allow: Sequence[str] = ()) -> Any:
    """Return the config node of a task, model or analysis, or of a callback that holds one, with the content of files
    in place of their paths; see `Task.without_files`.

    Any other node is returned unchanged; `prepare` then raises.
    """
    if isinstance(node, Mapping):
        node = {name: without_files(value, f"{key}.{name}", allow) for name, value in node.items()}
    target, arguments = _class(node, (Task, Model, Analysis, SetAnalysis), key, allow)
    return node if target is None else {"_target_": node["_target_"], **target.without_files(arguments)}


def all_without_files(nodes: Mapping[str, Any], key: str, allow: Sequence[str] = ()) -> dict[str, Any]:
    """Return config nodes by name, each as of `without_files`."""
    return {name: without_files(node, f"{key}.{name}", allow) for name, node in nodes.items()}


def in_folder(node: Any, key: str, folder: str | Path, allow: Sequence[str] = ()) -> Any:
    """Return the config node of a run's task with the path of the run directory; see `Task.in_folder`."""
    target, arguments = _class(node, Task, key, allow)
    return node if target is None else {"_target_": node["_target_"], **target.in_folder(arguments, folder)}


def with_sample_files(node: Any, key: str, folder: Path, allow: Sequence[str] = ()) -> Any:
    """Return the config node of a task with the place of small files, written into a folder, in place of those that a
    user has; see `Task.with_sample_files`."""
    target, arguments = _class(node, Task, key, allow)
    return node if target is None else {"_target_": node["_target_"], **target.with_sample_files(arguments, folder)}


def _class(node: Any, base: type | tuple[type, ...], key: str, allow: Sequence[str]) -> tuple[Any, dict[str, Any]]:
    """Return the class of a config node and its arguments, or (None, {}) where it is not of the base."""
    if not isinstance(node, Mapping) or "_target_" not in node:
        return None, {}
    target = _find(node["_target_"], f"{key}._target_", allow)
    if not (inspect.isclass(target) and issubclass(target, base)):
        return None, {}
    return target, {name: value for name, value in node.items() if name != "_target_"}


def _argument(value: Any, hint: Any, key: str, target: Any, allow: Sequence[str], lenient: bool) -> Any:
    if isinstance(value, Mapping) and "_target_" in value:
        return prepare(value, key, _class_of(hint, key), allow, lenient=lenient)
    try:
        return check(value, hint)
    except ConstraintError as error:
        if lenient:
            return value
        if isinstance(value, str) and "." in value and takes_function(hint):
            return Imported(_function(value, key, allow), value)
        must = f"{key} must be {error.must}"
        raise WrongValue(must, got=repr(error.got), key=key, fix=_default_of(target, key)) from None


def _function(path: str, key: str, allow: Sequence[str]) -> Callable:
    """Return the function at package.module.function, which must come from an allowed package."""
    function = _find(path, key, allow)
    if inspect.isclass(function):
        raise ConfigError(f"{key} must be a function", got=f"{path}, a class", key=key)
    return function


def _class_of(hint: Any, key: str) -> type:
    """Return the required base class of a nested target: the type hint of its parameter."""
    if not inspect.isclass(hint) or hint is object:
        raise ConfigError(f"{key} must be a plain value", got="a _target_", key=key)
    return hint


def _default_of(target: Any, key: str) -> str | None:
    parameter = inspect.signature(target).parameters.get(key.rsplit(".", 1)[-1])
    if parameter is None or parameter.default is inspect.Parameter.empty:
        return None
    return f"the default is {key}={'null' if parameter.default is None else parameter.default}"


def _parameters(target: Any, context: int) -> dict[str, inspect.Parameter]:
    parameters = list(inspect.signature(target).parameters.values())[context:]
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {p.name: p for p in parameters if p.kind not in variadic}


def _find(name: Any, key: str, allow: Sequence[str]) -> Any:
    prefixes = (*ALLOWED, *(f"{package}." for package in allow))
    if not isinstance(name, str) or not name.startswith(prefixes):
        package = shlex.quote(str(name).split(".")[0])
        raise ConfigError(
            "a target must come from " + ", ".join(prefix.rstrip(".") for prefix in prefixes),
            got=name,
            key=key,
            fix=f"if you trust it: allow_targets=[{package}] (--allow-targets {package} for mechlab.runs)",
        )
    module_name, _, attribute = name.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module exists, but one that it imports does not
        fix = f"is {error.name} installed, or in the working directory?"
        raise ConfigError(f"there is no module {error.name}", got=name, key=key, fix=fix) from None
    if not hasattr(module, attribute):
        public = [word for word in vars(module) if not word.startswith("_")]
        must = f"there is no {attribute} in {module_name}"
        raise ConfigError(must, got=name, key=key, fix=did_you_mean(attribute, public))
    target = getattr(module, attribute)
    if not callable(target) or not getattr(target, "__module__", "").startswith(tuple(p.rstrip(".") for p in prefixes)):
        raise ConfigError("a target must be a class or function of an allowed package", got=name, key=key)
    return target


def _built(value: Any) -> Any:
    if isinstance(value, Imported):
        return value.function
    return value() if isinstance(value, Prepared) else value


def _identity(value: Any) -> Any:
    if isinstance(value, Prepared):
        return value.identity()
    if isinstance(value, Imported):
        return value.path
    if isinstance(value, list | tuple):
        return [_identity(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: _identity(getattr(value, name)) for name in value.__dataclass_fields__}
    return value
