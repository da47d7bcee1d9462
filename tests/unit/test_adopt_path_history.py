"""AdoptedNetwork recordings, against trainings of an independent implementation of the transformer by plain loops."""

import json
import math
import shutil
import tracemalloc

import numpy as np
import pytest
import torch
from warm_process import command

import mechlab
from mechlab.adopt import adopt
from mechlab.adopting.formats.path_history import path_history
from mechlab.core.errors import ConfigError, RunError
from mechlab.core.task import Batch
from mechlab.core.update_equations import equations_of
from mechlab.kernels.path_kernels import path_kernel
from mechlab.kernels.trajectory import Arrays, Trajectory
from mechlab.record.history import History
from mechlab.record.tensors import save_tensors

P, WIDTH, HIDDEN, HEADS, STEPS = 7, 8, 12, 2, 9
N = 16
PE = "positional_encoding.pe"


def pairs():
    """Return tokens (28, 4) and sums of all unordered pairs, in a mixed order."""
    found = [(x, P, y, P + 1) for x in range(P) for y in range(x + 1)]
    tokens = torch.tensor(found)[torch.randperm(len(found), generator=torch.Generator().manual_seed(5))]
    return tokens, (tokens[:, 0] + tokens[:, 2]) % P


def fresh(dtype=torch.float32):
    rng = torch.Generator().manual_seed(3)
    shapes = {"input_emb.weight": (P + 2, WIDTH), PE: (1, 10, WIDTH)}
    for i in range(1, HEADS + 1):
        shapes |= {
            f"head{i}_encoder.weight": (WIDTH // HEADS, WIDTH),
            f"head{i}_decoder.weight": (WIDTH, WIDTH // HEADS),
        }
    shapes |= {"linear1.weight": (HIDDEN, WIDTH), "linear1.bias": (HIDDEN,), "linear2.weight": (WIDTH, HIDDEN)}
    shapes |= {"linear2.bias": (WIDTH,), "decoder.weight": (P + 2, WIDTH)}
    return {
        name: (0.4 * torch.randn(shape, generator=rng)).to(dtype).requires_grad_() for name, shape in shapes.items()
    }


def log_probabilities(w, tokens):
    h = w["input_emb.weight"][tokens] * math.sqrt(WIDTH)
    o = 0
    for i in range(1, HEADS + 1):
        z = torch.einsum("btd,wd->btw", h, w[f"head{i}_encoder.weight"])
        attention = torch.einsum("btw,bsw->bts", z, z).div(math.sqrt(WIDTH // HEADS)).softmax(-1)
        o = o + torch.einsum("bts,bsw,dw->btd", attention, z, w[f"head{i}_decoder.weight"])
    inner = torch.relu(o @ w["linear1.weight"].T + w["linear1.bias"])
    out = o + torch.relu(inner @ w["linear2.weight"].T + w["linear2.bias"])
    return (out @ w["decoder.weight"].T)[:, -1].log_softmax(-1)


def batches_of(kind):
    rng = np.random.default_rng(1)
    if kind == "full":
        return np.stack([rng.permutation(N) for _ in range(STEPS)])
    rows = []
    while len(rows) < STEPS:  # of 6, 6 and 4 examples
        order = rng.permutation(N)
        rows += [order[:6], order[6:12], np.concatenate([order[12:], [-1, -1]])]
    return np.stack(rows[:STEPS])


CASES = {
    "adamw_full": {
        "info": {"optimizer": "adamw", "hyper": {"lr": 1e-2, "betas": [0.9, 0.98], "eps": 1e-8, "weight_decay": 4.0}},
        "batches": "full",
        "lr": np.full(STEPS, 1e-2),
        "decay": np.full(STEPS, 4.0),
    },
    "adamw_mini": {
        "info": {"optimizer": "adamw", "hyper": {"lr": 1e-2, "betas": [0.8, 0.95], "eps": 1e-6, "weight_decay": 0.5}},
        "batches": "mini",
        "lr": np.linspace(0, 1e-2, STEPS),
        "decay": np.linspace(0.5, 0.1, STEPS),
    },
    "sgd": {
        "info": {"optimizer": "sgd", "hyper": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}},
        "batches": "mini",
        "lr": np.linspace(0.1, 0.02, STEPS),
        "decay": np.full(STEPS, 0.01),
    },
}


class Recorded:
    """A training by a plain loop, with all that a history should hold."""

    def __init__(self, case, dtype=torch.float32):
        about = CASES[case]
        tokens, sums = pairs()
        self.train, self.test = (tokens[:N], sums[:N]), (tokens[N:], sums[N:])
        self.batches, self.lr, self.decay = batches_of(about["batches"]), about["lr"], about["decay"]
        hyper = about["info"]["hyper"]
        sizes = {"batch": self.batches.shape[1], "d_model": WIDTH, "dim_mlp": HIDDEN, "nhead": HEADS}
        self.info = {**about["info"], "hyper": {**hyper, **sizes}, "p": P}
        self.weights = fresh(dtype)
        values = [value for name, value in self.weights.items() if name != PE]
        if about["info"]["optimizer"] == "adamw":
            optimizer = torch.optim.AdamW(values, betas=hyper["betas"], eps=hyper["eps"])
        else:
            optimizer = torch.optim.SGD(values, momentum=hyper["momentum"])
        self.params, self.states = [self._copy()], [{}]
        for step, rows in enumerate(self.batches):
            rows = torch.from_numpy(rows[rows >= 0])
            optimizer.param_groups[0].update(lr=self.lr[step], weight_decay=self.decay[step])
            loss = -log_probabilities(self.weights, self.train[0][rows])[range(len(rows)), self.train[1][rows]].mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            self.params.append(self._copy())
            names = {value: name for name, value in self.weights.items()}
            self.states.append(
                {f"{k}/{names[p]}": v.clone() for p, state in optimizer.state.items() for k, v in state.items()}
            )

    def _copy(self):
        return {name: value.detach().clone() for name, value in self.weights.items()}

    def write(self, folder, second=True):
        """Write the files, after the tests have changed what they want; return the folder."""
        folder.mkdir(exist_ok=True)
        steps = enumerate(self.params)
        np.savez(
            folder / "weights.npz", **{f"step_{s:04d}/{n}": v.numpy() for s, state in steps for n, v in state.items()}
        )
        if second and self.info["optimizer"] == "adamw":
            zero = {f"exp_avg_sq/{name}": torch.zeros_like(value) for name, value in self.params[0].items()}
            moments = {
                f"step_{s:04d}/{name.partition('/')[2]}": value.numpy()
                for s, state in enumerate([zero, *self.states[1:]])
                for name, value in state.items()
                if name.startswith("exp_avg_sq/")
            }
            np.savez(folder / "adam_exp_avg_sq.npz", **moments)
        np.savez(folder / "data.npz", **self.data())
        (folder / "info.json").write_text(json.dumps(self.info))
        return folder

    def data(self):
        (train_x, train_y), (test_x, test_y) = self.train, self.test
        arrays = {"train_x": train_x, "train_y": train_y, "test_x": test_x, "test_y": test_y}
        arrays = {name: value.numpy() for name, value in arrays.items()}
        return {**arrays, "batch_indices": self.batches, "lr": self.lr, "weight_decay": self.decay}


@pytest.fixture(scope="module", params=list(CASES))
def recorded(request):
    return Recorded(request.param)


@pytest.fixture(scope="module")
def simple():
    return Recorded("adamw_full")


def record_of(run):
    return json.loads((run.folder / "provenance" / "adoption.json").read_text())


@pytest.mark.parametrize("second", [True, False])
def test_the_history_is_the_recorded_one(recorded, tmp_path, second, capsys):
    folder = recorded.write(tmp_path / "source", second)
    run = adopt("path_history", folder, root=tmp_path / "runs")
    assert "warning" not in capsys.readouterr().out
    shutil.rmtree(folder)
    run = mechlab.load_run(shutil.move(run.folder, tmp_path / "elsewhere"))
    history = run.history
    assert history.steps == history.stored == list(range(STEPS + 1)) and history.about["kind"] == "full"
    for step in range(STEPS + 1):
        assert all(torch.equal(value, recorded.params[step][name]) for name, value in history.params(step).items())
        assert history.params(step).keys() == recorded.params[step].keys()
        found, expected = history.optimizer(step), recorded.states[step]
        assert found.keys() == {name for name, value in expected.items() if value is not None}
        for name, value in found.items():
            torch.testing.assert_close(value, expected[name], rtol=2e-4, atol=1e-6 * float(expected[name].abs().max()))
            assert torch.equal(value, expected[name]) or not (second and "exp_avg_sq" in name)
    for step in range(STEPS):
        rows = recorded.batches[step]
        assert history.batch_indices(step).tolist() == rows[rows >= 0].tolist()
        assert history.rates(step) == (recorded.lr[step], recorded.decay[step])
        assert torch.equal(run.recipe.source().batch(step).index, history.batch_indices(step))
    optimizer = run.recipe.optimizer(run.model())
    assert [run.recipe.learning_rate(optimizer, s) for s in range(STEPS)] == pytest.approx(recorded.lr.tolist(), 1e-12)
    assert optimizer.defaults["weight_decay"] == recorded.decay[0]


def test_the_run_is_complete(recorded, tmp_path, capsys):
    run = adopt("path_history", recorded.write(tmp_path / "source"), root=tmp_path / "runs")
    assert run.status["status"] == "done" and run.folder.parent.name == "recorded-transformer1"
    assert run.config["history"]["kind"] == "full" and run.config["trainer"]["max_steps"] == STEPS
    train, test = run.task.examples("train"), run.evaluation("test")
    assert torch.equal(train.inputs, recorded.train[0]) and torch.equal(train.targets, recorded.train[1])
    assert torch.equal(test.inputs, recorded.test[0]) and train.index.tolist() == list(range(N))
    assert torch.equal(run.evaluation("val").targets, recorded.test[1])
    for moment, step in ((0, 0), (4, 4), ("last", STEPS)):
        expected = log_probabilities(recorded.params[step], recorded.test[0])
        torch.testing.assert_close(run.at(moment).model()(test.inputs), expected, rtol=1e-5, atol=1e-5)
    metrics, table = run.results["metrics"], run.metrics
    assert metrics["steps"] == STEPS and table["step"].tolist() == list(range(STEPS + 1))
    rows = recorded.batches[3][recorded.batches[3] >= 0]
    wanted = -log_probabilities(recorded.params[3], recorded.train[0][rows])[range(len(rows)), recorded.train[1][rows]]
    assert table["train/loss"][3] == pytest.approx(float(wanted.mean()), rel=1e-5)
    replay = record_of(run)["replay"]
    assert replay["first"] < 1e-4 and replay["middle"]["error"] < 1e-4 and replay["beyond"] == 0
    before = run.folder / "history" / "history.json"
    time = before.stat().st_mtime_ns
    capsys.readouterr()
    again = adopt("path_history", recorded.write(tmp_path / "other"), root=tmp_path / "runs")
    assert again.folder == run.folder and before.stat().st_mtime_ns == time
    assert "adopted already" in capsys.readouterr().out


def test_what_is_recorded_decides_the_run(simple, tmp_path):
    found = set()
    for number in range(4):
        made = Recorded("adamw_full")
        if number == 1:
            made.params[4]["decoder.weight"][0, 0] += 1e-3
        if number == 2:
            made.batches = made.batches[:, ::-1]
        if number == 3:
            made.lr = 2 * made.lr
        found.add(adopt("path_history", made.write(tmp_path / "source"), root=tmp_path / "runs").folder)
    assert len(found) == 4


def test_double_precision_is_kept(tmp_path):
    made = Recorded("adamw_full", torch.float64)
    run = adopt("path_history", made.write(tmp_path / "source", second=False), root=tmp_path / "runs")
    assert run.config["trainer"]["precision"] == 64
    expected = made.states[STEPS]
    for name, value in run.history.optimizer(STEPS).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-9, atol=1e-14)
    assert record_of(run)["replay"]["worst"]["error"] < 1e-10


@pytest.mark.parametrize("decayed", [False, True])
def test_the_unused_positions_may_be_absent_or_change(simple, tmp_path, decayed, capsys):
    made = Recorded("adamw_full")
    for step, params in enumerate(made.params):
        if decayed:
            params[PE] *= 0.9**step
        else:
            del params[PE]
    run = adopt("path_history", made.write(tmp_path / "source"), root=tmp_path / "runs")
    assert PE not in run.history.params(0) and run.config["model"]["positions"] == 0
    assert ("changes over training" in capsys.readouterr().out) == decayed


def test_steps_that_are_not_the_optimizers_are_told(tmp_path, capsys):
    made = Recorded("adamw_full")
    made.info["hyper"]["betas"] = [0.5, 0.98]
    run = adopt("path_history", made.write(tmp_path / "source"), root=tmp_path / "runs")
    printed = capsys.readouterr().out
    assert f"warning: {STEPS - 1} of {STEPS} recorded steps" in printed
    assert record_of(run)["replay"]["beyond"] == STEPS - 1 and record_of(run)["replay"]["middle"]["error"] > 0.01


def test_moments_with_bias_correction_are_told(tmp_path, capsys):
    made = Recorded("adamw_full")
    for step in range(1, STEPS + 1):
        for name, value in made.states[step].items():
            if name.startswith("exp_avg_sq"):
                value /= 1 - 0.98**step
    adopt("path_history", made.write(tmp_path / "source"), root=tmp_path / "runs")
    assert "warning: the given second moments differ" in capsys.readouterr().out


def test_rates_in_float32_are_the_numbers_that_they_round(tmp_path):
    made = Recorded("adamw_full")
    made.lr, made.decay = made.lr.astype(np.float32), made.decay.astype(np.float32)
    run = adopt("path_history", made.write(tmp_path / "source"), root=tmp_path / "runs")
    assert run.history.rates(0) == (1e-2, 4.0) and run.config["schedule"]["kind"] == "constant"


def test_the_examples_must_be_those_that_were_recorded(simple, tmp_path):
    run = adopt("path_history", simple.write(tmp_path / "source"), root=tmp_path / "runs")
    other = Recorded("sgd").write(tmp_path / "other")
    another = adopt("path_history", other, root=tmp_path / "runs")
    shutil.copy(another.folder / "data.safetensors", run.folder)
    with pytest.raises(RunError, match="other tensors"):
        mechlab.load_run(run.folder).evaluation("test")


def changed(**arrays):
    """Return what changes arrays of data.npz: None removes one, a function is applied to it."""

    def apply(made, folder):
        data = made.data()
        for name, change in arrays.items():
            data[name] = change(data[name]) if callable(change) else change
        np.savez(folder / "data.npz", **{name: value for name, value in data.items() if value is not None})

    return apply


def rewritten(file, change):
    """Return what changes the mapping of all arrays in a file."""

    def apply(made, folder):
        with np.load(folder / file) as arrays:
            found = dict(arrays)
        np.savez(folder / file, **change(found))

    return apply


def told(**values):
    """Return what changes info.json: names of hyper, or p and optimizer; None removes one."""

    def apply(made, folder):
        info = json.loads((folder / "info.json").read_text())
        for name, value in values.items():
            place = info if name in ("p", "optimizer", "hyper") else info["hyper"]
            place[name] = value
            if value is None:
                del place[name]
        (folder / "info.json").write_text(json.dumps(info))

    return apply


def without(key):
    return lambda arrays: {name: value for name, value in arrays.items() if not name.startswith(key)}


def plus(key, change):
    return lambda arrays: arrays | {key: change(arrays.get(key))}


DECODER = "step_0003/decoder.weight"
BAD = [
    (lambda made, folder: (folder / "weights.npz").unlink(), "must hold weights.npz"),
    (lambda made, folder: (folder / "data.npz").unlink(), "must hold data.npz"),
    (lambda made, folder: (folder / "info.json").unlink(), "must hold info.json"),
    (lambda made, folder: (folder / "weights.npz").write_bytes(b"PK and more"), "(?s)npz.*weights.npz"),
    (lambda made, folder: (folder / "info.json").write_text("{"), "(?s)JSON.*info.json"),
    (rewritten("weights.npz", without(DECODER)), "(?s)every parameter.*weights.npz: no step_0003/decoder.weight"),
    (rewritten("weights.npz", without("step_0003/")), "no step_0003"),
    (rewritten("weights.npz", without("step_0009/")), r"(?s)batch_indices must have the shape \(8, any\).*data.npz"),
    (rewritten("weights.npz", plus("step_0002/bias", lambda _: np.ones(3))), "also step_0002/bias"),
    (rewritten("weights.npz", plus("epoch", lambda _: np.ones(3))), "the key epoch"),
    (rewritten("weights.npz", plus(DECODER, lambda a: a[:, :-1])), rf"{DECODER} must have the shape \(9, 8\)"),
    (rewritten("weights.npz", plus(DECODER, lambda a: a.astype(np.float16))), rf"{DECODER} must be float32"),
    (rewritten("weights.npz", plus(DECODER, lambda a: a.astype(np.float64))), "other ones at step 3: decoder.weight"),
    (rewritten("weights.npz", plus(DECODER, lambda a: a * np.nan)), rf"{DECODER} must be finite"),
    (
        rewritten("weights.npz", plus(DECODER, lambda a: a.astype(object))),
        f"(?s){DECODER} must be a whole.*weights.npz",
    ),
    (rewritten("adam_exp_avg_sq.npz", without("step_0009/")), "(?s)steps of the weights.*adam_exp_avg_sq.npz"),
    (rewritten("adam_exp_avg_sq.npz", plus(DECODER, lambda a: -a)), "step 3, decoder.weight"),
    (rewritten("adam_exp_avg_sq.npz", plus("step_0000/linear1.bias", lambda a: a + 1)), "step 0, linear1.bias"),
    *[(changed(**{name: None}), f"data.npz must hold {name}") for name in ("train_x", "test_y", "batch_indices", "lr")],
    (changed(train_x=lambda a: a[:, :3]), r"train_x must have the shape \(any, 4\)"),
    (changed(train_x=lambda a: a.astype(float)), "train_x must hold whole numbers"),
    (changed(train_x=lambda a: a + 1), "train_x must be from 0 to 8"),
    (changed(test_y=lambda a: a[:-1]), r"test_y must have the shape \(12"),
    (changed(train_y=lambda a: a - 1), "train_y must be from 0 to 8"),
    (changed(batch_indices=lambda a: a[:-1]), "batch_indices must have the shape"),
    (changed(batch_indices=lambda a: a + 1), "batch_indices must be from -1 to 15"),
    (changed(batch_indices=lambda a: np.where(np.arange(STEPS)[:, None] == 2, -1, a)), "none in row 2"),
    (changed(lr=lambda a: a[:, None]), r"lr must have the shape \(9"),
    (changed(lr=lambda a: -a), "lr must not be negative"),
    (changed(weight_decay=lambda a: a * np.inf), "weight_decay must be finite"),
    (changed(weight_decay=lambda a: a.astype(object)), "weight_decay must be a whole array"),
    (told(p=None), "p must be there"),
    (told(p=11), "p \\+ 2 = 13 rows"),
    (told(p="7"), "p must be a whole number"),
    (told(optimizer="adam"), "(?s)adamw or sgd.*did you mean 'adamw'"),
    (told(betas=None), "hyper.betas must be there"),
    (told(betas=[0.9]), "hyper.betas must be two numbers"),
    (told(betas=[0.9, "x"]), "hyper.betas must be a number"),
    (told(betas=[0.9, 1.5]), "AdamW refused"),
    (told(eps=None), "hyper.eps must be there"),
    (told(amsgrad=True), "amsgrad"),
    (told(optimizer="sgd"), "hyper.momentum must be there"),
    (told(d_model=16), "hyper.d_model must be that of weights.npz: 8"),
    (told(dim_mlp=16), "hyper.dim_mlp must be that of weights.npz: 12"),
    (told(nhead=4), "hyper.nhead must be that of weights.npz: 2"),
    (told(batch=8), "batch of 8"),
]


@pytest.mark.parametrize(("spoil", "message"), BAD)
def test_what_does_not_fit_is_told_before_anything_is_written(simple, tmp_path, spoil, message):
    folder = simple.write(tmp_path / "source")
    spoil(simple, folder)
    with pytest.raises(ConfigError, match=message) as caught:
        adopt("path_history", folder, root=tmp_path / "runs")
    assert caught.value.key in ("path", "optimizer") and not (tmp_path / "runs").exists()


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="path must be a folder"):
        adopt("path_history", tmp_path / "none", root=tmp_path / "runs")


def test_memory_does_not_grow_with_the_steps(tmp_path):
    peaks = []
    for steps in (2, STEPS):
        made = Recorded("adamw_full")
        made.params, made.states = made.params[: steps + 1], made.states[: steps + 1]
        made.batches, made.lr, made.decay = made.batches[:steps], made.lr[:steps], made.decay[:steps]
        large = torch.zeros(500 * HIDDEN, WIDTH)
        for params in made.params:
            params |= {"linear1.weight": large, "linear1.bias": large[:, 0], "linear2.weight": large.T}
        made.info["hyper"]["dim_mlp"] = len(large)
        folder = made.write(tmp_path / f"{steps}", second=False)
        tracemalloc.start()
        adopted = path_history(folder)
        for step in range(steps + 1):
            adopted.training.params(step)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] > 2 * large.nbytes and peaks[1] < 1.1 * peaks[0]


def test_the_record_goes_through_shards(simple, tmp_path, monkeypatch):
    monkeypatch.setattr("mechlab.record.shards.SHARD_BYTES", 20_000)
    run = adopt("path_history", simple.write(tmp_path / "source"), root=tmp_path / "runs")
    assert len(list((run.folder / "history").glob("*.safetensors"))) > 3
    assert History(run.folder / "history").steps == list(range(STEPS + 1))


def test_the_path_kernel_is_that_of_the_plain_arrays(recorded, tmp_path):
    run = adopt("path_history", recorded.write(tmp_path / "source", second=False), root=tmp_path / "runs")
    batch = run.evaluation("test", 3)
    found = path_kernel(run, batch, "target", nodes=3, dtype=torch.float64)
    data = Batch(*recorded.train, None, torch.arange(N))
    rows = [torch.from_numpy(row[row >= 0]) for row in recorded.batches]
    arrays = Arrays(recorded.params, rows, recorded.lr, recorded.decay, recorded.states)
    rule = equations_of(run.recipe.optimizer(run.model()))
    trajectory = Trajectory.of_arrays(run.model(), run.spec, data, rule, arrays, dtype=torch.float64)
    expected = path_kernel(trajectory, batch, "target", nodes=3)
    np.testing.assert_allclose(
        found.influence, expected.influence, rtol=1e-4, atol=1e-5 * np.abs(found.influence).max()
    )
    np.testing.assert_allclose(found.decay, expected.decay, rtol=1e-5)
    assert np.abs(found.completeness).max() < 1e-9 and np.abs(found.arithmetic).max() < 1e-4


@pytest.mark.ci
def test_adopt_then_ask_by_commands(simple, tmp_path):
    simple.write(tmp_path / "source")
    done = command("adopt", "format=path_history", "path=source", folder=tmp_path)
    assert done.exit == 0, done.text
    last = done.out.strip().splitlines()[-1]
    assert last.startswith("run: runs/recorded-transformer1/") and f"history: full, {STEPS} steps" in done.out
    shutil.rmtree(tmp_path / "source")
    few = ("analysis.path_kernel.examples=2", "analysis.path_kernel.tolerance=null")
    run = last.removeprefix("run: ")
    asked = command("analyze", f"run={run}", "analysis=path_kernel", *few, folder=tmp_path)
    assert asked.exit == 0, asked.text
    [finding] = json.loads((tmp_path / run / "result.json").read_text())["findings"].values()
    assert finding["scalars"]["steps"] == STEPS


def test_an_interrupted_adoption_is_begun_anew(simple, tmp_path, monkeypatch):
    folder = simple.write(tmp_path / "source")
    with monkeypatch.context() as patched:
        patched.setattr("mechlab.record.shards.SHARD_BYTES", 20_000)
        patched.setattr("mechlab.adopting.adoption.save_tensors", fails_on("weights.safetensors"))
        with pytest.raises(RunError, match="full disk"):
            adopt("path_history", folder, root=tmp_path / "runs")
    (broken,) = (tmp_path / "runs").glob("*/*")
    assert json.loads((broken / "status.json").read_text())["status"] == "failed"
    run = adopt("path_history", folder, root=tmp_path / "runs")
    assert run.folder == broken and run.status["status"] == "done" and run.history.steps == list(range(STEPS + 1))


def fails_on(name):
    """Return `save_tensors` as it is when the disk is full at this file."""

    def save(path, *arguments):
        if path.name == name:
            raise OSError("full disk")
        save_tensors(path, *arguments)

    return save
