"""Candidate search spaces, and networks of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ._program import ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage of a search space.

    Attributes:
        name: what the stage is called.
        block: type of its blocks.
        activation: their non-linearity.
        stride: of its first block.
        widths: output channels that a block may have.
        depths: fewest and most blocks.
        choices: what a block may choose, by axis, such as ``kernel``.
    """

    name: str
    block: str
    activation: str
    stride: int
    widths: list[int]
    depths: list[int]
    choices: dict[str, list[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstraintScore:
    """What a space is worth within one latency limit.

    Attributes:
        limit_ms: the limit, in milliseconds.
        score: its part of the space's score.
        quality: quality of the best subnets within the limit.
        feasible: share of the subnets within the limit.
        penalty: factor for spaces with few of them.
    """

    limit_ms: float
    score: float
    quality: float
    feasible: float
    penalty: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceScore:
    """The score of a space: higher is better.

    Attributes:
        score: over all limits.
        constraints: its parts, one for each limit.
        error_bound: how far the score may be off; None where the scorer does not say it.
    """

    score: float
    constraints: list[ConstraintScore]
    error_bound: float | None

    def __float__(self) -> float:
        return self.score


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """A network of a space.

    Attributes:
        encoding: what it is, as a text.
        space: the space.
        resolution: side of its images, in pixels.
        macs: multiply-adds for one image.
        params: trained scalars.
        stages: its stages as the program tells them: blocks, shapes, multiply-adds and parameters.
    """

    encoding: str
    space: str
    resolution: int
    macs: int
    params: int
    stages: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """A candidate search space: `space` makes one.

    Attributes:
        name: its encoding, such as ``onnxw-151122-023231``.
        hyperspace: the hyperspace that it is from.
        resolutions: sides of images that its networks may take, in pixels.
        subnets: how many networks it holds.
        stages: its stages.
    """

    name: str
    hyperspace: str
    resolutions: list[int]
    subnets: int
    stages: list[Stage]

    def score(
        self,
        *,
        tables: str | os.PathLike[str],
        constraint_ms: float | Sequence[float],
        composition: Literal["consistent", "independent"] = "consistent",
    ) -> SpaceScore:
        """Scores the space against latency limits.

        Args:
            tables: folder of published quality tables.
            constraint_ms: limits, in milliseconds.
            composition: how rows of neighbouring stages are combined.

        Raises:
            SpacewrightError: the folder has no tables for the space.
        """
        limits = [constraint_ms] if isinstance(constraint_ms, (int, float)) else constraint_ms
        flags = [flag for limit in limits for flag in ("--constraint", str(float(limit)))]
        flags += ["--tables", os.fspath(tables), "--composition", composition]
        found = ask(["space", "score", self.name, *_of(self.hyperspace), *flags])["spaces"][0]
        names = ("limit_ms", "score", "quality", "feasible", "penalty")
        constraints = [
            ConstraintScore(**{name: part[name] for name in names}) for part in found["constraints"]
        ]
        bound = found.get("error_bound")
        return SpaceScore(score=found["score"], constraints=constraints, error_bound=bound)

    def subnet(self, encoding: str) -> Subnet:
        """A network of the space.

        Args:
            encoding: which one, as `Network.encoding` has it.

        Raises:
            SpacewrightError: the space has no such network.
        """
        found = ask(["subnet", "show", encoding, "--space", self.name, *_of(self.hyperspace)])
        names = ("space", "resolution", "macs", "params", "stages")
        return Subnet(encoding=encoding, **{name: found[name] for name in names})


def space(name: str, hyperspace: str | None = None) -> Space:
    """A candidate search space.

    Args:
        name: its encoding, such as ``onnxw-151122-023231``.
        hyperspace: built-in name or TOML file of the hyperspace, where the encoding does not name a built-in
            one.

    Raises:
        SpacewrightError: there is no such space.
    """
    found = ask(["space", "show", name, *_of(hyperspace)])
    names = ("name", "block", "activation", "stride", "widths", "depths", "choices")
    return Space(
        name=found["space"],
        hyperspace=hyperspace or found["hyperspace"],
        resolutions=found["resolutions"],
        subnets=int(found["subnets"]),
        stages=[Stage(**{key: stage[key] for key in names}) for stage in found["stages"]],
    )


def _of(hyperspace: str | None) -> list[str]:
    return [] if hyperspace is None else ["--hyperspace", hyperspace]
