"""Writes study files: the standard library reads TOML, and does not write it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")


def text_of(document: Mapping[str, Any]) -> str:
    """A document whose tables are sections, and whose deeper tables stand in one line.

    Raises:
        TypeError: a value that TOML has nothing for, with the name of its field.
    """
    sections = {name: value for name, value in document.items() if isinstance(value, Mapping)}
    top = {name: value for name, value in document.items() if name not in sections}
    parts = [_fields(top, "")]
    parts += [f"[{_key(name)}]\n{_fields(section, name)}" for name, section in sections.items()]
    return "\n".join(part for part in parts if part)


def _fields(table: Mapping[str, Any], section: str) -> str:
    def name_of(name: str) -> str:
        return f"{section}.{name}" if section else name

    return "".join(
        f"{_key(name)} = {_value(value, name_of(name))}\n" for name, value in table.items()
    )


def _key(name: str) -> str:
    return name if _BARE.match(name) else _string(name)


def _string(text: str) -> str:
    # Of what JSON lets stand, TOML refuses only this character.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any, field: str) -> str:
    if isinstance(value, Mapping):
        inside = (
            f"{_key(name)} = {_value(each, f'{field}.{name}')}" for name, each in value.items()
        )
        return "{ " + ", ".join(inside) + " }" if value else "{}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(each, field) for each in value) + "]"
    if isinstance(value, str):
        return _string(value)
    if hasattr(value, "item"):
        # A number of numpy's.
        value = value.item()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return repr(value)
        return "nan" if math.isnan(value) else f"{'-' if value < 0 else ''}inf"
    raise TypeError(f"`{field}`: a study file cannot hold {value!r}")
