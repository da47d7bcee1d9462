"""TensorBoard events of an interrupted run, and its page of hyper-parameters, as TensorBoard itself reads them."""

import pytest
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams import api_pb2, metadata

from mechlab.record.events import cut_events, read_scalars, write_curves
from mechlab.training.tensorboard import RunTensorBoard


def events(folder):
    """(step, tag) of every event in every file, in the order of the files."""
    found = [event for path in sorted((folder / "tb").iterdir()) for event in EventFileLoader(str(path)).Load()]
    return [(event.step, value.tag) for event in found for value in event.summary.value]


def read(folder):
    return EventAccumulator(str(folder / "tb"), size_guidance={"scalars": 0, "images": 0}).Reload()


def curve(folder, tag):
    return [(entry.step, entry.value) for entry in read(folder).Scalars(tag)]


def figure():
    drawing = Figure(figsize=(1, 1))
    drawing.add_subplot().plot([0, 1])
    return drawing


def log(folder, steps, resume_at=0, scale=1.0):
    """Log a curve at some steps, a figure at every second of them, as a run that then dies."""
    logger = RunTensorBoard(folder, resume_at)
    for step in steps:
        logger.log_metrics({"loss": scale * step}, step)
        if step % 2 == 0:
            logger.log_figure("spectrum", "plane", figure(), step)
    logger.save()
    logger.experiment.close()


@pytest.mark.parametrize("resume", [0, 1, 2, 3, 4, 7])
def test_no_step_is_doubled_however_far_the_dead_run_had_come(tmp_path, resume):
    log(tmp_path, range(1, 6))
    log(tmp_path, range(resume, 8), resume_at=resume, scale=10.0)
    found = events(tmp_path)
    assert len(found) == len(set(found))
    last = min(resume, 5)  # up to the checkpoint the first run's values stand, after it the second's
    wanted = [(step, float(step)) for step in range(1, last + 1)]
    wanted += [(step, 10.0 * step) for step in range(resume, 8) if step not in range(1, last + 1)]
    assert curve(tmp_path, "loss") == wanted
    assert [entry.step for entry in read(tmp_path).Images("spectrum/figures/plane")] == [
        step for step, _ in wanted if step % 2 == 0
    ]


def test_a_run_interrupted_again_and_again_has_one_curve(tmp_path):
    log(tmp_path, range(1, 4))
    for resume in (2, 2, 5, 0, 3):
        log(tmp_path, range(resume + 1, resume + 5), resume_at=resume)
    steps = [step for step, _ in curve(tmp_path, "loss")]
    assert steps == sorted(set(steps)) and steps[-1] == 7
    assert len(list((tmp_path / "tb").iterdir())) == 2  # what was kept, and what the last run wrote


def tags(events, step):
    return {value.tag for event in events if event.step == step for value in event.summary.value}


def test_cutting_returns_the_events_that_are_kept_figures_among_them(tmp_path):
    log(tmp_path, range(1, 6))
    before = read(tmp_path).Images("spectrum/figures/plane")[0].encoded_image_string
    assert tags(cut_events(tmp_path / "tb", 2), 2) == {"loss", "spectrum/figures/plane"}
    assert tags(cut_events(tmp_path / "tb", 1), 1) == {"loss"}
    assert events(tmp_path) == [(1, "loss")]
    assert cut_events(tmp_path / "nothing", 3) == []
    assert before.startswith(b"\x89PNG")


def test_a_damaged_end_costs_no_more_than_itself(tmp_path):
    log(tmp_path, range(1, 6))
    (path,) = (tmp_path / "tb").iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    log(tmp_path, range(5, 7), resume_at=4)
    assert [step for step, _ in curve(tmp_path, "loss")] == [1, 2, 3, 4, 5, 6]


def hparams(folder):
    """The sessions on the HParams page: hyper-parameters of each session start, and the status of each end."""
    starts, ends = [], []
    for path in sorted((folder / "tb").iterdir()):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name != metadata.PLUGIN_NAME:
                    continue
                content = value.metadata.plugin_data.content
                if value.tag == metadata.SESSION_START_INFO_TAG:
                    found = metadata.parse_session_start_info_plugin_data(content).hparams
                    starts.append({name: getattr(item, item.WhichOneof("kind")) for name, item in found.items()})
                if value.tag == metadata.SESSION_END_INFO_TAG:
                    ends.append(metadata.parse_session_end_info_plugin_data(content).status)
                if value.tag == metadata.EXPERIMENT_TAG:
                    experiment = metadata.parse_experiment_plugin_data(content)
                    assert {info.name.tag for info in experiment.metric_infos} == {"test/loss", "test/accuracy"}
    return starts, ends


def test_the_final_log_is_one_session_with_its_metrics(tmp_path):
    chosen = {"task.d": 6, "optimizer.lr": 1e-3, "model.bias": False, "name": "repeat_copy-rnn"}
    final = {"test/loss": 0.25, "test/accuracy": 0.75}
    logger = RunTensorBoard(tmp_path)
    logger.log_metrics(final, 100)
    logger.log_final(chosen, final)
    logger.experiment.close()
    starts, ends = hparams(tmp_path)
    assert starts == [chosen]
    assert ends == [api_pb2.Status.Value("STATUS_SUCCESS")]
    assert {tag: curve(tmp_path, tag) for tag in final} == {tag: [(100, value)] for tag, value in final.items()}


def test_a_run_that_ends_twice_shows_one_session(tmp_path):
    """Killed after the final log, the run writes it again: the page shows what the second end says, once."""
    for rate in (1.0, 2.0):
        logger = RunTensorBoard(tmp_path, resume_at=0 if rate == 1.0 else 100)
        logger.log_metrics({"test/loss": 0.5, "test/accuracy": 0.5}, 100)
        logger.log_final({"optimizer.lr": rate}, {"test/loss": 0.5, "test/accuracy": 0.5})
        logger.experiment.close()
    starts, ends = hparams(tmp_path)
    assert starts == [{"optimizer.lr": 2.0}] and len(ends) == 1
    assert curve(tmp_path, "test/loss") == [(100, 0.5)]


def test_lightnings_own_page_of_hyper_parameters_stays_empty(tmp_path):
    logger = RunTensorBoard(tmp_path)
    logger.log_hyperparams({"model": object()})
    logger.save()
    logger.experiment.close()
    assert hparams(tmp_path) == ([], [])


def test_scalars_that_are_missing_are_taken_from_the_rows_in_order(tmp_path, capsys):
    log(tmp_path, range(1, 6))
    rows = [{"step": str(step), "loss": repr(value)} for step, value in curve(tmp_path, "loss")]
    [path] = (tmp_path / "tb").iterdir()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    assert len(curve(tmp_path, "loss")) < 5
    RunTensorBoard(tmp_path, 5, rows)
    assert curve(tmp_path, "loss") == [(int(row["step"]), pytest.approx(float(row["loss"]))) for row in rows]
    assert "scalars are missing from the events of TensorBoard" in capsys.readouterr().out


def test_scalars_are_read_by_step_and_tag(tmp_path):
    log(tmp_path, range(1, 4))
    found = read_scalars(tmp_path / "tb", 2)
    assert list(found) == [1, 2] and found[1].keys() == {"loss"}


def test_curves_of_an_analysis_leave_out_what_training_has_logged(tmp_path):
    logger = RunTensorBoard(tmp_path)
    logger.log_metrics({"loss": 1.0, "spectrum/rank": 3.0}, 5)
    logger.save()
    logger.experiment.close()
    points = {0: {"rank": 1.0}, 5: {"rank": 3.0, "error": 0.5}, 9: {}}
    path = write_curves(tmp_path / "tb", "spectrum", points)
    assert curve(tmp_path, "spectrum/rank") == [(0, 1.0), (5, 3.0)]  # in the order in which they are drawn
    assert curve(tmp_path, "spectrum/error") == [(5, 0.5)] and curve(tmp_path, "loss") == [(5, 1.0)]
    content = path.read_bytes()
    assert write_curves(tmp_path / "tb", "spectrum", points).read_bytes() == content  # again, and no bit has changed
    write_curves(tmp_path / "tb", "spectrum", {7: {"rank": 2.0}})  # what was asked last stands
    assert sorted(curve(tmp_path, "spectrum/rank")) == [(5, 3.0), (7, 2.0)]
    assert write_curves(tmp_path / "tb", "spectrum", {5: {"rank": 3.0}}) is None and not path.exists()


def test_a_run_that_goes_on_neither_repeats_nor_reads_the_curves_of_analyses(tmp_path):
    log(tmp_path, range(1, 4))
    write_curves(tmp_path / "tb", "spectrum", {2: {"rank": 1.0}})
    assert read_scalars(tmp_path / "tb", 9) == {step: {"loss": float(step)} for step in (1, 2, 3)}
    log(tmp_path, range(3, 6), resume_at=2)
    assert [step for step, _ in curve(tmp_path, "loss")] == [1, 2, 3, 4, 5]
    assert curve(tmp_path, "spectrum/rank") == [(2, 1.0)]


def test_curves_of_a_run_without_events(tmp_path):
    write_curves(tmp_path / "tb", "spectrum", {0: {"rank": 1.0}})
    assert curve(tmp_path, "spectrum/rank") == [(0, 1.0)]
