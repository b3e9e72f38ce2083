"""`trace`: one flow, there and back, with everything that decides about it."""

from __future__ import annotations

from ecsnet.model import ec2
from ecsnet.reach.checks import Memory
from ecsnet.reach.flow import CLIENTS, TCP, UDP, Flow, IpAddress, Packet, Stage, Step, Trace, Verdict
from ecsnet.reach.log import Log
from ecsnet.reach.records import Records
from ecsnet.reach.walk import Arrival, Walk
from ecsnet.store.snapshot import Snapshot


def trace(snapshot: Snapshot, flow: Flow, records: Records | None = None) -> Trace:
    """Walk the request and its reply through the stored resources.

    Who asks about many flows of one snapshot passes its `records` each time, which remember what they have read.

    The reply is judged by network ACLs like any packet, by groups only where the request is not tracked, and takes
    routes of its own. A flow whose request cannot arrive has no reply.
    """
    records, memory = records or Records(snapshot), Memory()
    sender = None if flow.source is None else records.interface(flow.source)
    packet = _first_packet(records, flow, sender)
    if isinstance(packet, Step):
        return Trace(flow=flow, revision=snapshot.revision, verdict="blocked", steps=(packet,))
    log = Log("forward")
    there = Walk(records, log, memory)
    arrival = there.from_internet(packet) if sender is None else there.leave(sender, packet)
    steps = log.steps
    if arrival is not None and not arrival.service:
        steps += _return(records, memory, flow, sender, packet, arrival)
    return Trace(flow=flow, revision=snapshot.revision, verdict=_verdict(steps, arrival), steps=tuple(steps))


def _return(
    records: Records, memory: Memory, flow: Flow, sender: ec2.NetworkInterface | None, sent: Packet, arrival: Arrival
) -> list[Step]:
    reply = arrival.packet.reply()
    if reply is None:
        return []
    log = Log("return")
    back = Walk(records, log, memory)
    end = back.from_internet(reply) if arrival.interface is None else back.leave(arrival.interface, reply)
    if end is not None:
        came_back = (end.interface and end.interface.id) == (sender and sender.id)
        if not came_back or end.packet.source != sent.destination:
            text = f"the answer comes from {end.packet.source}, but {sent.destination} was called"
            log.block(Stage.ARRIVAL, flow.source or "internet", end.packet, "ECSNET_REPLY_ADDRESS_CHANGED", text)
    return log.steps


def _first_packet(records: Records, flow: Flow, sender: ec2.NetworkInterface | None) -> Packet | Step:
    ports = flow.protocol in (TCP, UDP)
    packet = Packet(
        source=flow.source_address or flow.destination,
        destination=flow.destination,
        protocol=flow.protocol,
        source_port=flow.source_port if ports else 0,
        port=flow.port if ports else 0,
        icmp=(0, 0) if ports else flow.icmp,
    )
    if flow.source is not None and sender is None:
        return _cannot_start(flow.source, packet, "UNKNOWN_RESOURCE", f"there is no interface {flow.source}")
    if sender is not None and not records.held(sender.id):
        return _cannot_start(sender.id, packet, "BAD_STATE_ATTACHMENT", "nothing holds this interface")
    if flow.source_address is not None:
        return packet
    source = _address(sender, flow.destination.version)
    if source is None:
        text = f"it has no IPv{flow.destination.version} address"
        return _cannot_start(flow.source or "internet", packet, "ECSNET_NO_ADDRESS", text)
    return packet.from_address(source)


def _address(sender: ec2.NetworkInterface | None, version: int) -> IpAddress | None:
    if sender is None:
        return next((address for address in CLIENTS if address.version == version), None)
    return sender.private_ip if version == 4 else next(iter(sender.ipv6_ips), None)


def _cannot_start(component: str, packet: Packet, code: str, text: str) -> Step:
    """No packet filter says so: there is no packet."""
    return Step(
        direction="forward", crossing=0, stage=Stage.SOURCE, component=component, ok=False, packet=packet, code=code,
        text=text,
    )  # fmt: skip


def _verdict(steps: list[Step], arrival: Arrival | None) -> Verdict:
    """A blocker decides, whatever else is not known; what nobody can know is never called reachable."""
    if any(step.code and step.code != "UNKNOWN_RESOURCE" for step in steps):
        return "blocked"
    if arrival is None or not arrival.known:
        return "unknown"
    return "reachable" if all(step.ok for step in steps) else "unknown"
