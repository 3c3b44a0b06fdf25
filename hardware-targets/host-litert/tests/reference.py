"""Runs TFLite files with the interpreter of `ai-edge-litert` and its reference kernels.

Arguments: pairs of a file and of the bytes of its input. Prints, for each pair, one line of JSON:
the integers of every output by name, channels first.
"""

import json
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType


def outputs(model, image):
    interpreter = Interpreter(
        model_path=model,
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    kinds = {tensor["dtype"] for tensor in interpreter.get_tensor_details()}
    assert kinds <= {np.int8, np.int32}, kinds
    (entry,) = interpreter.get_input_details()
    pixels = np.fromfile(image, dtype=np.int8).reshape(entry["shape"])
    interpreter.set_tensor(entry["index"], pixels)
    interpreter.invoke()
    values = {}
    for entry in interpreter.get_output_details():
        value = interpreter.get_tensor(entry["index"])
        if value.ndim == 4:
            value = value.transpose(0, 3, 1, 2)
        values[entry["name"]] = value.flatten().tolist()
    return values


for model, image in zip(sys.argv[1::2], sys.argv[2::2]):
    print(json.dumps(outputs(model, image)))
