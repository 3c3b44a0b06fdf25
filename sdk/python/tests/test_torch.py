"""Op graphs as modules: each operator beside its definition, quantizers beside exact integers."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spacewright as sw
from spacewright import _weights

torch = pytest.importorskip("torch")

from spacewright._torch import GraphModule, Quantizer, load


def graph_of(channels: int, side: int, *nodes: dict[str, Any]) -> dict[str, Any]:
    """A chain of nodes, unless they name their inputs."""
    named = [{"inputs": [at], **node} for at, node in enumerate(nodes)]
    shape = {"channels": channels, "height": side, "width": side}
    return {"input": shape, "nodes": named, "output": len(nodes)}


def conv(name: str, out: int, kernel: int | list[int] = 1, **more: Any) -> dict[str, Any]:
    half = kernel // 2 if isinstance(kernel, int) else 0
    padding = dict.fromkeys(("top", "left", "bottom", "right"), half)
    sizes = {"out_channels": out, "kernel": kernel, "stride": 1, "groups": 1, "bias": False}
    return {"name": name, "op": "conv2d", "padding": padding, **sizes, **more}


def run(graph: dict[str, Any], weights: dict[str, Any], images: Any) -> Any:
    arrays = {name: np.asarray(value, np.float32) for name, value in weights.items()}
    with torch.no_grad():
        return GraphModule(graph, arrays).eval()(torch.tensor(images, dtype=torch.float32))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("relu", [0.0, 1.5, 9.0]),
        ("relu6", [0.0, 1.5, 6.0]),
        ("h_sigmoid", [0.0, 0.75, 1.0]),
        ("h_swish", [0.0, 1.125, 9.0]),
        ("sigmoid", [0.00012339, 0.81757448, 0.99987661]),
        ("swish", [-0.00111055, 1.22636171, 8.9988895]),
    ],
)
def test_activations(kind: str, expected: list[float]) -> None:
    graph = graph_of(3, 1, {"name": "a", "op": "activation", "kind": kind})
    images = np.array([-9.0, 1.5, 9.0]).reshape(1, 3, 1, 1)
    np.testing.assert_allclose(run(graph, {}, images)[0], expected, rtol=1e-5, atol=1e-8)


def test_channels_are_joined_in_order() -> None:
    graph = graph_of(
        2, 1, {"name": "half", "op": "activation", "kind": "relu"}, {"name": "all", "op": "concat", "inputs": [0, 1, 0]}
    )
    images = np.array([-1.0, 2.0]).reshape(1, 2, 1, 1)
    np.testing.assert_array_equal(run(graph, {}, images)[0], [-1.0, 2.0, 0.0, 2.0, -1.0, 2.0])


def test_windows_may_be_wide_and_their_pixels_apart() -> None:
    sides = {"top": 0, "left": 2, "bottom": 0, "right": 0}
    graph = graph_of(1, 3, conv("c", 1, kernel=[1, 2], dilation=2, padding=sides))
    weights = {"c.weight": np.array([[[[10.0, 1.0]]]])}
    found = run(graph, weights, np.arange(1.0, 10.0).reshape(1, 1, 3, 3))
    expected = [[1.0, 2.0, 13.0], [4.0, 5.0, 46.0], [7.0, 8.0, 79.0]]
    np.testing.assert_array_equal(found[0, 0], expected)


def test_padding_may_differ_between_sides() -> None:
    sides = {"top": 1, "left": 0, "bottom": 0, "right": 2}
    graph = graph_of(1, 2, conv("c", 1, 2, padding=sides))
    weights = {"c.weight": np.array([[[[1.0, 10.0], [100.0, 1000.0]]]])}
    found = run(graph, weights, np.array([[[[1.0, 2.0], [3.0, 4.0]]]]))
    expected = [[2100.0, 200.0, 0.0], [4321.0, 402.0, 0.0]]
    np.testing.assert_array_equal(found[0, 0], expected)


def test_pools_do_not_count_padding() -> None:
    window = {"kernel": 3, "stride": 2, "padding": 1}
    image = np.arange(9.0).reshape(1, 1, 3, 3)
    average = run(graph_of(1, 3, {"name": "p", "op": "avg_pool", **window}), {}, image)
    np.testing.assert_array_equal(average[0, 0], [[2.0, 3.0], [5.0, 6.0]])
    largest = run(graph_of(1, 3, {"name": "p", "op": "max_pool", **window}), {}, -image)
    np.testing.assert_array_equal(largest[0, 0], [[0.0, -1.0], [-3.0, -4.0]])


def test_a_gate_of_linear_layers_is_a_map() -> None:
    graph = graph_of(
        2,
        2,
        {"name": "gap", "op": "global_avg_pool"},
        {"name": "fc", "op": "linear", "out_features": 2, "bias": True},
        {"name": "gate", "op": "mul", "inputs": [0, 2]},
        {"name": "twice", "op": "add", "inputs": [3, 3]},
        {"name": "drop", "op": "dropout", "rate": 0.5},
    )
    weights = {"fc.weight": [[1.0, 0.0], [0.0, -1.0]], "fc.bias": [0.0, 1.0]}
    image = np.stack([np.full((2, 2), 3.0), np.full((2, 2), 5.0)])[None]
    found = run(graph, weights, image)
    np.testing.assert_array_equal(found[0, :, 0, 0], [18.0, -40.0])


def test_batch_normalization_uses_what_was_learned() -> None:
    graph = graph_of(1, 1, conv("c", 1), {"name": "c.bn", "op": "batch_norm", "eps": 1e-12})
    parts = {"gamma": 2.0, "beta": 1.0, "mean": 3.0, "var": 4.0}
    weights = {f"c.bn.{part}": [value] for part, value in parts.items()}
    found = run(graph, {"c.weight": [[[[1.0]]]], **weights}, [[[[7.0]]]])
    assert found.tolist() == [[5.0]]


def test_an_operator_that_is_not_known_is_named() -> None:
    with pytest.raises(ValueError, match="node `x`: the operator `einsum`"):
        GraphModule(graph_of(1, 1, {"name": "x", "op": "einsum"}), {})


def test_quantizers_round_ties_to_even_and_clamp() -> None:
    values = torch.tensor([0.25, 0.75, 1.25, -9.0, 900.0])
    assert Quantizer(0.5, 4)(values).tolist() == [0.0, 1.0, 1.0, -2.0, 125.5]


def test_gradients_pass_within_the_range() -> None:
    values = torch.tensor([0.3, -9.0, 900.0], requires_grad=True)
    Quantizer(0.5, 4)(values).sum().backward()
    assert values.grad is not None and values.grad.tolist() == [1.0, 0.0, 0.0]


def quantized(folder: Path) -> Path:
    """A convolution with a rectifier in integers, as the program keeps it."""
    graph = graph_of(1, 1, conv("c", 2), {"name": "c.act", "op": "activation", "kind": "relu"})
    pool = {"name": "pool", "op": "max_pool", "kernel": 1, "stride": 1, "padding": 0}
    placed = graph_of(1, 1, *graph["nodes"], pool)
    quantization = {
        "placed": {
            "graph": placed,
            "values": [
                {"own": {"non_negative": False, "max": None}},
                "fused",
                {"fixed": {"scale": 0.25, "zero_point": 0}},
                {"same_as": 2},
            ],
            "weights": ["bits7", None, None],
        },
        "params": {
            "activations": {"input": {"scale": 0.5, "zero_point": 1}},
            "weight_scales": {"c": [0.1, 0.01]},
        },
    }
    (folder / "graph.json").write_text(json.dumps(graph))
    (folder / "quantization.json").write_text(json.dumps(quantization))
    numbers = np.array([0.26, 5.0], "<f4").tobytes()
    entry = {"dtype": "F32", "shape": [2, 1, 1, 1], "data_offsets": [0, 8]}
    header = json.dumps({"__metadata__": {"by": "test"}, "c.weight": entry}).encode()
    (folder / "weights.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + numbers)
    return folder


def test_a_folder_is_a_quantized_network(tmp_path: Path) -> None:
    module = load(quantized(tmp_path))
    assert sorted(module.quantizers) == ["c/act", "input"]
    with torch.no_grad():
        found = module(torch.tensor([[[[1.9]]], [[[-8.0]]]]))
    # 1.9 is 2.0 in steps of 0.5; 0.26 is 0.3 in steps of 0.1; 5.0 is the largest, 63 steps of 0.01.
    assert found.tolist() == [[0.5, 1.25], [0.0, 0.0]]


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    path = quantized(tmp_path) / "weights.safetensors"
    content = path.read_bytes()
    for damaged in (b"", content[:20], content[:-4]):
        path.write_bytes(damaged)
        with pytest.raises(sw.SpacewrightError, match="no weights can be read"):
            _weights.read(path)
