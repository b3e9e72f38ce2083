"""Asks all questions in batches and compares the answers.

The prober works on one batch while a thread compares the one before, so that neither waits for the other and control's
event loop for none of them; it only passes bytes on.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from ecsnet.control.probe import Ask, batch, vpcs_around
from ecsnet.control.verdict import Words
from ecsnet.control.verify.matrix import Answer, Json, Matrix, judged
from ecsnet.control.verify.questions import Party, Question, Service, declared, parties, questions, renewed
from ecsnet.hostplan.probes import Probe, ProbeReports
from ecsnet.reach.records import Records
from ecsnet.store.snapshot import Snapshot

BATCH = 4_000
"""Probes in one ask: large enough that its fixed cost is small, small enough that the first progress comes soon."""
_DEADLINES = (0.5, 2.0, 2.0)
"""Seconds until what nothing was seen of is given up, at the first look and at the next ones."""

_REPORTS = msgspec.json.Decoder(ProbeReports)


@dataclass(slots=True, kw_only=True)
class Scope:
    """What a run is about, as the network is at one moment."""

    snapshot: Snapshot
    parties: list[Party]
    services: tuple[Service, ...]


@dataclass(slots=True)
class _Look:
    """One pass over some questions."""

    final: bool
    done: int = 0
    probing: float = 0.0
    """Seconds in which the prober sent and watched."""
    again: list[Question] = field(default_factory=list)


def scope(snapshot: Snapshot, vpcs: Sequence[str], services: Sequence[Service] = ()) -> Scope:
    """The attached interfaces of some VPCs; without services those that they declare, and a port that nobody does."""
    found = parties(snapshot, vpcs)
    return Scope(snapshot=snapshot, parties=found, services=tuple(services) or declared(snapshot, found))


async def verify(
    current: Callable[[], Snapshot],
    in_force: Callable[[int], Awaitable[object]],
    ask: Ask,
    vpcs: Sequence[str],
    services: Sequence[Service] = (),
) -> AsyncGenerator[Json]:
    """Progress, one object after each batch (`done`, `of`), and the result at last.

    A difference counts when the network stood still and something was seen: what the network changed under, what came
    faster than it was read, and what nothing at all was seen of is looked at up to twice more.

    `current` gives the newest snapshot, `in_force` waits until the data plane has a revision. Raises what `ask` raises.
    """
    began = time.monotonic()
    await in_force(current().revision)
    now = await asyncio.to_thread(scope, current(), vpcs, services)
    services = now.services
    asked = await asyncio.to_thread(list, questions(now.snapshot, now.parties, services))
    matrix, looked_again, probing = Matrix(now.snapshot), 0, 0.0
    total = len(asked)
    for number, deadline in enumerate(_DEADLINES):
        look = _Look(final=number == len(_DEADLINES) - 1)
        async for _ in _look(now.snapshot, current, ask, asked, deadline, look, matrix):
            if number == 0:
                yield {"done": look.done, "of": total}
        probing += look.probing
        if not look.again:
            break
        looked_again += len(look.again)
        await in_force(current().revision)
        now = await asyncio.to_thread(scope, current(), vpcs, services)
        asked = list(renewed(now.parties, look.again))
    yield {
        "revision": now.snapshot.revision,
        "vpcs": list(vpcs),
        "parties": sorted({party.name for party in now.parties}),
        "interfaces": len(now.parties) - 1,
        "services": [str(service) for service in services],
        "looked_again": looked_again,
        "seconds": round(time.monotonic() - began, 3),
        "probing_seconds": round(probing, 3),
        **matrix.result(),
    }


async def _look(
    snapshot: Snapshot,
    current: Callable[[], Snapshot],
    ask: Ask,
    asked: Sequence[Question],
    deadline: float,
    look: _Look,
    matrix: Matrix,
) -> AsyncGenerator[None]:
    """Ask some questions and write the answers down; yields after each batch."""
    records = Records(snapshot)
    judging: asyncio.Task[None] | None = None
    try:
        for part in _parts(asked):
            sent, argument = await asyncio.to_thread(_encoded, snapshot, part, deadline)
            reply = await ask(argument)
            stood_still = current().revision == snapshot.revision
            if judging is not None:
                await judging
            judging = asyncio.create_task(
                asyncio.to_thread(_judge, snapshot, records, part, sent, reply, stood_still, look, matrix)
            )
            yield
        if judging is not None:
            await judging
            yield
    finally:
        if judging is not None:
            judging.cancel()


def _parts(asked: Iterable[Question]) -> Iterator[list[Question]]:
    rest = iter(asked)
    while part := list(itertools.islice(rest, BATCH)):
        yield part


def _encoded(snapshot: Snapshot, part: list[Question], deadline: float) -> tuple[tuple[Probe, ...], bytes]:
    made = batch(snapshot, [question.wanted() for question in part], deadline=deadline)
    return made.probes, msgspec.json.encode(made)


def _judge(
    snapshot: Snapshot,
    records: Records,
    part: list[Question],
    sent: tuple[Probe, ...],
    reply: bytes,
    stood_still: bool,
    look: _Look,
    matrix: Matrix,
) -> None:
    """Compare a batch. In a thread; the event loop touches neither `look.again` nor the matrix meanwhile."""
    reports = _REPORTS.decode(reply)
    words = Words(snapshot, vpcs_around(snapshot, [question.wanted() for question in part]))
    for question, probe, report in zip(part, sent, reports.reports, strict=True):
        verdict = words.verdict(
            question.source.place, question.destination.place, probe, report, reports.missed
        )  # fmt: skip
        answer = judged(snapshot, records, question, verdict)
        if look.final or _counts(answer, stood_still=stood_still and not reports.missed):
            matrix.add(answer)
        else:
            look.again.append(question)
    look.done += len(part)
    look.probing += reports.seconds


def _counts(answer: Answer, *, stood_still: bool) -> bool:
    return answer.difference is None or (stood_still and answer.is_evident)
