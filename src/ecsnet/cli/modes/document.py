"""docs/network-modes.md and its picture, written from a report that lies beside them as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from ecsnet.cli.modes.advice import advice
from ecsnet.cli.modes.chart import draw
from ecsnet.cli.modes.figures import IMPROBABLE
from ecsnet.cli.modes.report import Report
from ecsnet.cli.modes.rows import columns, rows

NAME = "network-modes"


def write(report: Report, folder: Path) -> tuple[Path, ...]:
    """Write the page, the picture and the report into a folder. Raises OSError."""
    files = {
        folder / f"{NAME}.md": page(report),
        folder / f"{NAME}.svg": draw(report),
        folder / f"{NAME}.json": encode(report),
    }
    for path, content in files.items():
        path.write_text(content)
    return tuple(files)


def encode(report: Report) -> str:
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"


def page(report: Report) -> str:
    """The whole page as Markdown."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    machine = report.machine
    rounds = len(report.bare[0].rounds)
    yield "# bridge, host and awsvpc, measured"
    yield ""
    user = "ordinary user" if machine.rootless else "root"
    yield (
        f"Written by `ecsnet modes --write-doc docs` ({report.measured}, ecsnet {report.version}, Linux "
        f"{machine.kernel}, {machine.cores} cores, {user}, load {machine.load:.1f} before it began); run it to have "
        "your machine's figures. Every cell was observed in that run: namespaces are what /proc/<pid>/ns/net says, "
        "localhost was tried, filters were probed with one packet that a group admits and one that none does, "
        "addresses are what the sockets of both ends say."
    )
    yield ""
    yield (
        "The same two services run in each mode, the client on one container instance and the server on another, in "
        f"different subnets of one VPC. Figures are medians of {rounds} alternating rounds of {report.seconds:g} s; "
        "beside them, in the same rounds, a veth pair without any rule, as the kernel makes it, and "
        "loopback. Two modes are called different "
        f"where a sign test over the rounds leaves at most {IMPROBABLE:.0%} to chance."
    )
    yield ""
    yield f"![Throughput, latency, connections, starts and density by network mode]({NAME}.svg)"
    yield ""
    yield from _table(("", *columns(report)), ((f"**{row.title}**", *row.cells) for row in rows(report)))
    for mode, reason in report.missing.items():
        yield ""
        yield f"`{mode}` did not run: {reason}"
    yield ""
    yield "## Why they differ"
    yield ""
    for row in rows(report):
        yield f"- **{row.title}**: {row.why}"
    found = advice(report)
    if not found:
        return
    yield ""
    yield "## Which one"
    yield ""
    yield from _table(("need", "mode", "because"), ((one.need, " or ".join(one.modes), one.because) for one in found))


def _table(head: Sequence[str], body: Iterator[Sequence[str]]) -> Iterator[str]:
    yield _row(head)
    yield _row(["---"] * len(head))
    yield from (_row(cells) for cells in body)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
