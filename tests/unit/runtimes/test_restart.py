"""Containers that end are started again where their restart policy says so."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence

import pytest

from ecsnet.agent.runtimes.driver import WorkloadDriver
from ecsnet.agent.runtimes.runtime import Found, RuntimeName
from ecsnet.hostplan.messages import ContainerSeen
from ecsnet.hostplan.workload import HealthCheck, RestartRule, Workload

KEY = "workload:task/app"


class Fake:
    """A runtime of one container that ends when the test says so."""

    name: RuntimeName = "process"

    def __init__(self) -> None:
        self.starts = 0
        self.now = 1000.0
        self._code: int | None = None
        self._there = False

    def start(self, workload: Workload) -> str:
        self.starts += 1
        self._there, self._code = True, None
        return f"run-{self.starts}"

    def stop(self, key: str, timeout: float) -> Found | None:
        left = self.found()
        self._there = False
        return left[0] if left else None

    def probe(self, workload: Workload, check: HealthCheck, timeout: float) -> bool:
        raise AssertionError("no health check is wanted")

    def found(self) -> Sequence[Found]:
        return (self._found(),) if self._there else ()

    def _found(self) -> Found:
        return Found(key=KEY, runtime_id=f"run-{self.starts}", ended=self._code is not None, exit_code=self._code)

    def end(self, code: int, after: float) -> Found:
        self.now += after
        self._code = code
        return self._found()

    def close(self) -> None:
        pass


class Rig:
    def __init__(self) -> None:
        self.seen: queue.Queue[ContainerSeen] = queue.Queue()
        self.fake = Fake()
        self.restarts: list[int] = []
        self.driver = WorkloadDriver(
            {"process": self.fake},
            choose=lambda workload: "process",
            emit=self.seen.put,
            now=lambda: self.fake.now,
            speed=lambda: 2.0,
        )

    def run(self, rule: RestartRule | None) -> None:
        workload = Workload(owner="task", container="app", netns="t", runtime="process", image="x", restart=rule)
        self.driver.apply([workload], [])
        assert [self.told() for _ in range(2)] == [("starting", None), ("running", None)]

    def told(self) -> tuple[str, int | None]:
        seen = self.seen.get(timeout=60)
        self.restarts.append(seen.restarts)
        return seen.state, seen.exit_code

    def end(self, code: int, after: float) -> tuple[str, int | None]:
        """The container ends `after` seconds of running; what is told of it."""
        self.driver.ended("process", self.fake.end(code, after))
        return self.told()


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.driver.close()


def test_without_a_policy_an_end_is_the_end(rig: Rig) -> None:
    rig.run(None)
    assert rig.end(1, after=9999) == ("stopped", 1)
    assert rig.fake.starts == 1


def test_it_is_started_again_once_it_has_run_for_the_period(rig: Rig) -> None:
    rig.run(RestartRule(period=60))
    assert rig.end(1, after=30) == ("running", None), "speed 2 halves the period"
    assert rig.end(0, after=30) == ("running", None), "whatever the exit code"
    assert rig.fake.starts == 3
    assert rig.end(1, after=29) == ("stopped", 1), "since its last start it ran too briefly"
    assert rig.fake.starts == 3
    assert rig.restarts == [0, 0, 1, 2, 2]


def test_ignored_exit_codes_end_it(rig: Rig) -> None:
    rig.run(RestartRule(period=60, ignored_codes=(0, 7)))
    assert rig.end(3, after=60) == ("running", None)
    assert rig.end(7, after=60) == ("stopped", 7)
    assert rig.fake.starts == 2


def test_one_end_that_is_told_twice_restarts_it_once(rig: Rig) -> None:
    rig.run(RestartRule(period=60))
    ended = rig.fake.end(1, after=60)
    rig.driver.ended("process", ended)
    rig.driver.ended("process", ended)
    assert rig.told() == ("running", None)
    assert rig.end(1, after=1) == ("stopped", 1), "nothing was told in between"
    assert rig.fake.starts == 2
