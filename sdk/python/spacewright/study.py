"""Studies: what to design, for which hardware, from which images."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tomllib
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any, Literal, get_args

from . import _toml
from ._program import ask
from .errors import SpacewrightError
from .events import Event
from .front import Front
from .network import Network, network_of, report_of, table_of

Step = Literal[
    "tables",
    "measure",
    "teach",
    "distil",
    "train-mixed",
    "correct",
    "evolve",
    "train",
    "search",
    "finetune",
    "export",
    "report",
]
"""The steps of a study, in the order in which they run."""

_HEADER = "# Written by spacewright.Study from "


class Study:
    """A study file, and its run.

    A run goes on where an earlier one stopped, whoever has started that: this object keeps nothing, all is
    in the folder of the run. Results (`networks`, `best`, `front`, `report`) are those of the last run that
    finished; where there is none, the study is run first.

    Args:
        path: the study file (TOML).
        runs: folder of all runs.
        threads: threads to use; all cores by default. Trainings depend on it: a run that is to go on needs
            the number that it was begun with.
        overrides: other values of the file's fields, by section: ``train={"fp32": {"steps": 200}}``,
            ``seed=1``. A study with overrides is one of its own: it is written beside the file, as
            ``NAME-HASH.toml``, where the hash is that of the overrides, and has a run of that name, unless
            ``name="…"`` is one of them. The same overrides give the same study, whose run goes on.

    Raises:
        SpacewrightError: there is no such file, or it is no TOML.
        TypeError: a value that a study file cannot hold.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        runs: str | os.PathLike[str] = "runs",
        threads: int | None = None,
        **overrides: Any,
    ) -> None:
        self._path = Path(path)
        self._document = _read(self._path)
        self._runs = Path(runs)
        self._threads = threads
        if overrides:
            self._path, self._document = _overridden(self._path, self._document, overrides)

    @property
    def path(self) -> Path:
        """The study file that is run: another one than was given where there are overrides."""
        return self._path

    @property
    def name(self) -> str:
        """The study's name, which is that of its run."""
        return str(self._document.get("name", self._path.stem))

    @property
    def folder(self) -> Path:
        """The folder of its run."""
        return self._runs / self.name

    def run(
        self, until: Step | None = None, on_event: Callable[[Event], object] | None = None
    ) -> None:
        """Runs the study, or goes on with it; what is finished already is skipped.

        Args:
            until: the last step that is run; all of them by default.
            on_event: hears what goes on, in this thread, as ``print`` does.

        Raises:
            SpacewrightError: a field of the study is wrong, or a step has failed; its ``hint`` says what to
                do.
            KeyboardInterrupt: after Ctrl-C, as soon as the program has come to a safe point. The next
                ``run`` goes on there, with the same result. Interrupted once more, the program stops at
                once.
        """
        if until is None:
            ask(["run", *self._arguments()], on_event)
        elif until in get_args(Step):
            ask([until, *self._arguments(), "--with-inputs"], on_event)
        else:
            raise ValueError(f"`{until}` is none of the steps {', '.join(get_args(Step))}")

    @property
    def networks(self) -> list[Network]:
        """The networks that were designed, one for each budget that one keeps to, in the order of budgets."""
        report = self._report()
        space = report["space"]["space"]
        study = tuple(self._arguments())
        return [network_of(entry, space, self.folder, study) for entry in report["budgets"]]

    def best(self, budget_ms: float | None = None) -> Network:
        """The network with the highest accuracy on held-out images.

        Args:
            budget_ms: only networks whose measured latency in integers is at most this many milliseconds.

        Raises:
            SpacewrightError: no network is that fast.
        """
        networks = self.networks
        fast = [each for each in networks if budget_ms is None or each.int8_ms <= budget_ms]
        if fast:
            return max(fast, key=lambda each: (each.held_out_accuracy, -each.int8_ms))
        if not networks:
            raise SpacewrightError(
                f"{self.name}: no network keeps to any budget",
                "give `[measure] budgets` longer ones",
                2,
            )
        fastest = min(each.int8_ms for each in networks)
        raise SpacewrightError(
            f"{self.name}: no network takes at most {budget_ms} ms; the fastest takes {fastest:.3g} ms",
            "give `[measure] budgets` a shorter one",
            2,
        )

    @property
    def front(self) -> Front:
        """The networks that no other one beats both in latency and in accuracy."""
        return Front(self.networks)

    def export(self, path: str | os.PathLike[str], budget_ms: float | None = None) -> Path:
        """Writes the model file, in integers, of the `best` network; see `Network.export`."""
        return self.best(budget_ms).export(Path(path))

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Writes the report of the run, and returns its path: ``.html`` for people, ``.json`` for programs.

        Raises:
            SpacewrightError: the run has no report of this kind.
        """
        path = Path(path)
        self._report()
        source = self.folder / f"report{path.suffix}"
        if not source.is_file():
            kinds = ", ".join(sorted(each.suffix for each in self.folder.glob("report.*")))
            raise SpacewrightError(
                f"{self.folder}: there is no report as `{path.suffix}`",
                f"there is one as {kinds}",
                2,
            )
        shutil.copyfile(source, path)
        return path

    def _report(self) -> dict[str, Any]:
        path = self.folder / "report.json"
        if not path.is_file():
            self.run()
        return report_of(path)

    def _arguments(self) -> list[str]:
        threads = [] if self._threads is None else ["--threads", str(self._threads)]
        return [str(self._path), "--runs", str(self._runs), *threads]

    def __repr__(self) -> str:
        return f"Study({str(self._path)!r}, runs={str(self._runs)!r})"

    def _repr_html_(self) -> str:
        title = f"<p><b>{escape(self.name)}</b> ({escape(str(self._path))})</p>"
        if not (self.folder / "report.json").is_file():
            return f"{title}<p>not finished</p>"
        space = report_of(self.folder / "report.json")["space"]
        blocks = ", ".join(map(str, space["blocks"]))
        return f"{title}<p>{escape(space['space'])}: {escape(blocks)}</p>{table_of(self.networks)}"


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SpacewrightError(
            f"{path}: {reason}", "`spacewright study new FILE` writes a study file", 2
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise SpacewrightError(f"{path}: {error}", "a study file is TOML", 2) from error


def _overridden(
    path: Path, document: dict[str, Any], overrides: Mapping[str, Any]
) -> tuple[Path, dict[str, Any]]:
    """The study with other values, written beside its file, whose relative paths stay what they are."""
    document = _merged(document, overrides)
    if "name" not in overrides:
        name = document.get("name", path.stem)
        digest = hashlib.sha256(_toml.text_of(_sorted(overrides)).encode()).hexdigest()[:8]
        document["name"] = f"{name}-{digest}"
    text = f"{_HEADER}{json.dumps(path.name)}, with other values.\n{_toml.text_of(document)}"
    own = path.with_name(f"{document['name']}.toml")
    if own.is_file():
        there = own.read_text("utf-8")
        if not there.startswith(_HEADER):
            raise SpacewrightError(
                f"{own} is there, and was not written by this class",
                "give the study another `name`",
                2,
            )
        if there == text:
            return own, document
    # Renamed into place: another process may read it.
    part = own.with_name(f".{own.name}.{os.getpid()}")
    part.write_text(text, "utf-8")
    part.replace(own)
    return own, document


def _merged(table: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """A table with the values of another one; tables in both are merged."""
    merged = dict(table)
    for name, value in other.items():
        old = merged.get(name)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[name] = _merged(old, value)
        else:
            merged[name] = value
    return merged


def _sorted(value: Any) -> Any:
    """Tables with their fields in order of their names, so that equal overrides have one text."""
    if isinstance(value, Mapping):
        return {name: _sorted(each) for name, each in sorted(value.items())}
    return value
