"""What the recovery tests compare with."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from records import Uninterrupted, arguments, record
from warm_process import command


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    """The record of a task's uninterrupted run, by the task's name."""

    @functools.cache
    def of(task: str) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp(task)
        done = command("train", *arguments(task), folder=folder)
        assert done.exit == 0, done.text
        return record(folder)

    return of
