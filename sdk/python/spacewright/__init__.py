"""Spacewright: INT8 networks that are really fast on the hardware at hand.

The module drives the program ``spacewright``, which comes with it, and reads the files that a study
leaves::

    import spacewright as sw

    study = sw.Study("my.toml", train={"fp32": {"steps": 200}})
    study.run(on_event=print)
    best = study.best(budget_ms=0.08)
    best.export("net.onnx")
    module = best.to_torch()

Latencies are in milliseconds, accuracies are shares of the test images from 0 to 1.
"""

from . import data
from ._program import program
from .errors import SpacewrightError
from .events import Event
from .front import Front
from .hardware import Latency, Profile, latency, profile
from .network import Network
from .space import Space, SpaceScore, Subnet, space
from .study import Study

__all__ = [
    "Event",
    "Front",
    "Latency",
    "Network",
    "Profile",
    "Space",
    "SpaceScore",
    "SpacewrightError",
    "Study",
    "Subnet",
    "data",
    "latency",
    "profile",
    "program",
    "space",
]
