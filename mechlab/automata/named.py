"""Things that a definition names in index order, and tells by name or by index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Names:
    """Names in index order.

    Args:
        field: what they are the names of: alphabet, classes, states.
        texts: the names.
        numbers: whether they were given as numbers or truth values; a number is then a name, and not an index.
    """

    field: str
    texts: tuple[str, ...]
    numbers: bool = False

    @classmethod
    def of(cls, field: str, values: Any) -> Names:
        """Return the names in a list, or raise ValueError; numbers and truth values become texts."""
        good = is_list(values) and len(values) > 0 and all(isinstance(one, str | int) for one in values)
        texts = tuple(_text(one) for one in values) if good else ()
        if not good or len(set(texts)) < len(texts):
            raise ValueError(f"{field} must be a list of distinct names in index order. Got {values!r} instead.")
        return cls(field, texts, all(not isinstance(one, str) for one in values))

    def __len__(self) -> int:
        return len(self.texts)

    def index(self, value: Any, key: str) -> int:
        """Return the index of what is told by its name or index, or raise ValueError; `key` says where it stands."""
        if self.numbers and isinstance(value, int):
            value = _text(value)
        if isinstance(value, str) and value in self.texts:
            return self.texts.index(value)
        if not self.numbers and isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(self):
            return value
        shown = f"{self.field} ({', '.join(self.texts)})"
        raise ValueError(f"{key} must be one of the {shown}, by name or index. Got {value!r} instead.")

    def row(self, values: Any, key: str, may_lack: bool = False) -> list[Any]:
        """Return one value for each name, of a list in index order or a mapping from names or indices.

        Args:
            key: where the values stand, for messages.
            may_lack: put None where a mapping tells nothing.

        Raises:
            ValueError: a value is missing, one too many, or told twice.
        """
        if isinstance(values, Mapping):
            return self._of_mapping(values, key, may_lack)
        if not is_list(values) or len(values) != len(self):
            got = f"{len(values)} items" if is_list(values) else repr(values)
            must = f"{key} must be a mapping, or a list of {len(self)}, one for each of {', '.join(self.texts)}"
            raise ValueError(f"{must}. Got {got} instead.")
        return list(values)

    def _of_mapping(self, values: Mapping[Any, Any], key: str, may_lack: bool) -> list[Any]:
        found: dict[int, Any] = {}
        for name, value in values.items():
            numeral = isinstance(name, str) and name not in self.texts and name.isdecimal()  # keys of JSON are texts
            i = self.index(int(name) if numeral else name, f"a key of {key}")
            if i in found:
                raise ValueError(f"{key} must tell each thing once. Got {self.texts[i]} twice.")
            found[i] = value
        lacking = [name for i, name in enumerate(self.texts) if i not in found]
        if lacking and not may_lack:
            raise ValueError(f"{key} must tell of all {self.field}. Got nothing for {', '.join(lacking)}.")
        return [found.get(i) for i in range(len(self))]


def is_list(values: Any) -> bool:
    """Tell whether values are a list of whatever kind; a text is none."""
    return isinstance(values, Sequence) and not isinstance(values, str)


def _text(name: str | int) -> str:
    return str(name).lower() if isinstance(name, bool) else str(name)
