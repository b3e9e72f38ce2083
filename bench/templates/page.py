"""docs/generated/template-coverage.md: reading it, changing rows of it, writing it.

The page is the record: a run that is cut short, or of a few templates only, changes the rows of what it deployed and
leaves the others as they were.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_HEAD = """# Which public templates deploy

Written by `make templates`. Each template is deployed unmodified by `ecsnet deploy` into an empty account, with
stand-ins for images that are not on the machine, after the stacks that it imports from; a template that another one
nests is deployed by that one. Parameters without a default get values of a network, a cluster and a role made before.
Control-plane timers run {speed} times as fast. What ecsnet only records, the events of the stack say.
"""

SERVICES, NETWORKS = "Templates with an ECS service", "VPC templates"

_ROW = re.compile(r"\| (?P<name>\S+)(?: \(by (?P<by>\S+)\))? \| (?P<said>.*) \| (?P<seconds>[\d.]+) \|")
_HINT = re.compile(r" Nothing of it is left but the stack's record; remove it with: .*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """How the deployment of one template went; `reason` is empty when it is deployed."""

    section: str
    name: str
    by: str
    """File name of the template that nests and deploys it, empty when it is deployed itself."""
    reason: str
    seconds: float


def read(page: Path) -> dict[str, Row]:
    """The rows of the page by template, none when there is no page yet."""
    rows: dict[str, Row] = {}
    section = ""
    for line in page.read_text().splitlines() if page.exists() else ():
        if line.startswith("## "):
            section = line.removeprefix("## ").partition(":")[0]
        found = _ROW.fullmatch(line)
        if found is not None:
            reason = "" if found["said"] == "deployed" else found["said"].removeprefix("failed: ").replace("\\|", "|")
            rows[found["name"]] = Row(
                section=section,
                name=found["name"],
                by=found["by"] or "",
                reason=reason,
                seconds=float(found["seconds"]),
            )
    return rows


def write(page: Path, rows: Iterable[Row], speed: str) -> str:
    """Write the page; returns its headings, which have the figures."""
    lines = [_HEAD.format(speed=speed)]
    ordered = sorted(rows, key=lambda row: row.name)
    for section in (SERVICES, NETWORKS):
        chosen = [row for row in ordered if row.section == section]
        good = sum(1 for row in chosen if not row.reason)
        share = f" ({100 * good / len(chosen):.0f} %)" if chosen else ""
        lines += [f"## {section}: {good} of {len(chosen)} deployed{share}", ""]
        lines += ["| template | | seconds |", "|---|---|---|"]
        for row in chosen:
            said = "deployed" if not row.reason else "failed: " + row.reason.replace("|", "\\|")
            by = f" (by {row.by})" if row.by else ""
            lines.append(f"| {row.name}{by} | {said} | {row.seconds:.1f} |")
        lines.append("")
    page.write_text("\n".join(lines))
    return "\n".join(line for line in lines if line.startswith("##"))


def sentence(text: str) -> str:
    """What `ecsnet deploy` said, without its name and its advice."""
    return _HINT.sub("", " ".join(text.split())).removeprefix("ecsnet: ")
