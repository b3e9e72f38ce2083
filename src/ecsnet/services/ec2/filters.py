"""The `Filters` parameter of the Describe calls (EC2 API, shape Filter).

Filters are ANDed, the values of one are ORed; `*` and `?` are wildcards, a backslash makes them literal; values are
case-sensitive. A filter that an index serves narrows the candidates first, so no listing walks all resources for it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ecsnet.model.base import Record, Tags
from ecsnet.model.tables import TAG_INDEXES, tag_key
from ecsnet.services.call import AwsError, Call, Request
from ecsnet.store.schema import Index, Table

R = TypeVar("R", bound=Record)

Extract = Callable[[Call, R], Iterable[str]]
"""The values of one filterable field. A single value may come as a one-tuple."""

_VALUES_PER_FILTER = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Test(Generic[R]):
    """One filter of a request, ready to be asked about records."""

    name: str
    extract: Extract[R]
    exact: frozenset[str]
    patterns: tuple[re.Pattern[str], ...]

    def matches(self, call: Call, record: R) -> bool:
        for value in self.extract(call, record):
            if value in self.exact or any(pattern.fullmatch(value) for pattern in self.patterns):
                return True
        return False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Filters(Generic[R]):
    """The filters that one listing knows: extractors by name and, for some names, the index that serves them."""

    fields: Mapping[str, Extract[R]]
    indexes: Mapping[str, Index[R]] = field(default_factory=dict)
    lookups: Mapping[str, Callable[[Call, str], Iterable[R]]] = field(default_factory=dict)
    """In place of an index, for values that lead to few records by another way: all that may have the value."""
    keys: frozenset[str] = frozenset()
    """Filter names whose values are ids of the resource itself."""
    tags: Callable[[R], Tags] | None = None
    tags_seen: Callable[[Call, R], Tags] | None = None
    """In place of `tags`, where they depend on who asks."""

    def parse(self, request: Request) -> tuple[Test[R], ...]:
        """The request's filters. Raises InvalidParameterValue for a name that the call does not document."""
        return tuple(self._test(one) for one in request.get("Filters") or ())

    def _test(self, one: Mapping[str, Any]) -> Test[R]:
        name = str(one.get("Name") or "")
        values: Sequence[str] = one.get("Values") or ()
        extract = self.fields.get(name)
        if extract is None and self.tags_seen is not None:
            extract = _tag_extract(name, self.tags_seen)
        elif extract is None and self.tags is not None:
            tags = self.tags
            extract = _tag_extract(name, lambda call, record: tags(record))
        if extract is None:
            raise AwsError("InvalidParameterValue", f"The filter '{name}' is invalid")
        if len(values) > _VALUES_PER_FILTER:
            raise AwsError(
                "FilterLimitExceeded", f"The maximum length for a filter value list is {_VALUES_PER_FILTER}: {name}"
            )
        exact, patterns = [], []
        for value in values:
            if "*" in value or "?" in value or "\\" in value:
                patterns.append(re.compile(_expression(value), re.DOTALL))
            else:
                exact.append(value)
        return Test(name=name, extract=extract, exact=frozenset(exact), patterns=tuple(patterns))

    def candidates(self, call: Call, tests: Sequence[Test[R]], table: Table[R]) -> Iterable[R] | None:
        """The records under the first index or look-up that a test allows, or None when neither helps."""
        for test in tests:
            if test.patterns:
                continue
            if test.name in self.keys:
                rows = [call.tx.get(table, key) for key in test.exact]
                return [row for row in rows if row is not None]
            lookup = self.lookups.get(test.name)
            if lookup is not None:
                return {table.key(record): record for v in test.exact for record in lookup(call, v)}.values()
            index = self.indexes.get(test.name)
            if test.name.startswith("tag:") and self.tags is not None and table.name in TAG_INDEXES:
                key, by_tag = test.name[4:], TAG_INDEXES[table.name]
                keys = {one for v in test.exact for one in call.tx.keys(by_tag, _tag(call, key, v))}
                return [row for one in keys if (row := call.tx.get(table, one)) is not None]
            if index is not None:
                if len(test.exact) == 1:
                    return call.tx.find(index, next(iter(test.exact)))
                found = {index.table.key(record): record for v in test.exact for record in call.tx.find(index, v)}
                return found.values()
        return None


def _tag(call: Call, key: str, value: str) -> str:
    return tag_key(call.account, call.region, key, value)


def _tag_extract(name: str, tags: Callable[[Call, R], Tags]) -> Extract[R] | None:
    if name.startswith("tag:"):
        wanted = name[4:]
        return lambda call, record: [value for key, value in tags(call, record) if key == wanted]
    if name == "tag-key":
        return lambda call, record: [key for key, _ in tags(call, record)]
    if name == "tag-value":
        return lambda call, record: [value for _, value in tags(call, record)]
    return None


def _expression(pattern: str) -> str:
    """The regular expression of a wildcard pattern."""
    result = []
    characters = iter(pattern)
    for character in characters:
        match character:
            case "*":
                result.append(".*")
            case "?":
                result.append(".")
            case "\\":
                result.append(re.escape(next(characters, "\\")))
            case _:
                result.append(re.escape(character))
    return "".join(result)


def flag(value: bool) -> tuple[str]:
    """A boolean as a filter value."""
    return ("true",) if value else ("false",)


def some(value: object | None) -> tuple[str, ...]:
    """An optional value as filter values."""
    return () if value is None else (str(value),)


def moment(seconds: float) -> str:
    """A time as a filter value, as replies show it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))
