"""All answers as one matrix: who reaches whom by which service, who drops what, and where the two judges differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ecsnet.control.agreement import disagreement
from ecsnet.control.verdict import Outcome, Verdict, Words, outcome
from ecsnet.control.verify.questions import Question, Service
from ecsnet.decision import Drop, What, parse
from ecsnet.hostplan.probes import Decision, Probe, Report
from ecsnet.model import tables as t
from ecsnet.reach.flow import Trace
from ecsnet.reach.records import Records
from ecsnet.reach.trace import trace
from ecsnet.store.snapshot import Snapshot

Json = dict[str, Any]


class Answer(NamedTuple):
    """What became of one packet, by both judges."""

    question: Question
    probe: Probe
    report: Report
    seen: Outcome
    expected: Trace
    difference: str | None
    """None when both say the same, or `reach` cannot know."""
    decider: str | None
    """Who dropped it, the same for all members of a group."""
    told: Verdict | None
    """What was seen in words, of a difference."""

    @property
    def is_evident(self) -> bool:
        """Whether something was seen that says what became of it; else it may only have been too slow."""
        return self.seen != "lost"


class Judges:
    """Both judges of one snapshot, for packets that cross some VPCs. For one thread at a time."""

    def __init__(self, snapshot: Snapshot, vpcs: Sequence[str]) -> None:
        self.snapshot = snapshot
        self._words = Words(snapshot, vpcs)
        self._records = Records(snapshot)
        self._deciders: dict[tuple[object, ...], str] = {}

    def judged(self, question: Question, probe: Probe, report: Report, missed: int = 0) -> Answer:
        """Ask `reach` about the packet that was sent, and compare."""
        expected = trace(self.snapshot, question.flow(report.source_port), self._records)
        relay = question.destination.place.namespace if question.destination.relays else None
        difference = disagreement(expected, report, relay=relay)
        decider = None if report.dropped is None else self._decider(report.dropped, probe)
        told = None
        if difference is not None:
            told = self._words.verdict(question.source.place, question.destination.place, probe, report, missed)
        return Answer(question, probe, report, outcome(probe, report), expected, difference, decider, told)

    def _decider(self, dropped: Decision, probe: Probe) -> str:
        # All that the name of a rule is made of (`Words.rule`); the packet's addresses are no part of it.
        key = (dropped.prefix, dropped.direction, dropped.netns, dropped.in_link, dropped.out_link, dropped.route)
        found = self._deciders.get(key)
        if found is None:
            found = self._deciders[key] = self._named(dropped, probe)
        return found

    def _named(self, dropped: Decision, probe: Probe) -> str:
        drop = parse(dropped.prefix)
        assert isinstance(drop, Drop)
        back = " (the answer)" if dropped.direction == "reply" else ""
        if drop.what not in (What.SG_IN, What.SG_OUT):
            return f"{self._words.rule(dropped, probe) or drop}{back}"
        row = self.snapshot.get(t.INTERFACES, drop.id)
        keys = () if row is None else row.groups
        names = [group.name for key in keys if (group := self.snapshot.get(t.GROUPS, key)) is not None]
        return f"{'in' if drop.what is What.SG_IN else 'out'} {', '.join(names) or drop.id}{back}"


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

    def __init__(self) -> None:
        self.cells: dict[tuple[str, str, Service], Cell] = {}
        self.differences: list[Json] = []
        self.count = 0
        self.unclaimed = 0
        """Packets about which `reach` says that it cannot know."""

    def add(self, answer: Answer) -> None:
        question = answer.question
        key = (question.source.name, question.destination.name, question.service)
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = Cell()
        self.count += 1
        self.unclaimed += answer.expected.verdict == "unknown"
        cell.outcomes[_outcome(question, answer.seen, answer.report)] += 1
        if answer.decider is not None:
            cell.deciders[answer.decider] += 1
        if answer.difference is not None and answer.told is not None:
            cell.differences += 1
            self.differences.append(
                {
                    "from": question.source.name,
                    "to": question.destination.name,
                    "source": f"{question.source.place.label} {answer.probe.source}",
                    "destination": f"{question.destination.place.label} {question.address}",
                    "service": str(question.service),
                    "kernel": answer.told.sentence,
                    "reach": _expectation(answer.expected),
                    "difference": answer.difference,
                }
            )

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


def _outcome(question: Question, seen: Outcome, report: Report) -> str:
    """`refused` counts as having reached the host; what answered elsewhere did not reach it."""
    arrived = question.destination.place.namespace in report.arrived
    if question.destination.relays and arrived:
        return "reached"
    if seen in ("reached", "refused") and not arrived:
        return "elsewhere"
    return seen


def _expectation(expected: Trace) -> str:
    first = expected.first
    if first is None:
        return expected.verdict
    back = "the answer is " if first.direction == "return" else ""
    return f"{back}blocked at {first.component} ({first.drop or first.code}): {first.text}"
