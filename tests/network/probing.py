"""Probes for tests: made from a lab's tasks, sent together, with nothing missed."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
from vpc_lab import Lab, Task, router

from ecsnet.hostplan.probes import Probe, ProbeBatch, ProbeReports, Report, Tap

CLIENT = "198.19.255.254"
CLIENT6 = "2001:db8::1"
"""The internet side's own addresses."""
GRACE = 0.4
"""Seconds that a program of the test has for its answer to a datagram, on a machine that does other things too."""


_NUMBERS = itertools.count(1)


def send(
    lab: Lab, *probes: Probe, deciders: tuple[str, ...] = (), arrivals: tuple[Task | str, ...] = ()
) -> list[Report]:
    """The reports of probes that are sent together; nothing may have been missed."""
    taps = tuple(
        Tap(netns=place, device="") if isinstance(place, str) else Tap(netns=place.netns, device="eth0")
        for place in arrivals
    )
    batch = ProbeBatch(probes=probes, deciders=deciders or (router(),), arrivals=taps, grace=GRACE)
    answer = msgspec.convert(lab.net.ask("probe", **msgspec.to_builtins(batch)), ProbeReports)
    assert answer.missed == 0
    assert [report.number for report in answer.reports] == [probe.number for probe in probes]
    return list(answer.reports)


def probe(
    origin: Task | str, destination: Task | str, protocol: Any = "tcp", port: int | None = 80, **more: Any
) -> Probe:
    """From a task, or from the client in the namespace `internet`."""
    address = destination if isinstance(destination, str) else destination.address
    if isinstance(origin, str):
        start = {"netns": origin, "device": "", "source": CLIENT6 if ":" in address else CLIENT}
    else:
        start = {"netns": origin.netns, "device": "eth0", "source": origin.address}
    fields = {**start, "destination": address, "protocol": protocol, "port": port, **more}
    return Probe(number=next(_NUMBERS), **fields)
