"""The proxy with real packets: what it answers, to whom it sends requests, what it probes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from balancer_lab import Lab, envoy_log, forward, front_end, members, pool, routing
from sandbox import sandboxed

pytestmark = pytest.mark.network


def in_lab(body: Callable[[Lab], None]) -> Callable[[], None]:
    def run() -> None:
        lab = Lab()
        try:
            body(lab)
        except BaseException:
            print(envoy_log(lab.state))
            raise
        finally:
            lab.stop()

    run.__name__ = body.__name__
    return sandboxed(run)


@in_lab
def test_two_targets_answer_in_turn(lab: Lab) -> None:
    one, two = lab.target(1), lab.target(2)
    assert lab.apply(pool(1), members(1, one, two), routing(forward(1)), front_end()) == {}
    lab.wait_health(1, one, True)
    lab.wait_health(1, two, True)
    answers = [lab.get("/hello?x=1") for _ in range(10)]
    assert {answer.status for answer in answers} == {200}
    assert sorted(answer.body for answer in answers) == ["t1"] * 5 + ["t2"] * 5
