"""Sets of images: what is written, and what is refused."""

from __future__ import annotations

import io
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spacewright as sw
from spacewright.data import pixels, png


def names_in(shard: Path) -> list[str]:
    with tarfile.open(shard) as archive:
        return archive.getnames()


def test_a_png_holds_the_pixels() -> None:
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    content = png(image)
    begin = content.index(b"IDAT") + 4
    rows = zlib.decompressobj().decompress(content[begin:])
    assert rows == b"\x00" + image[0].tobytes() + b"\x00" + image[1].tobytes()
    assert content[16:26] == b"\x00\x00\x00\x03\x00\x00\x00\x02\x08\x02"


def test_images_come_in_several_shapes() -> None:
    assert pixels(np.zeros((4, 5), np.uint8)).shape == (4, 5, 1)
    assert pixels(np.zeros((3, 4, 5), np.uint8)).shape == (4, 5, 3)
    assert pixels(np.zeros((4, 5, 3), np.uint8)).shape == (4, 5, 3)
    assert pixels(np.full((1, 2, 2), 1.0)).max() == 255
    for image, reason in [
        (np.zeros((4, 5, 2), np.uint8), "its shape is"),
        (np.zeros((0, 5), np.uint8), "its shape is"),
        (np.zeros((4, 5), np.int64), "it holds int64"),
        (np.full((4, 5), -0.1), "from 0 to 1"),
        (np.full((4, 5), np.nan), "from 0 to 1"),
    ]:
        with pytest.raises(ValueError, match=reason):
            pixels(image)


def test_shards_are_numbered(tmp_path: Path) -> None:
    images = np.zeros((5, 4, 4), np.uint8)
    assert sw.data.write(images, [0, 1, 0, 1, 0], tmp_path, classes=["a", "b"], shard=2) == 5
    shards = sorted(path.name for path in tmp_path.glob("*.tar"))
    assert shards == ["train-000000.tar", "train-000001.tar", "train-000002.tar"]
    assert names_in(tmp_path / "train-000002.tar") == ["00000004.png", "00000004.cls"]
    assert (tmp_path / "classes.txt").read_text() == "a\nb\n"
    sw.data.write(images[:1], [1], tmp_path, classes=["a", "b"])
    assert [path.name for path in tmp_path.glob("*.tar")] == ["train-000000.tar"]
    with tarfile.open(tmp_path / "train-000000.tar") as archive:
        label = archive.extractfile("00000000.cls")
        assert isinstance(label, io.BufferedIOBase) and label.read() == b"1"


def test_folders_are_those_of_classes(tmp_path: Path) -> None:
    pairs = [(np.zeros((4, 4), np.uint8), 1), (np.ones((4, 4), np.uint8), 0)]
    out = tmp_path / "set"
    assert sw.data.write(pairs, out=out, classes=["a", "b"], part="val", layout="image-folder") == 2
    found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))
    assert found == ["val/a/00000001.png", "val/b/00000000.png"]
    with pytest.raises(sw.SpacewrightError, match="is there already"):
        sw.data.write(pairs, out=out, part="val", layout="image-folder")


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    images = np.zeros((2, 4, 4), np.uint8)
    with pytest.raises(sw.SpacewrightError, match="image 1: the label 2 is not below 2"):
        sw.data.write(images, [0, 2], tmp_path, classes=["a", "b"])
    with pytest.raises(sw.SpacewrightError, match="2 images have 3 labels"):
        sw.data.write(images, [0, 1, 1], tmp_path)
    with pytest.raises(sw.SpacewrightError, match=r"image 0: its shape is \(4,\)"):
        sw.data.write(images[0], [0] * 4, tmp_path)
    with pytest.raises(sw.SpacewrightError, match="two classes have one name"):
        sw.data.write(images, [0, 1], tmp_path, classes=["a", "a"])
    with pytest.raises(sw.SpacewrightError, match="a class cannot be called"):
        sw.data.write(images, [0, 1], tmp_path, classes=["a", "../b"], layout="image-folder")


def test_a_set_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    images = np.zeros((3, 4, 4), np.uint8)
    sw.data.write(images, [0, 1, 0], tmp_path, shard=2)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    bad = [images[0], np.zeros((4, 4), np.int64)]
    cases: list[tuple[Any, list[Any], int]] = [
        (bad, [0, 1], 2),
        ([], [], 2),
        (images, [0, 1, 0.5], 2),
        (images, [0, 1, 0], 0),
    ]
    for some, labels, shard in cases:
        with pytest.raises(sw.SpacewrightError):
            sw.data.write(some, labels, tmp_path, shard=shard)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_folders_of_classes_keep_their_numbers(tmp_path: Path) -> None:
    images = np.zeros((2, 4, 4), np.uint8)
    with pytest.raises(sw.SpacewrightError, match="sorted by name"):
        sw.data.write(images, [0, 1], tmp_path, classes=["dog", "cat"], layout="image-folder")
    with pytest.raises(sw.SpacewrightError, match="no training image has the label 1"):
        sw.data.write(images, [0, 2], tmp_path, layout="image-folder")
    assert list(tmp_path.iterdir()) == []
