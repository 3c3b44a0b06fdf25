"""Studies without the program: files with overrides, networks out of reports."""

from __future__ import annotations

import json
import math
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spacewright as sw
from spacewright import _toml

STUDY = """\
name = "small"
hyperspace = "space.toml"

[train]
fp32 = { steps = 20, batch = 32 }

[measure]
budgets = [{ quantile = 0.3 }, { ms = 1.5 }]
"""


def entry(index: int, ms: float, accuracy: float) -> dict[str, Any]:
    """A network, as a report has it."""
    numbers = (
        "predicted_ms int8_spread_ms fp32_ms speed_up fake_quant_accuracy identical_predictions "
        "fp32_accuracy ptq_accuracy macs params bytes"
    )
    return {
        **dict.fromkeys(numbers.split(), 1),
        "budget_ms": ms,
        "int8_ms": ms,
        "int8_accuracy": accuracy,
        "encoding": f"<d{index}>",
        "as_searched_accuracy": None,
        "held_out_accuracy": 0.1,
        "finetuned": {"int8": {"held_out_accuracy": accuracy}},
        "float_operators": [],
        "wrong_operators": [],
        "file": f"network-{index}.int8.onnx",
        "fp32_file": f"network-{index}.fp32.onnx",
    }


@pytest.fixture
def study(tmp_path: Path) -> sw.Study:
    path = tmp_path / "small.toml"
    path.write_text(STUDY)
    run = tmp_path / "runs" / "small"
    run.mkdir(parents=True)
    budgets = [entry(0, 1.0, 0.8), entry(1, 2.0, 0.9), entry(2, 3.0, 0.85)]
    report = {"space": {"space": "mini-1", "blocks": ["<b>"]}, "budgets": budgets}
    (run / "report.json").write_text(json.dumps(report))
    (run / "network-1.int8.onnx").write_bytes(b"model")
    return sw.Study(path, runs=tmp_path / "runs")


def test_the_best_network_is_the_most_accurate_that_is_fast_enough(study: sw.Study) -> None:
    assert [network.index for network in study.networks] == [0, 1, 2]
    assert study.best().index == 1
    assert study.best(budget_ms=1.5).index == 0
    with pytest.raises(sw.SpacewrightError, match=r"at most 0.5 ms; the fastest takes 1 ms"):
        study.best(0.5)


def test_a_front_leaves_out_what_another_beats(study: sw.Study) -> None:
    assert [network.index for network in study.front] == [0, 1]
    assert repr(study.front) == "Front(1 ms 80.00%, 2 ms 90.00%)"
    shown = study.front._repr_html_()
    assert shown.count("<circle") == 2
    assert "&lt;b&gt;" in study._repr_html_() and "<b></p>" not in study._repr_html_()
    assert "&lt;d0&gt;" in study.networks[0]._repr_html_()


def test_a_front_is_a_table(study: sw.Study) -> None:
    pytest.importorskip("pandas")
    table = study.front.to_pandas()
    assert list(table["int8_ms"]) == [1.0, 2.0]
    assert "file" not in table.columns


def test_files_are_copied(study: sw.Study, tmp_path: Path) -> None:
    written = study.export(tmp_path / "best.onnx")
    assert written.read_bytes() == b"model"
    assert json.loads(study.report(tmp_path / "r.json").read_text())["budgets"]
    with pytest.raises(sw.SpacewrightError, match=r"no report as `.pdf`") as caught:
        study.report(tmp_path / "r.pdf")
    assert caught.value.hint == "there is one as .json"
    with pytest.raises(sw.SpacewrightError, match="earlier version"):
        study.best().weights_folder("int8")


def test_overrides_make_a_study_of_their_own(study: sw.Study, tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    first = sw.Study(path, train={"fp32": {"steps": 200}}, seed=np.int64(3))
    assert first.path.parent == path.parent and first.path != path
    document = tomllib.loads(first.path.read_text())
    expected = tomllib.loads(STUDY)
    expected["train"]["fp32"]["steps"] = 200
    assert document == {**expected, "name": first.name, "seed": 3}
    assert first.name.startswith("small-") and first.path.stem == first.name
    again = sw.Study(path, seed=3, train={"fp32": {"steps": 200}})
    assert again.path == first.path
    other = sw.Study(path, seed=4)
    assert other.name != first.name
    assert path.read_text() == STUDY


def test_a_name_can_be_given_but_no_file_is_overwritten(study: sw.Study, tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    named = sw.Study(path, name="wide", seed=1)
    assert named.path == tmp_path / "wide.toml"
    assert sw.Study(path, name="wide", seed=2).path == named.path
    (tmp_path / "mine.toml").write_text("name = 'mine'")
    with pytest.raises(sw.SpacewrightError, match="was not written by"):
        sw.Study(path, name="mine")


def test_files_that_are_no_studies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(sw.SpacewrightError, match="No such file") as caught:
        sw.Study(tmp_path / "none.toml")
    assert caught.value.exit_code == 2
    (tmp_path / "bad.toml").write_text("a = [")
    with pytest.raises(sw.SpacewrightError, match=r"bad.toml: "):
        sw.Study(tmp_path / "bad.toml")
    with pytest.raises(ValueError, match="`training` is none of the steps tables, measure"):
        (tmp_path / "bad.toml").write_text("")
        sw.Study(tmp_path / "bad.toml").run(until="training")  # type: ignore[arg-type]


def test_toml_is_read_as_it_was_written() -> None:
    document = {
        "text": 'a "b"\\\n\x7f\t\u202eé',
        "whole": -3,
        "flag": True,
        "small": 1e-05,
        "limits": [math.inf, -math.inf],
        "empty": {},
        "a b.c": {"deep": {"x": [{"y": 1}, {}]}, "list": []},
    }
    assert tomllib.loads(_toml.text_of(document)) == document
    with pytest.raises(TypeError, match="`train.teacher`: a study file cannot hold None"):
        _toml.text_of({"train": {"teacher": None}})
