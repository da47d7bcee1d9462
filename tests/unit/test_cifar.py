"""Photographs out of the binary files of CIFAR-10, against bytes written here, one by one."""

from __future__ import annotations

import tarfile
from collections import Counter
from pathlib import Path

import pytest
import torch

from mechlab.config.build import prepare
from mechlab.core.errors import ConfigError
from mechlab.core.task import SPLITS, Task
from mechlab.tasks.cifar import DEVIATION, MEAN, Cifar
from mechlab.tasks.cifar_archive import NAMES, read_images, write_sample

LABELS = {"data_batch_1.bin": [3, 0, 5, 5], "data_batch_2.bin": [5, 3, 9], "test_batch.bin": [5, 3, 3, 1, 5, 5]}


def pixel(number: int, place: int) -> int:
    """The byte at a place of the image of a number."""
    return (37 * number + place) % 256


def image(number: int) -> torch.Tensor:
    """What a network sees of the image of a number: rows of red, then of green, then of blue."""
    colours = [[pixel(number, 1024 * channel + place) for place in range(1024)] for channel in range(3)]
    parts = [
        (torch.tensor(values, dtype=torch.float64).view(32, 32) / 255 - mean) / deviation
        for values, mean, deviation in zip(colours, MEAN, DEVIATION, strict=True)
    ]
    return torch.stack(parts)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Thirteen images, numbered in the order of the files."""
    number, place = 0, tmp_path / "files"
    place.mkdir()
    for name, labels in LABELS.items():
        rows = [bytes([label, *(pixel(number + i, at) for at in range(3072))]) for i, label in enumerate(labels)]
        (place / name).write_bytes(b"".join(rows))
        number += len(labels)
    return place


def packed(folder: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w:gz") as file:
        for path in sorted(folder.iterdir(), reverse=True):
            file.add(path, f"cifar-10-batches-bin/{path.name}")
    return archive


def test_images_and_labels_are_those_of_the_bytes(folder):
    task = Cifar(str(folder), ["dog", "cat"])
    expected = {"train": ([0, 2, 3, 4, 5], [1, 0, 0, 0, 1]), "val": ([7, 8, 9, 11, 12], [0, 1, 1, 0, 0])}
    for split in SPLITS:
        numbers, targets = expected["train" if split == "train" else "val"]
        batch = task.examples(split)
        assert batch.targets.tolist() == targets and batch.index.tolist() == list(range(len(targets)))
        torch.testing.assert_close(batch.inputs.double(), torch.stack([image(n) for n in numbers]), atol=1e-6, rtol=0)
    assert task.spec.classes == ("dog", "cat") and task.chance() == pytest.approx(0.6)
    everything = Cifar(str(folder), None)
    assert everything.spec.classes == NAMES and everything.examples("train").targets.tolist() == [3, 0, 5, 5, 5, 3, 9]


def test_a_folder_and_its_archive_are_the_same_images(folder, tmp_path):
    inside = tmp_path / "data" / "cifar-10-batches-bin"
    inside.parent.mkdir()
    archive = packed(folder, tmp_path / "data" / "cifar-10-binary.tar.gz")
    digest = read_images(folder).digest
    assert read_images(archive).digest == read_images(archive.parent).digest == digest
    folder.rename(inside)
    assert read_images(archive.parent).digest == digest
    content = bytearray((inside / "test_batch.bin").read_bytes())
    content[-1] ^= 1
    (inside / "test_batch.bin").write_bytes(content)
    assert read_images(inside).digest != digest


def test_a_run_knows_the_images_by_their_hash_and_not_by_their_place(folder, tmp_path):
    def node(root: Path, digest: str | None = None) -> dict:
        target = "mechlab.tasks.cifar.Cifar"
        return {"_target_": target, **Cifar.without_files({"root": str(root), "digest": digest})}

    here, there = node(folder), node(packed(folder, tmp_path / "elsewhere.tar.gz"))
    assert here["digest"] == read_images(folder).digest
    assert prepare(here, "task", Task).identity() == prepare(there, "task", Task).identity()
    write_sample(tmp_path / "others")
    assert prepare(node(tmp_path / "others"), "task", Task).identity() != prepare(here, "task", Task).identity()
    with pytest.raises(ConfigError, match=r"task\.digest(.|\n)*task\.root"):
        Cifar(str(tmp_path / "others"), digest=here["digest"])


def test_drawn_images_are_some_of_all_and_the_other_test_images_are_the_test_split(tmp_path):
    write_sample(tmp_path, train=30, test=20, files=3)
    whole, some, again, other = (Cifar(str(tmp_path), n_train=n, n_val=m, seed=s) for n, m, s in PARTS)
    assert len(whole.examples("train")) == 60 and len(whole.examples("val")) == 40

    def rows(task: Cifar, split: str) -> Counter:
        return Counter(row.numpy().tobytes() for row in task.examples(split).inputs)

    assert rows(whole, "val") == rows(whole, "test")
    assert rows(some, "train").total() == 11 and rows(some, "train") < rows(whole, "train")
    assert rows(some, "val").total() == 15 and rows(some, "val") + rows(some, "test") == rows(whole, "val")
    assert rows(some, "train") == rows(again, "train") != rows(other, "train")


PARTS = [(None, None, 0), (11, 15, 0), (11, 15, 0), (11, 15, 1)]


def test_about_half_of_the_training_images_are_mirrored(tmp_path):
    write_sample(tmp_path)
    batch = Cifar(str(tmp_path)).generate(400, "train", torch.Generator().manual_seed(0))
    made = Cifar(str(tmp_path), flip=True).augment(batch, torch.Generator().manual_seed(0))
    same = (made.inputs == batch.inputs).flatten(1).all(1)
    mirrored = (made.inputs == batch.inputs[..., torch.arange(31, -1, -1)]).flatten(1).all(1)
    assert (same ^ mirrored).all() and 150 < mirrored.sum() < 250
    assert torch.equal(made.targets, batch.targets) and torch.equal(made.index, batch.index)


def test_names_of_classes_are_lines(folder):
    names = [f"big class {i}" for i in range(10)]
    (folder / "batches.meta.txt").write_text("\n".join(names) + "\n\n")
    assert read_images(folder).names == tuple(names)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "test_batch.bin").unlink(), "must be under task.root"),
        (lambda folder: [path.unlink() for path in folder.glob("data*")], "must be under task.root"),
        (lambda folder: (folder / "data_batch_2.bin").write_bytes(b"\0" * 3072), "rows of 3,073 bytes"),
        (lambda folder: (folder / "data_batch_2.bin").write_bytes(b"\x0a" + b"\0" * 3072), "labels must be below 10"),
        (lambda folder: (folder / "batches.meta.txt").write_text("cat\ndog\n"), "labels must be below 2"),
    ],
)
def test_files_that_are_not_the_images_are_refused(folder, damage, message):
    damage(folder)
    with pytest.raises(ConfigError, match=message) as caught:
        Cifar(str(folder))
    assert caught.value.key == "task.root"


def test_missing_files_are_named_with_the_place_where_they_go(tmp_path):
    with pytest.raises(ConfigError) as caught:
        Cifar(str(tmp_path / "nowhere"))
    text = str(caught.value)
    assert all(name in text for name in ("cifar-10-binary.tar.gz", "data_batch_1.bin", "test_batch.bin"))
    assert str(tmp_path / "nowhere") in text and "https://" in text
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(b"no archive")
    with pytest.raises(ConfigError, match="no readable archive"):
        Cifar(str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"classes": ["cat", "dgo"]}, "task.classes"),
        ({"classes": ["cat"]}, "task.classes"),
        ({"classes": ["cat", "cat"]}, "task.classes"),
        ({"n_train": 25}, "task.n_train"),
        ({"n_val": 13}, "task.n_val"),
    ],
)
def test_what_the_images_do_not_have_is_refused(tmp_path, arguments, key):
    write_sample(tmp_path)
    with pytest.raises(ConfigError) as caught:
        Cifar(str(tmp_path), **arguments).examples("train")
    assert caught.value.key == key
