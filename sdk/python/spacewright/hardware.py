"""What a machine does with networks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from ._program import ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How long a model file takes for its inputs, in milliseconds.

    Attributes:
        min_ms: the fastest run.
        p10_ms: a tenth of the runs take at most this long: what the program compares by.
        median_ms: half of the runs take at most this long.
        runs: how many runs were timed.
        drift: how much slower the machine was at the end than at the beginning.
        target: whose runtime it was measured with.
        machine: processor, runtime and threads.
        warnings: what has disturbed the measurement.
    """

    min_ms: float
    p10_ms: float
    median_ms: float
    runs: int
    drift: float
    target: str
    machine: dict[str, str]
    warnings: list[str]


def latency(
    model: str | os.PathLike[str],
    *,
    target: str | None = None,
    threads: int | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Latency:
    """Measures a model file (ONNX or TFLite) on this machine.

    Args:
        model: the file.
        target: whose runtime; by the file's extension by default.
        threads: threads of the runtime; 1 by default.
        sizes: sizes that the file leaves open, by name.

    Raises:
        SpacewrightError: the file is damaged or cannot be measured, or there is no runtime for it.
    """
    flags = _flags({"--target": target, "--threads": threads})
    flags += [flag for name, size in (sizes or {}).items() for flag in ("--size", f"{name}={size}")]
    found = ask(["target", "measure", os.fspath(model), *flags])
    names = ("min_ms", "p10_ms", "median_ms", "runs", "drift", "target", "machine", "warnings")
    return Latency(**{name: found[name] for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Which operators and widths integers speed up on a target, and which they slow down.

    Attributes:
        target: the target.
        machine: processor, runtime and threads.
        paragraph: what was found, in words.
        rows: a row for each operator, width and feature map: latencies in milliseconds in the middle of a
            network (``fp32_ms``, ``int8_ms``) and of a model of the operator alone, and the ratio of both;
            above 1, integers are faster.
        widths: latencies of single operators over many widths.
    """

    target: str
    machine: str
    paragraph: str
    rows: list[dict[str, Any]]
    widths: list[dict[str, Any]]

    def _repr_html_(self) -> str:
        return f"<p><b>{escape(self.target)}</b>, {escape(self.machine)}</p><p>{escape(self.paragraph)}</p>"


def profile(
    *,
    target: str = "host-ort",
    quick: bool = False,
    hyperspace: str | None = None,
    output: str | os.PathLike[str] | None = None,
    threads: int | None = None,
) -> Profile:
    """Measures which operators and widths integers speed up: minutes, or about one with ``quick``.

    Args:
        target: whose latencies.
        quick: fewer sizes and widths.
        hyperspace: say first what integers do to the operators of this hyperspace.
        output: folder for tables and plots.
        threads: threads of the runtime; 1 by default.

    Raises:
        SpacewrightError: the target has no runtime on this machine, or knows one precision only.
    """
    flags = _flags({"--target": target, "--hyperspace": hyperspace, "--threads": threads})
    flags += ["--quick"] if quick else []
    flags += [] if output is None else ["--output", os.fspath(output)]
    found = ask(["profile", *flags])
    names = ("target", "machine", "paragraph", "rows", "widths")
    return Profile(**{name: found[name] for name in names})


def _flags(given: Mapping[str, object]) -> list[str]:
    """Flags whose value is given."""
    return [
        part for flag, value in given.items() if value is not None for part in (flag, str(value))
    ]
