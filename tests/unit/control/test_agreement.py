"""When kernel and `reach` agree about a packet, and how a difference is told."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
import rows

from ecsnet.control.agreement import disagreement
from ecsnet.fabric.kernel import naming
from ecsnet.hostplan.probes import Decision, Reply, Report
from ecsnet.model import tables as t
from ecsnet.reach.flow import TCP, UDP, Flow, Trace
from ecsnet.reach.trace import trace
from ecsnet.store.store import Store

BALANCER, API, BOTH = (rows.identifier("eni", number) for number in (1, 2, 3))
ANSWERED = Reply(kind="syn-ack", source="10.0.2.10")
RELAY = "b000100000000"


def expected(port: int, *, protocol: int = TCP, source: str = BALANCER) -> Trace:
    store = Store(None, t.SCHEMA)
    with store.transaction() as tx:
        rows.put_storefront(tx)
    return trace(store.snapshot, Flow(source=source, destination=ip_address("10.0.2.10"), protocol=protocol, port=port))


def said(prefix: str, direction: str = "forward") -> Decision:
    return Decision(
        netns=naming.router_namespace(rows.VPC), prefix=prefix, direction=direction,  # type: ignore[arg-type]
        in_link="", out_link="", source="10.0.1.10", destination="10.0.2.10",
    )  # fmt: skip


ADMITTED = tuple(said(f"A {rows.identifier('sgr', number)}") for number in (11, 2))


@pytest.mark.parametrize(
    ("port", "report", "difference"),
    [
        (8080, Report(number=0, reply=ANSWERED, accepted=ADMITTED), None),
        (8080, Report(number=0, reply=ANSWERED), "egress admitted by one of"),
        (8080, Report(number=0, reply=ANSWERED, accepted=(*ADMITTED, said("A sgr-1"))), "which reach does not name"),
        (8080, Report(number=0, dropped=said(f"D sg-in {API}")), f"reach: reachable; kernel: D sg-in {API}"),
        (8080, Report(number=0), "no answer came"),
        (8080, Report(number=0, error="no such device"), "could not be sent: no such device"),
        (81, Report(number=0, dropped=said(f"D sg-in {API}")), None),
        (81, Report(number=0, dropped=said(f"D sg-in {API}", "reply")), "(forward); kernel"),
        (81, Report(number=0, dropped=said(f"D sg-in {BOTH}")), f"kernel: D sg-in {BOTH}"),
        (81, Report(number=0, reply=ANSWERED), "nothing dropped it"),
    ],
)
def test_a_connection(port: int, report: Report, difference: str | None) -> None:
    found = disagreement(expected(port), report)
    assert (found is None) if difference is None else difference in (found or "")


def test_a_datagram_needs_no_answer() -> None:
    arrived = Report(number=0, arrived=("t000100000000",), accepted=(said(f"A {rows.identifier('sgr', 11)}"),))
    blocked = expected(53, protocol=UDP)
    assert blocked.verdict == "blocked"
    assert disagreement(blocked, arrived) is not None
    assert disagreement(blocked, Report(number=0, dropped=said(f"D sg-in {API}"))) is None


def test_what_happens_behind_a_relay_is_not_compared() -> None:
    beyond = Report(number=0, arrived=(RELAY,), dropped=said(f"D sg-in {BOTH}"))
    assert disagreement(expected(8080), beyond, relay=RELAY) is None
    assert disagreement(expected(8080), Report(number=0, dropped=beyond.dropped), relay=RELAY) is not None
    assert disagreement(expected(81), Report(number=0, dropped=said(f"D sg-in {API}")), relay=RELAY) is None
