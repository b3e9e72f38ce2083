"""A report as a run could make it, for the tests of what is written from one. No figure in it was measured."""

from __future__ import annotations

from ecsnet.cli.modes.report import (
    Density,
    Endpoint,
    Filter,
    Machine,
    Metadata,
    ModeReport,
    Namespaces,
    Report,
    Round,
    Traffic,
)

_INSTANCE = "net:[1]"


def rounds(*gbits: float) -> tuple[Round, ...]:
    return tuple(
        Round(gbit_per_second=gbit, p50_us=100 / gbit, p99_us=1000 / gbit, connections_per_second=1000 * gbit)
        for gbit in gbits
    )


def traffic(name: str, hops: int, segment: int, *gbits: float) -> Traffic:
    return Traffic(name=name, hops=hops, segment=segment, tracking=hops - 1 if hops else 0, rounds=rounds(*gbits))


def _filter(group: str, owner: str) -> Filter:
    return Filter(admitted_by=group, rule="sgr-1", denied_by=group, interface="eni-1", owner=owner)


def bridge() -> ModeReport:
    return ModeReport(
        traffic=traffic("bridge", 3, 1448, 4.0, 5.0, 6.0, 5.0, 5.0, 5.0),
        namespaces=Namespaces(server="net:[2]", neighbour="net:[3]", instance=_INSTANCE),
        localhost="refused",
        asked=Endpoint(address="10.40.1.10", port=32768, owner="instance"),
        listens=Endpoint(address="172.17.0.2", port=8080),
        client=Endpoint(address="172.17.0.2", port=40000),
        peer=Endpoint(address="10.40.0.10", port=40000, owner="instance"),
        filter=_filter("instances", "instance"),
        metadata=Metadata(outcome="no answer to the request for the token", hop_limit=1),
        interfaces=0,
        starts_ms=(20.0, 21.0, 22.0),
        density=Density(tasks=15, refusal="RESOURCE:MEMORY"),
    )


def host() -> ModeReport:
    return ModeReport(
        traffic=traffic("host", 1, 8949, 9.0, 10.0, 11.0, 10.0, 10.0, 10.0),
        namespaces=Namespaces(server=_INSTANCE, neighbour=_INSTANCE, instance=_INSTANCE),
        localhost="answered",
        asked=Endpoint(address="10.40.1.10", port=8080, owner="instance"),
        listens=Endpoint(address="10.40.1.10", port=8080, owner="instance"),
        client=Endpoint(address="10.40.0.10", port=40000, owner="instance"),
        peer=Endpoint(address="10.40.0.10", port=40000, owner="instance"),
        filter=_filter("instances", "instance"),
        metadata=Metadata(outcome="answered", instance="own", hop_limit=1),
        interfaces=0,
        starts_ms=(10.0, 11.0, 12.0),
        density=Density(tasks=1, refusal="RESOURCE:PORTS"),
    )


def awsvpc() -> ModeReport:
    return ModeReport(
        traffic=traffic("awsvpc", 1, 8949, 9.5, 10.5, 10.5, 9.5, 9.5, 10.5),
        namespaces=Namespaces(server="net:[4]", neighbour="net:[4]", instance=_INSTANCE),
        localhost="answered",
        asked=Endpoint(address="10.40.1.20", port=8080, owner="task"),
        listens=Endpoint(address="10.40.1.20", port=8080, owner="task"),
        client=Endpoint(address="10.40.0.20", port=40000, owner="task"),
        peer=Endpoint(address="10.40.0.20", port=40000, owner="task"),
        filter=_filter("tasks", "task"),
        metadata=Metadata(outcome="answered", instance="own", hop_limit=1),
        interfaces=2,
        starts_ms=(30.0, 31.0, 32.0),
        density=Density(tasks=2, refusal="RESOURCE:ENI"),
    )


def report(*modes: ModeReport, missing: dict[str, str] | None = None) -> Report:
    return Report(
        version="0",
        measured="2026-01-01",
        machine=Machine(kernel="6.0", cores=2, python="3.11", rootless=False, load=0.5),
        instance_type="t3.medium",
        seconds=1.0,
        modes=modes,
        missing=missing or {},
        bare=(traffic("bare veth", 0, 8949, 10.0, 10.0, 10.0), traffic("loopback", 0, 32768, 20.0, 20.0, 20.0)),
    )
