"""Markers and page sizes of the Describe operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ecsnet.services.call import Request
from ecsnet.services.elbv2 import errors

T = TypeVar("T")

_PAGE_SIZE = 400
"""The largest page, and the default (API type `PageSize`)."""


def page(request: Request, items: Sequence[T], ident: Callable[[T], str]) -> tuple[Sequence[T], dict[str, str]]:
    """The page of `items` that `Marker` and `PageSize` ask for, and `NextMarker` when more follow.

    `ident` gives an item's unique name, of which the marker is made; an item that was deleted between two pages makes
    its marker invalid. Raises AwsError ValidationError for a marker that names nothing or a page size out of range.
    """
    size = request.get("PageSize", _PAGE_SIZE)
    if not 1 <= size <= _PAGE_SIZE:
        raise errors.validation(f"PageSize '{size}' must be between 1 and {_PAGE_SIZE}")
    start = 0
    marker = request.get("Marker")
    if marker:
        names = [ident(item) for item in items]
        if marker not in names:
            raise errors.validation(f"The marker '{marker}' is not valid; use NextMarker of the previous page")
        start = names.index(marker) + 1
    chosen = items[start : start + size]
    more = start + size < len(items)
    return chosen, {"NextMarker": ident(chosen[-1])} if more else {}
