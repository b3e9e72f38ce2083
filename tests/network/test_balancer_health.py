"""Health probes and draining with real packets, and what becomes of them in observations."""

from __future__ import annotations

import threading

import pytest
from balancer_lab import (
    ADDRESS,
    Answer,
    Lab,
    Target,
    eventually,
    forward,
    front_end,
    in_lab,
    members,
    pool,
    probe,
    routing,
)
from sandbox import command

pytestmark = pytest.mark.network


def bodies(lab: Lab, count: int = 12) -> set[str]:
    return {lab.get("/").body for _ in range(count)}


@in_lab
def test_an_unhealthy_target_leaves_and_comes_back(lab: Lab) -> None:
    one, two = lab.target(1), lab.target(2)
    lab.apply(pool(1), members(1, one, two), routing(forward(1)), front_end())
    lab.wait_health(1, one, True)
    lab.wait_health(1, two, True)
    assert bodies(lab) == {"t1", "t2"}
    two.healthy = False
    seen = lab.wait_health(1, two, False)
    assert (seen.reason, seen.description) == (
        "Target.ResponseCodeMismatch",
        "Health checks failed with these codes: [500]",
    )
    assert bodies(lab) == {"t1"}
    two.healthy = True
    assert lab.wait_health(1, two, True).reason is None
    assert bodies(lab) == {"t1", "t2"}


@in_lab
def test_when_all_are_unhealthy_all_are_used(lab: Lab) -> None:
    one, two = lab.target(1), lab.target(2)
    lab.apply(pool(1), members(1, one, two), routing(forward(1)), front_end())
    one.healthy = two.healthy = False
    lab.wait_health(1, one, False)
    lab.wait_health(1, two, False)
    assert bodies(lab) == {"t1", "t2"}
    one.healthy = True
    lab.wait_health(1, one, True)
    assert bodies(lab) == {"t1"}


@in_lab
def test_how_probes_look_and_why_they_fail(lab: Lab) -> None:
    one, two = lab.target(1), lab.target(2)
    lab.apply(
        pool(1, probe=probe(path="/ping", port=8080)),
        members(1, one, port=9, probe_port=8080),
        pool(2),
        members(2, two, port=9),
        routing(forward(1)),
        front_end(),
    )
    lab.wait_health(1, one, True, port=9)
    seen = one.probes[-1]
    assert (seen.method, seen.path, seen.peer) == ("GET", "/ping", ADDRESS)
    names = {name.lower(): value for name, value in seen.headers.items()}
    assert names["host"] == f"{one.address}:8080"
    assert names["user-agent"] == "ELB-HealthChecker/2.0"
    assert len({seen.peer_port for seen in one.probes}) == len(one.probes), "a connection was used twice"
    assert lab.wait_health(2, two, False, port=9).reason == "Target.FailedHealthChecks"


@in_lab
def test_a_black_hole_times_out(lab: Lab) -> None:
    one, two = lab.target(1), lab.target(2)
    lab.apply(pool(1), members(1, one), routing(forward(1)), front_end())
    lab.wait_health(1, one, True)
    command("ip", "-n", two.name, "route", "add", "blackhole", f"{ADDRESS}/32")  # it hears and never answers
    lab.apply(members(1, one, two))
    assert bodies(lab) == {"t1"}, "an unchecked target was used beside a healthy one"
    seen = lab.wait_health(1, two, False)
    assert (seen.reason, seen.description) == ("Target.Timeout", "Request timed out")


@in_lab
def test_a_draining_target_finishes_what_it_has(lab: Lab) -> None:
    one, two = lab.target(1), lab.target(2)
    lab.apply(pool(1), members(1, one), routing(forward(1)), front_end())
    lab.wait_health(1, one, True)
    one.delay.clear()
    answers: list[Answer] = []
    running = threading.Thread(target=lambda: answers.append(lab.get("/long")))
    running.start()
    eventually(lambda: bool(one.seen))
    lab.apply(members(1, two, draining=(one,)))
    lab.wait_health(1, two, True)
    assert bodies(lab) == {"t2"}
    one.delay.set()
    running.join(60)
    assert [(answer.status, answer.body) for answer in answers] == [(200, "t1")]
    lab.apply(members(1, two))
    assert bodies(lab) == {"t2"}
    assert [seen.path for seen in one.seen] == ["/long"]


@in_lab
def test_when_all_targets_drain_new_requests_get_503_and_running_ones_their_answer(lab: Lab) -> None:
    one = lab.target(1)
    lab.apply(pool(1), members(1, one), routing(forward(1)), front_end())
    lab.wait_health(1, one, True)
    one.delay.clear()
    answers: list[Answer] = []
    running = threading.Thread(target=lambda: answers.append(lab.get("/long")))
    running.start()
    eventually(lambda: bool(one.seen))
    lab.apply(members(1, draining=(one,)))
    assert lab.get("/").status == 503
    one.delay.set()
    running.join(60)
    assert [(answer.status, answer.body) for answer in answers] == [(200, "t1")]
    assert [seen.path for seen in one.seen] == ["/long"]
    lab.apply(members(1, one))
    lab.wait_health(1, one, True)
    assert bodies(lab) == {"t1"}


@in_lab
def test_a_target_that_comes_back_is_reported_again(lab: Lab) -> None:
    one, two = lab.target(1), lab.target(2)
    lab.apply(pool(1), members(1, one, two), routing(forward(1)), front_end())
    lab.wait_health(1, one, True)
    lab.wait_health(1, two, True)
    lab.apply(members(1, two, draining=(one,)))
    lab.health.clear()
    lab.apply(members(1, one, two))
    lab.wait_health(1, one, True)
    lab.apply(members(1, two))
    lab.health.clear()
    lab.apply(members(1, one, two))
    lab.wait_health(1, one, True)


@in_lab
def test_a_target_that_starts_late_needs_one_good_probe_only(lab: Lab) -> None:
    """With a healthy threshold of ten, counting from a failed first probe would take ten intervals."""
    namespace_only = Target(name="t1", address="10.0.2.1")
    lab.host(namespace_only.name, namespace_only.address)
    lab.apply(
        pool(1, probe=probe(healthy=10, interval=20)), members(1, namespace_only), routing(forward(1)), front_end()
    )
    log = lab.state / "envoy" / "health.log"
    eventually(lambda: log.exists() and "health_check_failure_event" in log.read_text())
    namespace_only.serve(8080)
    lab.wait_health(1, namespace_only, True)
    assert len(namespace_only.probes) < 10, "it was healthy before as many good probes as the threshold says"
    assert lab.get("/").body == "t1"
