"""Whose a link is: the first word behind "ecsnet" in its ifalias, which is an AWS id."""

from __future__ import annotations

from ecsnet.agent.drivers.rtnl import IFLA_IFALIAS, RTM_GETLINK, ifinfo
from ecsnet.agent.netlink import Netlink, Request, attributes


class LinkOwners:
    """Owners of a namespace's links by index. Make it on a thread inside the namespace; use it anywhere, on one thread.

    An index is not used twice in the life of a namespace, so what was found once holds.
    """

    def __init__(self) -> None:
        self._netlink = Netlink()
        self._known: dict[int, str] = {}

    def owner(self, index: int) -> str:
        """The owner; empty when the link is gone or is not ecsnet's."""
        known = self._known.get(index)
        if known is None:
            known = self._ask(index)
            if known:
                self._known[index] = known
        return known

    def _ask(self, index: int) -> str:
        body = self._netlink.get(Request(type=RTM_GETLINK, flags=0, body=ifinfo(index))) if index else None
        alias = b"" if body is None else attributes(body[16:]).get(IFLA_IFALIAS, b"")
        words = alias.rstrip(b"\0").decode(errors="replace").split()
        return words[1] if len(words) > 1 and words[0] == "ecsnet" else ""

    def close(self) -> None:
        self._netlink.close()
