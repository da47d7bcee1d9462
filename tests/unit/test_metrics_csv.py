"""metrics.csv: one row for each step, whatever is logged when, and however often the run was interrupted."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechlab.core.errors import RunError
from mechlab.training.metrics_csv import MetricsCSV


def rows(path):
    with open(path, newline="") as file:
        return [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.csv"


def test_a_table_without_metrics_is_a_header(path):
    MetricsCSV(path).finalize("success")
    assert path.read_text() == "step\n"


def test_metrics_of_the_same_step_share_a_row(path):
    table = MetricsCSV(path)
    table.log_metrics({"a": 1.0}, 5)
    table.log_metrics({"b": 2.0}, 5)
    table.save()
    table.log_metrics({"c": 3.0}, 5)  # after the row was written, with a new column
    table.log_metrics({"a": 4.0}, 5)  # the last value counts
    table.log_metrics({"a": 5.0}, 6)
    table.save()
    assert path.read_text() == "step,a,b,c\n5,4.0,2.0,3.0\n6,5.0,,\n"


def test_a_new_column_midway_leaves_earlier_rows_as_they_were(path):
    table = MetricsCSV(path)
    for step in (1, 2, 3):
        table.log_metrics({"loss": step / 3}, step)
        table.save()
    table.log_metrics({"ambiguity/weighted": 0.5}, 4)
    table.save()
    table.log_metrics({"loss": 0.1}, 5)
    table.save()
    expected = [{"step": str(step), "loss": repr(step / 3)} for step in (1, 2, 3)]
    assert rows(path) == [*expected, {"step": "4", "ambiguity/weighted": "0.5"}, {"step": "5", "loss": "0.1"}]


def test_numbers_are_kept_to_the_last_bit(path):
    table = MetricsCSV(path)
    table.log_metrics({"third": 1 / 3, "nan": float("nan"), "infinite": float("inf")}, 1)
    table.save()
    assert rows(path) == [{"step": "1", "third": repr(1 / 3), "nan": "nan", "infinite": "inf"}]


@pytest.mark.parametrize("resume", [0, 3, 4, 99])
def test_on_resume_rows_beyond_the_checkpoint_go(path, resume):
    table = MetricsCSV(path)
    for step in (2, 4, 6):
        table.log_metrics({"a": step}, step)
    table.save()
    MetricsCSV(path, resume)
    assert [int(row["step"]) for row in rows(path)] == [step for step in (2, 4, 6) if step <= resume]


def test_a_resumed_run_adds_to_the_row_of_the_checkpoint(path):
    table = MetricsCSV(path)
    table.log_metrics({"a": 1.0}, 2)
    table.log_metrics({"a": 2.0}, 4)
    table.save()
    table = MetricsCSV(path, 2)
    table.log_metrics({"b": 3.0}, 2)
    table.log_metrics({"a": 4.0}, 4)
    table.save()
    assert rows(path) == [{"step": "2", "a": "1.0", "b": "3.0"}, {"step": "4", "a": "4.0"}]


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_line_that_was_not_finished_is_left_out(path, cut):
    """However much of the last line reached the disk, its row is gone and those before it are there."""
    table = MetricsCSV(path)
    for step in (1, 2, 3):
        table.log_metrics({"a": 0.25}, step)
    table.save()
    path.write_bytes(path.read_bytes()[:-cut])
    whole = 2 if cut <= len("3,0.25\n") else 1
    table = MetricsCSV(path, 3)
    assert [int(row["step"]) for row in rows(path)] == list(range(1, whole + 1))
    table.log_metrics({"a": 0.5}, 3)
    table.save()
    assert rows(path)[-1] == {"step": "3", "a": "0.5"}


@pytest.mark.parametrize("text", ["", "st", "step,a"])
def test_a_header_that_was_not_finished_is_written_anew(path, text):
    path.write_text(text)
    table = MetricsCSV(path)
    table.log_metrics({"a": 1.0}, 1)
    table.save()
    assert path.read_text() == "step,a\n1,1.0\n"


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "step,a\nx,2\n"])
def test_a_file_that_is_no_table_of_metrics_is_refused(path, text):
    path.write_text(text)
    with pytest.raises(RunError, match="column `step`") as caught:
        MetricsCSV(path, 5)
    assert caught.value.key == str(path)


def test_the_latest_values_of_some_metrics(path):
    table = MetricsCSV(path)
    table.log_metrics({"train/loss": 1.0, "val/loss": 2.0}, 1)
    table.log_metrics({"train/loss": 0.5}, 2)
    table.log_metrics({"train/accuracy": 0.75}, 3)
    assert table.latest("train/") == {"train/loss": 0.5, "train/accuracy": 0.75}
    assert table.latest("test/") == {}


LOGS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc"), st.floats(-1, 1), st.booleans()), max_size=25)


@given(LOGS, st.integers(0, 40))
def test_the_file_holds_what_a_dictionary_would(tmp_path_factory, logs, killed_at):
    """Metrics in any order of columns, saved at any moment, interrupted once: as if merged by step in memory."""
    path = tmp_path_factory.mktemp("csv") / "metrics.csv"
    table, step, checkpoint = MetricsCSV(path), 1, 0
    wanted: dict[int, dict[str, str]] = {}
    for i, (wait, name, value, saves) in enumerate(logs):
        if i == killed_at:  # what was not saved is lost, and what was logged after the checkpoint is removed
            table = MetricsCSV(path, checkpoint)
            wanted = {at: row for at, row in wanted.items() if at <= checkpoint}
        step = max(step + wait, checkpoint + 1)
        table.log_metrics({name: value}, step)
        wanted.setdefault(step, {"step": str(step)})[name] = repr(value)
        if saves:
            table.save()
            checkpoint = step
            step += 1  # a checkpoint is the last that happens at its step
    table.save()
    assert rows(path) == list(wanted.values())


def test_a_rewrite_that_fails_leaves_the_table_and_its_header_in_step(path, monkeypatch):
    table = MetricsCSV(path)
    table.log_metrics({"a": 1.0}, 1)
    table.save()
    table.log_metrics({"b": 2.0}, 2)
    with monkeypatch.context() as patched:
        patched.setattr("mechlab.training.metrics_csv.write_text", lambda *_: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            table.save()
    table.save()  # as Lightning does while it ends
    assert rows(path) == [{"step": "1", "a": "1.0"}, {"step": "2", "b": "2.0"}]
    assert MetricsCSV(path, 2).latest("") == {"step": 2.0, "a": 1.0, "b": 2.0}


def saved(path):
    """A table of three rows and what a checkpoint keeps of it."""
    table = MetricsCSV(path)
    for step in (1, 2, 3):
        table.log_metrics({"a": step / 4}, step)
    return table.sync()


CHANGES = [("0.25", "0.75"), ("2,0.5\n", ""), ("3,0.75\n", ""), ("step,a", "step,b"), ("1,", "4,")]


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_rows_that_are_not_those_of_the_checkpoint_are_refused(path, old, new):
    state = saved(path)
    MetricsCSV(path, 3, state)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(RunError, match="rows that the checkpoint was written with"):
        MetricsCSV(path, 3, state)


def test_what_was_logged_at_the_step_after_the_checkpoint_is_removed(path):
    state = saved(path)
    table = MetricsCSV(path, 3, state)
    table.log_metrics({"test/loss": 9.0}, 3)
    table.save()
    assert MetricsCSV(path, 3, state).latest("test/") == {}
    assert rows(path)[-1] == {"step": "3", "a": "0.75"}
