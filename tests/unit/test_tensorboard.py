"""TensorBoard events of an interrupted run, and its page of hyper-parameters, as TensorBoard itself reads them."""

import re

import pytest
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams import api_pb2, metadata

from mechlab.record.events import cut_events, metric_of, read_scalars, tag_of, write_curves
from mechlab.training.tensorboard import RunTensorBoard


def events(folder):
    """(step, tag) of every event in every file, in the order of the files."""
    found = [event for path in sorted((folder / "tb").iterdir()) for event in EventFileLoader(str(path)).Load()]
    return [(event.step, metric_of(value.tag)) for event in found for value in event.summary.value]


def read(folder):
    return EventAccumulator(str(folder / "tb"), size_guidance={"scalars": 0, "images": 0}).Reload()


def curve(folder, metric):
    return [(entry.step, entry.value) for entry in read(folder).Scalars(tag_of(metric))]


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
    assert [entry.step for entry in read(tmp_path).Images("~spectrum/figures/plane")] == [
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
    return {metric_of(value.tag) for event in events if event.step == step for value in event.summary.value}


def test_cutting_returns_the_events_that_are_kept_figures_among_them(tmp_path):
    log(tmp_path, range(1, 6))
    before = read(tmp_path).Images("~spectrum/figures/plane")[0].encoded_image_string
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
                assert value.tag != metadata.EXPERIMENT_TAG, (
                    "with it, the page has the hyper-parameters of one run only"
                )
    return starts, ends


def test_the_final_log_is_one_session_with_its_metrics(tmp_path):
    chosen = {"task.d": 6, "optimizer.lr": 1e-3, "model.bias": False, "name": "repeat_copy-rnn"}
    final = {"test/loss": 0.25, "test/accuracy": 0.75}
    logger = RunTensorBoard(tmp_path)
    logger.log_metrics(final, 100)
    logger.log_final(chosen)
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
        logger.log_final({"optimizer.lr": rate})
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


def names_before_tags(folder):
    """Events with the tags of earlier versions, which were the names of metrics, of which one is not at the end."""
    logger = RunTensorBoard(folder)
    for step in (1, 2):
        for tag in ("val/loss", "ambiguity/weighted"):
            logger.experiment.add_scalar(tag, step / 4, step)
    logger.save()
    logger.experiment.close()


def test_earlier_tags_are_renamed_where_a_run_goes_on(tmp_path):
    names_before_tags(tmp_path)
    assert read_scalars(tmp_path / "tb", 9)[2] == {"val/loss": 0.5, "ambiguity/weighted": 0.5}
    rows = [{"step": "1", "ambiguity/weighted": "0.25"}, {"step": "2", "ambiguity/weighted": "0.5"}]
    logger = RunTensorBoard(tmp_path, 2, rows)
    logger.log_metrics({"ambiguity/weighted": 9.0, "val/loss": 9.0}, 2)  # there already
    logger.log_metrics({"ambiguity/weighted": 0.75}, 3)
    logger.experiment.close()
    assert curve(tmp_path, "ambiguity/weighted") == [(1, 0.25), (2, 0.5), (3, 0.75)]
    assert set(read(tmp_path).Tags()["scalars"]) == {"val/loss", "~ambiguity/weighted"}


GROUPS = re.compile(r"\d+|\D")


def as_tensorboard_sorts(tag):
    """Key of the order of tags in TensorBoard's page (compareTagNames in vz_sorting): numbers by value, a slash and
    digits before all other characters, and these by their codes."""
    return [
        (0, int(part)) if part.isdigit() else (0, -1) if part == "/" else (1, ord(part)) for part in GROUPS.findall(tag)
    ]


def groups(tags):
    """Groups of tags in the order of TensorBoard's page, which opens the first two."""
    return list(dict.fromkeys(tag.partition("/")[0] for tag in sorted(tags, key=as_tensorboard_sorts)))


def test_training_and_validation_are_the_first_groups_of_the_page(tmp_path):
    logger = RunTensorBoard(tmp_path)
    names = [
        "spectrum/rank",
        "test/loss",
        "ambiguity/weighted",
        "val/loss",
        "train/loss",
        "zeta/x",
        "Custom/x",
        "2nd/x",
    ]
    logger.log_metrics(dict.fromkeys(names, 1.0), 1)
    logger.log_figure("ambiguity", "states", figure(), 1)
    logger.save()
    logger.experiment.close()
    tags = read(tmp_path).Tags()
    assert groups([*tags["scalars"], *tags["images"]])[:2] == ["train", "val"]
    assert groups(names)[:2] != ["train", "val"], "without ~ others come first"


def test_the_page_of_hyper_parameters_has_those_of_all_runs(tmp_path):
    """What TensorBoard's own code answers to its page, of two runs that were given different keys."""
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams.backend_context import Context

    for name, chosen in (("a", {"seed": 1, "optimizer.lr": 0.1}), ("b", {"seed": 2, "model.hidden": 8})):
        logger = RunTensorBoard(tmp_path / name)
        logger.log_metrics({"test/loss": 0.5, "val/loss": 0.5}, 3)
        logger.log_final(chosen)
        logger.experiment.close()
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload()
    context = Context(TBContext(data_provider=MultiplexerDataProvider(multiplexer, str(tmp_path))))
    asked = RequestContext()
    shown = context.experiment_from_metadata(asked, "", True, context.hparams_metadata(asked, ""), None)
    assert {info.name for info in shown.hparam_infos} == {"seed", "optimizer.lr", "model.hidden"}
    assert {info.name.tag for info in shown.metric_infos} == {"val/loss", "~test/loss"}
