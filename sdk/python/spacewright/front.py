"""Networks that no other one of a study beats."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, overload

from .network import Network, table_of

if TYPE_CHECKING:
    import pandas

_WIDTH, _HEIGHT, _MARGIN = 480, 240, 40


class Front(Sequence[Network]):
    """The networks of a study of which no other one is both at least as fast and at least as accurate in
    integers, the fastest first."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks: list[Network] = []
        best = -1.0
        for network in sorted(networks, key=lambda each: (each.int8_ms, -each.int8_accuracy)):
            if network.int8_accuracy > best:
                best = network.int8_accuracy
                self._networks.append(network)

    @overload
    def __getitem__(self, index: int) -> Network: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Network]: ...
    def __getitem__(self, index: int | slice) -> Network | Sequence[Network]:
        return self._networks[index]

    def __len__(self) -> int:
        return len(self._networks)

    def __iter__(self) -> Iterator[Network]:
        return iter(self._networks)

    def __repr__(self) -> str:
        points = (f"{each.int8_ms:.3g} ms {each.int8_accuracy:.2%}" for each in self._networks)
        return f"Front({', '.join(points)})"

    def to_pandas(self) -> pandas.DataFrame:
        """A table with a row for each network and a column for each of its numbers, in the units of
        `Network`.

        Raises:
            ImportError: pandas is not installed (``pip install 'spacewright[plot]'``).
        """
        import pandas

        left_out = {"file", "fp32_file", "folder", "_study"}
        names = [each.name for each in dataclasses.fields(Network) if each.name not in left_out]
        rows = [{name: getattr(network, name) for name in names} for network in self._networks]
        return pandas.DataFrame(rows, columns=names)

    def _repr_html_(self) -> str:
        return self._repr_svg_() + table_of(self._networks)

    def _repr_svg_(self) -> str:
        """Accuracy in integers against latency in milliseconds."""
        if not self._networks:
            return "<svg xmlns='http://www.w3.org/2000/svg' width='0' height='0'></svg>"
        times = [network.int8_ms for network in self._networks]
        shares = [network.int8_accuracy for network in self._networks]

        def place(value: float, values: list[float], length: int) -> float:
            span = max(values) - min(values)
            inside = length - 2 * _MARGIN
            return _MARGIN + (inside * (value - min(values)) / span if span else inside / 2)

        points = [
            (place(ms, times, _WIDTH), _HEIGHT - place(share, shares, _HEIGHT), ms, share)
            for ms, share in zip(times, shares)
        ]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in points)
        marks = "".join(
            f"<circle cx='{x:.1f}' cy='{y:.1f}' r='4' fill='currentColor'><title>{ms:.3g} ms, {share:.2%}"
            f"</title></circle><text x='{x:.1f}' y='{y - 8:.1f}' text-anchor='middle'>{share:.1%}</text>"
            for x, y, ms, share in points
        )
        axis = f"<text x='{_WIDTH / 2}' y='{_HEIGHT - 8}' text-anchor='middle'>INT8 latency: " + (
            f"{min(times):.3g} to {max(times):.3g} ms</text>"
        )
        return (
            f"<svg xmlns='http://www.w3.org/2000/svg' width='{_WIDTH}' height='{_HEIGHT}' font-size='11' "
            f"fill='currentColor'><polyline points='{line}' fill='none' stroke='currentColor'/>"
            f"{marks}{axis}</svg>"
        )
