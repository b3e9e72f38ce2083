"""A report as rows: what is compared, a cell per mode, and why the cells differ, said from what was seen."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

from ecsnet.cli.modes.figures import FIGURES, Figure, alike
from ecsnet.cli.modes.report import MODES, Endpoint, Filter, ModeReport, Report, Traffic

NONE = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    title: str
    cells: tuple[str, ...]
    """One per column."""
    why: str


def columns(report: Report) -> tuple[str, ...]:
    """The modes, also those that did not run, and what is beside them."""
    return (*MODES, *(one.name for one in report.bare))


def rows(report: Report) -> tuple[Row, ...]:
    """Everything that is compared, in the order of reading: who shares what, who decides, what it costs."""
    described = (
        ("containers of a task share a network namespace", _containers_share, _why_containers),
        ("task shares the instance's network namespace", _instance_shares, _why_instance),
        ("localhost between containers of a task", lambda one: one.localhost, _why_localhost),
        ("who filters what the task receives", _filters, _why_filter),
        ("clients connect to", lambda one: _shown(one.asked), _why_asked),
        ("the container listens at", lambda one: _shown(one.listens), _why_listens),
        ("the server sees its client as", lambda one: _shown(one.peer), _why_peer),
        ("instance metadata (IMDSv2) from a container", _metadata, _why_metadata),
        ("network interfaces of the two tasks", lambda one: str(one.interfaces), _why_interfaces),
        (f"tasks that fit on one {report.instance_type}", _density, _why_density),
        ("RunTask → RUNNING, median", lambda one: f"{statistics.median(one.starts_ms):.1f} ms", _why_starts),
    )
    return (
        *(_of_modes(report, title, cell, why) for title, cell, why in described),
        _of_traffic(report, "routers on the way", lambda one: str(one.hops), _why_hops(report)),
        _of_traffic(report, "stacks that track the connection", lambda one: str(one.tracking), _why_tracking(report)),
        _of_traffic(report, "largest TCP segment", lambda one: f"{one.segment} B", _why_segment(report)),
        *(_figure(report, figure) for figure in FIGURES),
    )


def traffic(report: Report) -> tuple[Traffic, ...]:
    """What was measured, in the order of the columns."""
    return (*(one.traffic for one in report.modes), *report.bare)


def _of_modes(report: Report, title: str, cell: Callable[[ModeReport], str], why: Callable[[ModeReport], str]) -> Row:
    modes = {one.mode: cell(one) for one in report.modes}
    return Row(
        title=title,
        cells=tuple(modes.get(name, NONE) for name in columns(report)),
        why=_together((one.mode, why(one)) for one in report.modes),
    )


def _of_traffic(report: Report, title: str, cell: Callable[[Traffic], str], why: str) -> Row:
    found = {one.name: cell(one) for one in traffic(report)}
    return Row(title=title, cells=tuple(found.get(name, NONE) for name in columns(report)), why=why)


def _together(reasons: Iterator[tuple[str, str]]) -> str:
    """`host: …; bridge, awsvpc: …`: modes with one reason share it."""
    by_reason: dict[str, list[str]] = {}
    for mode, reason in reasons:
        by_reason.setdefault(reason, []).append(mode)
    return "; ".join(f"{', '.join(modes)}: {reason}" for reason, modes in by_reason.items())


# ── who shares what ──────────────────────────────────────────────────────────────────────────────────────────────────


def shares_containers(one: ModeReport) -> bool:
    return one.namespaces.server == one.namespaces.neighbour


def shares_instance(one: ModeReport) -> bool:
    return one.namespaces.server == one.namespaces.instance


def _containers_share(one: ModeReport) -> str:
    return "yes" if shares_containers(one) else "no"


def _instance_shares(one: ModeReport) -> str:
    return "yes" if shares_instance(one) else "no"


def _why_containers(one: ModeReport) -> str:
    if not shares_containers(one):
        return f"a stack per container, {one.namespaces.server} and {one.namespaces.neighbour}"
    if shares_instance(one):
        return f"both use the instance's stack, {one.namespaces.instance}"
    return f"a stack per task, {one.namespaces.server}"


def _why_instance(one: ModeReport) -> str:
    if shares_instance(one):
        return "one port space with the instance and its other host tasks"
    return f"the instance's stack is another one, {one.namespaces.instance}"


def _why_localhost(one: ModeReport) -> str:
    match shares_containers(one), one.localhost:
        case True, "answered":
            return "one stack has one loopback"
        case False, "refused":
            return "127.0.0.1 is the second container's own, where nothing listens"
        case shared, outcome:
            return f"the stack is {'shared' if shared else 'not shared'}, and yet: {outcome}"


# ── who decides, and who sees whom as what ───────────────────────────────────────────────────────────────────────────


def _filters(one: ModeReport) -> str:
    if not one.filter.admitted_by and not one.filter.denied_by:
        return "nobody was seen"
    return (
        f"group “{one.filter.denied_by or one.filter.admitted_by}” at the {one.filter.owner or 'unknown'}'s interface"
    )


def _why_filter(one: ModeReport) -> str:
    seen = _evidence(one.filter)
    match one.filter.owner:
        case "task":
            return f"packets enter by an interface of the task's own; {seen}"
        case "instance":
            return f"packets enter by the instance's interface, so its groups hold for all its tasks; {seen}"
        case _:
            return seen


def _evidence(found: Filter) -> str:
    """Both probes in words, without the rule's id (the JSON has it): two modes with one reason share it."""
    admitted = "its rule admitted the open port" if found.rule else "no rule admitted the open port"
    denied = (
        "it dropped a packet to the closed one" if found.denied_by else "no group dropped a packet to the closed one"
    )
    return f"{admitted}, {denied}"


def _shown(end: Endpoint) -> str:
    """Of an address that no network interface has, the owner is nobody whom the VPC knows."""
    return f"{end.address}:{end.port} ({end.owner or 'not in the VPC'})"


def _why_asked(one: ModeReport) -> str:
    match one.asked.owner:
        case "task":
            return "the task's own interface has an address of the subnet"
        case _:
            return "the task has no interface, so it is reached at its instance's"


def translates_destination(one: ModeReport) -> bool:
    return (one.asked.address, one.asked.port) != (one.listens.address, one.listens.port)


def translates_source(one: ModeReport) -> bool:
    return (one.client.address, one.client.port) != (one.peer.address, one.peer.port)


def _why_listens(one: ModeReport) -> str:
    if not translates_destination(one):
        return "not translated"
    port = "address and port" if one.asked.port != one.listens.port else "the address"
    return f"the server's instance translates {port}"


def _why_peer(one: ModeReport) -> str:
    if not translates_source(one):
        return "the client's own address and port"
    port = "from another port" if one.client.port != one.peer.port else "from the same port"
    return f"the client is {one.client.address}, its instance sends in its own name {port}"


def reads_metadata(one: ModeReport) -> bool:
    return one.metadata.outcome == "answered"


def _metadata(one: ModeReport) -> str:
    if not reads_metadata(one):
        return one.metadata.outcome
    whose = "its instance" if one.metadata.instance == "own" else one.metadata.instance
    return f"answers for {whose}"


def _why_metadata(one: ModeReport) -> str:
    limit = _count(one.metadata.hop_limit, "hop")
    if reads_metadata(one):
        return f"nothing kept the request back; the hop limit of tokens is {one.metadata.hop_limit}"
    if translates_source(one):
        return f"a token travels {limit}, and the container stands behind its instance as a router"
    return f"kept back although a token travels {limit} and no router is between"


# ── what it costs ────────────────────────────────────────────────────────────────────────────────────────────────────


def _why_interfaces(one: ModeReport) -> str:
    return f"{one.interfaces} came with its two tasks" if one.interfaces else "its tasks use their instances'"


_LIMITS = {
    "RESOURCE:ENI": "the instance type has no further network interface",
    "RESOURCE:PORTS": "the first one has the port",
    "RESOURCE:MEMORY": "memory is given out before the network sets a limit",
    "RESOURCE:CPU": "CPU is given out before the network sets a limit",
}


def _density(one: ModeReport) -> str:
    return f"{one.density.tasks}, then {one.density.refusal}"


def _why_density(one: ModeReport) -> str:
    return _LIMITS.get(one.density.refusal, f"ECS says {one.density.refusal}")


def _why_starts(one: ModeReport) -> str:
    spread = f"{min(one.starts_ms):.0f} to {max(one.starts_ms):.0f} ms"
    if one.interfaces:
        return f"a stack, an interface and its filter are made first ({spread})"
    if shares_instance(one):
        return f"nothing of the network is made ({spread})"
    return f"a stack on the instance's bridge is made first ({spread})"


def translations(one: ModeReport) -> int:
    """How many of a packet's ends are rewritten on its way, as far as its two ends can tell."""
    return translates_destination(one) + translates_source(one)


def _why_hops(report: Report) -> str:
    bare = ", ".join(f"{one.name} {one.hops}" for one in report.bare)
    least = min((one.traffic.hops for one in report.modes), default=0)
    more = [f"{one.mode} {one.traffic.hops - least} more" for one in report.modes if one.traffic.hops > least]
    end = f"; {', '.join(more)}: the instances forward too" if more else ""
    return f"{least}: the VPC's own; {bare}{end}"


def _why_tracking(report: Report) -> str:
    """The VPC's router is not counted: it is in the way of all modes."""
    return _together(
        (one.mode, f"{one.traffic.tracking or 'none'} of the containers' and their instances'") for one in report.modes
    )


def _why_segment(report: Report) -> str:
    sizes = {one.segment for one in traffic(report)}
    if len(sizes) == 1:
        return "the same MTU everywhere"
    by_size: dict[int, list[str]] = {}
    for one in traffic(report):
        by_size.setdefault(one.segment, []).append(one.name)
    return "as the MTU of the links allows: " + "; ".join(
        f"{', '.join(names)} {size}" for size, names in by_size.items()
    )


def _figure(report: Report, figure: Figure) -> Row:
    def cell(one: Traffic) -> str:
        return figure.shown(one.median)

    return _of_traffic(report, figure.title, cell, _why_figure(report, figure))


def _why_figure(report: Report, figure: Figure) -> str:
    """Each mode beside the bare veth pair, with what its packets go through; which modes the run cannot tell apart."""
    bare = figure.of(report.bare[0].median)
    parts = [f"{one.mode} {figure.of(one.traffic.median) / bare:.2f} ({_way(one)})" for one in report.modes]
    pairs = list(combinations(report.modes, 2))
    same = [
        f"{one.mode} and {other.mode}"
        for one, other in pairs
        if alike(one.traffic.every(figure.field), other.traffic.every(figure.field))
    ]
    if len(same) == len(pairs) > 1:
        same = ["any of them"]
    end = f"; this run does not tell apart {', '.join(same)}" if same else ""
    return f"in parts of {report.bare[0].name}: {', '.join(parts)}{end}"


def _way(one: ModeReport) -> str:
    words = [_count(one.traffic.hops, "router"), _count(translations(one), "translation")]
    if one.traffic.tracking:
        words.append(f"{one.traffic.tracking} more tracking")
    return ", ".join(words)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
