"""The steps that `spacewright bench train --plan FILE` measures, in PyTorch: the same subnets, images of
noise of the same size, shared weights of the same shapes, SGD with Nesterov momentum; eager, channels-last.

    python3 benches/pytorch/supernet.py FILE [--steps N] [--threads N] [--device DEVICE]

Prints JSON: images a second without quantizers (`fp32`), with learned step sizes as they are usually
written in Python (`lsq`), and with PyTorch's own learnable fake quantization (`learnable`). An image counts
once for each subnet that sees it.
"""

import argparse
import json
import math
import time

import torch
import torch.nn.functional as F

WARM_UP = 3


class RoundThrough(torch.autograd.Function):
    """Rounds; the gradient passes through."""

    @staticmethod
    def forward(_, x):
        return x.round()

    @staticmethod
    def backward(_, gradient):
        return gradient


def scaled_gradient(x, factor):
    return (x - x * factor).detach() + x * factor


def lsq(x, scale, offset, low, high):
    """Learned step size and offset (arXiv 2004.09576)."""
    factor = 1.0 / math.sqrt(x.numel() / x.shape[0] * high)
    scale = scaled_gradient(scale, factor)
    offset = scaled_gradient(offset, factor)
    return RoundThrough.apply(((x - offset) / scale).clamp(low, high)) * scale + offset


def lsq_weight(w, scale, high):
    factor = 1.0 / math.sqrt(w[0].numel() * high)
    scale = scaled_gradient(scale, factor).view(-1, *[1] * (w.dim() - 1))
    return RoundThrough.apply((w / scale).clamp(-high, high)) * scale


def learnable(x, scale, zero, low, high):
    factor = 1.0 / math.sqrt(x.numel() / x.shape[0] * high)
    return torch._fake_quantize_learnable_per_tensor_affine(x, scale, zero, low, high, factor)


def learnable_weight(w, scale, high):
    factor = 1.0 / math.sqrt(w[0].numel() * high)
    zero = torch.zeros_like(scale)
    return torch._fake_quantize_learnable_per_channel_affine(w, scale, zero, 0, -high, high, factor)


class Supernet:
    """Weights at the largest shape that any graph asks for; a graph takes the first channels and the
    centre of kernels."""

    def __init__(self, plan, device):
        self.parameters = {}
        self.scheme = None
        shapes = {}
        for placed in plan["graphs"]:
            for name, shape in weight_shapes(placed["graph"]):
                known = shapes.setdefault(name, list(shape))
                shapes[name] = [max(a, b) for a, b in zip(known, shape)]
        for name, shape in shapes.items():
            if name.endswith(".gamma"):
                value = torch.ones(shape)
            elif name.endswith((".beta", ".bias")):
                value = torch.zeros(shape)
            else:
                value = torch.randn(shape) * math.sqrt(2.0 / math.prod(shape[1:]))
                scale = value.flatten(1).abs().mean(1) * 3 / 63
                self.add(f"{name}_scale", scale, device)
            self.add(name, value, device)
        for placed in plan["graphs"]:
            for name in quantized_values(placed):
                if f"{name}.scale" not in self.parameters:
                    self.add(f"{name}.scale", torch.tensor([4.0 / 255]), device)
                    self.add(f"{name}.offset", torch.tensor([0.0]), device)

    def add(self, name, value, device):
        self.parameters[name] = value.to(device).requires_grad_()

    def part(self, name, shape):
        full = self.parameters[name]
        for dimension, size in enumerate(shape):
            available = full.shape[dimension]
            if size < available:
                start = (available - size) // 2 if dimension >= 2 else 0
                full = full.narrow(dimension, start, size)
        return full

    def weight(self, node, shape, high):
        weight = self.part(f"{node}.weight", shape)
        if self.scheme is None or high is None:
            return weight
        scale = self.part(f"{node}.weight_scale", shape[:1])
        rounded = lsq_weight if self.scheme == "lsq" else learnable_weight
        return rounded(weight, scale, high)

    def quantized(self, x, name):
        scale, offset = self.parameters[f"{name}.scale"], self.parameters[f"{name}.offset"]
        return (lsq if self.scheme == "lsq" else learnable)(x, scale, offset, 0, 255)

    def logits(self, placed, x):
        graph = placed["graph"]
        values = [self.value(placed, 0, x)]
        for index, node in enumerate(graph["nodes"]):
            inputs = [values[position] for position in node["inputs"]]
            y = self.node(node, inputs, placed["weights"][index], graph)
            values.append(self.value(placed, index + 1, y))
        return values[graph["output"]]

    def value(self, placed, position, x):
        own = isinstance(placed["values"][position], dict) and "own" in placed["values"][position]
        return self.quantized(x, value_name(placed, position)) if self.scheme and own else x

    def node(self, node, inputs, weight_range, graph):
        kind, name, x = node["op"], node["name"], inputs[0]
        high = {None: None, "bits7": 63}.get(weight_range, 127)
        if kind == "conv2d":
            padding = node["padding"]
            shape = [node["out_channels"], x.shape[1] // node["groups"], node["kernel"], node["kernel"]]
            weight = self.weight(name, shape, high)
            if padding["top"] != padding["bottom"] or padding["left"] != padding["right"]:
                x = F.pad(x, [padding[side] for side in ("left", "right", "top", "bottom")])
                pixels = 0
            else:
                pixels = padding["top"]
            bias = self.part(f"{name}.bias", shape[:1]) if node["bias"] else None
            return F.conv2d(x, weight, bias, node["stride"], pixels, 1, node["groups"])
        if kind == "linear":
            x = x.flatten(1)
            shape = [node["out_features"], x.shape[1]]
            bias = self.part(f"{name}.bias", shape[:1]) if node["bias"] else None
            return F.linear(x, self.weight(name, shape, high), bias)
        if kind == "batch_norm":
            gamma, beta = (self.part(f"{name}.{role}", [x.shape[1]]) for role in ("gamma", "beta"))
            return F.batch_norm(x, None, None, gamma, beta, True, 0.1, node["eps"])
        if kind == "activation":
            return {
                "relu": F.relu, "relu6": F.relu6, "h_swish": F.hardswish, "swish": F.silu,
                "h_sigmoid": F.hardsigmoid, "sigmoid": torch.sigmoid,
            }[node["kind"]](x)
        if kind == "add":
            return x + inputs[1]
        if kind == "mul":
            return x * inputs[1]
        if kind == "global_avg_pool":
            return x.mean([2, 3], keepdim=True)
        if kind == "avg_pool":
            return F.avg_pool2d(x, node["kernel"], node["stride"], node["padding"], False, False)
        if kind == "max_pool":
            return F.max_pool2d(x, node["kernel"], node["stride"], node["padding"])
        if kind == "dropout":
            return F.dropout(x, node["rate"])
        raise SystemExit(f"no operator `{kind}`")


def weight_shapes(graph):
    """Names and shapes of all weights, from the shapes of values."""
    channels = [graph["input"]["channels"]]
    for node in graph["nodes"]:
        inputs = channels[node["inputs"][0]]
        outputs = inputs
        if node["op"] == "conv2d":
            outputs = node["out_channels"]
            kernel = node["kernel"]
            yield f"{node['name']}.weight", (outputs, inputs // node["groups"], kernel, kernel)
        elif node["op"] == "linear":
            outputs = node["out_features"]
            yield f"{node['name']}.weight", (outputs, inputs)
        elif node["op"] == "batch_norm":
            yield f"{node['name']}.gamma", (inputs,)
            yield f"{node['name']}.beta", (inputs,)
        if node.get("bias"):
            yield f"{node['name']}.bias", (outputs,)
        channels.append(outputs)


def value_name(placed, position):
    return "input" if position == 0 else placed["graph"]["nodes"][position - 1]["name"]


def quantized_values(placed):
    for position, value in enumerate(placed["values"]):
        if isinstance(value, dict) and "own" in value:
            yield value_name(placed, position)


def measured(plan, scheme, steps, device):
    torch.manual_seed(0)
    supernet = Supernet(plan, device)
    supernet.scheme = scheme
    optimizer = torch.optim.SGD(
        supernet.parameters.values(), lr=0.001, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    batch = plan["batch"]
    for step in range(WARM_UP + steps):
        if step == WARM_UP:
            if device != "cpu":
                torch.cuda.synchronize()
            start = time.perf_counter()
        for number in plan["steps"][step % len(plan["steps"])]:
            placed = plan["graphs"][number]
            shape = placed["graph"]["input"]
            x = torch.rand(batch, shape["channels"], shape["height"], shape["width"], device=device)
            x = x.contiguous(memory_format=torch.channels_last)
            labels = torch.randint(plan["classes"], (batch,), device=device)
            F.cross_entropy(supernet.logits(placed, x), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    if device != "cpu":
        torch.cuda.synchronize()
    return steps * batch * len(plan["steps"][0]) / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("plan")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    with open(arguments.plan, encoding="utf-8") as file:
        plan = json.load(file)
    rates = {
        name: measured(plan, scheme, arguments.steps, arguments.device)
        for name, scheme in [("fp32", None), ("lsq", "lsq"), ("learnable", "learnable")]
    }
    print(json.dumps(rates))


main()
