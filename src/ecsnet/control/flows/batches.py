"""An interval of a router as lines for the logs that want them. Pure.

The work is one look at each flow and one line per log that covers it; an interface without traffic costs one NODATA
line of each log, because AWS writes one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ecsnet.control.flows.lines import Line, render
from ecsnet.control.flows.records import records
from ecsnet.hostplan.flows import Interval
from ecsnet.model.ec2 import FlowLog, NetworkInterface
from ecsnet.model.tables import (
    FLOW_LOGS_BY_RESOURCE,
    INTERFACES,
    INTERFACES_BY_SUBNET,
    INTERFACES_BY_VPC,
    OBSERVED_INTERFACES,
)
from ecsnet.store.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The lines of one log in one interval, by interface."""

    log: FlowLog
    end: float
    lines: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    """Interface → (start in epoch seconds, line)."""


def batches(snapshot: Snapshot, vpc: str, interval: Interval, logs: Iterable[FlowLog]) -> list[Batch]:
    """What each of `logs`, those of a VPC, its subnets and its interfaces, gets from an interval of its router."""
    found: dict[str, Batch] = {}
    busy: set[str] = set()
    for part in interval.parts:
        for record in records(snapshot, vpc, part):
            busy.add(record.interface.id)
            line = Line(
                snapshot=snapshot,
                interface=record.interface,
                record=record,
                status="OK",
                start=interval.start,
                end=interval.end,
            )
            for log in _logs_of(snapshot, record.interface):
                if log.traffic in ("ALL", record.action):
                    _add(found, log, interval, record.interface.id, part.start, render(line, log.format))
    for log in logs:
        for interface in _covered(snapshot, log):
            if interval.missed:
                _add_status(found, log, interval, snapshot, interface, skipped=True)
            if interface.id not in busy:
                _add_status(found, log, interval, snapshot, interface, skipped=False)
    return list(found.values())


def _add(found: dict[str, Batch], log: FlowLog, interval: Interval, interface: str, start: float, line: str) -> None:
    batch = found.get(log.id)
    if batch is None:
        batch = found[log.id] = Batch(log=log, end=interval.end)
    batch.lines.setdefault(interface, []).append((start, line))


def _add_status(
    found: dict[str, Batch],
    log: FlowLog,
    interval: Interval,
    snapshot: Snapshot,
    interface: NetworkInterface,
    *,
    skipped: bool,
) -> None:
    line = Line(
        snapshot=snapshot,
        interface=interface,
        record=None,
        status="SKIPDATA" if skipped else "NODATA",
        start=interval.start,
        end=interval.end,
    )
    _add(found, log, interval, interface.id, interval.start, render(line, log.format))


def _logs_of(snapshot: Snapshot, interface: NetworkInterface) -> Iterator[FlowLog]:
    for resource in (interface.id, interface.subnet, interface.vpc):
        yield from snapshot.find(FLOW_LOGS_BY_RESOURCE, resource)


def _covered(snapshot: Snapshot, log: FlowLog) -> Iterable[NetworkInterface]:
    """The interfaces of a log that are in use."""
    rows: Iterable[NetworkInterface | None]
    match log.resource_kind:
        case "VPC":
            rows = snapshot.find(INTERFACES_BY_VPC, log.resource)
        case "Subnet":
            rows = snapshot.find(INTERFACES_BY_SUBNET, log.resource)
        case "NetworkInterface":
            rows = (snapshot.get(INTERFACES, log.resource),)
    return [row for row in rows if row is not None and snapshot.get(OBSERVED_INTERFACES, row.id) is not None]
