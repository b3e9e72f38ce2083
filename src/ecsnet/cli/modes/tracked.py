"""Whether a network namespace tracks a connection: `python -m ecsnet.cli.modes.tracked TO FROM …` runs in it.

It prints how many tracked connections began at one of the source ports FROM towards the port TO (ctnetlink,
linux/netfilter/nfnetlink_conntrack.h).
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Collection

from ecsnet.agent.netlink import NETLINK_NETFILTER, Netlink, Request, attributes

_GET = 1 << 8 | 1
_HEAD = struct.Struct("=BBH")
_PORT = struct.Struct(">H")
_ORIGINAL, _PROTOCOL, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 2, 3
"""CTA_TUPLE_ORIG, CTA_TUPLE_PROTO, CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT."""


def tracked(to: int, sources: Collection[int]) -> int:
    """How many connections this namespace tracks whose first packet went from one of the source ports to `to`."""
    wanted = {(_PORT.pack(source), _PORT.pack(to)) for source in sources}
    with Netlink(NETLINK_NETFILTER) as netlink:
        bodies = list(netlink.dump(Request(type=_GET, flags=0, body=_HEAD.pack(0, 0, 0))))
    ports = (attributes(attributes(attributes(body[_HEAD.size :])[_ORIGINAL])[_PROTOCOL]) for body in bodies)
    return sum((one.get(_SOURCE_PORT), one.get(_DESTINATION_PORT)) in wanted for one in ports)


if __name__ == "__main__":
    print(tracked(int(sys.argv[1]), {int(argument) for argument in sys.argv[2:]}))
