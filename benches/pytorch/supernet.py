"""The steps that `spacewright bench train --plan FILE` measures, in PyTorch: the same subnets, images of
noise of the same size, shared weights of the same shapes, SGD with Nesterov momentum; eager, channels-last.

    python3 benches/pytorch/supernet.py FILE [--steps N] [--threads N] [--micro-batch N]
        [--device cpu|cuda|cuda:N] [--precision fp32|tf32|bf16] [--schemes fp32,lsq,learnable]
        [--layout channels-last|contiguous]

Prints JSON: images a second without quantizers (`fp32`), with learned step sizes as they are usually
written in Python (`lsq`), and with PyTorch's own learnable fake quantization (`learnable`). An image counts
once for each subnet that sees it. `precision` is how convolutions and linear layers multiply, whatever the
scheme; weights stay FP32. On a GPU `peak_memory_bytes` is what tensors took at most, by scheme.
"""

import argparse
import gc
import json
import math
import re
import sys
import time

import torch
import torch.nn.functional as F

WARM_UP = 3
SCHEMES = {"fp32": None, "lsq": "lsq", "learnable": "learnable"}
LAYOUTS = {"channels-last": torch.channels_last, "contiguous": torch.contiguous_format}


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
    # The operator wants FP32; under autocast `x` can be BF16.
    return torch._fake_quantize_learnable_per_tensor_affine(x.float(), scale, zero, low, high, factor)


def learnable_weight(w, scale, high):
    factor = 1.0 / math.sqrt(w[0].numel() * high)
    zero = torch.zeros_like(scale)
    return torch._fake_quantize_learnable_per_channel_affine(w, scale, zero, 0, -high, high, factor)


class Supernet:
    """Weights at the largest shape that any graph asks for; a graph takes the first channels and the
    centre of kernels."""

    def __init__(self, plan, device, layout):
        self.parameters = {}
        self.device = device
        self.layout = layout
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
                self.add(f"{name}_scale", scale)
            self.add(name, value)
        for placed in plan["graphs"]:
            for name in quantized_values(placed):
                if f"{name}.scale" not in self.parameters:
                    self.add(f"{name}.scale", torch.tensor([4.0 / 255]))
                    self.add(f"{name}.offset", torch.tensor([0.0]))

    def add(self, name, value):
        value = value.to(self.device)
        if value.dim() == 4:
            # As the images, so that convolutions need not reorder them. On a processor with AVX-512 channels
            # last is what is fastest for PyTorch: 1.2 times as fast without quantizers, 1.8 times with
            # depth-wise convolutions. On a GPU that is up to cuDNN, and `--layout` there to try.
            value = value.to(memory_format=self.layout)
        self.parameters[name] = value.requires_grad_()

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
        # `to`, as `contiguous` leaves the strides of grey images as they are: both layouts fit them, but the
        # convolution takes them for channels first, and what follows is like its input. And here, as the
        # arithmetic of quantizers also writes grey images channels first.
        values = [self.value(placed, 0, x).to(memory_format=self.layout)]
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


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measured(plan, scheme, arguments):
    """Images a second, the same while sizes come for the first time, and the most bytes of the GPU's memory that
    tensors took."""
    torch.manual_seed(0)
    device = arguments.device
    if device.type == "cuda":
        gc.collect()
        torch.cuda.reset_peak_memory_stats(device)
    supernet = Supernet(plan, device, LAYOUTS[arguments.layout])
    supernet.scheme = scheme
    optimizer = torch.optim.SGD(
        supernet.parameters.values(), lr=0.001, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    batch = plan["batch"]
    at_once = arguments.micro_batch or batch
    steps = WARM_UP + arguments.steps
    # Libraries for GPUs look for a way to compute a layer of new sizes, which takes longer than the layer.
    passes = 1 if device.type == "cpu" else 2
    images_seen = arguments.steps * batch * len(plan["steps"][0])
    of_new_sizes = None
    for index in range(passes * steps):
        step = index % steps
        if index == steps:
            synchronize(device)
            of_new_sizes = images_seen / (time.perf_counter() - start)
        if step == WARM_UP:
            synchronize(device)
            start = time.perf_counter()
        for number in plan["steps"][step % len(plan["steps"])]:
            placed = plan["graphs"][number]
            shape = placed["graph"]["input"]
            images = torch.rand(batch, shape["channels"], shape["height"], shape["width"], device=device)
            labels = torch.randint(plan["classes"], (batch,), device=device)
            for x, wanted in zip(images.split(at_once), labels.split(at_once)):
                with torch.autocast(device.type, torch.bfloat16, arguments.precision == "bf16"):
                    loss = F.cross_entropy(supernet.logits(placed, x), wanted)
                (loss * (len(x) / batch) if len(x) < batch else loss).backward()
        optimizer.step()
        optimizer.zero_grad()
    synchronize(device)
    seconds = time.perf_counter() - start
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    return images_seen / seconds, of_new_sizes, peak


def device_named(text):
    if not re.fullmatch(r"cpu|cuda(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"`{text}` is no device; devices are `cpu`, `cuda`, and `cuda:1`")
    return torch.device("cuda:0" if text == "cuda" else text)


def schemes_named(text):
    names = text.split(",")
    for name in names:
        if name not in SCHEMES:
            raise argparse.ArgumentTypeError(f"`{name}` is no scheme; schemes are {', '.join(SCHEMES)}")
    return names


def prepare(device, precision):
    """Sets what holds for the whole process."""
    if device.type == "cpu":
        if precision == "tf32":
            sys.exit("error: processors have no TF32\nhint: `--precision fp32`, or a GPU with `--device cuda`")
        return
    if not torch.cuda.is_available():
        sys.exit("error: PyTorch finds no GPU that it can use")
    if device.index >= torch.cuda.device_count():
        sys.exit(f"error: there is no `{device}`; PyTorch finds {torch.cuda.device_count()} GPUs")
    torch.cuda.init()
    torch.cuda.set_device(device)
    # By itself PyTorch allows it to cuDNN only.
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("plan")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--micro-batch", type=int, default=0)
    parser.add_argument("--device", type=device_named, default="cpu")
    parser.add_argument("--precision", choices=["fp32", "tf32", "bf16"], default="fp32")
    parser.add_argument("--schemes", type=schemes_named, default=",".join(SCHEMES))
    parser.add_argument("--layout", choices=list(LAYOUTS), default="channels-last")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    prepare(arguments.device, arguments.precision)
    with open(arguments.plan, encoding="utf-8") as file:
        plan = json.load(file)
    report = {"device": str(arguments.device), "precision": arguments.precision, "layout": arguments.layout}
    peaks, new_sizes = {}, {}
    for name in arguments.schemes:
        report[name], new_sizes[name], peaks[name] = measured(plan, SCHEMES[name], arguments)
    if arguments.device.type == "cuda":
        report["card"] = torch.cuda.get_device_name(arguments.device)
        report["peak_memory_bytes"] = peaks
        # Later schemes have the sizes of the first one.
        first = arguments.schemes[0]
        report["of_new_sizes"] = {first: new_sizes[first]}
    print(json.dumps(report))


main()
