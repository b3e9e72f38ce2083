"""What is concluded from Envoy's probe events: thresholds, several nodes, new targets, reasons."""

from __future__ import annotations

from typing import Any

import pytest

from ecsnet.agent.drivers.envoy_health import Membership, States, View, view_of

TARGET = ("10.0.0.1", 80)
HEALTHY = View(healthy=True)


def event(cluster: str = "a", **content: Any) -> dict[str, Any]:
    return {"cluster_name": cluster, "host": {"socket_address": {"address": "10.0.0.1", "port_value": 80}}, **content}


def good(cluster: str = "a") -> dict[str, Any]:
    return event(cluster, add_healthy_event={"first_check": True})


def bad(cluster: str = "a", kind: str = "NETWORK") -> dict[str, Any]:
    return event(cluster, health_check_failure_event={"failure_type": kind, "http_status_code": 0})


def ejected(cluster: str = "a", kind: str = "NETWORK") -> dict[str, Any]:
    return event(cluster, eject_unhealthy_event={"failure_type": kind})


def states(*clusters: str) -> States:
    made = States()
    membership = Membership(group="g", unhealthy_after=2, interval=10.0, targets=frozenset((TARGET,)))
    made.follow(dict.fromkeys(clusters, membership))
    return made


def news(of: States) -> list[View]:
    return [item[3] for item in of.news()]


def test_every_node_must_agree_that_a_target_is_healthy() -> None:
    seen = states("a", "b")
    seen.heard(good("a"), 0)
    assert news(seen) == []
    seen.heard(good("b"), 0)
    assert news(seen) == [HEALTHY]
    assert news(seen) == [], "told once"
    seen.heard(ejected("b"), 1)
    assert [view.healthy for view in news(seen)] == [False]
    seen.heard(good("b"), 2)
    assert news(seen) == [HEALTHY]


def test_a_healthy_target_stays_so_below_the_threshold() -> None:
    seen = states("a")
    seen.heard(good(), 0)
    list(seen.news())
    seen.heard(bad(), 1)
    assert news(seen) == []
    assert seen.due(100) == [], "only new targets are probed as new again"
    seen.heard(ejected(kind="NETWORK_TIMEOUT"), 2)
    (view,) = news(seen)
    assert (view.reason, view.description) == ("Target.Timeout", "Request timed out")


def test_a_new_target_is_probed_again_and_then_given_up() -> None:
    seen = states("a")
    seen.heard(bad(), 0)
    assert seen.due(0.4) == []
    assert seen.due(0.5) == [("a", *TARGET)]
    assert seen.due(0.6) == [], "once"
    seen.heard(bad(), 0.6)
    seen.heard(bad(), 0.7)
    assert seen.due(1.1) == [("a", *TARGET)]
    seen.heard(bad(), 2.1)
    assert news(seen) == [], "the first one that counts"
    assert seen.due(11.5) == []
    assert seen.due(11.6) == [("a", *TARGET)]
    seen.heard(bad(), 11.7)
    assert [view.reason for view in news(seen)] == ["Target.FailedHealthChecks"]
    assert seen.due(1000) == []


def test_a_new_target_may_fail_before_it_is_healthy() -> None:
    seen = states("a")
    seen.heard(bad(), 0)
    seen.heard(good(), 1)
    assert news(seen) == [HEALTHY]
    assert seen.due(1000) == []


def test_who_is_no_member_is_forgotten_and_told_anew() -> None:
    seen = states("a")
    seen.heard(good(), 0)
    list(seen.news())
    seen.follow({})
    seen.heard(good(), 1)
    assert news(seen) == []
    seen.follow({"a": Membership(group="g", unhealthy_after=2, interval=10.0, targets=frozenset((TARGET,)))})
    assert news(seen) == []
    seen.heard(good(), 2)
    assert news(seen) == [HEALTHY]


@pytest.mark.parametrize(
    ("health", "adopting", "expected"),
    [
        ({"eds_health_status": "HEALTHY"}, False, HEALTHY),
        ({"failed_active_health_check": True, "pending_active_hc": True}, True, None),
        ({"failed_active_health_check": True}, False, None),
        (
            {"failed_active_health_check": True, "active_hc_timeout": True},
            True,
            View(healthy=False, reason="Target.Timeout", description="Request timed out"),
        ),
    ],
)
def test_looking_at_the_clusters(health: dict[str, Any], adopting: bool, expected: View | None) -> None:
    seen = states("a")
    host = {"address": {"socket_address": {"address": "10.0.0.1", "port_value": 80}}, "health_status": health}
    seen.looked({"cluster_statuses": [{"name": "a", "host_statuses": [host]}, {"name": "x"}]}, adopting=adopting)
    assert news(seen) == ([expected] if expected is not None else [])


def test_a_wrong_status_is_named() -> None:
    line = event(health_check_failure_event={"failure_type": "ACTIVE", "http_status_code": 404})
    found = view_of(line)
    assert found is not None
    assert found[1].description == "Health checks failed with these codes: [404]"
    assert view_of({"cluster_name": "a"}) is None
