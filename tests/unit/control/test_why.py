"""`why` in the user's names: what is said, what was near, and how it looks."""

from __future__ import annotations

import json

import msgspec
import pytest
import rows

from ecsnet.cli.why import lines
from ecsnet.control.places import NotFoundError
from ecsnet.control.why import ServiceError, parse_service, why
from ecsnet.model import tables as t
from ecsnet.store.store import Store

TASK = "0001"
ANOTHER = "0002"


@pytest.fixture
def store() -> Store:
    store = Store(None, t.SCHEMA)
    with store.transaction() as tx:
        rows.put_storefront(tx)
        tx.put(t.ACLS, msgspec.structs.replace(rows.acl(1, rows.entry(100), rows.entry(100, egress=True), default=True),
                                               tags=(("Name", "open"),)))  # fmt: skip
    return store


def test_a_flow_that_works(store: Store) -> None:
    answer = why(store.snapshot, "web", TASK, "8080/tcp")
    assert (answer["verdict"], answer["deciding"]) == ("reachable", None)
    assert answer["ingress"] == [rows.identifier("sgr", 2)]
    text = lines(answer)
    assert text[0] == (
        f"load balancer web → task family:web 000100000000 (10.0.2.10) 8080/tcp  REACHABLE  "
        f"revision {store.snapshot.revision}"
    )
    assert "  reply" in text
    assert not [line for line in text if "✗" in line]
    assert any(line.startswith("  ✓ open acl-") for line in text)
    json.dumps(answer)


def test_a_blocked_flow_names_what_is_near(store: Store) -> None:
    answer = why(store.snapshot, "web", TASK, "9090/tcp")
    assert answer["verdict"] == "blocked"
    assert answer["deciding"] == f"D sg-in {rows.identifier('eni', 2)}"
    text = lines(answer, quiet=True)
    assert "BLOCKED  1 thing is in the way" in text[0]
    assert text[1].startswith("  ✗ task family:web 000100000000 eni-")
    assert text[1].endswith("in        group-2: no rule of its groups fits")
    rule, group = rows.identifier("sgr", 2), rows.identifier("sg", 1)
    assert text[2].strip() == f"nearest: {rule} allows group-1 {group}, but tcp 8080-8090; this is tcp 9090"
    assert len(text) == 3


def test_the_nearest_rule_is_the_one_for_the_same_port(store: Store) -> None:
    with store.transaction() as tx:
        tx.put(t.GROUP_RULES, rows.rule(30, 2, ports=(9090, 9090), cidr="10.9.0.0/16"))
    (blocker,) = [step for step in why(store.snapshot, "web", TASK, "9090")["steps"] if not step["ok"]]
    assert blocker["nearest"] == (
        f"nearest: {rows.identifier('sgr', 30)} allows tcp 9090, but from 10.9.0.0/16; this is 10.0.1.10"
    )


def test_a_reply_that_an_acl_lets_back_now_and_then(store: Store) -> None:
    with store.transaction() as tx:
        narrow = rows.entry(100, egress=True, protocol="6", ports=(49152, 65535))
        tx.put(t.ACLS, rows.acl(2, rows.entry(100), narrow))
    (blocker,) = [step for step in why(store.snapshot, "web", TASK, "8080")["steps"] if not step["ok"]]
    assert (blocker["direction"], blocker["drop"]) == ("return", f"D {rows.identifier('acl', 2)}/out/*")
    assert blocker["nearest"] == "42 % of Linux client ports (32768-60999) would pass: it works now and then"


def test_from_the_internet_the_public_address_is_called(store: Store) -> None:
    answer = why(store.snapshot, "internet", "web", "80/tcp")
    assert (answer["verdict"], answer["address"]) == ("reachable", "198.18.0.1")
    assert why(store.snapshot, TASK, "web", "80/tcp")["address"] == "10.0.1.10"
    assert why(store.snapshot, TASK, "198.18.0.1", "80/tcp")["address"] == "198.18.0.1"
    assert why(store.snapshot, TASK, "internet", "443/tcp")["verdict"] == "reachable"
    assert why(store.snapshot, TASK, "203.0.113.9", "443/tcp")["verdict"] == "unknown"


def test_nothing_starts_at_an_address_that_nobody_has(store: Store) -> None:
    with pytest.raises(NotFoundError, match=r"no interface has 10\.0\.2\.99"):
        why(store.snapshot, "10.0.2.99", TASK, "80/tcp")


@pytest.mark.parametrize(
    ("text", "expected"), [("443/tcp", (6, 443)), ("443", (6, 443)), ("53/UDP", (17, 53)), ("icmp", (1, 0))]
)
def test_services(text: str, expected: tuple[int, int]) -> None:
    assert parse_service(text) == expected


@pytest.mark.parametrize("text", ["", "tcp", "70000/tcp", "80/icmp", "80/sctp?", "http", "80/"])
def test_what_is_no_service(text: str) -> None:
    with pytest.raises(ServiceError, match="is no port and protocol"):
        parse_service(text)
