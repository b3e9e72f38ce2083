"""maxResults and nextToken of the List operations. A token names the last item given out and its place."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from ecsnet.services.call import Request
from ecsnet.services.ecs import errors


def page(request: Request, keys: Sequence[str], *, largest: int = 100) -> tuple[Sequence[str], str | None]:
    """The part of `keys` that the request asks for and the token of the next part.

    When the item that a token names is gone by now, the listing goes on at the place where it stood.

    Raises InvalidParameterException for a maxResults outside 1 to `largest` or a token that no reply gave out.
    """
    limit = request.get("maxResults")
    if limit is None:
        limit = largest
    elif not 1 <= limit <= largest:
        raise errors.invalid(f"maxResults must be between 1 and {largest}, but was {limit}.")
    start = _start(keys, request["nextToken"]) if request.get("nextToken") else 0
    chosen = keys[start : start + limit]
    more = start + limit < len(keys)
    return chosen, _token(start + limit, chosen[-1]) if more and chosen else None


def _token(position: int, last: str) -> str:
    return base64.urlsafe_b64encode(f"{position}:{last}".encode()).decode()


def _start(keys: Sequence[str], token: str) -> int:
    try:
        position, _, last = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
        place = int(position)
    except (binascii.Error, ValueError) as error:
        raise errors.invalid("Invalid token.") from error
    if 0 < place <= len(keys) and keys[place - 1] == last:
        return place
    try:
        return keys.index(last) + 1
    except ValueError:
        return min(place, len(keys))
