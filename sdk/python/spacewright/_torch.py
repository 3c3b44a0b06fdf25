"""The op graph as a module of PyTorch, with the quantizers of the target where it has them.

A graph has one input, nodes in the order in which they are computed, and one output. Value 0 is the input,
value ``n`` what node ``n - 1`` gives. Quantizers stand where the program has placed them, so that the module
computes what training computes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from . import _weights

_ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "relu6": lambda x: x.clamp(0.0, 6.0),
    "h_sigmoid": lambda x: (x / 6.0 + 0.5).clamp(0.0, 1.0),
    "h_swish": lambda x: x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
    "sigmoid": torch.sigmoid,
    "swish": lambda x: x * torch.sigmoid(x),
}

_LARGEST = {"bits7": 63, "bits8": 127, "pair_aware8": 127}
"""The largest integer that weights of a range may be."""


def _rounded(x: Tensor) -> Tensor:
    """To the nearest integer, ties to even; gradients pass as if nothing were rounded."""
    return x + (torch.round(x) - x).detach()


class Quantizer(nn.Module):
    """Rounds activations to 8-bit unsigned integers and back: real = (integer - zero_point) * scale."""

    scale: Tensor
    zero_point: Tensor

    def __init__(self, scale: float, zero_point: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))
        self.register_buffer("zero_point", torch.tensor(float(zero_point)))

    def forward(self, x: Tensor) -> Tensor:
        integers = (_rounded(x / self.scale) + self.zero_point).clamp(0.0, 255.0)
        return (integers - self.zero_point) * self.scale

    def extra_repr(self) -> str:
        return f"scale={float(self.scale):.6g}, zero_point={int(self.zero_point)}"


class _Weighted(nn.Module):
    """A layer with weights (``out × …``), which are rounded where they have a scale per output channel."""

    scales: Tensor | None

    def __init__(self, arrays: _Arrays, name: str, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(arrays.tensor(f"{name}.weight"))
        self.bias = nn.Parameter(arrays.tensor(f"{name}.bias")) if bias else None
        scales = arrays.scales.get(name)
        shape = [-1] + [1] * (self.weight.dim() - 1)
        self.register_buffer("scales", None if scales is None else torch.tensor(scales).view(shape))
        self.largest = arrays.largest.get(name, 0)

    def rounded_weight(self) -> Tensor:
        """The weights that are computed with."""
        if self.scales is None:
            return self.weight
        integers = _rounded(self.weight / self.scales).clamp(-self.largest, self.largest)
        return integers * self.scales


class Conv2d(_Weighted):
    """A convolution, whose padding may differ between sides."""

    def __init__(self, arrays: _Arrays, node: Mapping[str, Any]) -> None:
        super().__init__(arrays, node["name"], node["bias"])
        sides = node["padding"]
        self.padding = [sides[side] for side in ("left", "right", "top", "bottom")]
        self.stride, self.groups = node["stride"], node["groups"]
        self.dilation = node.get("dilation", 1)

    def forward(self, x: Tensor) -> Tensor:
        left, right, top, bottom = self.padding
        even = left == right and top == bottom
        x = x if even else F.pad(x, self.padding)
        padding = (top, left) if even else 0
        weight = self.rounded_weight()
        return F.conv2d(x, weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        out, of, *kernel = self.weight.shape
        dilation = "" if self.dilation == 1 else f", dilation={self.dilation}"
        return (
            f"{of * self.groups}, {out}, kernel_size={tuple(kernel)}, stride={self.stride}{dilation}, "
            f"groups={self.groups}"
        )


class Linear(_Weighted):
    """A fully connected layer over all numbers of an image; gives a map of one pixel."""

    def __init__(self, arrays: _Arrays, node: Mapping[str, Any]) -> None:
        super().__init__(arrays, node["name"], node["bias"])

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.flatten(1), self.rounded_weight(), self.bias)[:, :, None, None]

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}"


class Activation(nn.Module):
    """An element-wise function without weights."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.function = kind, _ACTIVATIONS[kind]

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)

    def extra_repr(self) -> str:
        return self.kind


class Add(nn.Module):
    """The sum of two values."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class Mul(nn.Module):
    """The product of two values, of which the second may be one pixel for all."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y


class Concat(nn.Module):
    """The channels of several values, one after the other."""

    def forward(self, *values: Tensor) -> Tensor:
        return torch.cat(values, 1)


@dataclass(frozen=True)
class _Arrays:
    """What a network has learned, by the names of its nodes."""

    weights: Mapping[str, NDArray[np.float32]]
    # Per output channel, of layers that are quantized; and the largest integer of their weights.
    scales: Mapping[str, list[float]]
    largest: Mapping[str, int]

    def tensor(self, name: str) -> Tensor:
        return torch.from_numpy(self.weights[name].copy())


def _batch_norm(arrays: _Arrays, node: Mapping[str, Any]) -> nn.Module:
    name = node["name"]
    norm = nn.BatchNorm2d(len(arrays.weights[f"{name}.gamma"]), eps=node["eps"])
    parts = {"weight": "gamma", "bias": "beta", "running_mean": "mean", "running_var": "var"}
    norm.load_state_dict(
        {part: arrays.tensor(f"{name}.{role}") for part, role in parts.items()}, strict=False
    )
    return norm


def _layer(arrays: _Arrays, node: Mapping[str, Any]) -> nn.Module:
    match node["op"]:
        case "conv2d":
            return Conv2d(arrays, node)
        case "linear":
            return Linear(arrays, node)
        case "batch_norm":
            return _batch_norm(arrays, node)
        case "activation":
            return Activation(node["kind"])
        case "add":
            return Add()
        case "mul":
            return Mul()
        case "concat":
            return Concat()
        case "avg_pool":
            window = (node["kernel"], node["stride"], node["padding"])
            return nn.AvgPool2d(*window, count_include_pad=False)
        case "max_pool":
            return nn.MaxPool2d(node["kernel"], node["stride"], node["padding"])
        case "global_avg_pool":
            return nn.AdaptiveAvgPool2d(1)
        case "dropout":
            return nn.Dropout(node["rate"])
        case other:
            raise ValueError(f"node `{node['name']}`: the operator `{other}` is not known")


class GraphModule(nn.Module):
    """A network, given as an op graph.

    Attributes:
        graph: the op graph, as ``graph.json`` has it; of a quantized network the one with its quantizers.
        layers: what each node computes, by its name with ``/`` for ``.``; names of attributes of modules, such
            as ``half``, end with ``_``.
        quantizers: what rounds each value, by the name of its node, or ``input``.
    """

    def __init__(
        self,
        graph: Mapping[str, Any],
        weights: Mapping[str, NDArray[np.float32]],
        quantization: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        largest: dict[str, int] = {}
        scales: Mapping[str, list[float]] = {}
        if quantization is not None:
            placed = quantization["placed"]
            graph = placed["graph"]
            ranges = zip(graph["nodes"], placed["weights"])
            largest = {node["name"]: _LARGEST[of] for node, of in ranges if of is not None}
            scales = quantization["params"]["weight_scales"]
        self.graph = graph
        arrays = _Arrays(weights, scales, largest)
        nodes = graph["nodes"]
        self._names = [_key(node["name"]) for node in nodes]
        if len({*self._names, "input"}) <= len(nodes):
            raise ValueError("two nodes have names that modules cannot tell apart")
        self.layers = nn.ModuleDict(
            {name: _layer(arrays, node) for name, node in zip(self._names, nodes)}
        )
        self.quantizers = nn.ModuleDict()
        # For each value the name of what rounds it.
        self._rounded_by: list[str | None] = [None] * (len(nodes) + 1)
        if quantization is not None:
            self._place(quantization["placed"]["values"], quantization["params"]["activations"])

    def _place(self, values: list[Any], activations: Mapping[str, Mapping[str, Any]]) -> None:
        names = ["input", *(node["name"] for node in self.graph["nodes"])]
        for value, how in enumerate(values):
            if how == "fused":
                continue
            source = value
            while "same_as" in values[source]:
                source = values[source]["same_as"]
            key = _key(names[source])
            if key not in self.quantizers:
                fixed = values[source].get("fixed")
                params = activations[names[source]] if fixed is None else fixed
                self.quantizers[key] = Quantizer(params["scale"], params["zero_point"])
            self._rounded_by[value] = key

    def forward(self, images: Tensor) -> Tensor:
        """Logits, ``N × classes``, of images, ``N × channels × height × width``."""
        result = self.values(images)[int(self.graph["output"])]
        return result.flatten(1) if result.shape[2:] == (1, 1) else result

    def values(self, images: Tensor) -> list[Tensor]:
        """All values, rounded where they are: that of the input, then that of each node, with the batch
        first and as maps (``N × channels × height × width``)."""
        values = [self._round(0, images)]
        for index, (name, node) in enumerate(zip(self._names, self.graph["nodes"])):
            result: Tensor = self.layers[name](*(values[value] for value in node["inputs"]))
            values.append(self._round(index + 1, result))
        return values

    def _round(self, value: int, x: Tensor) -> Tensor:
        by = self._rounded_by[value]
        if by is None:
            return x
        rounded: Tensor = self.quantizers[by](x)
        return rounded


_TAKEN = nn.ModuleDict()
"""Whose attributes no module in it can be called."""


def _key(name: str) -> str:
    """A node's name as that of a module, in which there may be no dot; ``half_`` for a node called ``half``."""
    key = name.replace(".", "/")
    return f"{key}_" if hasattr(_TAKEN, key) else key


def load(folder: Path) -> GraphModule:
    """The network in a folder, quantized where quantizers are kept with it."""
    graph = json.loads((folder / "graph.json").read_text("utf-8"))
    quantizers = folder / "quantization.json"
    quantization = json.loads(quantizers.read_text("utf-8")) if quantizers.is_file() else None
    return GraphModule(graph, _weights.read(folder / "weights.safetensors"), quantization).eval()
