"""At whose filter a packet ended, read from the words of docs/decisions.md."""

from __future__ import annotations

import enum


class Side(enum.Enum):
    """Where on its way through a router a packet was dropped."""

    SENDER = "sender"
    """The interface that sent it, its groups, its subnet's outbound network ACL."""
    RECEIVER = "receiver"
    """The interface that would have got it, its groups, its subnet's inbound network ACL."""
    BEYOND = "beyond"
    """Behind the sender's filters, but at no interface: no route, the guard of a peering."""
    LOCAL = "local"
    """At the router's own services, which flow logs never show."""


_SIDES = {
    "sg-in": Side.RECEIVER,
    "dstcheck": Side.RECEIVER,
    "route": Side.BEYOND,
    "pcx": Side.BEYOND,
    "limit": Side.LOCAL,
    "service": Side.LOCAL,
}


def side(denied: str) -> Side:
    """The side of a decision, given without its `D `. What is at both gates (invalid, gate) counts for the sender."""
    what = denied.partition(" ")[0]
    if what.startswith("acl-"):
        return Side.RECEIVER if "/in/" in what else Side.SENDER
    return _SIDES.get(what, Side.SENDER)
