"""Health checks by a clock that the test moves: when a container becomes healthy or unhealthy."""

from __future__ import annotations

import queue
import time

import pytest

from ecsnet.agent.runtimes.health import HealthChecks
from ecsnet.hostplan.workload import HealthCheck


def check(**changes: int) -> HealthCheck:
    given = {"interval": 1, "timeout": 2, "retries": 2, "start_period": 0, **changes}
    return HealthCheck(arguments=("x",), **given)


@pytest.mark.parametrize(
    ("answers", "start_period", "told"),
    [
        ("+", 0, ["HEALTHY"]),
        ("-+", 0, ["HEALTHY"]),
        ("--", 0, ["UNHEALTHY"]),
        ("--+", 0, ["UNHEALTHY", "HEALTHY"]),
        ("+-+-+--", 0, ["HEALTHY", "UNHEALTHY"]),
        ("-----+", 100_000, ["HEALTHY"]),
        ("+--", 100_000, ["HEALTHY", "UNHEALTHY"]),
    ],
)
def test_what_a_row_of_results_means(answers: str, start_period: int, told: list[str]) -> None:
    left = list(answers)
    seen: queue.Queue[tuple[str, str]] = queue.Queue()

    def probe(timeout: float) -> bool:
        assert timeout == 2
        # the last answer goes on for ever, which changes nothing any more
        return (left.pop(0) if left else answers[-1]) == "+"

    checks = HealthChecks(lambda key, health: seen.put((key, health)), now=time.monotonic, speed=lambda: 1000.0)
    checks.watch("web", check(start_period=start_period), probe)
    assert [seen.get(timeout=60) for _ in told] == [("web", health) for health in told]
    checks.leave("web")
    checks.close()
    assert seen.empty()
