"""What goes wrong."""

from __future__ import annotations

from collections.abc import Sequence


class SpacewrightError(Exception):
    """What the program says when it cannot do something.

    Attributes:
        message: what is wrong, and where.
        hint: what to do about it, if that is known.
        exit_code: 1 where something failed, 2 where an option, a name or a file is wrong, 130 where the
            program was asked to stop.
    """

    def __init__(self, message: str, hint: str | None = None, exit_code: int = 1) -> None:
        super().__init__(message, hint, exit_code)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\nhint: {self.hint}"


def error_of(lines: Sequence[str], exit_code: int) -> SpacewrightError:
    """The error that the last lines of standard error tell: ``error: …``, then perhaps ``hint: …``.

    Both may go on over several lines.
    """
    begins = [at for at, line in enumerate(lines) if line.startswith("error: ")]
    if not begins:
        said = "\n".join(lines).strip()
        return SpacewrightError(said or f"the program ended with code {exit_code}", None, exit_code)
    text = "\n".join(lines[begins[-1] :]).removeprefix("error: ")
    message, found, hint = text.partition("\nhint: ")
    return SpacewrightError(message.strip(), hint.strip() if found else None, exit_code)
