"""Errors with a complete message for the user: the rule, the given value, its key, and the remedy."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from mechlab.core.printable import printable

LONGEST = 200  # letters of an error in one line


class MechlabError(Exception):
    """An error with a complete message for the user; commands print it without a traceback.

    Args:
        must: the rule, in one sentence.
        got: the given value; left out when there is nothing to show.
        key: the config key, or file, of the value.
        fix: the remedy, best as something to type.
    """

    reported = False  # set where it has been printed

    def __init__(self, must: str, *, got: object = None, key: str | None = None, fix: str | None = None):
        self.must, self.got, self.key, self.fix = must, got, key, fix
        lines = [must]
        if got is not None:
            lines.append(f"  given: {got}")
        if key is not None:
            lines.append(f"  key:   {key}")
        if fix is not None:
            lines.append(f"  fix:   {fix}")
        super().__init__(printable("\n".join(lines), lines=True))

    @property
    def brief(self) -> str:
        """The key, the rule and what was given, in one line of a limited length."""
        parts = (self.key, self.must, self.got)
        line = printable(" ".join(": ".join(str(part) for part in parts if part is not None).split()))
        return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."


class ConfigError(MechlabError):
    """A setting or an argument cannot be used; wherever possible this is raised before any compute."""


class WrongValue(ConfigError):
    """A value is not what its config key accepts; the fix may name the default."""


class NoRule(ConfigError):
    """The targets of a task are recorded with its examples, and are no function of the inputs."""


class RunError(MechlabError):
    """A run directory, or a file in it, cannot be used."""


class NotRecorded(RunError):
    """The run did not record what is needed."""


class ReplayDiffers(RunError):
    """Recomputed steps differ from the recorded training in at least one bit."""


class NotFinite(MechlabError):
    """A loss or a parameter is not finite."""


TOO_LARGE = (
    "allocate memory",
    "out of memory",
    "size calculation overflowed",
    "array is too big",
    "maximum allowed dimension",
    "unpacking long",
)


def out_of_memory(error: BaseException, key: str | None = None) -> ConfigError | None:
    """Return an error for the user if `error` reports that a tensor does not fit into memory, or is too large for any;
    None for all other errors."""
    text = str(error).partition("\n")[0]
    kinds = (RuntimeError, ValueError, TypeError)  # as torch and numpy have them
    large = isinstance(error, kinds) and any(sign in text.lower() for sign in TOO_LARGE)
    if isinstance(error, MechlabError) or not (large or isinstance(error, MemoryError)):
        return None
    fix = "choose smaller sizes of task, model, analysis or batch"
    return ConfigError("everything must fit into memory", got=text or type(error).__name__, key=key, fix=fix)


def closest(key: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Return the known keys (`a.b`, `a/b`) with the same last word as an unknown one, or a similar spelling.

    >>> closest("hidden", ["model.hidden", "model.layers"])
    ['model.hidden']
    """
    leaves = {name: re.split("[./]", name)[-1] for name in sorted(known)}
    leaf = re.split("[./]", key)[-1]
    similar = [name for name in leaves if leaves[name] == leaf] or difflib.get_close_matches(key, leaves, n=1)
    if not similar:
        near = difflib.get_close_matches(leaf, set(leaves.values()), n=1)
        similar = [name for name in leaves if leaves[name] in near]
    return similar[:most]


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """Return a hint that names the closest of `options`, or lists them all when none is close.

    >>> did_you_mean("gruu", ["gru", "lstm"])
    "did you mean 'gru'?"
    """
    options = sorted(map(str, options))
    close = difflib.get_close_matches(str(word), options, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"choose one of: {', '.join(options)}" if options else "there is nothing to choose from"
