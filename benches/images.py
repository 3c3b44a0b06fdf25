"""What `benches/images.rs` does with JPEG files, as Pillow does it fastest: the decoder is asked for no more
pixels than the crop needs (`draft`). Prints the images a second of the best round.

    python3 benches/images.py FOLDER ROUNDS
"""

import math
import pathlib
import random
import sys
import time

import numpy
from PIL import Image

SIDE = 224
MEAN = numpy.array([0.485, 0.456, 0.406], numpy.float32)
STD = numpy.array([0.229, 0.224, 0.225], numpy.float32)


def rectangle(width, height):
    """Left, top, width and height of a random-resized-crop."""
    for _ in range(10):
        area = width * height * random.uniform(0.08, 1.0)
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return random.randint(0, width - w), random.randint(0, height - h), w, h
    return 0, 0, width, height


def network_input(path):
    image = Image.open(path)
    full_width, full_height = image.size
    left, top, w, h = rectangle(full_width, full_height)
    image.draft("RGB", (math.ceil(full_width * SIDE / w), math.ceil(full_height * SIDE / h)))
    x, y = image.size[0] / full_width, image.size[1] / full_height
    box = (left * x, top * y, (left + w) * x, (top + h) * y)
    image = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box)
    if random.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    values = (numpy.asarray(image, numpy.float32) / 255 - MEAN) / STD
    return numpy.ascontiguousarray(values.transpose(2, 0, 1))


def main():
    files = sorted(pathlib.Path(sys.argv[1]).glob("*.jpg"))
    best = math.inf
    for index in range(int(sys.argv[2])):
        random.seed(index)
        started = time.perf_counter()
        for path in files:
            network_input(path)
        best = min(best, time.perf_counter() - started)
    print(len(files) / best)


main()
