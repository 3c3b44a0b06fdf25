"""Networks that a study has designed."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ._program import ask
from .errors import SpacewrightError

if TYPE_CHECKING:
    from ._torch import GraphModule

Precision = Literal["int8", "fp32"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network that a study has designed, trained, written and verified.

    Latencies are in milliseconds, measured (or predicted) for the study's target; accuracies are shares of
    the test images, from 0 to 1.

    Attributes:
        index: position of its budget among the study's, from 0.
        encoding: what the network is, as a text that the program reads.
        space: the search space that it is from.
        budget_ms: the latency that it was searched for.
        predicted_ms: its latency in the search, as a sum of parts.
        int8_ms: its latency in integers, as a whole.
        int8_spread_ms: half of the runs take at most this much longer.
        fp32_ms: its latency in real numbers; None where the target knows integers only.
        speed_up: ``fp32_ms / int8_ms``.
        int8_accuracy: as the target's runtime computes it in integers.
        fake_quant_accuracy: as training computes it.
        identical_predictions: share of the images to which both give the same class.
        fp32_accuracy: after the phase without quantizers, as the runtime computes it.
        ptq_accuracy: the same, quantized after training.
        as_searched_accuracy: with the supernet's weights; None where it has no others.
        held_out_accuracy: share of the held-out images, by which networks are chosen.
        macs: multiply-adds for one image.
        params: trained scalars.
        bytes: size of the file in integers.
        float_operators: operators that the runtime executes in real numbers.
        wrong_operators: operators that differ from exact integers by more than a rounding tie.
        file: the model file in integers.
        fp32_file: the model file in real numbers.
        folder: folder of the study's run.
    """

    index: int
    encoding: str
    space: str
    budget_ms: float
    predicted_ms: float
    int8_ms: float
    int8_spread_ms: float
    fp32_ms: float | None
    speed_up: float | None
    int8_accuracy: float
    fake_quant_accuracy: float
    identical_predictions: float
    fp32_accuracy: float
    ptq_accuracy: float
    as_searched_accuracy: float | None
    held_out_accuracy: float
    macs: int
    params: int
    bytes: int
    float_operators: list[str]
    wrong_operators: list[str]
    file: Path
    fp32_file: Path
    folder: Path
    # How the study was run, to run a step of it again.
    _study: tuple[str, ...] = field(repr=False)

    def export(self, path: str | Path, precision: Precision = "int8") -> Path:
        """Writes the model file, and returns its path.

        The extension says the format. In that of the study's target the file is there already; another one,
        such as ``.tflite`` of a study for ONNX Runtime, is written and verified by the study's step
        ``export``, which runs again.

        Args:
            path: where the file is written; what is there is replaced.
            precision: ``"int8"``, or ``"fp32"`` in the format of the study's target.

        Raises:
            SpacewrightError: there is no runtime for the format.
        """
        path = Path(path)
        source = self.file if precision == "int8" else self.fp32_file
        if path.suffix != source.suffix:
            if precision == "fp32":
                raise SpacewrightError(
                    f"real numbers are written as `{source.suffix}`, not as `{path.suffix}`",
                    f"name a file that ends in `{source.suffix}`",
                    2,
                )
            source = source.with_suffix(path.suffix)
            if not source.is_file():
                ask(["export", *self._study, "--format", path.suffix.removeprefix(".")])
        shutil.copyfile(source, path)
        return path

    def to_torch(self, quantized: bool = False) -> GraphModule:
        """The network as a module of PyTorch, with its trained weights, ready to judge (``eval``).

        It takes images as the study's transforms leave them, ``N × channels × height × width`` in single
        precision, and gives logits, ``N × classes``. With ``quantized``, weights and activations are
        rounded to the integers of the target, as in training: classes are those of the file in integers, but
        where a value lies on a rounding tie. Rounding lets gradients pass, so that the module can be trained.

        Args:
            quantized: the network after the phase with quantizers, with them; else the one before it.

        Raises:
            ImportError: PyTorch is not installed.
            SpacewrightError: the run is of a version that did not keep what this needs.
        """
        from ._torch import load

        return load(self.weights_folder("int8" if quantized else "fp32"))

    def weights_folder(self, precision: Precision) -> Path:
        """The folder of graph and weights (``graph.json``, ``weights.safetensors``), and in integers of the
        quantizers (``quantization.json``), as ``spacewright model import`` writes it.

        Raises:
            SpacewrightError: the run is of a version that did not keep it.
        """
        folder = self.folder / f"network-{self.index}.{precision}"
        if not (folder / "graph.json").is_file():
            raise SpacewrightError(
                f"{folder}: the run has not kept graph and weights",
                "it was made by an earlier version: run the study anew in another folder",
            )
        return folder

    def _repr_html_(self) -> str:
        return f"<p><code>{escape(self.encoding)}</code></p>{table_of([self])}"


def network_of(entry: dict[str, Any], space: str, folder: Path, study: tuple[str, ...]) -> Network:
    """A network out of the report of a study (`budgets` of `report.json`)."""
    found = re.match(r"network-(\d+)\.", entry["file"])
    finetuned = entry.get("finetuned")
    same = (
        "encoding budget_ms predicted_ms int8_ms int8_spread_ms fp32_ms speed_up int8_accuracy "
        "fake_quant_accuracy identical_predictions fp32_accuracy ptq_accuracy as_searched_accuracy macs "
        "params bytes float_operators wrong_operators"
    )
    return Network(
        index=int(found[1]) if found else 0,
        space=space,
        held_out_accuracy=(
            finetuned["int8"]["held_out_accuracy"] if finetuned else entry["held_out_accuracy"]
        ),
        file=folder / entry["file"],
        fp32_file=folder / entry["fp32_file"],
        folder=folder,
        _study=study,
        **{name: entry[name] for name in same.split()},
    )


def report_of(path: Path) -> dict[str, Any]:
    """The report of a study, as the program writes it."""
    report: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return report


def table_of(networks: list[Network]) -> str:
    """Networks as a table of HTML."""
    heading = [
        "budget ms",
        "INT8 ms",
        "FP32 ms",
        "speed-up",
        "INT8 accuracy",
        "FP32 accuracy",
        "parameters",
    ]
    rows = [
        [
            f"{network.budget_ms:.3g}",
            f"{network.int8_ms:.3g}",
            "-" if network.fp32_ms is None else f"{network.fp32_ms:.3g}",
            "-" if network.speed_up is None else f"{network.speed_up:.2f}x",
            f"{network.int8_accuracy:.2%}",
            f"{network.fp32_accuracy:.2%}",
            f"{network.params:,}",
        ]
        for network in networks
    ]
    head = "".join(f"<th>{name}</th>" for name in heading)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
