"""Analyses while training: at which steps they run, when they draw, and that an interruption changes neither."""

from collections.abc import Mapping

import pytest
from matplotlib.figure import Figure
from small_tasks import Points, small_recipe, train
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mechlab.core.analysis import Analysis, Finding, Needs
from mechlab.core.state import digest
from mechlab.record.recorder import Recorder
from mechlab.training.callbacks import AnalysisCallback, Callback
from mechlab.training.checkpoints import Checkpoints
from mechlab.training.fit import FitSettings, fit

STEPS = 30  # an epoch has 11
CHOSEN = (0, 1, 5, 11, 12, 21)
AT_RECORDED = [*CHOSEN, STEPS]


class Size(Analysis):
    """The size of the parameters."""

    def run(self, run, out, rng):
        return Finding({"size": sum(float(value.detach().square().sum()) for value in run.model().parameters())})

    def figures(self, out) -> Mapping[str, Figure]:
        figure = Figure(figsize=(1, 1))
        figure.add_subplot().plot([0, 1])
        return {"plane": figure}


def curves(folder):
    """Steps and values of the scalar, and the steps of the figures, as TensorBoard reads them."""
    read = EventAccumulator(str(folder / "tb"), size_guidance={"scalars": 0, "images": 0}).Reload()
    images = read.Images("~size/figures/plane") if "~size/figures/plane" in read.Tags()["images"] else []
    return {e.step: e.value for e in read.Scalars("~size/size")}, [e.step for e in images]


def run(folder, every, kind="sparse", figures="last", steps=CHOSEN, **callbacks):
    callback = AnalysisCallback(Size(), every, figures)
    recording = {"steps": steps} if kind == "sparse" else {"every": 8}
    return train(
        folder, small_recipe(Points(), steps=STEPS), kind, callbacks={"size": callback, **callbacks}, **recording
    )


@pytest.mark.parametrize(
    ("every", "kind", "at", "drawn"),
    [
        ("recorded", "sparse", AT_RECORDED, [STEPS]),
        ("recorded", "replay", [0, 8, 16, 24, STEPS], [STEPS]),
        ("recorded", "full", list(range(STEPS + 1)), [STEPS]),
        ("epoch", "none", [11, 22, STEPS], [STEPS]),
        (7, "none", [7, 14, 21, 28], [28]),
        (11, "none", [11, 22], [22]),
    ],
)
def test_the_steps_at_which_an_analysis_runs_and_draws(every, kind, at, drawn, tmp_path):
    scalars, figures = (run(tmp_path, every, kind), curves(tmp_path))[1]
    assert sorted(scalars) == at and figures == drawn


def test_figures_of_every_time_are_drawn_when_asked_for(tmp_path):
    run(tmp_path, "recorded", figures="all")
    assert curves(tmp_path)[1] == AT_RECORDED


def test_the_analysis_sees_the_weights_that_are_recorded(tmp_path):
    trained = run(tmp_path, "recorded")
    scalars, _ = curves(tmp_path)
    for step in AT_RECORDED:
        params = trained.history.params(step)
        assert scalars[step] == pytest.approx(sum(float(value.square().sum()) for value in params.values()), rel=1e-5)


class Recorded(Size):
    """The number of recorded steps, which the analysis reads while training."""

    needs = Needs(history="sparse")

    def run(self, run, out, rng):
        return Finding({"size": len(run.history.stored), "last": run.history.stored[-1]})


@pytest.mark.parametrize("kind", ["sparse", "replay", "full"])
def test_the_record_holds_the_step_at_which_the_analysis_runs(kind, tmp_path):
    whole = train(tmp_path / "whole", small_recipe(Points(), steps=STEPS), kind, steps=CHOSEN, every=8).history
    callback = {"size": AnalysisCallback(Recorded(), "recorded")}
    run = train(tmp_path, small_recipe(Points(), steps=STEPS), kind, steps=CHOSEN, every=8, callbacks=callback)
    assert run.history.stored == whole.stored and run.history.steps == whole.steps
    assert curves(tmp_path)[0] == {step: i + 1 for i, step in enumerate(whole.stored)}
    for step in whole.stored:
        assert digest(run.history.params(step)) == digest(whole.params(step))
        assert run.history.optimizer(step).keys() == whole.optimizer(step).keys()


class Stop(Callback):
    """Ends training with the first epoch."""

    def on_train_epoch_end(self, trainer, module):
        trainer.should_stop = True


@pytest.mark.parametrize(("every", "at"), [("recorded", [0, 1, 5, 11]), ("epoch", [11]), (11, [11])])
@pytest.mark.parametrize("steps", [(0, 1, 5, 11), (0, 1, 5)])
def test_training_that_ends_early_is_drawn_at_its_end(every, at, steps, tmp_path):
    run(tmp_path, every, steps=steps, stop=Stop())
    scalars, figures = curves(tmp_path)
    assert sorted(scalars) == at and figures == [11]


class Killed(BaseException):
    """A process that dies."""


@pytest.mark.parametrize(("after", "before"), [(1, True), (1, False), (4, True)])
def test_an_interrupted_run_repeats_and_skips_no_step(after, before, tmp_path, monkeypatch):
    """The process dies with one of the checkpoints: before it is written or after it."""
    run(tmp_path / "whole", "recorded")
    wanted, table = curves(tmp_path / "whole"), (tmp_path / "whole" / "metrics.csv").read_text()
    save, saved = Checkpoints.save, []

    def dies(self, trainer, module):
        saved.append(module.global_step)
        if not (before and len(saved) == after):
            save(self, trainer, module)
        if len(saved) == after:
            raise Killed

    recipe = small_recipe(Points(), steps=STEPS)

    def again():
        recorder = Recorder(tmp_path / "part" / "history", "sparse", recipe, 6, steps=CHOSEN)
        callbacks = {"size": AnalysisCallback(Size(), "recorded")}
        settings = FitSettings(chunk=4, log_every=6, checkpoint_every=5)
        fit(tmp_path / "part", recipe, recorder, settings, callbacks)

    monkeypatch.setattr(Checkpoints, "save", dies)
    with pytest.raises(Killed):
        again()
    assert saved[-1] == 5 * after
    monkeypatch.setattr(Checkpoints, "save", save)
    again()
    assert curves(tmp_path / "part") == wanted
    assert (tmp_path / "part" / "metrics.csv").read_text() == table
