"""Everything that is served, built up from the feed's items: views with their zones and record sets."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from ecsnet.hostplan.names import DnsRecords, DnsView, view_key
from ecsnet.resolver import wire
from ecsnet.resolver.feed import Failed, Item
from ecsnet.resolver.view import View
from ecsnet.resolver.zone import AddressNames, ReverseNames, StoredZone, record_set, reverse_apex

ADDRESS_TTL = 60
"""Seconds for computed names, as the Amazon resolver gives them."""


class Served:
    """Views by name. A record set may arrive before its view: it waits in the view, which has no sockets yet."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.views: dict[str, View] = {}

    def put(self, item: Item) -> None:
        """Raises ValueError when the item cannot be served; what was there before stays."""
        match item:
            case DnsView():
                self._put_view(item)
            case DnsRecords():
                self._put_records(item)
        self.items[item.key] = item

    def remove(self, key: str) -> None:
        """Removing what is not there changes nothing."""
        item = self.items.pop(key, None)
        match item:
            case DnsView():
                self._drop_generated(item)
                self.views[item.name].public = None
                self._forget_everywhere()
                self._prune(item.name)
            case DnsRecords():
                self._remove_records(item)

    def view(self, name: str) -> View:
        found = self.views.get(name)
        if found is None:
            found = self.views[name] = View(name)
        return found

    def _put_view(self, item: DnsView) -> None:
        generated = [
            (wire.name_to_wire(suffix), [ipaddress.IPv4Network(text) for text in texts])
            for suffix, texts in item.generated
        ]
        old = self.items.get(item.key)
        if isinstance(old, DnsView):
            self._drop_generated(old)
        view = self.view(item.name)
        view.public = self.view(item.public) if item.public else None
        for suffix, networks in generated:
            view.add_zone(AddressNames(suffix, networks, ADDRESS_TTL))
            by_apex: dict[bytes, list[ipaddress.IPv4Network]] = {}
            for network in networks:
                by_apex.setdefault(reverse_apex(network), []).append(network)
            for apex, below in by_apex.items():
                view.add_zone(ReverseNames(apex, below, suffix, ADDRESS_TTL))
        self._forget_everywhere()

    def _drop_generated(self, item: DnsView) -> None:
        view = self.view(item.name)
        for apex in [a for a, zone in view.zones.items() if not isinstance(zone, StoredZone)]:
            view.remove_zone(apex)

    def _put_records(self, item: DnsRecords) -> None:
        name, apex = wire.name_to_wire(item.name), wire.name_to_wire(item.zone)
        if not name.endswith(apex):
            raise ValueError(f"the name {item.name!r} is not in the zone {item.zone!r}")
        if not item.values:
            raise ValueError(f"{item.name} {item.type} has no values")
        rdatas = tuple(wire.rdata_to_wire(item.type, value) for value in item.values)
        kind = wire.TYPES[item.type]
        records = record_set(kind, item.ttl, rdatas, item.count)
        old = self.items.get(item.key)
        if isinstance(old, DnsRecords) and old.zone != item.zone:
            self._remove_records(old)
        view = self.view(item.view)
        zone = view.zones.get(apex)
        if not isinstance(zone, StoredZone):
            zone = StoredZone(apex)
            view.add_zone(zone)
            self._forget_everywhere()
        zone.put(name, records)

    def _remove_records(self, item: DnsRecords) -> None:
        view, apex = self.view(item.view), wire.name_to_wire(item.zone)
        zone = view.zones.get(apex)
        if isinstance(zone, StoredZone):
            zone.remove(wire.name_to_wire(item.name), wire.TYPES[item.type])
            if not zone:
                view.remove_zone(apex)
                self._forget_everywhere()
                self._prune(item.view)

    def _prune(self, name: str) -> None:
        """Let go of a view that nothing describes, fills or refers to any more."""
        view = self.views[name]
        if (
            view_key(name) not in self.items
            and not view.zones
            and all(other.public is not view for other in self.views.values())
        ):
            del self.views[name]

    def _forget_everywhere(self) -> None:
        """A zone came or went, or a view's public view: rare (a region's first load balancer), so all caches go."""
        for view in self.views.values():
            view.forget()


def put_all(served: Served, items: Iterable[Item]) -> tuple[Failed, ...]:
    """Put several items; those that cannot be served are named and left out."""
    failures = []
    for item in items:
        try:
            served.put(item)
        except ValueError as error:
            failures.append(Failed(key=item.key, text=str(error)))
    return tuple(failures)
