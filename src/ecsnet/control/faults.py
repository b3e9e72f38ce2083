"""Faults on demand: interfaces of tasks that are attached late or not at all, to see what a service does about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecsnet.model.faults import ANY_GROUP, AttachFault
from ecsnet.model.tables import ATTACH_FAULTS
from ecsnet.store.snapshot import Snapshot
from ecsnet.store.store import Store

REFUSED, NONE = "refused", "none"


def listed(snapshot: Snapshot) -> list[Mapping[str, Any]]:
    """The faults that are in force, by task group."""
    rows = sorted(snapshot.rows(ATTACH_FAULTS), key=lambda row: row.group)
    return [{"group": row.group, "attach": REFUSED if row.delay is None else row.delay} for row in rows]


def put(store: Store, query: Mapping[str, str]) -> None:
    """Set or clear the fault of a task group.

    `attach`: seconds of delay, "refused", or "none" to clear; `group`: "service:<name>" or "family:<name>", without it
    every task. Tasks that exist already keep what they met. Raises ValueError with one sentence.
    """
    group, given = query.get("group") or ANY_GROUP, query.get("attach", "")
    delay = None if given in (REFUSED, NONE) else _seconds(given)
    with store.transaction() as tx:
        if given == NONE:
            tx.delete(ATTACH_FAULTS, group)
        else:
            tx.put(ATTACH_FAULTS, AttachFault(group=group, delay=delay))


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 < found < float("inf"):
        raise ValueError(f"attach must be a number of seconds, {REFUSED} or {NONE}, not {text!r}.")
    return found
