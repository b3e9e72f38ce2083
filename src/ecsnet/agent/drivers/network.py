"""Links, addresses, neighbours, routes and rules: five sorts of rtnetlink objects behind one driver.

One driver, because a look at the machine then visits every namespace once, not five times (0.25 ms a visit).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ecsnet.agent.driver import differences
from ecsnet.agent.drivers.address import Addresses
from ecsnet.agent.drivers.link import LISTING, Links, SeenLink, is_own, parse
from ecsnet.agent.drivers.neighbour import Neighbours
from ecsnet.agent.drivers.route import Routes
from ecsnet.agent.drivers.rtnl import Sort
from ecsnet.agent.drivers.rule import Rules
from ecsnet.agent.namespaces import NamespaceFiles
from ecsnet.agent.netlink import Netlink
from ecsnet.hostplan.kernel import Address, HostObject, Link, Neighbour, PolicyRule, Route


class NetworkDriver:
    """Implements `driver.Driver` for everything that rtnetlink makes."""

    kinds: tuple[type[HostObject], ...] = (Link, Address, Neighbour, Route, PolicyRule)

    def __init__(self, files: NamespaceFiles) -> None:
        self._files = files
        self._links = Links(files)
        self._routes = Routes(files)
        self._sorts: dict[str, Sort] = {
            "address": Addresses(files),
            "neighbour": Neighbours(files),
            "route": self._routes,
            "rule": Rules(files),
        }

    def observe(self, desired: Mapping[str, HostObject]) -> Mapping[str, HostObject | None]:
        found: dict[str, HostObject | None] = {}
        links: dict[str, Sequence[SeenLink]] = {}
        for netns in self._files.names():
            with self._files.inside(netns), Netlink() as netlink:
                ends = [parse(body) for body in netlink.dump(LISTING)]
                links[netns] = ends
                # What an owner of a namespace puts on links of its own (an instance's docker0) is not ecsnet's.
                names = {end.index: end.name for end in ends if is_own(end)}
                for sort in self._sorts.values():
                    found.update(sort.recognise(netns, netlink.dump(sort.listing), names, desired))
        found.update(self._links.recognise(links, desired))
        return found

    def suspects(self, desired: Mapping[str, HostObject]) -> Collection[str]:
        return differences(self.observe(desired), desired)

    def apply(self, put: Sequence[HostObject], remove: Sequence[str]) -> Mapping[str, str]:
        puts: dict[str, list[HostObject]] = {}
        removals: dict[str, list[str]] = {}
        for item in put:
            puts.setdefault(_prefix(item.key), []).append(item)
        for key in remove:
            removals.setdefault(_prefix(key), []).append(key)
        failures: dict[str, str] = {}
        for prefix in puts.keys() | removals.keys():
            makers = self._links if prefix == "link" else self._sorts[prefix]
            failures.update(makers.apply(puts.get(prefix, []), removals.get(prefix, [])))
        return failures

    def close(self) -> None:
        self._routes.close()


def _prefix(key: str) -> str:
    return key.partition(":")[0]
