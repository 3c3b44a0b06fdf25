"""What a running study tells.

``str`` of an event is a line for people, so that ``study.run(on_event=print)`` shows what goes on.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened; one of the classes of this module.

    Attributes:
        step: name of the step.
    """

    step: str

    def __str__(self) -> str:
        return f"{self.step}: {type(self).__name__}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted(Event):
    """A step begins.

    Attributes:
        summary: what it does.
        changes: where it ran before, what has changed since, each with its kind in ``change``.
    """

    summary: str
    changes: list[Mapping[str, Any]] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.step}: {self.summary}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSkipped(Event):
    """A step is skipped: nothing that it depends on has changed.

    Attributes:
        seconds: what it took when it ran.
    """

    seconds: float

    def __str__(self) -> str:
        return f"{self.step}: unchanged, skipped (took {self.seconds:.1f} s)"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished(Event):
    """A step has finished.

    Attributes:
        seconds: what it took, earlier attempts included.
        earlier_seconds: what earlier attempts took of that.
    """

    seconds: float
    earlier_seconds: float = 0.0

    def __str__(self) -> str:
        now = self.seconds - self.earlier_seconds
        return f"{self.step}: finished in {now:.1f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStopped(Event):
    """A step has failed or was stopped; what it finished is kept.

    Attributes:
        reason: why.
    """

    reason: str

    def __str__(self) -> str:
        return f"{self.step}: stopped: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks(Event):
    """How many tasks of a step are finished: told before the first, and after each.

    Attributes:
        done: finished, those of earlier attempts included.
        total: all.
    """

    done: int
    total: int

    def __str__(self) -> str:
        return f"{self.step}: {self.done} of {self.total} tasks"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStarted(Event):
    """A task of a step begins.

    Attributes:
        task: name of the task.
    """

    task: str

    def __str__(self) -> str:
        return f"  {self.task}: begins"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Event):
    """A task goes on.

    Attributes:
        task: name of the task; empty for progress of the step itself.
        done: units of work done.
        total: units of work in all.
        note: a short state, such as a loss.
    """

    task: str
    done: int
    total: int
    note: str

    def __str__(self) -> str:
        return f"  {self.task or self.step}: {self.done} of {self.total}, {self.note}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One point of a training curve.

    Attributes:
        phase: phase of the training, such as ``fp32``.
        step: optimizer steps of the phase that were done.
        loss: training loss, averaged over the steps since the point before; None where it is not known.
        learning_rate: that of the last of these steps.
        held_out_accuracy: share of held-out images that the network classifies correctly, where it was judged.
    """

    phase: str
    step: int
    loss: float | None
    learning_rate: float
    held_out_accuracy: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve(Event):
    """A point of a task's training curve is known.

    Attributes:
        task: name of the task.
        point: the point.
    """

    task: str
    point: CurvePoint

    def __str__(self) -> str:
        loss = "" if self.point.loss is None else f", loss {self.point.loss:.4f}"
        return f"  {self.task}: {self.point.phase} step {self.point.step}{loss}"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedNetwork:
    """A network whose accuracy a search has judged.

    Attributes:
        network: its encoding.
        latency_ms: INT8 latency in milliseconds, as far as the search knows.
        accuracy: INT8, share of the held-out images that the search judges with.
    """

    network: str
    latency_ms: float
    accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged(Event):
    """A search has judged networks; one that goes on tells of the same ones again.

    Attributes:
        task: name of the task.
        networks: the networks.
    """

    task: str
    networks: tuple[JudgedNetwork, ...]

    def __str__(self) -> str:
        best = max((each.accuracy for each in self.networks), default=0.0)
        return f"  {self.task}: {len(self.networks)} networks judged, at best {100 * best:.2f} %"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFinished(Event):
    """A task of a step ends.

    Attributes:
        task: name of the task.
        seconds: what it took in this attempt.
        succeeded: whether it succeeded.
    """

    task: str
    seconds: float
    succeeded: bool

    def __str__(self) -> str:
        end = "finished" if self.succeeded else "stopped"
        return f"  {self.task}: {end} after {self.seconds:.1f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said(Event):
    """A step says a line.

    Attributes:
        line: the line.
    """

    line: str

    def __str__(self) -> str:
        return f"  {self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherEvent(Event):
    """An event that this version of the package does not know.

    Attributes:
        fields: all that the program says.
    """

    fields: Mapping[str, Any]


_KINDS: Mapping[str, type[Event]] = {
    "step_started": StepStarted,
    "step_skipped": StepSkipped,
    "step_finished": StepFinished,
    "step_stopped": StepStopped,
    "tasks": Tasks,
    "task_started": TaskStarted,
    "progress": Progress,
    "curve": Curve,
    "judged": Judged,
    "task_finished": TaskFinished,
    "said": Said,
}


def event_of(line: str) -> Event | None:
    """The event that a line of the program's progress tells; None where it tells none."""
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    if not isinstance(fields, dict) or not isinstance(fields.get("event"), str):
        return None
    kind = _KINDS.get(fields["event"])
    try:
        return _made(kind, fields) if kind is not None else _other(fields)
    except TypeError:
        return _other(fields)


def _other(fields: dict[str, Any]) -> OtherEvent:
    return OtherEvent(step=str(fields.get("step", "")), fields=fields)


def _made(kind: type[Event], fields: dict[str, Any]) -> Event:
    known = _known(kind, fields)
    if kind is Curve:
        known["point"] = CurvePoint(**_known(CurvePoint, known["point"]))
    if kind is Judged:
        known["networks"] = tuple(
            JudgedNetwork(**_known(JudgedNetwork, each)) for each in known["networks"]
        )
    return kind(**known)


def _known(kind: type[Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a class has: a newer program may say more."""
    names = {each.name for each in dataclasses.fields(kind)}
    return {name: value for name, value in fields.items() if name in names}
