"""Real runs: a small study from the module, its networks in PyTorch beside ONNX Runtime.

They need the program with libtorch, ONNX Runtime, Fashion-MNIST (`SPACEWRIGHT_DATA`), and
`SPACEWRIGHT_EXAMPLES`, which names the folder of the example studies: `cargo xtask test --long` sets both.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import spacewright as sw
from spacewright.events import Progress, StepFinished, StepSkipped, StepStarted
from spacewright.study import Step

EXAMPLES = os.environ.get("SPACEWRIGHT_EXAMPLES")
pytestmark = pytest.mark.skipif(EXAMPLES is None, reason="SPACEWRIGHT_EXAMPLES is not set")

IMAGES = 1000


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("runs")
    assert EXAMPLES is not None
    shutil.copy(Path(EXAMPLES, "smoke.toml"), folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPACEWRIGHT_HOME", str(folder / "home"))
        yield folder


@pytest.fixture(scope="module")
def study(place: Path) -> sw.Study:
    """The smallest example, trained enough for its networks to be sure of most images, and run by the module
    as a user would; interrupted once."""
    longer = {"fp32": {"steps": 400, "batch": 64}, "int8": {"steps": 200, "batch": 64}}
    study = sw.Study(
        place / "smoke.toml",
        runs=place / "runs",
        threads=1,
        data={"train_images": 12000, "test_images": IMAGES},
        teach={"phase": {"steps": 100}},
        finetune=longer,
    )

    def interrupt(event: sw.Event) -> None:
        if isinstance(event, Progress) and event.step == "distil":
            # As Ctrl-C would, of which the main thread hears.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        study.run(on_event=interrupt)
    heard: list[sw.Event] = []
    study.run(until="search", on_event=heard.append)
    skipped = {event.step for event in heard if isinstance(event, StepSkipped)}
    assert {"tables", "measure", "teach"} <= skipped
    assert isinstance(heard[-1], StepFinished) and heard[-1].step == "search"
    return study


def test_the_example_of_the_documentation_runs(study: sw.Study, tmp_path: Path) -> None:
    """What is not finished is run when its results are asked for."""
    assert not (study.folder / "report.json").exists()
    best = study.best()
    assert (
        best.int8_ms > 0.0 and 0.3 < best.int8_accuracy <= 1.0 and best.encoding.startswith("d1#")
    )
    assert best.export(tmp_path / "net.onnx").read_bytes() == best.file.read_bytes()
    assert len(study.front.to_pandas()) == len(study.front)
    # A page for people, where this version of the program makes one.
    kind = "html" if (study.folder / "report.html").exists() else "json"
    assert study.report(tmp_path / f"out.{kind}").stat().st_size > 1000
    assert best.encoding.split("#")[0] in study._repr_html_() or study.networks
    heard: list[sw.Event] = []
    study.run(on_event=heard.append)
    assert not any(isinstance(event, StepStarted) for event in heard)
    skipped = [event.step for event in heard if isinstance(event, StepSkipped)]
    assert skipped == list(get_args(Step))


def test_spaces_and_files_can_be_asked(study: sw.Study) -> None:
    best = study.best()
    subnet = sw.space(best.space).subnet(best.encoding)
    assert (subnet.macs, subnet.params) == (best.macs, best.params)
    assert sw.latency(best.file).p10_ms > 0.0


def test_mistakes_are_told_as_the_program_tells_them(place: Path) -> None:
    study = sw.Study(place / "smoke.toml", runs=place / "runs", train={"fp32": {"stepz": 1}})
    with pytest.raises(sw.SpacewrightError, match="stepz") as caught:
        study.run()
    assert caught.value.exit_code == 2
    with pytest.raises(sw.SpacewrightError) as caught:
        sw.latency(place / "none.onnx")
    assert caught.value.exit_code == 2


def test_real_numbers_are_those_of_the_file(study: sw.Study) -> None:
    torch = pytest.importorskip("torch")
    from agreement import fashion_mnist, logits

    images = fashion_mnist(Path(os.environ["SPACEWRIGHT_DATA"], "fashion-mnist"), 100)
    for network in study.networks:
        theirs = logits(network.fp32_file, images)
        with torch.no_grad():
            ours = network.to_torch()(torch.from_numpy(images)).numpy()
        worst = np.abs(ours - theirs).max(axis=1) / np.abs(theirs).max(axis=1)
        assert worst.max() < 1e-5, worst.max()


def test_classes_in_integers_differ_at_rounding_ties_only(study: sw.Study) -> None:
    torch = pytest.importorskip("torch")
    from agreement import Integers, fashion_mnist, logits

    images = fashion_mnist(Path(os.environ["SPACEWRIGHT_DATA"], "fashion-mnist"), IMAGES)
    for network in study.networks:
        module = network.to_torch(quantized=True)
        with torch.no_grad():
            ours = torch.cat([module(part) for part in torch.from_numpy(images).split(100)])
        same = ours.argmax(1).numpy() == logits(network.file, images).argmax(1)
        integers = Integers(network.file, module)
        for at in np.flatnonzero(~same):
            difference = integers.first_difference(images[at])
            assert difference is not None and difference.is_tie(), (at, difference)
        assert same.mean() >= 0.995, same.mean()


def test_a_written_set_is_one_that_the_program_accepts(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0)
    parts: list[tuple[sw.data.Part, int]] = [("train", 40), ("val", 12)]
    for part, count in parts:
        images = drawn.integers(0, 256, (count, 20, 24, 3), np.uint8)
        sw.data.write(
            images, np.arange(count) % 3, tmp_path / "set", classes=["a", "b", "c"], part=part
        )
    found = sw._program.ask(["data", "check", str(tmp_path / "set")])
    assert found["layout"] == "webdataset"
    torch = pytest.importorskip("torch")
    pixels = torch.rand(9, 3, 8, 8)
    pairs = torch.utils.data.TensorDataset(pixels, torch.arange(9) % 3)
    out = tmp_path / "folders"
    assert sw.data.write(pairs, out=out, layout="image-folder", classes=["a", "b", "c"]) == 9
    assert sw._program.ask(["data", "check", str(out)])["layout"] == "image-folder"
