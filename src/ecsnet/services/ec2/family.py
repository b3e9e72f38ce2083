"""What all EC2 resource families share: how an id is looked up, and what a wrong one answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from ecsnet.model.base import Record, Tags, scope
from ecsnet.services.call import AwsError, Call
from ecsnet.store.schema import Index, Table

R = TypeVar("R", bound=Record)


class Owned(Protocol):
    """A record that belongs to one account and region."""

    @property
    def account(self) -> str: ...

    @property
    def region(self) -> str: ...

    @property
    def tags(self) -> Tags: ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Family(Generic[R]):
    """One kind of resource: its table, its ids and the errors for ids that do not name one."""

    noun: str
    """The resource type in tag specifications and DescribeTags."""
    prefix: str
    table: Table[R]
    scope: Index[R]
    missing: str
    """Error code of an unknown id."""
    missing_text: str
    """Its message with `{id}`."""
    malformed: str
    """Error code of an id that cannot be one."""

    def find(self, call: Call, key: str) -> R | None:
        """The resource of this account and region, or None."""
        row: Any = call.tx.get(self.table, key)
        if row is None or row.account != call.account or row.region != call.region:
            return None
        found: R = row
        return found

    def require(self, call: Call, key: str) -> R:
        """The resource of this account and region. Raises the family's NotFound or Malformed error."""
        row = self.find(call, key)
        if row is None:
            raise self.unknown(key)
        return row

    def tags(self, call: Call, row: R) -> Tags:
        """The resource's tags as the caller sees them."""
        owned: Any = row
        found: Tags = owned.tags
        return found

    def with_tags(self, call: Call, row: R, tags: Tags) -> R:
        """The resource with other tags."""
        changed: Any = row
        result: R = msgspec.structs.replace(changed, tags=tags)
        return result

    def unknown(self, key: str) -> AwsError:
        if re.fullmatch(rf"{self.prefix}-(?:[0-9a-f]{{8}}|[0-9a-f]{{17}})", key) is None:
            return AwsError(self.malformed, f'Invalid id: "{key}" (expecting "{self.prefix}-...")')
        return AwsError(self.missing, self.missing_text.format(id=key))

    def all(self, call: Call) -> Iterator[R]:
        """Everything of this account and region, in no particular order."""
        return call.tx.find(self.scope, scope(call.account, call.region))

    def count(self, call: Call) -> int:
        return len(call.tx.keys(self.scope, scope(call.account, call.region)))
