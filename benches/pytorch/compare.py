"""Measures training steps of a supernet here and in PyTorch, in turns, and prints medians and ratios.

    python3 benches/pytorch/compare.py PROGRAM [SPACE …] [--rounds N] [--steps N] [--batch N] [--threads N]
        [--micro-batch N] [--device cpu|cuda|cuda:N] [--precision fp32|tf32|bf16]
        [--schemes fp32,lsq,learnable] [--layout channels-last|contiguous]

PROGRAM is `spacewright`; both sides have the same device, precision and, on the processor, number of
threads, all cores by default, and otherwise what they do by themselves. `--schemes` and `--layout` are
PyTorch's, as `supernet.py` has them.
"""

import argparse
import collections
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

SUPERNET = pathlib.Path(__file__).with_name("supernet.py")


def output_of(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(f"error: `{' '.join(map(str, command))}` failed")
    return json.loads(done.stdout)


def compared(space, arguments):
    gpu = arguments.device != "cpu"
    common = ["--device", arguments.device, "--precision", arguments.precision]
    common += ["--steps", str(arguments.steps)]
    if not gpu:
        common += ["--threads", str(arguments.threads)]
    if arguments.micro_batch:
        common += ["--micro-batch", str(arguments.micro_batch)]
    schemes = arguments.schemes.split(",")
    rates, ratios, peaks = collections.defaultdict(list), [], collections.defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        plan = pathlib.Path(folder) / "plan.json"
        own = [arguments.program, "bench", "train", space, "--json", "--quiet", "--plan", plan]
        own += ["--batch", str(arguments.batch), *common]
        other = [sys.executable, SUPERNET, plan, *common]
        other += ["--schemes", arguments.schemes, "--layout", arguments.layout]
        for _ in range(arguments.rounds):
            here = output_of(own)
            there = output_of(other)
            rates["FP32 here"].append(here["fp32_images_per_second"])
            rates["INT8 here"].append(here["int8_images_per_second"])
            ratios.append(here["int8_over_fp32"])
            for scheme in schemes:
                rates[scheme].append(there[scheme])
                peaks[scheme].append(there.get("peak_memory_bytes", {}).get(scheme))
    rates = {name: statistics.median(measured) for name, measured in rates.items()}

    def rate(name):
        passes = f" ({rates[name] / arguments.batch:.1f} subnet passes per second)" if gpu else ""
        return f"{rates[name]:.0f} images/s{passes}"

    def line(scheme, words, rival):
        if scheme in schemes:
            memory = f", {max(peaks[scheme]) / 1e9:.2f} GB of tensors at most" if gpu else ""
            print(f"    {words} {rate(scheme)}{memory}: {rates[rival] / rates[scheme]:.2f} times as many")

    place = there["card"] if gpu else f"{arguments.threads} threads"
    micro_batch = f" in parts of {arguments.micro_batch}" if arguments.micro_batch else ""
    print(
        f"{space}: {place}, {arguments.precision}, batch {arguments.batch}{micro_batch}, "
        f"medians of {arguments.rounds}"
    )
    print(f"  without quantizers: {rate('FP32 here')}")
    line("fp32", "PyTorch", "FP32 here")
    print(f"  INT8: {rate('INT8 here')}, a step takes {statistics.median(ratios):.2f} times that without")
    line("lsq", "learned step sizes in Python", "INT8 here")
    line("learnable", "PyTorch's learnable operator", "INT8 here")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("spaces", nargs="*", default=["mini-4444-1111", "mini-1111-1111"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--micro-batch", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--schemes", default="fp32,lsq,learnable")
    parser.add_argument("--layout", default="channels-last")
    arguments = parser.parse_args()
    try:
        import torch
    except ImportError:
        sys.exit("error: PyTorch is missing\nhint: pip install torch==2.11.0")
    print(f"PyTorch {torch.__version__}")
    for space in arguments.spaces:
        compared(space, arguments)


main()
