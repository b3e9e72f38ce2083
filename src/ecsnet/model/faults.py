"""What a user asked to go wrong. Stored, so that controllers stay a function of the store."""

from __future__ import annotations

from ecsnet.model.base import Record

ANY_GROUP = "*"


class AttachFault(Record, frozen=True, kw_only=True, gc=False):
    """Network interfaces of tasks that start from now on are attached late, or not at all."""

    group: str
    """The task group it concerns ("service:<name>", "family:<family>"), or `ANY_GROUP`."""
    delay: float | None
    """Seconds until the interface is attached; None: the attachment is refused at once."""
