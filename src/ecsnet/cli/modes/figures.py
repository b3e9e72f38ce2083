"""The measured figures of traffic, and when two of them are called different."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

from ecsnet.cli.modes.report import Round

IMPROBABLE = 0.05
"""What chance may at most have brought about with this probability is called a difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure of traffic."""

    title: str
    field: str
    unit: str
    digits: int
    more_is_better: bool
    tail: str = ""
    """The field of the same figure's 99th percentile."""

    def of(self, found: Round) -> float:
        return float(getattr(found, self.field))

    def shown(self, found: Round) -> str:
        value = f"{self.of(found):.{self.digits}f}"
        tail = f" / {getattr(found, self.tail):.{self.digits}f}" if self.tail else ""
        return f"{value}{tail} {self.unit}".strip()


FIGURES = (
    Figure(title="throughput, one TCP stream", field="gbit_per_second", unit="Gbit/s", digits=1, more_is_better=True),
    Figure(
        title="round trip of one byte, p50 / p99", field="p50_us", unit="µs", digits=0, more_is_better=False,
        tail="p99_us",
    ),
    Figure(
        title="new connections per second", field="connections_per_second", unit="", digits=0, more_is_better=True
    ),
)  # fmt: skip


def alike(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether the rounds of two places prove no difference between them, by the sign test.

    Rounds alternate, so each pair of them met the same load of the machine. Without a difference either place is the
    better one in half of them; that one of them is it as often as was seen must be improbable.
    """
    signs = [first > second for first, second in zip(one, other, strict=True) if first != second]
    rounds, most = len(signs), max(signs.count(True), signs.count(False))
    as_often = sum(comb(rounds, number) for number in range(most, rounds + 1))
    return 2 * as_often > IMPROBABLE * (1 << rounds)
