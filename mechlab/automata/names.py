"""Names of states, letters or classes in index order, and references to them by name or by index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Names:
    """Names in index order.

    Args:
        field: the key of the names in a definition: alphabet, classes, states.
        texts: the names.
        numbers: True if they were given as numbers or truth values; a number is then a name, not an index.
    """

    field: str
    texts: tuple[str, ...]
    numbers: bool = False

    @classmethod
    def of(cls, field: str, values: Any) -> Names:
        """Return the names in a list, or raise ValueError; numbers and truth values become texts."""
        good = is_list(values) and len(values) > 0 and all(isinstance(value, str | int) for value in values)
        texts = tuple(_text(value) for value in values) if good else ()
        if not good or len(set(texts)) < len(texts):
            raise ValueError(f"{field} must be a list of distinct names in index order. Got {values!r} instead.")
        return cls(field, texts, all(not isinstance(value, str) for value in values))

    def __len__(self) -> int:
        return len(self.texts)

    def index(self, value: Any, key: str) -> int:
        """Return the index of a name or index, or raise ValueError with `key`, the place of the value."""
        if self.numbers and isinstance(value, int):
            value = _text(value)
        if isinstance(value, str) and value in self.texts:
            return self.texts.index(value)
        if not self.numbers and isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(self):
            return value
        shown = f"{self.field} ({', '.join(self.texts)})"
        raise ValueError(f"{key} must be one of the {shown}, by name or index. Got {value!r} instead.")

    def row(self, values: Any, key: str, may_lack: bool = False) -> list[Any]:
        """Return one value for each name, from a list in index order or a mapping from names or indices.

        Args:
            key: the place of the values, for messages.
            may_lack: None for names that a mapping lacks, instead of an error.

        Raises:
            ValueError: a value is missing, superfluous, or given twice.
        """
        if isinstance(values, Mapping):
            return self._of_mapping(values, key, may_lack)
        if not is_list(values) or len(values) != len(self):
            got = f"{len(values)} items" if is_list(values) else repr(values)
            must = f"{key} must be a mapping, or a list of {len(self)}, one for each of {', '.join(self.texts)}"
            raise ValueError(f"{must}. Got {got} instead.")
        return list(values)

    def _of_mapping(self, values: Mapping[Any, Any], key: str, may_lack: bool) -> list[Any]:
        by_index: dict[int, Any] = {}
        for name, value in values.items():
            numeral = isinstance(name, str) and name not in self.texts and name.isdecimal()  # keys of JSON are texts
            i = self.index(int(name) if numeral else name, f"a key of {key}")
            if i in by_index:
                raise ValueError(f"{key} must have one value for each name. Got {self.texts[i]} twice.")
            by_index[i] = value
        lacking = [name for i, name in enumerate(self.texts) if i not in by_index]
        if lacking and not may_lack:
            raise ValueError(f"{key} must have a value for all {self.field}. Got none for {', '.join(lacking)}.")
        return [by_index.get(i) for i in range(len(self))]


def is_list(values: Any) -> bool:
    """Return True if values are a sequence other than a string."""
    return isinstance(values, Sequence) and not isinstance(values, str)


def _text(name: str | int) -> str:
    return str(name).lower() if isinstance(name, bool) else str(name)
