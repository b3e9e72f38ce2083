"""Which mode for which need, from what a run saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ecsnet.cli.modes.figures import FIGURES, Figure, alike
from ecsnet.cli.modes.report import ModeReport, Report
from ecsnet.cli.modes.rows import reads_metadata, shares_containers, shares_instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    need: str
    modes: tuple[str, ...]
    """The best ones; several when the run does not tell them apart."""
    because: str


def advice(report: Report) -> tuple[Advice, ...]:
    """One recommendation per need; none when there is nothing to choose from."""
    if len(report.modes) < 2:
        return ()
    return (
        _ranked(report.modes, "isolation", _isolation, _isolation_words),
        _ranked(report.modes, "density", lambda one: (one.density.tasks,), _density_words),
        _speed(report.modes),
        _ranked(report.modes, "security", _security, _security_words),
    )


def _ranked(
    modes: Sequence[ModeReport],
    need: str,
    key: Callable[[ModeReport], tuple[int, ...]],
    words: Callable[[ModeReport], str],
) -> Advice:
    best = max(key(one) for one in modes)
    return Advice(
        need=need,
        modes=tuple(one.mode for one in modes if key(one) == best),
        because="; ".join(f"{one.mode}: {words(one)}" for one in sorted(modes, key=key, reverse=True)),
    )


def _isolation(one: ModeReport) -> tuple[int, ...]:
    """First that a task is apart from the instance and with it from other tasks, then that it has an address of its
    own, then that its containers are apart."""
    return int(not shares_instance(one)), int(one.asked.owner == "task"), int(not shares_containers(one))


def _isolation_words(one: ModeReport) -> str:
    stack = "the instance's stack and port space" if shares_instance(one) else "a stack of its own"
    address = "an address of its own" if one.asked.owner == "task" else "the instance's address"
    return f"{stack}, {address}"


def _density_words(one: ModeReport) -> str:
    return f"{one.density.tasks}, then {one.density.refusal}"


def _security(one: ModeReport) -> tuple[int, ...]:
    """First whether a task has rules of its own, then whether it is kept out of the instance's stack and metadata."""
    return int(one.filter.owner == "task"), int(not shares_instance(one)), int(not reads_metadata(one))


def _security_words(one: ModeReport) -> str:
    rules = {
        "task": "rules per task, at its own interface",
        "instance": "rules per instance: what one task needs is open to all of them",
    }.get(one.filter.owner, "no filter was seen to decide")
    loopback = ", and what listens on the instance's loopback is open to the task" if shares_instance(one) else ""
    role = ", and it can take the instance's role" if reads_metadata(one) else ""
    return rules + loopback + role


def _speed(modes: Sequence[ModeReport]) -> Advice:
    """A mode wins a figure when it has the best median or the run does not tell it from the one that has."""
    wins = {one.mode: 0 for one in modes}
    parts = []
    for figure in FIGURES:
        best = _best(modes, figure)
        for one in modes:
            wins[one.mode] += alike(one.traffic.every(figure.field), best.traffic.every(figure.field))
        parts.append(f"{figure.title} {best.mode} ({figure.shown(best.traffic.median)})")
    most = max(wins.values())
    count = ", ".join(f"{mode} in {won} of {len(FIGURES)}" for mode, won in wins.items())
    return Advice(
        need="speed",
        modes=tuple(mode for mode, won in wins.items() if won == most),
        because=f"best medians: {', '.join(parts)}; as good as the best: {count}",
    )


def _best(modes: Sequence[ModeReport], figure: Figure) -> ModeReport:
    def value(one: ModeReport) -> float:
        return figure.of(one.traffic.median)

    return max(modes, key=value) if figure.more_is_better else min(modes, key=value)
