"""How groups and launch configurations are found, and what every Describe call of the service has in common."""

from __future__ import annotations

import base64
import binascii
import bisect
from collections.abc import Sequence

from ecsnet.model.autoscaling import AutoScalingGroup, LaunchConfiguration
from ecsnet.model.base import scope
from ecsnet.model.tables import AUTO_SCALING_GROUPS_BY_NAME, LAUNCH_CONFIGURATIONS
from ecsnet.services.autoscaling import errors
from ecsnet.services.call import AwsError, Call, Request

_SIZE = 50
_LARGEST = 100


def find_group(call: Call, name: str) -> AutoScalingGroup | None:
    """A group of this account and region, by name or ARN."""
    name = name.rpartition("/")[2] if name.startswith("arn:") else name
    return next(iter(call.tx.find(AUTO_SCALING_GROUPS_BY_NAME, f"{scope(call.account, call.region)}/{name}")), None)


def require_group(call: Call, name: str) -> AutoScalingGroup:
    """Raises ValidationError, as every action does that names a group."""
    found = find_group(call, name)
    if found is None:
        raise errors.no_group(name)
    return found


def require_configuration(call: Call, name: str) -> LaunchConfiguration:
    found = call.tx.get(LAUNCH_CONFIGURATIONS, f"{scope(call.account, call.region)}/{name}")
    if found is None:
        raise errors.validation(f"Launch configuration name not found - Launch configuration {name} not found")
    return found


def page(request: Request, keys: Sequence[str], *, largest: int = _LARGEST) -> tuple[Sequence[str], str | None]:
    """The part of the sorted keys that a request asks for, and the token of the next part.

    A token names the last item given out. Raises InvalidNextToken.
    """
    size = min(int(request.get("MaxRecords") or _SIZE), largest)
    start = 0
    token = request.get("NextToken")
    if token:
        try:
            start = bisect.bisect_right(keys, base64.urlsafe_b64decode(token.encode()).decode())
        except (binascii.Error, UnicodeError) as error:
            raise AwsError("InvalidNextToken", f"The token '{token}' is invalid.") from error
    chosen = keys[start : start + size]
    more = start + size < len(keys)
    return chosen, base64.urlsafe_b64encode(chosen[-1].encode()).decode() if more and chosen else None
