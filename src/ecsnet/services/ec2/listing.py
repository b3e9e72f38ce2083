"""The one shape that the Describe calls of all families have: ids or filters, a page, cached items."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ecsnet.model.base import Record
from ecsnet.services.call import Cached, Call, Reply, Request
from ecsnet.services.ec2.family import Family
from ecsnet.services.ec2.filters import Filters
from ecsnet.services.ec2.paging import page

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Listing(Generic[R]):
    """One Describe call: the member that holds ids, the member that the reply fills, and what an item looks like."""

    family: Family[R]
    filters: Filters[R]
    ids: str | None
    members: str
    items: Callable[[Call, Iterable[R]], list[Cached]]
    visible: Callable[[Call, R], bool] | None = None
    """False for records that AWS no longer lists (a NAT gateway deleted an hour ago)."""

    def describe(self, call: Call, request: Request) -> Reply:
        """The reply. Raises the family's NotFound for an unknown id, and what filters and paging raise."""
        key = self.family.table.key
        chosen = {key(record): record for record in self.select(call, request)}
        keys, token = page(request, sorted(chosen), ids_member=self.ids)
        reply: dict[str, Any] = {self.members: self.items(call, [chosen[one] for one in keys])}
        if token is not None:
            reply["NextToken"] = token
        return reply

    def select(self, call: Call, request: Request) -> Iterable[R]:
        """The records that the request's ids and filters choose, in no particular order."""
        tests = self.filters.parse(request)
        rows: Iterable[R]
        if self.ids is not None and request.get(self.ids):
            rows = [self.named(call, key) for key in request[self.ids]]
        else:
            rows = self._candidates(call, tests)
        if not tests:
            return rows
        return [row for row in rows if all(test.matches(call, row) for test in tests)]

    def named(self, call: Call, key: str) -> R:
        """The record of that id if it is listed. Raises the family's NotFound or Malformed error."""
        row = self.family.require(call, key)
        if self.visible is not None and not self.visible(call, row):
            raise self.family.unknown(key)
        return row

    def _candidates(self, call: Call, tests: Any) -> Iterable[R]:
        rows = self.filters.candidates(call, tests, self.family.table)
        if rows is None:
            rows = self.family.all(call)
        else:
            # An index may span accounts, so what it gives is asked for again in this account and region.
            key = self.family.table.key
            rows = [row for row in rows if self.family.find(call, key(row)) is row]
        if self.visible is None:
            return rows
        visible = self.visible
        return [row for row in rows if visible(call, row)]


def each(item: Callable[[Call, R], Cached]) -> Callable[[Call, Iterable[R]], list[Cached]]:
    """`Listing.items` for families whose items have nothing in common."""
    return lambda call, records: [item(call, record) for record in records]


def drop_empty(members: Mapping[str, Any]) -> dict[str, Any]:
    """A reply without the members that AWS leaves out (None)."""
    return {name: value for name, value in members.items() if value is not None}
