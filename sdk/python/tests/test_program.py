"""Programs that are asked, errors and events: with a program of a few lines in the real one's place."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import spacewright as sw
from spacewright import _program
from spacewright.errors import error_of
from spacewright.events import Curve, Judged, OtherEvent, Progress, StepFinished, event_of


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "spacewright"
    program.write_text(f"#!{sys.executable}\nimport sys, time, signal\n{textwrap.dedent(script)}")
    program.chmod(0o755)
    monkeypatch.setenv("SPACEWRIGHT_PROGRAM", str(program))


def test_an_event_is_a_value() -> None:
    line = '{"event":"progress","step":"teach","task":"teacher","done":3,"total":4,"note":"loss 1"}'
    expected = Progress(step="teach", task="teacher", done=3, total=4, note="loss 1")
    assert event_of(line) == expected
    assert str(expected) == "  teacher: 3 of 4, loss 1"


def test_a_point_of_a_curve_is_one_too() -> None:
    event = event_of(
        '{"event":"curve","step":"teach","task":"t","point":{"phase":"fp32","step":5,"loss":null,'
        '"learning_rate":0.1,"held_out_accuracy":null,"new":1}}'
    )
    assert isinstance(event, Curve)
    assert event.point.learning_rate == 0.1
    assert str(event) == "  t: fp32 step 5"


def test_networks_that_were_judged_are_too() -> None:
    event = event_of(
        '{"event":"judged","step":"search","task":"budget-0","networks":'
        '[{"network":"d1","latency_ms":0.5,"accuracy":0.75,"new":1}]}'
    )
    assert isinstance(event, Judged)
    assert event.networks[0].accuracy == 0.75
    assert str(event) == "  budget-0: 1 networks judged, at best 75.00 %"


def test_events_of_a_newer_program_are_handed_on() -> None:
    event = event_of('{"event":"paused","step":"teach","for":3}')
    assert isinstance(event, OtherEvent)
    assert event.fields["for"] == 3
    assert event_of('{"event":"step_finished","step":"a","seconds":1,"more":2}') == StepFinished(
        step="a", seconds=1
    )
    assert event_of("{no json") is None
    assert event_of("[1]") is None


def test_an_error_has_message_and_hint() -> None:
    lines = ["WARN x", "error: a.onnx: 2 nodes", "  Concat `c`", "hint: leave it", "out"]
    error = error_of(lines, 2)
    assert error.message == "a.onnx: 2 nodes\n  Concat `c`"
    assert error.hint == "leave it\nout"
    assert error.exit_code == 2
    assert str(error).endswith("hint: leave it\nout")
    assert error_of(["thread panicked"], 101).message == "thread panicked"
    assert error_of([], 9).message == "the program ended with code 9"


def test_a_document_is_returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = """
    print('{"event":"said","step":"a","line":"hello"}', file=sys.stderr)
    print('{"arguments": ' + str(len(sys.argv)) + "}")
    """
    stand_in(tmp_path, monkeypatch, script)
    heard: list[sw.Event] = []
    assert _program.ask(["run"], heard.append) == {"arguments": 5}
    assert [str(event) for event in heard] == ["  hello"]
    assert _program.ask(["run"]) == {"arguments": 4}


def test_a_failure_is_an_exception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'print("error: no", file=sys.stderr)\nsys.exit(2)'
    stand_in(tmp_path, monkeypatch, script)
    with pytest.raises(sw.SpacewrightError, match="no") as caught:
        _program.ask(["run"])
    assert caught.value.exit_code == 2


def test_a_program_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACEWRIGHT_PROGRAM", str(tmp_path / "none"))
    with pytest.raises(sw.SpacewrightError, match="none"):
        _program.ask(["run"])


WAITS = """
def stop(signal, frame):
    time.sleep(0.3)
    open(sys.argv[1], "w").write("safe")
    sys.exit(130)
signal.signal(signal.SIGINT, stop)
print('{"event":"said","step":"a","line":"ready"}', file=sys.stderr, flush=True)
time.sleep(60)
"""


def test_an_exception_of_a_listener_stops_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, monkeypatch, WAITS)

    def refuse(event: sw.Event) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        _program.ask([str(tmp_path / "done")], refuse)
    assert (tmp_path / "done").read_text() == "safe"


def test_an_interrupt_waits_for_the_safe_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, monkeypatch, WAITS)
    script = f"""
        from spacewright import _program
        try:
            _program.ask([{str(tmp_path / "done")!r}], lambda event: print(event, flush=True))
        except KeyboardInterrupt:
            print(open({str(tmp_path / "done")!r}).read())
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "ready"
    began = time.monotonic()
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=20)[0].strip() == "safe"
    assert time.monotonic() - began < 15
