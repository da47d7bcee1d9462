"""`mechlab new` writes tasks, models and analyses: what it writes works as it is, and the contracts notice mistakes."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mechlab.new import main

CHECKOUT = Path(__file__).resolve().parents[2]
WRITTEN = {
    "code": ["tasks/odd_ones", "models/slow", "models/flat", "analyses/gain", "analyses/learned"],
    "yaml": [
        "conf/task/odd_ones.yaml",
        "conf/model/slow.yaml",
        "conf/model/flat.yaml",
        "conf/analysis/gain.yaml",
        "conf/analysis/learned.yaml",
    ],
}


def run(*command: str | Path, cwd: Path, checkout: Path = CHECKOUT) -> subprocess.CompletedProcess:
    """Run Python with mechlab's code in reach, as if it were installed."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *map(str, command)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


def suggested(output: str, what: str) -> list[str]:
    """Return the arguments of Python in the command that a script suggests."""
    return shlex.split(re.search(rf"^  {what} +python (.+)$", output, re.MULTILINE)[1])


MEMBERS = {  # by name, the arguments that write it
    "odd_ones": ["task", "odd_ones"],
    "slow": ["model", "slow"],
    "flat": ["model", "flat", "--static"],
    "gain": ["analysis", "gain"],
    "learned": ["analysis", "learned", "--set"],
}


@dataclass(frozen=True)
class Lab:
    """A user's folder with a package `mylab` and its `conf`, and what was printed when they were written, by member."""

    folder: Path
    printed: dict[str, str]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    folder, printed = tmp_path_factory.mktemp("user"), {}
    with contextlib.chdir(folder):
        for name, words in MEMBERS.items():
            with contextlib.redirect_stdout(io.StringIO()) as output:
                main([*words, "--package", "mylab", "--conf", "conf"])
            printed[name] = output.getvalue()
    return Lab(folder, printed)


def refused(capsys: pytest.CaptureFixture, folder: Path, *words: str) -> tuple[Any, str]:
    """Return the exit status of `mechlab new` and its message."""
    with contextlib.chdir(folder), pytest.raises(SystemExit) as caught:
        main(words)
    return caught.value.code, capsys.readouterr().err


def failures(output: str) -> set[str]:
    """Return the tests that failed, as `test[parameter]`."""
    return set(re.findall(r"^(?:FAILED|ERROR) \S+::(\S+)", output, re.MULTILINE))


def test_the_files_go_where_the_options_say(lab):
    found = {path.relative_to(lab.folder).as_posix() for path in lab.folder.rglob("*") if path.is_file()}
    packages = {"mylab/__init__.py", *(f"mylab/{kind}/__init__.py" for kind in ("tasks", "models", "analyses"))}
    assert found == packages | {f"mylab/{path}.py" for path in WRITTEN["code"]} | set(WRITTEN["yaml"])


@pytest.mark.ci
def test_the_contracts_hold_at_once(lab):
    """Pointed at the user's folder, the contract tests test its members, only these, and pass."""
    done = run("-m", "mechlab.contracts", "--contracts-dir", "conf", "-rA", "-W", "error", cwd=lab.folder)
    assert done.returncode == 0, done.stdout
    passed = re.findall(r"^PASSED \S+::(test_\w+)\[(.+)\]$", done.stdout, re.MULTILINE)
    assert all(any(name in parameter for name in MEMBERS) for _, parameter in passed)
    assert ("test_the_ground_truth_agrees_with_the_targets", "odd_ones") in passed
    assert any(test == "test_forward_is_repeated_step" and case.startswith("slow-") for test, case in passed)
    assert ("test_outputs_fit_the_task", "flat-digits") in passed
    assert ("test_the_same_run_gives_the_same_finding", "gain") in passed
    assert ("test_repeating_a_question_computes_nothing", "learned") in passed


@pytest.mark.ci
def test_the_contracts_find_what_is_wrong(lab, tmp_path):
    """Each planted mistake in a copy of the user's package makes the contract that it breaks fail."""
    shutil.copytree(lab.folder, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("runs", "__pycache__"))
    mistakes = {
        "mylab/tasks/odd_ones.py": {
            "self._automaton.targets(inputs)": "self._automaton.targets(inputs.roll(1, 1))",  # labels one letter late
            "Batch(inputs[rows], targets[rows],": "Batch(inputs[rows], targets.flip(0)[rows],",
            'length_key = "length"': 'length_key = "seed"',
            "parts = order.split([len(words) - 2 * held_out, held_out, held_out])": "parts = (order, order, order)",
            "classes=self._automaton.classes,": 'classes=("even",),',
            "held_out: Annotated[float, between(0.05, 0.4)]": "held_out: object",
        },
        "mylab/analyses/gain.py": {
            "margin:g} above": "margin:g} above {np.random.rand()}",  # not the stream that it was given
            'of a constant guess."': 'of a constant guess"',
            '"chance": run.task.chance()}': '"chance": run.task.chance(), "a ratio": 1.0}',
            'out.save_arrays("accuracy", **accuracy)': "self.kept = accuracy",
            'out.arrays("accuracy")': "self.kept",
            "needs = Needs()": 'needs, check = Needs(kind="sequence", history="full"), lambda *_: None',
        },
        "mylab/analyses/learned.py": {
            '{"share": learned.mean,': '{"share": learned.mean + np.random.rand(),',
            "of fewer than {self.fewest} runs.": "of fewer than {self.fewest} runs",
        },
        "conf/analysis/gain.yaml": {"split: val      # train, val or test\n": ""},
    }
    for file, changes in mistakes.items():
        text = (tmp_path / file).read_text()
        for right, wrong in changes.items():
            assert right in text, right
            text = text.replace(right, wrong)
        (tmp_path / file).write_text(text)
    done = run("-m", "mechlab.contracts", "--contracts-dir", "conf", cwd=tmp_path)
    expected = {
        "test_the_ground_truth_agrees_with_the_targets[odd_ones]",
        "test_the_rule_of_a_task_gives_the_targets_of_its_examples[odd_ones]",
        "test_a_task_at_another_length_is_the_same_task[odd_ones]",
        "test_no_held_out_example_is_trained_on[odd_ones]",
        "test_the_spec_is_consistent[odd_ones]",
        "test_what_a_parameter_does_not_accept_is_refused[task-odd_ones-held_out]",
        "test_every_parameter_is_in_the_yaml_with_a_valid_value[analysis-gain-split]",
        "test_the_same_run_gives_the_same_finding[gain]",
        "test_scalars_are_finite_numbers_with_plain_names[gain]",
        "test_claims_are_well_formed[gain]",
        "test_figures_are_drawn_from_the_artifacts_alone[gain]",
        "test_only_a_task_that_has_what_is_needed_is_accepted[gain-digits]",
        "test_the_same_runs_give_the_same_answer[learned]",
        "test_the_answer_is_well_formed[learned]",
    }
    assert done.returncode == 1 and expected <= failures(done.stdout), done.stdout


@pytest.mark.ci
def test_common_mistakes_get_one_sentence(lab, tmp_path):
    """A missing no_grad, a statement without full stop, and tensors on the wrong device."""
    shutil.copytree(lab.folder, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("runs", "__pycache__"))
    mistakes = {
        "mylab/analyses/gain.py": {"    @torch.no_grad()\n": ""},
        "mylab/analyses/learned.py": {"of fewer than {self.fewest} runs.": "of fewer than {self.fewest} runs"},
        "mylab/models/slow.py": {"self.readout.weight.new_zeros(batch": "torch.zeros(batch"},
    }
    for file, changes in mistakes.items():
        text = (tmp_path / file).read_text()
        for right, wrong in changes.items():
            assert right in text, right
            (tmp_path / file).write_text(text.replace(right, wrong))
    words = "device_of_the_inputs or same_finding or answer_is_well_formed"
    done = run("-m", "mechlab.contracts", "--contracts-dir", "conf", "-k", words, cwd=tmp_path)
    lines = done.stdout.splitlines()
    for sentence in (
        "run of analysis=gain must not record operations for a backward pass that it never runs, as in `",
        "note fewest of analysis=learned must be a sentence that ends in a full stop. Got 'No claim is made ",
        "model=slow must compute on the device of its inputs and parameters; a tensor made in `return torch.zeros(",
    ):
        assert any(line.startswith(sentence) for line in lines), done.stdout
    assert "Traceback" not in done.stdout and "mechlab/contracts" not in "".join(
        line for line in lines if " Error" in line
    )


@pytest.mark.ci
def test_the_new_task_trains_and_the_new_analysis_answers(lab):
    """The suggested command trains; the analysis is in the result, and as a callback in every epoch's metrics."""
    command = suggested(lab.printed["odd_ones"], "train")
    assert command[:4] == ["-m", "mechlab.train", "--config-dir", "conf"] and "allow_targets=[mylab]" in command
    done = run(*command, "analysis=[gain]", "+callbacks=gain", cwd=lab.folder)
    assert done.returncode == 0, done.stderr
    folder = lab.folder / done.stdout.splitlines()[-1].removeprefix("run: ")
    finding = json.loads((folder / "result.json").read_text())["findings"]["gain"]
    assert set(finding["scalars"]) == {"trained", "untrained", "chance"} and set(finding["claims"]) == {"learned"}
    with open(folder / "metrics.csv") as file:
        rows = [row for row in csv.DictReader(file) if row["gain/trained"]]
    assert [int(row["step"]) for row in rows] == [20, 40, 60]
    assert float(rows[-1]["gain/trained"]) == pytest.approx(finding["scalars"]["trained"])


@pytest.mark.ci
def test_without_options_the_files_join_the_checkout(tmp_path):
    """The yaml composes, and the class that it names is found."""
    checkout = tmp_path / "copy"
    for name in ("mechlab", "conf", "scripts"):
        shutil.copytree(CHECKOUT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    said = "".join(
        run(checkout / "scripts" / f"new_{kind}.py", *words, cwd=tmp_path, checkout=checkout).stdout
        for kind, *words in MEMBERS.values()
    )
    for path in [*(f"mechlab/{path}.py" for path in WRITTEN["code"]), *WRITTEN["yaml"]]:
        assert (checkout / path).is_file() and f"wrote copy/{path}\n" in said
    assert suggested(said, "train")[:3] == ["-m", "mechlab.train", "task=odd_ones"]
    command = ["-m", "mechlab.train", "task=odd_ones", "analysis=[gain,learned]", "--cfg", "job"]
    done = run(*command, cwd=tmp_path, checkout=checkout)
    targets = re.findall(r"_target_: (mechlab\.(?:tasks|analyses)\.\S+)", done.stdout)
    names = ["analyses.gain.Gain", "analyses.learned.Learned", "tasks.odd_ones.OddOnes"]
    assert sorted(targets) == [f"mechlab.{name}" for name in names], done.stderr
    code = "import mechlab.tasks.odd_ones, mechlab.analyses.gain as g; print(mechlab.tasks.odd_ones.OddOnes, g.Gain)"
    assert run("-c", code, cwd=tmp_path, checkout=checkout).returncode == 0


@pytest.mark.parametrize("name", ["Gain", "1st", "two words", "a-b", "for", "_x", "x__y", "../x", ""])
def test_a_name_that_python_or_hydra_would_stumble_over_is_refused(name, tmp_path, capsys):
    status, message = refused(capsys, tmp_path, "task", name, "--package", "mylab", "--conf", "conf")
    assert status == 2 and repr(name) in message and "snake case" in message
    assert not list(tmp_path.iterdir())


@pytest.mark.ci
def test_the_new_analysis_of_a_set_answers_at_the_end_of_a_multirun(lab):
    """The suggested command trains two seeds and asks once of both."""
    done = run(*suggested(lab.printed["learned"], "train"), cwd=lab.folder)
    assert done.returncode == 0, done.stderr
    folder = re.search(r"^set: (.+)$", done.stdout, re.MULTILINE)[1]
    finding = json.loads((lab.folder / folder / "finding.json").read_text())
    assert set(finding["scalars"]) == {"share", "share_low", "share_high"} and "fewest" in finding["notes"]


def test_what_exists_is_not_overwritten(lab, capsys):
    """Nothing is written, not even the one of the two files that is not there."""
    path = lab.folder / "mylab" / "tasks" / "odd_ones.py"
    before = path.read_bytes()
    message, _ = refused(capsys, lab.folder, "task", "odd_ones", "--package", "mylab", "--conf", "other")
    assert message.startswith(f"error: {path} exists") and "overwritten" in message
    assert path.read_bytes() == before and not (lab.folder / "other").exists()


@pytest.mark.parametrize("options", ["--package mylab", "--conf conf", "--package my-lab --conf conf"])
def test_a_package_needs_a_name_that_imports_and_a_configuration_of_its_own(options, tmp_path, capsys):
    status, message = refused(capsys, tmp_path, "analysis", "gain", *options.split())
    assert status == 2 and "--package" in message
    assert not list(tmp_path.iterdir())
