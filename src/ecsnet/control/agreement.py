"""Do the kernel and `reach` say the same about a packet? Both answers to one flow, compared.

They share no code: what they agree on, neither misread alone. Compared is the verdict, who decided, and which rules
admitted it.
"""

from __future__ import annotations

from ipaddress import ip_network

from ecsnet.decision import Admit, Drop, What, parse
from ecsnet.fabric.kernel import naming, void
from ecsnet.hostplan.probes import Decision, Report
from ecsnet.reach.flow import UDP, Stage, Trace


def disagreement(expected: Trace, report: Report, *, relay: str | None = None) -> str | None:
    """What kernel and `reach` say differently about a flow; None when they agree, or `reach` says that it cannot know.

    `relay` is the namespace of a destination that sends the packet on to somebody else, as a network load balancer
    does: `reach` ends there, so that only the way to it is compared.
    """
    if expected.verdict == "unknown":
        return None  # beyond what is modelled: nothing may be claimed
    if report.error is not None:
        return f"the packet could not be sent: {report.error}"
    seen, first = None if report.dropped is None else parse(report.dropped.prefix), expected.first
    wanted = None if first is None else first.drop
    if _depends_on_nat_port(expected, seen, wanted):
        return None
    arrives = first is None or first.direction == "return"
    if relay is not None and arrives:
        return None if relay in report.arrived else f"reach: it arrives; kernel: {seen or 'it did not'}"
    if expected.flow.protocol == UDP and arrives:
        # A closed port answers with an ICMP error, at most once a second, and not with the datagram that reach means.
        if not report.arrived:
            return f"reach: a datagram arrives; kernel: {seen or 'it did not'}"
        return _admission(expected, report)
    if expected.verdict == "reachable":
        if seen is not None:
            return f"reach: reachable; kernel: {seen} ({report.dropped.direction if report.dropped else ''})"
        return "reach: reachable; no answer came" if report.reply is None else _admission(expected, report)
    assert first is not None
    if wanted is None:
        if seen is None and (report.reply is None or first.code == "ECSNET_REPLY_ADDRESS_CHANGED"):
            return None
        if first.code == "ECSNET_ROUTING_LOOP":
            ended = report.reply is None or report.reply.type in (3, 11)  # ICMP and ICMPv6: time exceeded
            return None if ended else f"reach: a routing loop; kernel: answer {report.reply}"
        return f"reach: {first.code}; kernel: {seen}, answer {report.reply}"
    if seen is None:
        return f"reach: {wanted}; kernel: nothing dropped it (arrived {report.arrived}, answer {report.reply})"
    assert report.dropped is not None
    direction = "forward" if first.direction == "forward" else "reply"
    if seen != wanted or report.dropped.direction != direction:
        return f"reach: {wanted} ({direction}); kernel: {seen} ({report.dropped.direction})"
    if seen.what is What.ROUTE:
        return _same_route(first.code, first.rules, report.dropped)
    return None


def _depends_on_nat_port(expected: Trace, seen: Drop | Admit | None, wanted: Drop | None) -> bool:
    """Whether a network ACL decided, for one of the two, about a flow behind a NAT gateway.

    The gateway chooses a port from 1,024 to 65,535 at random, and nobody knows it beforehand: an entry for a part of
    them admits now and then. Of the ACLs it has to be one that the walk asks.
    """
    drops = [drop for drop in (seen, wanted) if isinstance(drop, Drop) and drop.what is What.ACL]
    if not drops or not any(step.component.startswith("nat-") for step in expected.steps):
        return False
    asked = {step.component for step in expected.steps if step.stage in (Stage.ACL_IN, Stage.ACL_OUT)}
    return any(drop.id.partition("/")[0] in asked for drop in drops)


def _admission(expected: Trace, report: Report) -> str | None:
    """Groups have no order: the kernel names one rule per gate, `reach` all that fit."""
    named = {parse(decision.prefix) for decision in report.accepted if decision.direction == "forward"}
    rules = {one.rule for one in named if isinstance(one, Admit)}
    egress, ingress = expected.egress, expected.ingress
    for side, possible in (("egress", egress), ("ingress", ingress)):
        if possible and not rules & possible:
            return f"reach: {side} admitted by one of {sorted(possible)}; kernel: {sorted(rules)}"
    unknown = rules - egress - ingress
    return f"kernel: admitted by {sorted(unknown)}, which reach does not name" if unknown else None


def _same_route(code: str, rules: tuple[str, ...], seen: Decision) -> str | None:
    """Whether the kernel's route look-up found the route (or the lack of one) that `reach` names."""
    if seen.netns == naming.INTERNET:
        return None if not rules else f"reach: route {rules}; kernel: the internet has no such address"
    route = seen.route
    if route is None or route.table is None or route.prefix is None:
        return f"reach: {code} {rules}; the kernel names no route"
    if not rules:
        missing = route.table == void.TABLE
        return None if missing else f"reach: {code}; kernel: table {route.table} {route.prefix}"
    destination = rules[0].split(" ")[0]
    if code == "BAD_STATE_ROUTE" and ip_network(route.prefix) != ip_network(destination):
        return f"reach: {code} {rules}; kernel: table {route.table} {route.prefix}"
    return None
