"""Where the program is, and how it is asked."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from .errors import SpacewrightError, error_of
from .events import Event, event_of

STOPPED = 130
"""Exit code of a program that has stopped on request."""

_TORCH = "2.11."
"""How the version of torch begins that the program can compute with."""

# Which variable names the library of an optional package, and where the package has it.
_LIBRARIES = (
    ("SPACEWRIGHT_TORCH", "torch", None),
    ("SPACEWRIGHT_ONNXRUNTIME", "onnxruntime", "capi/libonnxruntime.so.*"),
    ("SPACEWRIGHT_LITERT", "ai_edge_litert", "libLiteRt.so*"),
)


def program() -> Path:
    """The program that this module drives.

    It is the one that ``SPACEWRIGHT_PROGRAM`` names, else the one that was installed with this package,
    else the first on ``PATH``.

    Raises:
        SpacewrightError: there is none.
    """
    if named := os.environ.get("SPACEWRIGHT_PROGRAM"):
        return Path(named)
    schemes = (sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user"))
    for scheme in schemes:
        installed = Path(sysconfig.get_path("scripts", scheme), "spacewright")
        if installed.is_file():
            return installed
    # Beside a package that was installed with `pip install --target`.
    beside = Path(__file__).parent.parent / "bin" / "spacewright"
    if beside.is_file():
        return beside
    if found := shutil.which("spacewright"):
        return Path(found)
    raise SpacewrightError(
        "the program `spacewright` is not there",
        "install the package's wheel, or let SPACEWRIGHT_PROGRAM name the program",
    )


@functools.cache
def _installed() -> Mapping[str, str]:
    """Libraries of packages that this Python can import, without importing them: the program looks into its
    own environment only."""
    found = {}
    for variable, package, pattern in _LIBRARIES:
        spec = importlib.util.find_spec(package)
        if package == "torch" and spec and not _version(package).startswith(_TORCH):
            continue
        # A folder without code is no package, and one below the current folder may be anybody's.
        if spec is None or spec.origin is None or Path.cwd() in Path(spec.origin).parents:
            continue
        for folder in spec.submodule_search_locations or []:
            files = [Path(folder)] if pattern is None else sorted(Path(folder).glob(pattern))
            if files:
                found[variable] = str(files[-1])
    return found


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def environment() -> dict[str, str]:
    """The environment in which the program is started: what is set counts, then what is installed."""
    return {**_installed(), **os.environ}


def _started(arguments: Sequence[str]) -> subprocess.Popen[str]:
    path = program()
    try:
        # A group of its own: Ctrl-C at the terminal reaches Python alone, which asks the program once.
        return subprocess.Popen(
            [str(path), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=environment(),
            process_group=0,
        )
    except OSError as error:
        hint = "let SPACEWRIGHT_PROGRAM name the program `spacewright`"
        raise SpacewrightError(f"cannot start {path}: {error.strerror}", hint, 2) from error


def ask(arguments: Sequence[str], on_event: Callable[[Event], object] | None = None) -> Any:
    """Runs the program to its end, and returns the JSON document that it prints.

    What it tells on the way goes to ``on_event``, in this thread.

    Raises:
        SpacewrightError: it has failed.
        KeyboardInterrupt: it was asked to stop, and has stopped.
    """
    told = ["--progress", "json"] if on_event is not None else ["--quiet"]
    output: list[str] = []
    lines: list[str] = []
    process = _started([*arguments, "--json", *told])
    try:
        assert process.stdout is not None and process.stderr is not None
        reader = threading.Thread(target=_read, args=(process.stdout, output), daemon=True)
        reader.start()
        _listen(process.stderr, lines, on_event)
        code = process.wait()
        reader.join()
    except BaseException:
        _stop(process, lines)
        raise
    finally:
        for stream in (process.stdout, process.stderr):
            if stream is not None and process.poll() is not None:
                stream.close()
    text = "".join(output)
    # A check that found something ends with 1, and says in its document what.
    if code == 0 or code == 1 and text:
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise SpacewrightError(
                f"{program()}: it printed no result", "is it the program `spacewright`?", code
            ) from error
    raise error_of(lines, code)


def _read(stream: IO[str], output: list[str]) -> None:
    output.append(stream.read())


def _listen(stream: IO[str], lines: list[str], on_event: Callable[[Event], object] | None) -> None:
    """Hands events on; keeps all other lines, and shows warnings."""
    for line in stream:
        event = event_of(line) if line.startswith("{") else None
        if event is None:
            lines.append(line.rstrip("\n"))
            if line.lstrip().startswith("WARN"):
                sys.stderr.write(line)
        elif on_event is not None:
            on_event(event)


def _stop(process: subprocess.Popen[str], lines: list[str]) -> None:
    """Asks the program to stop at the next safe point, and waits; asked once more, it stops at once."""
    assert process.stderr is not None
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            _listen(process.stderr, lines, None)
            process.wait()
        except KeyboardInterrupt:
            continue
