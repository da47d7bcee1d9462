"""What the recovery tests compare with."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
from records import Uninterrupted, arguments, record
from warm_process import command

DEFAULT = (  # one test of each kind; all others run in continuous integration only
    "test_killed_twice_at_random_steps_a_run_ends_as_if_uninterrupted[modular_addition]",
    "test_a_signal_ends_with_a_checkpoint_at_the_next_step_boundary[term before Recipe.update 33-143-33]",
    "test_a_second_interrupt_stops_at_once_and_the_run_goes_on_from_the_last_checkpoint",
    "test_a_damaged_last_checkpoint_falls_back_to_the_one_before[flip]",
    "test_a_full_disk_leaves_the_last_good_state[full before RecordWriter.write 16]",
    "test_a_damaged_json_of_a_finished_run_is_made_again[analyses/spectrum/finding.json-truncate]",
    "test_while_one_process_trains_another_says_who_holds_the_run",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder for continuous integration, but for DEFAULT."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.name not in DEFAULT:
            item.add_marker(pytest.mark.ci)


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
