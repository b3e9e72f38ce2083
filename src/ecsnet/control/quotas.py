"""Quotas that a user sets at the start: `ecsnet up --quota rules_per_group=100`."""

from __future__ import annotations

from collections.abc import Iterable

from ecsnet.services.ec2 import quotas as ec2
from ecsnet.services.elbv2.limits import QUOTAS as ELBV2


def read(options: Iterable[str]) -> dict[str, int]:
    """The overrides by name, from `name=number` words.

    Raises ValueError for a word of another form, an unknown name, or a value that AWS does not grant.
    """
    found: dict[str, int] = {}
    for option in options:
        name, _, value = option.partition("=")
        if not (value.isascii() and value.isdecimal()):
            raise ValueError(f"--quota {option}: write it as name=number")
        if name not in ec2.DEFAULTS and name not in ELBV2:
            known = ", ".join(sorted((*ec2.DEFAULTS, *ELBV2)))
            raise ValueError(f"--quota {option}: there is no such quota. There are: {known}")
        found[name] = int(value)
    ec2.check(found)
    return found
