"""Recognise what a small photograph shows."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch

from mechlab.core.constraints import Filled, Location, Seed, at_least
from mechlab.core.errors import ConfigError, did_you_mean
from mechlab.core.memory import check_memory
from mechlab.core.seeding import Streams
from mechlab.core.task import Batch, FiniteTask, Split, TaskSpec
from mechlab.tasks.cifar_archive import FOLDER, SHAPE, Images, read_images, write_sample

MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of the channels of CIFAR-10's training images


class Cifar(FiniteTask):
    """Photographs of CIFAR-10, of all ten classes or some of them.

    Inputs are images (N, 3, 32, 32): pixels from 0 to 1, minus the mean of their channel over CIFAR-10's training
    images, divided by its standard deviation. Targets (N,) are class indices. Images are in the order of the files.
    There is no known mechanism. The files are the user's; none come with mechlab.

    Args:
        root: folder or archive of the images; see `cifar_archive.read_images`.
        classes: names of the classes to distinguish, in the order of their class indices; all of them by default.
        n_train: training images, drawn without replacement; all of these classes by default.
        n_val: test images that serve as validation, drawn so too; the other ones are the test split. All of them are in
            both splits by default.
        seed: of these draws; the seed of the run is another one.
        flip: each training image is mirrored left to right with probability 1/2, anew at each step.
        digest: hash of the images, which a run records; None to accept any.

    Raises:
        ConfigError: the images are missing or are not those of the digest, a class does not exist, or there are fewer
            images than asked for.

    Source: Krizhevsky, "Learning multiple layers of features from tiny images" (2009).
    """

    def __init__(
        self,
        root: Annotated[str, Location()] = "data",
        classes: Annotated[tuple[str, ...], Filled()] | None = ("cat", "dog"),
        n_train: Annotated[int, at_least(1)] | None = None,
        n_val: Annotated[int, at_least(1)] | None = None,
        seed: Seed = 0,
        flip: bool = False,
        digest: str | None = None,
    ):
        self.root, self.classes, self.n_train, self.n_val = root, classes, n_train, n_val
        self.seed, self.flip, self.digest = seed, flip, digest
        names = _images(root, digest).names
        self._names = names if classes is None else tuple(classes)
        if unknown := [name for name in self._names if name not in names]:
            fix = did_you_mean(unknown[0], names)
            raise ConfigError("classes must be those of the images", got=unknown[0], key="task.classes", fix=fix)
        if len(set(self._names)) < max(len(self._names), 2):
            must, fix = "classes must be two or more different ones", "task.classes=[cat,dog]"
            raise ConfigError(must, got=list(self._names), key="task.classes", fix=fix)
        self.spec = TaskSpec(
            inputs=int(np.prod(SHAPE)),
            outputs=len(self._names),
            kind="static",
            loss="cross_entropy",
            shape=SHAPE,
            classes=self._names,
        )

    @classmethod
    def without_files(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments with the hash of the images, by which a run's identity and record know them."""
        try:
            return {**arguments, "digest": arguments.get("digest") or read_images(arguments["root"]).digest}
        except (ConfigError, KeyError, TypeError, OSError):
            return dict(arguments)  # for the constructor to refuse

    @classmethod
    def with_sample_files(cls, arguments: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Return the arguments with the place of a few written images in the format of the original."""
        write_sample(folder / FOLDER)
        return {**arguments, "root": str(folder)}

    def examples(self, split: Split) -> Batch:
        """Return the images of a split, in the order of the files."""
        return self._splits[split]

    @property
    def augments(self) -> bool:
        """True if images are mirrored."""
        return self.flip

    def augment(self, batch: Batch, rng: torch.Generator) -> Batch:
        """Return the batch with about half of its images mirrored left to right, if any are."""
        if not self.flip:
            return batch
        mirrored = torch.rand(len(batch), generator=rng, device=batch.inputs.device) < 0.5
        images = torch.where(mirrored[:, None, None, None], batch.inputs.flip(-1), batch.inputs)
        return replace(batch, inputs=images)

    def chance(self) -> float:
        """Return the share of the most frequent class in the training split."""
        targets = self.examples("train").targets
        return float(targets.bincount().max() / len(targets))

    @functools.cached_property
    def _splits(self) -> dict[Split, Batch]:
        images = _images(self.root, self.digest)
        numbers = [images.names.index(name) for name in self._names]
        train, test = (np.flatnonzero(np.isin(labels, numbers)) for labels, _ in (images.train, images.test))
        train = train[self._drawn(len(train), self.n_train, "n_train")]
        chosen = self._drawn(len(test), self.n_val, "n_val")
        rest = np.setdiff1d(np.arange(len(test)), chosen)
        size = 4 * (len(train) + len(test)) * self.spec.inputs
        check_memory(2 * size, f"{len(train) + len(test):,} images", "task.n_train", "task.n_train=10000")
        make = functools.partial(_batch, classes=numbers)
        return {
            "train": make(images.train, train),
            "val": make(images.test, test[chosen]),
            "test": make(images.test, test[rest] if len(rest) else test),
        }

    def _drawn(self, n: int, wanted: int | None, name: str) -> np.ndarray:
        """Return the sorted places of the drawn images among n, or of all n."""
        if (wanted or 1) > n:
            must = f"task.{name} must be at most the number of images of the classes, {n:,}"
            raise ConfigError(must, got=wanted or "all of them", key=f"task.{name}", fix=f"task.{name}=null")
        if wanted is None:
            return np.arange(n)
        return np.sort(Streams(self.seed).numpy(name).permutation(n)[:wanted])


def _images(root: str, digest: str | None) -> Images:
    """Return the images, or raise ConfigError if they are not those of a hash."""
    images = read_images(root)
    if digest is not None and images.digest != digest:
        must, fix = f"the images must be those of task.digest={digest}", "task.digest=null, for a run of its own"
        raise ConfigError(must, got=f"images of digest {images.digest} in {root}", key="task.root", fix=fix)
    return images


def _batch(images: tuple[np.ndarray, np.ndarray], rows: np.ndarray, classes: list[int]) -> Batch:
    labels, pixels = (torch.from_numpy(part[rows]) for part in images)
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (MEAN, DEVIATION))
    places = torch.full((256,), -1)
    places[classes] = torch.arange(len(classes))
    inputs = pixels.float().div_(255).sub_(mean).div_(deviation)
    return Batch(inputs, places[labels.long()], None, torch.arange(len(rows)))
