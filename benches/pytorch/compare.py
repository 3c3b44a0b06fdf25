"""Measures training steps of a supernet here and in PyTorch, in turns, and prints medians and ratios.

    python3 benches/pytorch/compare.py PROGRAM [SPACE …] [--rounds N] [--steps N] [--batch N] [--threads N]

PROGRAM is `spacewright`; both sides have the same number of threads, all cores by default, and otherwise
what they do by themselves.
"""

import argparse
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
    common = ["--steps", str(arguments.steps), "--threads", str(arguments.threads)]
    rates = {name: [] for name in ("fp32", "int8", "pytorch", "lsq", "learnable", "ratio")}
    with tempfile.TemporaryDirectory() as folder:
        plan = pathlib.Path(folder) / "plan.json"
        own = [arguments.program, "bench", "train", space, "--json", "--quiet", "--plan", plan]
        own += ["--batch", str(arguments.batch), *common]
        for _ in range(arguments.rounds):
            here = output_of(own)
            there = output_of([sys.executable, SUPERNET, plan, *common])
            rates["fp32"].append(here["fp32_images_per_second"])
            rates["int8"].append(here["int8_images_per_second"])
            rates["ratio"].append(here["int8_over_fp32"])
            rates["pytorch"].append(there["fp32"])
            rates["lsq"].append(there["lsq"])
            rates["learnable"].append(there["learnable"])
    fp32, int8, pytorch, lsq, learnable, ratio = map(statistics.median, rates.values())
    print(f"{space}: {arguments.threads} threads, batch {arguments.batch}, medians of {arguments.rounds}")
    print(f"  FP32: {fp32:.0f} images/s, PyTorch {pytorch:.0f}: {fp32 / pytorch:.2f} times as many")
    print(f"  INT8: {int8:.0f} images/s, a step takes {ratio:.2f} times that of FP32")
    print(f"    learned step sizes in Python {lsq:.0f}: {int8 / lsq:.2f} times as many")
    print(f"    PyTorch's learnable operator {learnable:.0f}: {int8 / learnable:.2f} times as many")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("spaces", nargs="*", default=["mini-4444-1111", "mini-1111-1111"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    try:
        import torch
    except ImportError:
        sys.exit("error: PyTorch is missing\nhint: pip install torch==2.11.0")
    print(f"PyTorch {torch.__version__}")
    for space in arguments.spaces:
        compared(space, arguments)


main()
