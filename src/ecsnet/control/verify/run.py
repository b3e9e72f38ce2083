"""Asks all questions in batches and compares the answers.

While the prober works on one batch, a thread compares the one before and prepares the next. Control's event loop waits
for none of them; it only passes bytes on.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from ecsnet.control.probe import Ask, batch, vpcs_around
from ecsnet.control.verify.matrix import Answer, Json, Judges, Matrix
from ecsnet.control.verify.questions import Party, Question, Service, declared, parties, questions, renewed
from ecsnet.hostplan.probes import Probe, ProbeReports
from ecsnet.store.snapshot import Snapshot

BATCH = 2_000
"""Probes in one ask: large enough that its fixed cost is small; the first and the last one are worked on alone."""
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
    matrix, looked_again, probing = Matrix(), 0, 0.0
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


class _Batch(NamedTuple):
    part: list[Question]
    sent: tuple[Probe, ...]
    argument: bytes


class _Reply(NamedTuple):
    batch: _Batch
    reports: bytes
    stood_still: bool
    """Whether no setting changed while the batch was under way."""


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

    async def reply_to(batch: _Batch) -> _Reply:
        reports = await ask(batch.argument)
        return _Reply(batch, reports, current().revision == snapshot.revision)

    def prepared(part: list[Question]) -> _Batch | None:
        return _encoded(snapshot, part, deadline) if part else None

    def meanwhile(reply: _Reply | None, part: list[Question]) -> _Batch | None:
        """In a thread; the event loop touches neither `look.again` nor the matrix."""
        if reply is not None:
            _judge(judges, reply, look, matrix)
        return prepared(part)

    judges = Judges(snapshot, vpcs_around(snapshot, [question.wanted() for question in asked]))
    parts = _parts(asked)
    batch, reply = await asyncio.to_thread(prepared, next(parts, [])), None
    while batch is not None:
        asking = asyncio.create_task(reply_to(batch))
        try:
            batch = await asyncio.to_thread(meanwhile, reply, next(parts, []))
            if reply is not None:
                yield
            reply = await asking
        finally:
            asking.cancel()
    if reply is not None:
        await asyncio.to_thread(_judge, judges, reply, look, matrix)
        yield


def _parts(asked: Iterable[Question]) -> Iterator[list[Question]]:
    rest = iter(asked)
    while part := list(itertools.islice(rest, BATCH)):
        yield part


def _encoded(snapshot: Snapshot, part: list[Question], deadline: float) -> _Batch:
    made = batch(snapshot, [question.wanted() for question in part], deadline=deadline)
    return _Batch(part, made.probes, msgspec.json.encode(made))


def _judge(judges: Judges, reply: _Reply, look: _Look, matrix: Matrix) -> None:
    """Compare a batch."""
    reports = _REPORTS.decode(reply.reports)
    stood_still = reply.stood_still and not reports.missed
    for question, probe, report in zip(reply.batch.part, reply.batch.sent, reports.reports, strict=True):
        answer = judges.judged(question, probe, report, reports.missed)
        if look.final or _counts(answer, stood_still=stood_still):
            matrix.add(answer)
        else:
            look.again.append(question)
    look.done += len(reply.batch.part)
    look.probing += reports.seconds


def _counts(answer: Answer, *, stood_still: bool) -> bool:
    return answer.difference is None or (stood_still and answer.is_evident)
