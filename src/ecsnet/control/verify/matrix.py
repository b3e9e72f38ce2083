"""All answers as one matrix: who reaches whom by which service, who drops what, and where the two judges differ."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from ecsnet.control.agreement import disagreement
from ecsnet.control.verdict import Verdict
from ecsnet.control.verify.questions import Question, Service
from ecsnet.decision import Drop, What, parse
from ecsnet.model import tables as t
from ecsnet.reach.flow import TCP, UDP, Trace
from ecsnet.reach.records import Records
from ecsnet.reach.trace import trace
from ecsnet.store.snapshot import Snapshot

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one packet, by both judges."""

    question: Question
    seen: Verdict
    expected: Trace
    difference: str | None
    """None when both say the same, or `reach` cannot know."""

    @property
    def is_evident(self) -> bool:
        """Whether something was seen that says what became of it; else it may only have been too slow."""
        return self.seen.verdict != "lost"


def judged(snapshot: Snapshot, records: Records, question: Question, seen: Verdict) -> Answer:
    """Ask `reach` about the packet that was sent, and compare."""
    flow = question.flow()
    if seen.report.source_port is not None and flow.protocol in (TCP, UDP):
        flow = replace(flow, source_port=seen.report.source_port)
    expected = trace(snapshot, flow, records)
    relay = question.destination.place.namespace if question.destination.relays else None
    difference = disagreement(expected, seen.report, relay=relay)
    return Answer(question=question, seen=seen, expected=expected, difference=difference)


@dataclass(slots=True)
class Cell:
    """All packets of one service from one row to one column."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """`reached`, `refused` (it reached the host, where nothing listens), `dropped`, `lost`."""
    deciders: Counter[str] = field(default_factory=Counter)
    """Who dropped."""
    differences: int = 0


class Matrix:
    """Who reaches whom by which service, and where the judges differ."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.cells: dict[tuple[str, str, Service], Cell] = {}
        self.differences: list[Json] = []
        self.count = 0
        self.unclaimed = 0
        """Packets about which `reach` says that it cannot know."""

    def add(self, answer: Answer) -> None:
        question, seen = answer.question, answer.seen
        key = (question.source.name, question.destination.name, question.service)
        cell = self.cells.setdefault(key, Cell())
        self.count += 1
        self.unclaimed += answer.expected.verdict == "unknown"
        cell.outcomes[_outcome(question, seen)] += 1
        if seen.verdict == "dropped":
            cell.deciders[self._decider(seen)] += 1
        if answer.difference is not None:
            cell.differences += 1
            self.differences.append(
                {
                    "from": question.source.name,
                    "to": question.destination.name,
                    "source": f"{question.source.place.label} {seen.probe.source}",
                    "destination": f"{question.destination.place.label} {question.address}",
                    "service": str(question.service),
                    "kernel": seen.sentence,
                    "reach": _expectation(answer.expected),
                    "difference": answer.difference,
                }
            )

    def _decider(self, seen: Verdict) -> str:
        """Who dropped, the same for all members of a group."""
        assert seen.report.dropped is not None
        drop = parse(seen.report.dropped.prefix)
        assert isinstance(drop, Drop)
        back = " (the answer)" if seen.direction == "reply" else ""
        if drop.what not in (What.SG_IN, What.SG_OUT):
            return f"{seen.rule or drop}{back}"
        row = self._snapshot.get(t.INTERFACES, drop.id)
        keys = () if row is None else row.groups
        names = [group.name for key in keys if (group := self._snapshot.get(t.GROUPS, key)) is not None]
        return f"{'in' if drop.what is What.SG_IN else 'out'} {', '.join(names) or drop.id}{back}"

    def result(self) -> Json:
        """The matrix and the differences as JSON, in the order in which they were asked."""
        return {
            "probes": self.count,
            "unclaimed": self.unclaimed,
            "matrix": [
                {
                    "from": source,
                    "to": destination,
                    "service": str(service),
                    "outcomes": dict(cell.outcomes),
                    "deciders": dict(cell.deciders),
                    "disagreements": cell.differences,
                }
                for (source, destination, service), cell in self.cells.items()
            ],
            "disagreements": self.differences,
        }


def _outcome(question: Question, seen: Verdict) -> str:
    """`refused` counts as having reached the host; what answered elsewhere did not reach it."""
    arrived = question.destination.place.namespace in seen.report.arrived
    if question.destination.relays and arrived:
        return "reached"
    if seen.verdict in ("reached", "refused") and not arrived:
        return "elsewhere"
    return seen.verdict


def _expectation(expected: Trace) -> str:
    first = expected.first
    if first is None:
        return expected.verdict
    back = "the answer is " if first.direction == "return" else ""
    return f"{back}blocked at {first.component} ({first.drop or first.code}): {first.text}"
