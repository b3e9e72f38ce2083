"""What is seen of a mode and of the traffic of each place; every value is asked of the kernel, of a socket or of the
API in this run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ecsnet.cli.client import fetch
from ecsnet.cli.errors import CliError
from ecsnet.cli.modes import service
from ecsnet.cli.modes.lab import INSTANCES_GROUP, Lab, Running
from ecsnet.cli.modes.place import Pair, Place, pinned, place_of
from ecsnet.cli.modes.report import Density, Endpoint, Filter, Metadata, ModeReport, Namespaces, Round, Traffic
from ecsnet.fabric.kernel.naming import instance_namespace
from ecsnet.home import Home

_METADATA = "169.254.169.254"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A running mode and what was seen of it; its traffic and its task starts are measured later."""

    pair: Pair
    namespaces: Namespaces
    localhost: str
    asked: Endpoint
    listens: Endpoint
    client: Endpoint
    peer: Endpoint
    filter: Filter
    metadata: Metadata
    interfaces: int

    def report(self, traffic: Traffic, starts: Sequence[float], density: Density) -> ModeReport:
        return ModeReport(
            traffic=traffic,
            namespaces=self.namespaces,
            localhost=self.localhost,
            asked=self.asked,
            listens=self.listens,
            client=self.client,
            peer=self.peer,
            filter=self.filter,
            metadata=self.metadata,
            interfaces=self.interfaces,
            starts_ms=tuple(starts),
            density=density,
        )


def observe(home: Home, lab: Lab, running: Running) -> Seen:
    """Ask everything about a mode that needs no measuring.

    Raises CliError when the client does not reach the server: then nothing could be compared.
    """
    owners = _owners(lab)
    client, server, neighbour = (
        place_of(home, container.pid) for container in (running.client, running.server, running.neighbour)
    )
    instances = [pinned(home, instance_namespace(lab.instances[number])) for number in (0, 1)]
    pair = Pair(
        name=running.mode,
        client=client,
        address=_address(lab, running),
        ports=running.server.ports,
        stacks=(client, server, *instances),
    )
    answer = client.load("ask", pair.address, pair.port(service.ASK))
    if answer["outcome"] != "answered":
        raise CliError(
            f"in {running.mode} mode the client does not reach the server at {pair.address}:{pair.port(service.ASK)}: "
            f"{answer['outcome']}."
        )
    said = answer["said"]
    asked = _endpoint(owners, (pair.address, pair.port(service.ASK)))
    peer = _endpoint(owners, said["peer"])
    return Seen(
        pair=pair,
        namespaces=Namespaces(
            server=server.namespace,
            neighbour=neighbour.namespace,
            instance=instances[1].namespace,
        ),
        localhost=_localhost(neighbour, said["network"]),
        asked=asked,
        listens=_endpoint(owners, said["local"]),
        client=_endpoint(owners, answer["local"]),
        peer=peer,
        filter=_filter(lab, pair, peer.address),
        metadata=_metadata(lab, client),
        interfaces=running.interfaces,
    )


def _address(lab: Lab, running: Running) -> str:
    """Where the server is reached: the address of its task's interface, else of its instance's."""
    return _interface_of(lab, running.server.task) or str(
        next(one["PrivateIpAddress"] for one in lab.interfaces() if _attached_to(one) == lab.instances[1])
    )


def _interface_of(lab: Lab, task: str) -> str | None:
    """The address of the interface that a task has as an attachment (DescribeTasks)."""
    for attachment in lab.attachments(task):
        details = {item["name"]: item["value"] for item in attachment["details"]}
        if "privateIPv4Address" in details:
            return str(details["privateIPv4Address"])
    return None


def _attached_to(interface: dict[str, Any]) -> str:
    return str(interface.get("Attachment", {}).get("InstanceId", ""))


def _owners(lab: Lab) -> dict[str, str]:
    """Address → whose interface has it. An instance's own interfaces are in the instances' group, a task's are not."""
    return {
        one["PrivateIpAddress"]: "instance" if _group_names(one) == [INSTANCES_GROUP] else "task"
        for one in lab.interfaces()
    }


def _group_names(interface: dict[str, Any]) -> list[str]:
    return [str(group["GroupName"]) for group in interface["Groups"]]


def _endpoint(owners: dict[str, str], end: Sequence[Any]) -> Endpoint:
    return Endpoint(address=end[0], port=end[1], owner=owners.get(end[0], ""))


def _localhost(neighbour: Place, network: str) -> str:
    """A connection inside the second container. Whoever answers says in which namespace it stands."""
    answer = neighbour.load("ask", "127.0.0.1", service.ASK)
    if answer["outcome"] != "answered":
        return str(answer["outcome"])
    return "answered" if answer["said"]["network"] == network else "answered by another process"


def _filter(lab: Lab, pair: Pair, source: str) -> Filter:
    """Probes of the port that a group admits and of the one that none does, sent as the client's packets arrive."""
    admitted = _probe(source, pair.address, pair.port(service.ASK))
    denied = _probe(source, pair.address, pair.port(service.CLOSED))
    rules = [rule for rule in lab.rules(admitted["accepted"]) if not rule["IsEgress"]] if admitted["accepted"] else []
    dropped_at = denied["rule"] if denied["verdict"] == "dropped" else ""
    interface = next((one for one in lab.interfaces() if one["NetworkInterfaceId"] == dropped_at), None)
    groups = _group_names(interface) if interface else []
    return Filter(
        admitted_by=lab.group_name(rules[-1]["GroupId"]) if rules else "",
        rule=str(rules[-1]["SecurityGroupRuleId"]) if rules else "",
        denied_by=", ".join(groups),
        interface=str(dropped_at),
        owner=_owners(lab).get(interface["PrivateIpAddress"], "") if interface else "",
    )


def _metadata(lab: Lab, client: Place) -> Metadata:
    found = client.load("metadata", _METADATA, 80)
    instance = found.get("instance", "")
    return Metadata(
        outcome=found["outcome"],
        instance="own" if instance == lab.instances[0] else instance,
        hop_limit=lab.hop_limit(lab.instances[0]),
    )


def _probe(source: str, destination: str, port: int) -> dict[str, Any]:
    query = {"from": source, "to": destination, "port": f"{port}/tcp"}
    verdict: dict[str, Any] = fetch("POST", "/_ecsnet/probe", **query)
    return verdict


# ── traffic ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def measured(pairs: Sequence[Pair], seconds: float) -> list[Round]:
    """One round. Each figure is measured at all places in a row, so that what else the machine does hits them alike."""
    span = str(seconds)
    streams = [pair.client.load("stream", pair.address, pair.port(service.STREAM), span) for pair in pairs]
    echoes = [pair.client.load("echo", pair.address, pair.port(service.ECHO), span) for pair in pairs]
    rates = [pair.client.connections(pair.address, pair.port(service.CONNECT), seconds) for pair in pairs]
    return [
        Round(
            gbit_per_second=stream["gbit_per_second"],
            p50_us=echo["p50_us"],
            p99_us=echo["p99_us"],
            connections_per_second=rate,
        )
        for stream, echo, rate in zip(streams, echoes, rates, strict=True)
    ]


def traffic(pair: Pair, rounds: Sequence[Round]) -> Traffic:
    answer = pair.client.load("ask", pair.address, pair.port(service.ASK))
    said = answer["said"]
    stacks = {place.namespace: place for place in pair.stacks}
    sources = (answer["local"][1], said["peer"][1])
    tracking = sum(place.tracks(pair.port(service.ASK), sources) for place in stacks.values())
    hops = pair.client.load("hops", pair.address, pair.port(service.HOPS, "udp"))["hops"]
    return Traffic(name=pair.name, hops=hops, segment=said["segment"], tracking=tracking, rounds=tuple(rounds))
