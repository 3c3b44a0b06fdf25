"""Where a module and a model file in integers come apart: runs every operator of the file."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from spacewright._torch import GraphModule

NEAR = 0.01
"""A number within so many steps of the middle between two integers is a tie: single precision, and biases in
integers, move it that far."""


def fashion_mnist(folder: Path, count: int, side: int = 32) -> NDArray[np.float32]:
    """Test images of Fashion-MNIST as the example studies transform them: padded, from 0 to 1."""
    packed = (folder / "t10k-images-idx3-ubyte.gz").read_bytes()
    pixels = np.frombuffer(gzip.decompress(packed), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    edge = (side - 28) // 2
    padded = np.pad(pixels[:count], ((0, 0), (0, 0), (edge, edge), (edge, edge)))
    return padded.astype(np.float32) / np.float32(255.0)


def session(model: bytes | str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def logits(model: Path, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """What ONNX Runtime computes, image by image."""
    running = session(str(model))
    rows = [running.run(["result"], {"image": image[None]})[0] for image in images]
    return np.concatenate(rows)


@dataclass
class Difference:
    """The first value of an image in which module and file differ.

    Attributes:
        value: its name.
        steps: the largest difference, in integers.
        from_tie: how far the numbers that were rounded lie from a tie at most, in steps.
    """

    value: str
    steps: int
    from_tie: float

    def is_tie(self) -> bool:
        return self.steps == 1 and self.from_tie < NEAR


class Integers:
    """A model file that gives all of its integers, beside the module of the same network."""

    def __init__(self, model: Path, module: GraphModule) -> None:
        loaded = onnx.load(str(model))
        made = {name for node in loaded.graph.node for name in node.output}
        self.module = module
        nodes = module.graph["nodes"]
        # Where quantizers are, in the order in which they compute. A batch normalization is folded into the
        # convolution before it, whose name the file has.
        self.names: dict[int, str] = {}
        for value, by in enumerate(module._rounded_by):
            node = nodes[value - 1] if value else None
            while node is not None and node["op"] == "batch_norm":
                node = nodes[node["inputs"][0] - 1]
            name = "input" if node is None else node["name"]
            if by is not None and name in made:
                self.names[value] = name
                kind = onnx.TensorProto.UINT8
                loaded.graph.output.append(onnx.helper.make_tensor_value_info(name, kind, None))
        self.running = session(loaded.SerializeToString())

    def first_difference(self, image: NDArray[np.float32]) -> Difference | None:
        """The first value in which both differ for an image, ``channels × height × width``."""
        names = list(self.names.values())
        theirs = dict(zip(names, self.running.run(names, {"image": image[None]})))
        with torch.no_grad():
            values = self.module.values(torch.from_numpy(image[None]))
            for value, name in self.names.items():
                quantizer: Any = self.module.quantizers[self.module._rounded_by[value] or ""]
                ours = torch.round(values[value] / quantizer.scale) + quantizer.zero_point
                apart = (ours.flatten() - torch.from_numpy(theirs[name]).flatten()).abs().numpy()
                if apart.any():
                    steps = self._before(value, values) / quantizer.scale
                    broken = (steps - torch.floor(steps)).flatten().numpy()[apart > 0]
                    return Difference(name, int(apart.max()), float(np.abs(broken - 0.5).max()))
        return None

    def _before(self, value: int, values: list[torch.Tensor]) -> torch.Tensor:
        """What a value was before it was rounded."""
        if value == 0:
            return values[0]
        node = self.module.graph["nodes"][value - 1]
        layer = self.module.layers[self.module._names[value - 1]]
        result: torch.Tensor = layer(*(values[each] for each in node["inputs"]))
        return result
