"""Forgets that an interface was seen once the interface itself is gone."""

from __future__ import annotations

from ecsnet.model.tables import INTERFACES, OBSERVED_INTERFACES
from ecsnet.services.call import Call


def step(call: Call, interface: str) -> float | None:
    """Remove the observation of a released interface; tasks and gateways wait for that in their last state."""
    if call.tx.get(INTERFACES, interface) is None:
        call.tx.delete(OBSERVED_INTERFACES, interface)
    return None
