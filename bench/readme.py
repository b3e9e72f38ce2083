"""Writes the table of figures in the README from bench/results, so that it cannot say anything else.

python bench/readme.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BEGIN, END = "<!-- figures: written by bench/readme.py from bench/results -->\n", "<!-- end of figures -->\n"

_ROUTERS = ("bare veth", "bare router", "tracking router")


def results() -> dict[str, Any]:
    """What each benchmark wrote last, by its name."""
    return {path.stem: json.loads(path.read_text()) for path in (ROOT / "bench" / "results").glob("*.json")}


def table(found: Mapping[str, Any]) -> str:
    """The README's table: what was measured, our figure, and what was measured beside it in the same run."""
    rows = [*_api(found["api"]), *_tasks(found["network"], found["tasks"]), *_path(found["network"])]
    rows += [*_size(found["vpc"]), *_verify(found["probe"])]
    lines = ["| | ecsnet | beside it |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


def _api(api: Mapping[str, Any]) -> list[Sequence[str]]:
    rows = []
    for call, both in api["raw"]["one client"].items():
        ours, theirs = both["ecsnet"], both["moto"]
        times = f"moto server {_pair(theirs)} ms ({theirs['p50'] / ours['p50']:.0f}×)"
        rows.append((f"{call}, raw HTTP, p50 / p99", f"{ours['p50']:.2f} / {ours['p99']:.2f} ms", times))
    for call, both in api["raw"]["eight clients"].items():
        ours, theirs = both["ecsnet"]["per_second"], both["moto"]["per_second"]
        times = f"moto server {theirs:,.0f} ({ours / theirs:.0f}×)"
        rows.append((f"{call}, raw HTTP, eight clients, calls per second", f"{ours:,.0f}", times))
    return rows


def _tasks(network: Mapping[str, Any], tasks: Mapping[str, Any]) -> list[Sequence[str]]:
    many, thousand, real = network["many_tasks"], tasks["thousand"], tasks["containers"]
    return [
        ("RunTask → RUNNING (stand-in), p50", f"{network['run_task']['milliseconds']['p50']:.0f} ms", ""),
        (
            f"{many['tasks']} tasks: started per second; memory of control + agent",
            f"{many['tasks_per_second']:.0f}/s; {many['control_mb'] + many['agent_mb']:.0f} MB",
            "",
        ),
        (
            f"{thousand['tasks']:,} tasks (stand-in) running after; memory of control + agent",
            f"{thousand['seconds']:.1f} s; {thousand['control_mb'] + thousand['agent_mb']:.0f} MB",
            "",
        ),
        (
            "a real container, RunTask → RUNNING, p50",
            f"{real['run_task_ms']['p50']:.0f} ms",
            f"`podman run` of the same image {real['podman_run_ms']['p50']:.0f} ms",
        ),
        (
            "`deploy` of the storefront to its first 200, p50",
            f"{network['deploy']['first_200_seconds']['p50']:.1f} s",
            "",
        ),
    ]


def _path(network: Mapping[str, Any]) -> list[Sequence[str]]:
    change, path = network["group_change"], network["data_path"]
    gbit = {name: median(values) for name, values in path["gbit_per_second"].items()}
    opened = {name: median(one["per_second"] for one in values) for name, values in path["connections"].items()}
    return [
        (
            f"a rule more → first packet affected, {change['interfaces']} interfaces, p50 / p99; a rule less",
            f"{_pair(change['authorize_ms'])}; {_pair(change['revoke_ms'])} ms",
            "",
        ),
        (
            "TCP, one stream, task to task across subnets",
            f"{gbit['ecsnet']:.1f} Gbit/s",
            ", ".join(f"{name} {gbit[name]:.1f}" for name in _ROUTERS),
        ),
        (
            "new connections per second",
            f"{opened['ecsnet']:,.0f}",
            ", ".join(f"{name} {opened[name]:,.0f}" for name in _ROUTERS),
        ),
    ]


def _size(vpc: Mapping[str, Any]) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for one in vpc["one change of a rule"]:
        less, more = one["a rule less"], one["a rule more"]
        rows.append(
            (
                f"a rule more or less until in force, {one['interfaces']:,} interfaces in one VPC, p50 / p99",
                f"{_pair(one['milliseconds'])} ms",
                f"more {_pair(more)}, less {_pair(less)}",
            )
        )
    few, *_, many = vpc["one interface"]
    rows.append(
        (
            f"an interface more or less until its filter is in force, {many['interfaces']:,} in one VPC, p50",
            f"{many['an interface more']['p50']:.1f}; {many['an interface less']['p50']:.1f} ms",
            f"{few['interfaces']} in one: {few['an interface more']['p50']:.1f}; {few['an interface less']['p50']:.1f}",
        )
    )
    path, growth, packet = vpc["data path"], vpc["adding an interface"]["ratio"], vpc["nanoseconds per packet"]
    first, last = (
        packet["VPC, admitted by the 1st of 1 rule"],
        packet["VPC of 10,000, admitted by the last of 300 rules"],
    )
    tracks = packet["bare router, tracks, 1 rule"]
    describes = vpc["describes"]["milliseconds"]
    by_group, by_vpc = (
        describes[f"DescribeNetworkInterfaces by {key}"]["p50"] for key in ("group-id", "vpc-id and status")
    )
    return [
        *rows,
        (
            "10,000 interfaces against 10: throughput; new connections per second",
            f"{path['throughput_ratio_to_few']['10000']:.2f}; {path['connection_ratio_to_few']['10000']:.2f}",
            "",
        ),
        (
            "a packet of an established flow; the first of a flow, by 1 rule, by the last of 300",
            f"{_micro(first['established'])}; {_micro(first['new'])}; {_micro(last['new'])} µs",
            f"tracking router {_micro(tracks['established'])}; {_micro(tracks['new'])} µs",
        ),
        (
            "interface 10,000 against interface 100: compile; netlink messages; nft bytes",
            f"{growth['compile ms']:.2f}×; {growth['netlink messages']:.1f}×; {growth['nft bytes']:.2f}×",
            "",
        ),
        (
            "DescribeNetworkInterfaces of 10,000, p50: by group; by VPC and status (all of them)",
            f"{by_group:.1f}; {by_vpc:.0f} ms",
            "",
        ),
    ]


def _verify(probe: Mapping[str, Any]) -> list[Sequence[str]]:
    name = "asked, compared and in the matrix, per second"
    rates = [
        probe["cases"][case][name]["p50"]
        for case in ("verify, 24 of 25 services dropped", "verify, all services admitted")
    ]
    return [
        (
            "`verify`: packets sent, decided and compared per second, most dropped / all admitted",
            " / ".join(f"{rate:,.0f}" for rate in rates),
            "",
        )
    ]


def _pair(summary: Mapping[str, float]) -> str:
    return f"{summary['p50']:.1f} / {summary['p99']:.1f}"


def _micro(nanoseconds: Mapping[str, float]) -> str:
    return f"{nanoseconds['ns'] / 1000:.1f}"


def with_table(text: str, figures: str) -> str:
    """A README with another table between the marks. Raises ValueError without the marks."""
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError("the README has no marks for the figures")
    return before + BEGIN + figures + END + after


def main() -> None:
    README.write_text(with_table(README.read_text(), table(results())))


if __name__ == "__main__":
    main()
