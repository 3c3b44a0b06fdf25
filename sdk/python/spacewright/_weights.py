"""Reads weights: safetensors files in single precision, as the program writes them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import SpacewrightError


def read(path: Path) -> dict[str, NDArray[np.float32]]:
    """The tensors of a file by name, outermost dimension first.

    The format is the length of a header (8 bytes), the header as JSON, and the numbers
    (huggingface.co/docs/safetensors).

    Raises:
        SpacewrightError: the file is damaged, or holds other numbers.
    """
    content = path.read_bytes()
    try:
        (length,) = struct.unpack_from("<Q", content)
        header = json.loads(content[8 : 8 + length])
        header.pop("__metadata__", None)
        tensors = {}
        for name, entry in header.items():
            if entry["dtype"] != "F32":
                raise ValueError(f"`{name}` holds {entry['dtype']}, not F32")
            first, end = entry["data_offsets"]
            numbers = np.frombuffer(content[8 + length + first : 8 + length + end], "<f4")
            tensors[name] = numbers.reshape(entry["shape"]).astype(np.float32)
        return tensors
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise SpacewrightError(
            f"{path}: no weights can be read: {error}", "run the study anew"
        ) from error
