"""What the rtnetlink drivers share: requests by namespace, interface indexes, and which refusals mean "already so"."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from ecsnet.agent.driver import Namespaces
from ecsnet.agent.netlink import Netlink, Request, text
from ecsnet.hostplan.kernel import HostObject

PROTOCOL = 200
"""The protocol number that marks ecsnet's routes and rules (man 8 ip-route: numbers above 4 are free to choose)."""

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_IFALIAS = 1, 3, 4, 5, 20

GONE = frozenset({errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EADDRNOTAVAIL})
"""Refusals of a removal that mean that the object is not there."""


class InNamespace(Protocol):
    @property
    def netns(self) -> str: ...

    @property
    def key(self) -> str: ...


class Sort(Protocol):
    """One kind of rtnetlink object: how to list it, how to recognise it, how to change it."""

    @property
    def listing(self) -> Request:
        """The dump request that lists all of them in a namespace."""

    def recognise(
        self, netns: str, bodies: Iterable[bytes], links: Mapping[int, str], desired: Mapping[str, HostObject]
    ) -> Mapping[str, HostObject | None]:
        """What a listing holds, as `driver.Driver.observe` answers. `links` are the interfaces' names by index."""

    def apply(self, put: Sequence[HostObject], remove: Sequence[str]) -> Mapping[str, str]:
        """As `driver.Driver.apply`."""


O = TypeVar("O", bound=InNamespace)  # noqa: E741


def ifinfo(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    """struct ifinfomsg."""
    return struct.pack("=BxHiII", 0, 0, index, flags, change)


def by_namespace(objects: Iterable[O]) -> dict[str, list[O]]:
    groups: dict[str, list[O]] = {}
    for item in objects:
        groups.setdefault(item.netns, []).append(item)
    return groups


class Indexes:
    """Interface indexes by name, for one batch in one namespace."""

    def __init__(self, netlink: Netlink) -> None:
        self._netlink = netlink
        self._known: dict[str, int | None] = {"lo": 1}

    def find(self, name: str) -> int | None:
        if name not in self._known:
            reply = self._netlink.get(Request(type=RTM_GETLINK, flags=0, body=ifinfo() + text(IFLA_IFNAME, name)))
            self._known[name] = None if reply is None else struct.unpack_from("=i", reply, 4)[0]
        return self._known[name]


def put_all(
    namespaces: Namespaces,
    objects: Sequence[O],
    requests: Callable[[O, Indexes], Sequence[Request]],
    *,
    already: frozenset[int] = frozenset(),
) -> dict[str, str]:
    """Send the requests of every object, one batch per namespace; the answer names the refused keys.

    `already` are error numbers that mean success.
    """
    failures: dict[str, str] = {}
    for name, group in by_namespace(objects).items():
        try:
            with namespaces.inside(name), Netlink() as netlink:
                indexes = Indexes(netlink)
                keys: list[str] = []
                batch: list[Request] = []
                for item in group:
                    try:
                        made = requests(item, indexes)
                    except (ValueError, LookupError) as error:
                        failures[item.key] = str(error)
                        continue
                    keys += [item.key] * len(made)
                    batch += made
                for key, refusal in zip(keys, netlink.execute(batch), strict=True):
                    if refusal is not None and refusal.errno not in already:
                        failures[key] = str(refusal.strerror)
        except OSError as error:
            failures.update((item.key, f"namespace {name}: {error.strerror}") for item in group)
    return failures


def remove_all(
    namespaces: Namespaces,
    keys: Sequence[str],
    request: Callable[[str, Indexes], Request | None],
) -> dict[str, str]:
    """Send one removal per key (`request` gets what stands behind "<kind>:<namespace>/"; None: nothing to remove)."""
    failures: dict[str, str] = {}
    groups: dict[str, list[tuple[str, str]]] = {}
    for key in keys:
        name, _, rest = key.partition(":")[2].partition("/")
        groups.setdefault(name, []).append((key, rest))
    for name, group in groups.items():
        try:
            with namespaces.inside(name), Netlink() as netlink:
                indexes = Indexes(netlink)
                pairs = [(key, made) for key, rest in group if (made := request(rest, indexes)) is not None]
                answers = netlink.execute([made for _key, made in pairs])
                for (key, _made), refusal in zip(pairs, answers, strict=True):
                    if refusal is not None and refusal.errno not in GONE:
                        failures[key] = str(refusal.strerror)
        except FileNotFoundError:
            continue  # the namespace is gone, and everything in it
        except OSError as error:
            failures.update((key, f"namespace {name}: {error.strerror}") for key, _rest in group)
    return failures


def index_of(indexes: Indexes, name: str) -> int:
    """Raises LookupError when the interface does not exist."""
    index = indexes.find(name)
    if index is None:
        raise LookupError(f"interface {name} does not exist")
    return index
