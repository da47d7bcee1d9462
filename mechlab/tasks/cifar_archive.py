"""The binary version of CIFAR-10, read from a folder or from its archive.

Every file but the names is rows of 3,073 bytes: the class, then 32 by 32 pixels of red, of green and of blue.
"""

from __future__ import annotations

import functools
import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mechlab.core.errors import ConfigError

SHAPE = (3, 32, 32)
ROW = 1 + 3 * 32 * 32
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FOLDER, ARCHIVE = "cifar-10-batches-bin", "cifar-10-binary.tar.gz"
TRAIN, TEST, META = "data_batch_", "test_batch.bin", "batches.meta.txt"
LARGEST = 2**30  # bytes of a file
SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"


@dataclass(frozen=True)
class Images:
    """The images of CIFAR-10, or of files in its format.

    Args:
        names: of the classes, by label.
        train, test: (labels (N,) uint8, pixels (N, 3, 32, 32) uint8), in the order of the files.
        digest: hash of labels and pixels, the same for a folder and an archive.
    """

    names: tuple[str, ...]
    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    digest: str


def read_images(root: str | Path) -> Images:
    """Return the images in a folder or archive.

    Args:
        root: the folder of the files `data_batch_1.bin`, ... and `test_batch.bin` (and of `batches.meta.txt` with the
            names of the classes, one a line; without it they are those of CIFAR-10), or a folder that has
            `cifar-10-batches-bin` or `cifar-10-binary.tar.gz` in it, or a .tar or .tar.gz file of those files.

    Raises:
        ConfigError: the files are missing or have another format.
    """
    path = _place(Path(root))
    listed = [path] if path.is_file() else sorted(path.iterdir())
    state = tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in listed)
    return _read(str(root), path, state)


@functools.lru_cache(maxsize=1)
def _read(root: str, path: Path, _state: tuple[tuple[str, int, int], ...]) -> Images:
    files = dict(_archived(path, root) if path.is_file() else _stored(path))
    training = sorted((name for name in files if name.startswith(TRAIN)), key=lambda name: (len(name), name))
    if not training or TEST not in files:
        raise _missing(root, f"{path} with {', '.join(sorted(files)) or 'none of them'}")
    train = _rows(np.concatenate([_bytes(files[name], f"{path}/{name}") for name in training]))
    test = _rows(_bytes(files[TEST], f"{path}/{TEST}"))
    lines = files[META].decode("utf-8", "replace").splitlines() if META in files else NAMES  # a name may have spaces
    names = tuple(line.strip() for line in lines if line.strip())
    if (largest := max(int(labels.max()) for labels, _ in (train, test))) >= len(names):
        must, fix = f"labels must be below {len(names)}, the number of classes", f"take CIFAR-10 from {SOURCE}"
        raise ConfigError(must, got=f"label {largest} in {path}", key="task.root", fix=fix)
    hashed = hashlib.sha256()
    for part in (*train, *test):
        hashed.update(np.ascontiguousarray(part).data)
    return Images(names, train, test, hashed.hexdigest()[:16])


def _place(root: Path) -> Path:
    """Return the folder of the files, or the archive."""
    for path in (root, root / FOLDER, root / ARCHIVE):
        if path.is_file() or (path / TEST).is_file():
            return path
    raise _missing(str(root), f"{root.absolute()}, " + ("without them" if root.is_dir() else "which does not exist"))


def _missing(root: str, got: str) -> ConfigError:
    """Return the error that says which files are needed, and where."""
    must = (
        f"task=cifar reads the binary version of CIFAR-10, which must be under task.root: {ARCHIVE} (packed, as it is "
        f"downloaded), or {TRAIN}1.bin to {TRAIN}5.bin, {TEST} and {META}, there or in a folder {FOLDER}"
    )
    fix = f"put {ARCHIVE} from {SOURCE} into {Path(root).absolute()}, or set task.root to where it is"
    return ConfigError(must, got=got, key="task.root", fix=fix)


def _wanted(name: str) -> bool:
    return name in (TEST, META) or (name.startswith(TRAIN) and name.endswith(".bin"))


def _stored(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file of a folder."""
    for path in sorted(folder.iterdir()):
        if _wanted(path.name) and path.is_file():
            _check_size(path.stat().st_size, str(path))
            yield path.name, path.read_bytes()


def _archived(path: Path, root: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file of an archive; nothing is unpacked to the disk."""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = Path(member.name).name
                if member.isfile() and _wanted(name):
                    _check_size(member.size, f"{path}/{name}")
                    content = archive.extractfile(member)
                    assert content is not None
                    yield name, content.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise _missing(root, f"{path}, which is no readable archive: {error}") from None


def _check_size(size: int, path: str) -> None:
    if size > LARGEST:
        raise ConfigError(f"the file must have at most {LARGEST:,} bytes", got=f"{size:,} in {path}", key="task.root")


def _bytes(content: bytes, path: str) -> np.ndarray:
    """Return a file's rows of bytes (N, 3073), or raise ConfigError if it does not consist of such."""
    if not content or len(content) % ROW:
        must = f"the file must consist of rows of {ROW:,} bytes, a label and 3 times 32 by 32 pixels"
        fix = f"take the binary version of CIFAR-10 from {SOURCE}; it may be incomplete"
        raise ConfigError(must, got=f"{len(content):,} bytes in {path}", key="task.root", fix=fix)
    return np.frombuffer(content, np.uint8).reshape(-1, ROW)


def _rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return rows[:, 0], rows[:, 1:].reshape(-1, *SHAPE)


def write_sample(folder: Path, train: int = 12, test: int = 6, files: int = 1, seed: int = 0) -> None:
    """Write small files in the format of CIFAR-10, with noisy images whose brightness pattern depends on the class.

    Args:
        train, test: images of each of the ten classes.
        files: over which the training images are distributed.
    """
    rng = np.random.default_rng(seed)
    patterns = rng.uniform(60, 195, (len(NAMES), *SHAPE[:1], 4, 4)).repeat(8, 2).repeat(8, 3)

    def rows(n: int) -> np.ndarray:
        labels = rng.permutation(np.arange(len(NAMES)).repeat(n))
        pixels = (patterns[labels] + rng.normal(0, 40, (len(labels), *SHAPE))).clip(0, 255).astype(np.uint8)
        return np.concatenate([labels[:, None].astype(np.uint8), pixels.reshape(len(labels), -1)], 1)

    folder.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(np.array_split(rows(train), files), 1):
        (folder / f"{TRAIN}{number}.bin").write_bytes(part.tobytes())
    (folder / TEST).write_bytes(rows(test).tobytes())
    (folder / META).write_text("\n".join(NAMES) + "\n")
