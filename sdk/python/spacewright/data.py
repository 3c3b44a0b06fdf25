"""Sets of images, written as the program reads them."""

from __future__ import annotations

import io
import itertools
import operator
import shutil
import struct
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .errors import SpacewrightError

Part = Literal["train", "val", "test"]


def write(
    images: Any,
    labels: Iterable[int] | None = None,
    out: str | Path = "images",
    *,
    classes: Sequence[str] | None = None,
    part: Part = "train",
    layout: Literal["webdataset", "image-folder"] = "webdataset",
    shard: int = 10_000,
) -> int:
    """Writes images as a set that a study can name in ``[data] path``, losslessly as PNG; returns how many.

    Other parts of the same set are written into the same folder. Shards that the part had there are replaced
    once all new ones are written; a folder for each class has to be new.

    Args:
        images: arrays or tensors of one image each, of any sizes, or one of all of them: ``height × width``
            (grey), ``height × width × channels`` or ``channels × height × width``, with 1 or 3 channels, of
            type ``uint8``, or of real numbers from 0 to 1. Without `labels`, pairs of image and label, as a
            dataset of torch gives them.
        labels: the class of each image, from 0.
        out: the folder; it is made.
        classes: what classes are called; their numbers by default.
        part: which part of the set: those that are missing are held out of the training part.
        layout: shards, or a folder for each class, whose names the program sorts: `classes` have to be in that
            order, and each needs an image in the training part.
        shard: most images of a shard, at least 1.

    Raises:
        SpacewrightError: an image or a label cannot be used, with its position.
    """
    folder = Path(out)
    if shard < 1:
        raise SpacewrightError(f"a shard of {shard} images", "give `shard` at least 1", 2)
    names = None if classes is None else list(classes)
    _check_names(names, layout)
    folder.mkdir(parents=True, exist_ok=True)
    pairs = _pairs(images, labels, names)
    count = (
        _shards(pairs, folder, part, shard)
        if layout == "webdataset"
        else _folders(pairs, folder / part, names)
    )
    if layout == "webdataset" and names is not None:
        (folder / "classes.txt").write_text("".join(f"{name}\n" for name in names), "utf-8")
    return count


def _check_names(names: list[str] | None, layout: str) -> None:
    for name in names or []:
        in_folders = layout == "image-folder" and ("/" in name or name.startswith("."))
        if not name.strip() or not name.isprintable() or in_folders:
            raise SpacewrightError(f"a class cannot be called {name!r}", "give it a plain name", 2)
    if layout == "image-folder" and names is not None and names != sorted(names):
        hint = "sort them, with their labels, or write shards"
        raise SpacewrightError("folders of classes are sorted by name, and these are not", hint, 2)
    if names is not None and len(set(names)) < len(names):
        raise SpacewrightError("two classes have one name", "give each class a name of its own", 2)


def _pairs(
    images: Any, labels: Iterable[int] | None, names: list[str] | None
) -> Iterator[tuple[bytes, int]]:
    """Images as PNG with their labels."""
    if labels is None:
        pairs: Iterable[tuple[Any, Any]] = (images[at] for at in range(len(images)))
    else:
        numbers = list(labels)
        if len(images) != len(numbers):
            raise SpacewrightError(f"{len(images)} images have {len(numbers)} labels", None, 2)
        pairs = zip(images, numbers)
    for at, (image, label) in enumerate(pairs):
        try:
            number = operator.index(label)
        except TypeError as error:
            raise SpacewrightError(f"image {at}: the label {label!r} is no integer", None, 2) from error
        if number < 0 or names is not None and number >= len(names):
            allowed = "not negative" if names is None else f"below {len(names)}"
            raise SpacewrightError(f"image {at}: the label {number} is not {allowed}", None, 2)
        try:
            yield png(pixels(image)), number
        except ValueError as error:
            raise SpacewrightError(f"image {at}: {error}", None, 2) from error


def pixels(image: Any) -> NDArray[np.uint8]:
    """An image as ``height × width × channels`` of bytes.

    Raises:
        ValueError: it has another shape or type.
    """
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim == 3 and array.shape[2] not in (1, 3) and array.shape[0] in (1, 3):
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[2] not in (1, 3) or 0 in array.shape:
        raise ValueError(f"its shape is {array.shape}, not height x width with 1 or 3 channels")
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"it holds {array.dtype}, not uint8 or real numbers from 0 to 1")
    if not (array.min() >= 0.0 and array.max() <= 1.0):
        raise ValueError("its numbers are not all from 0 to 1: leave normalization to the study")
    return np.ascontiguousarray(np.rint(array * 255.0).astype(np.uint8))


def png(image: NDArray[np.uint8]) -> bytes:
    """A PNG file of ``height × width × channels`` of bytes, grey or in colours (www.w3.org/TR/png-3)."""
    height, width, channels = image.shape

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    # Each row is told to be as it is, which its first byte says.
    rows = np.zeros((height, 1 + width * channels), np.uint8)
    rows[:, 1:] = image.reshape(height, -1)
    content = zlib.compress(rows.tobytes(), 6)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", content), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _shards(pairs: Iterator[tuple[bytes, int]], folder: Path, part: Part, shard: int) -> int:
    count = 0
    written: list[Path] = []
    try:
        for number, first in enumerate(pairs):
            written.append(folder / f".{part}-{number:06}.tar.part")
            with tarfile.open(written[-1], "w") as archive:
                for image, label in itertools.chain([first], itertools.islice(pairs, shard - 1)):
                    for extension, content in (("png", image), ("cls", str(label).encode())):
                        member = tarfile.TarInfo(f"{count:08}.{extension}")
                        member.size = len(content)
                        archive.addfile(member, io.BytesIO(content))
                    count += 1
        if count == 0:
            raise SpacewrightError("there are no images to write", None, 2)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    for old in folder.glob(f"{part}-[0-9][0-9][0-9][0-9][0-9][0-9].tar"):
        old.unlink()
    for path in written:
        path.rename(path.with_name(path.name.removeprefix(".").removesuffix(".part")))
    return count


def _folders(pairs: Iterator[tuple[bytes, int]], folder: Path, names: list[str] | None) -> int:
    if folder.exists():
        raise SpacewrightError(f"{folder} is there already", "name another folder, or remove it", 2)
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    count = 0
    labels: set[int] = set()
    try:
        for image, label in pairs:
            # Classes are sorted by name: numbers have leading zeros.
            own = part / (f"{label:06}" if names is None else names[label])
            own.mkdir(parents=True, exist_ok=True)
            (own / f"{count:08}.png").write_bytes(image)
            labels.add(label)
            count += 1
        if count == 0:
            raise SpacewrightError("there are no images to write", None, 2)
        known = range(len(names) if names is not None else max(labels) + 1)
        if folder.name == "train" and (missing := [label for label in known if label not in labels]):
            hint = "a class without a folder has no number: give it an image, or write shards"
            raise SpacewrightError(f"no training image has the label {missing[0]}", hint, 2)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    part.rename(folder)
    return count
