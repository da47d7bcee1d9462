"""The published experiment on photographs, on a small archive of its own, from the command to its findings."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from warm_process import command

from mechlab.record.files import read_json
from mechlab.tasks.cifar_archive import write_sample

SMALL = ("model.width=2", "trainer.batch_size=8", "trainer.max_epochs=2")
ANALYSES = (
    *("analysis.path_kernel.tolerance=null", "analysis.agreement.tolerance=null", "analysis.pruning.repeats=3"),
    *("analysis.pruning.kept=[0.1,0.5]", "analysis.pruning.importance=[path_kernel,random]"),
)


def archive(folder: Path) -> None:
    write_sample(folder / "files", train=16, test=8)
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as file:
        file.add(folder / "files", "cifar-10-batches-bin")


@pytest.mark.ci
def test_an_archive_is_trained_on_replayed_and_explained(tmp_path: Path) -> None:
    archive(tmp_path)
    words = ("experiment=epk_cifar2", f"task.root={tmp_path}", *SMALL, *ANALYSES)
    done = command("train", *words, folder=tmp_path)
    assert done.exit == 0, done.text
    assert "history: replay" in done.out
    run = tmp_path / done.out.rstrip().splitlines()[-1].removeprefix("run: ")
    result = read_json(run / "result.json")
    assert set(result["findings"]) == {"path_kernel", "agreement", "pruning"}
    kernel = result["findings"]["path_kernel"]
    assert kernel["claims"]["completeness"]["holds"] and kernel["scalars"]["steps"] == 8
    elsewhere = (tmp_path / "files").rename(tmp_path / "cifar-10-batches-bin")  # the same images, hence the same run
    again = command("train", words[0], f"task.root={elsewhere}", *words[2:], folder=tmp_path)
    assert "the run is done already" in again.out


@pytest.mark.ci
def test_missing_images_are_an_error_that_says_where_they_go(tmp_path: Path) -> None:
    done = command("train", "experiment=epk_cifar2", folder=tmp_path)
    assert done.exit != 0 and "cifar-10-binary.tar.gz" in done.text and "task.root" in done.text
    assert not list(tmp_path.rglob("*.json"))
