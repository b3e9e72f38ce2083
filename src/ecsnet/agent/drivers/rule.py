"""Policy routing rules, marked by their protocol number.

The kernel cannot replace a rule, so a new version is added first and the older one with the same selector goes then.
"""

from __future__ import annotations

import errno
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_network

import msgspec

from ecsnet.agent.drivers.rtnl import PROTOCOL, put_all, remove_all
from ecsnet.agent.namespaces import NamespaceFiles
from ecsnet.agent.netlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    Netlink,
    Request,
    address_text,
    attribute,
    attributes,
    text,
    u32,
)
from ecsnet.hostplan.kernel import HostObject, PolicyRule

_RTM_NEWRULE, _RTM_DELRULE, _RTM_GETRULE = 32, 33, 34
_FRA_DST, _FRA_SRC, _FRA_IIFNAME, _FRA_PRIORITY, _FRA_FWMARK = 1, 2, 3, 6, 10
_FRA_TABLE, _FRA_FWMASK, _FRA_PROTOCOL = 15, 16, 21
_TO_TABLE = 1
_FAMILIES = {"ip": 2, "ip6": 10}
_HEADER = struct.Struct("=BBBBBBBBI")
_PREFIX = r"(None|[0-9a-f.:]+(?:/\d+)?)"
_SELECTOR = re.compile(rf"(ip6?)/(\d+)/(\w+)/(\w+)/([^/]+)/{_PREFIX}/{_PREFIX}")


def _body(
    family: str,
    priority: int,
    *,
    mark: int | None,
    mask: int | None,
    from_link: str | None,
    source: str | None,
    destination: str | None,
    action: int,
) -> bytes:
    """Everything but the table. Raises ValueError for a bad prefix."""
    from_net = ip_network(source) if source else None
    to_net = ip_network(destination) if destination else None
    header = _HEADER.pack(
        _FAMILIES[family],
        to_net.prefixlen if to_net else 0,
        from_net.prefixlen if from_net else 0,
        0,
        0,
        0,
        0,
        action,
        0,
    )
    body = header + u32(_FRA_PRIORITY, priority) + attribute(_FRA_PROTOCOL, bytes([PROTOCOL]))
    if to_net:
        body += attribute(_FRA_DST, to_net.network_address.packed)
    if from_net:
        body += attribute(_FRA_SRC, from_net.network_address.packed)
    if from_link:
        body += text(_FRA_IIFNAME, from_link)
    if mark is not None:
        body += u32(_FRA_FWMARK, mark) + u32(_FRA_FWMASK, 0xFFFFFFFF if mask is None else mask)
    return body


def _new(item: PolicyRule) -> Request:
    body = _body(
        item.family,
        item.priority,
        mark=item.mark,
        mask=item.mask,
        from_link=item.from_link,
        source=item.source,
        destination=item.destination,
        action=_TO_TABLE,
    )
    return Request(type=_RTM_NEWRULE, flags=NLM_F_CREATE | NLM_F_EXCL, body=body + u32(_FRA_TABLE, item.table))


def _delete(rest: str) -> Request:
    """The removal of the rule that the tail of a `PolicyRule` key describes. Raises ValueError."""
    parts = _SELECTOR.fullmatch(rest)
    if parts is None:
        raise ValueError(f"{rest!r} is not the tail of a rule key")
    family, priority, mark, mask, from_link, source, destination = parts.groups()
    body = _body(
        family,
        int(priority),
        mark=None if mark == "None" else int(mark),
        mask=None if mask == "None" else int(mask),
        from_link=None if from_link == "None" else from_link,
        source=None if source == "None" else source,
        destination=None if destination == "None" else destination,
        action=0,
    )
    return Request(type=_RTM_DELRULE, flags=0, body=body)


class Rules:
    """Implements `rtnl.Sort` for `PolicyRule`."""

    listing = Request(type=_RTM_GETRULE, flags=0, body=bytes(_HEADER.size))

    def __init__(self, files: NamespaceFiles) -> None:
        self._files = files

    def recognise(
        self, netns: str, bodies: Iterable[bytes], links: Mapping[int, str], desired: Mapping[str, HostObject]
    ) -> Mapping[str, HostObject | None]:
        found: dict[str, HostObject | None] = {}
        for body in bodies:
            seen = _seen(netns, body)
            if seen is not None:
                wanted = _find(desired, seen)
                same = wanted is not None and wanted.table == seen.table
                found[wanted.key if wanted else seen.key] = wanted if same else None
        return found

    def apply(self, put: Sequence[HostObject], remove: Sequence[str]) -> Mapping[str, str]:
        failures = remove_all(self._files, remove, lambda rest, _indexes: _delete(rest))
        rules = [item for item in put if isinstance(item, PolicyRule)]
        refused = put_all(self._files, rules, lambda item, _indexes: (_new(item),), already=frozenset({errno.EEXIST}))
        for name in {rule.netns for rule in rules}:
            self._drop_older(name, {rule.key: rule for rule in rules if rule.netns == name})
        return failures | refused

    def _drop_older(self, name: str, wanted: Mapping[str, PolicyRule]) -> None:
        """Delete the rules of a namespace that have a wanted selector but another table."""
        try:
            with self._files.inside(name), Netlink() as netlink:
                dump = list(netlink.dump(self.listing))
                for seen in filter(None, (_seen(name, body) for body in dump)):
                    kept = _find(wanted, seen)
                    if kept is not None and kept.table != seen.table:
                        netlink.execute([Request(type=_RTM_DELRULE, flags=0, body=_new(seen).body)])
        except FileNotFoundError:
            return  # its rules are gone with it


def _seen(netns: str, body: bytes) -> PolicyRule | None:
    """A rule of ecsnet's as the kernel has it; None for the kernel's own."""
    family, to_length, from_length, _, _, _, _, _action, _flags = _HEADER.unpack_from(body)
    values = attributes(body[_HEADER.size :])
    if values.get(_FRA_PROTOCOL, b"\0")[0] != PROTOCOL:
        return None

    def number(kind: int) -> int | None:
        return struct.unpack("=I", values[kind])[0] if kind in values else None

    def prefix(kind: int, length: int) -> str | None:
        return f"{address_text(values[kind])}/{length}" if kind in values else None

    mask = number(_FRA_FWMASK)
    return PolicyRule(
        netns=netns,
        family="ip6" if family == _FAMILIES["ip6"] else "ip",
        priority=number(_FRA_PRIORITY) or 0,
        mark=number(_FRA_FWMARK),
        mask=None if mask == 0xFFFFFFFF else mask,
        from_link=values[_FRA_IIFNAME].rstrip(b"\0").decode() if _FRA_IIFNAME in values else None,
        source=prefix(_FRA_SRC, from_length),
        destination=prefix(_FRA_DST, to_length),
        table=number(_FRA_TABLE) or 0,
    )


def _find(desired: Mapping[str, HostObject], seen: PolicyRule) -> PolicyRule | None:
    """The wanted rule with the selector of `seen`: its full mask may be written out or left away."""
    for mask in (seen.mask, 0xFFFFFFFF) if seen.mask is None and seen.mark is not None else (seen.mask,):
        wanted = desired.get(msgspec.structs.replace(seen, mask=mask).key)
        if isinstance(wanted, PolicyRule):
            return wanted
    return None
