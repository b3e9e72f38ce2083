"""Peering requests expire, and ended connections are forgotten when nobody sees them any more."""

from __future__ import annotations

from ecsnet.services.call import Call
from ecsnet.services.ec2 import ops as ec2_ops


def step(call: Call, peering: str) -> float | None:
    """Move one connection on by the clock alone; answers when to look again."""
    return ec2_ops.follow_peering_clock(call, peering)
