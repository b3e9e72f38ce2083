"""MaxResults and NextToken. A token names the last item given out, so pages stay right while items come and go."""

from __future__ import annotations

import base64
import binascii
import bisect
from collections.abc import Sequence

from ecsnet.services.call import AwsError, Request
from ecsnet.services.ec2 import errors

_SMALLEST, _LARGEST = 5, 1000


def page(
    request: Request, keys: Sequence[str], *, ids_member: str | None = None, smallest: int = _SMALLEST
) -> tuple[Sequence[str], str | None]:
    """The part of the sorted `keys` that this request asks for, and the token of the next part.

    Raises InvalidParameterValue for a MaxResults outside `smallest` to 1000, InvalidParameterCombination when ids are
    given as well, InvalidNextToken for a token that no reply gave out.
    """
    limit = request.get("MaxResults")
    token = request.get("NextToken")
    if limit is not None:
        if ids_member is not None and request.get(ids_member):
            raise errors.combination(
                f"The parameter {ids_member[0].lower()}{ids_member[1:]} cannot be used with the parameter maxResults"
            )
        if limit > _LARGEST:
            raise AwsError(
                "InvalidParameterValue",
                f"Value ( {limit} ) for parameter maxResults is invalid. Expecting a value less than or equal to "
                f"{_LARGEST}.",
            )
        if limit < smallest:
            raise AwsError(
                "InvalidParameterValue",
                f"Value ( {limit} ) for parameter maxResults is invalid. Expecting a value greater than {smallest}.",
            )
    start = bisect.bisect_right(keys, _last(token)) if token else 0
    size = limit if limit is not None else len(keys)
    chosen = keys[start : start + size]
    more = start + size < len(keys)
    return chosen, _token(chosen[-1]) if more and chosen else None


def _token(last: str) -> str:
    return base64.urlsafe_b64encode(f"after:{last}".encode()).decode()


def _last(token: str) -> str:
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, ValueError) as error:
        raise _bad_token(token) from error
    if not text.startswith("after:"):
        raise _bad_token(token)
    return text.removeprefix("after:")


def _bad_token(token: str) -> AwsError:
    return AwsError("InvalidNextToken", f"The token '{token}' is invalid")
