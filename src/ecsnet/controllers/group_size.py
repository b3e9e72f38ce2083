"""How a group comes to its size: where the next instances go and which ones end. Pure arithmetic over members."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What counts of one instance that is in a group and not leaving it."""

    instance: str
    subnet: str
    az: str
    protected: bool
    """From scale-in."""
    healthy: bool
    current: bool
    """Launched from what the group would launch now."""
    launched: float


def places(members: Sequence[Member], subnets: Mapping[str, str], number: int) -> list[str]:
    """The subnets of the next `number` instances: each in the zone with the fewest, then in the emptiest subnet.

    `subnets` are the group's, with their zones (Auto Scaling User Guide, "Distribute instances across zones").
    """
    zones: Counter[str] = Counter(member.az for member in members)
    filled: Counter[str] = Counter(member.subnet for member in members)
    chosen = []
    for _ in range(number):
        subnet = min(subnets, key=lambda one: (zones[subnets[one]], filled[one]))
        zones[subnets[subnet]] += 1
        filled[subnet] += 1
        chosen.append(subnet)
    return chosen


def surplus(members: Sequence[Member], number: int, policies: Sequence[str]) -> list[str]:
    """The `number` instances to end: unhealthy ones, then from the fullest zone by the termination policies.

    Protected instances are never among them, so there may be fewer. Default means: not of the present launch source
    first, then the oldest (Auto Scaling User Guide, "Termination policies"; AWS looks at billing hours there, which
    nobody has here).
    """
    left = [member for member in members if not member.protected]
    zones: Counter[str] = Counter(member.az for member in members)
    chosen = []
    for _ in range(min(number, len(left))):
        among = [member for member in left if not member.healthy]
        if not among:
            fullest = max(zones[member.az] for member in left)
            among = [member for member in left if zones[member.az] == fullest]
        victim = min(among, key=_order(policies))
        left.remove(victim)
        zones[victim.az] -= 1
        chosen.append(victim.instance)
    return chosen


def _order(policies: Sequence[str]) -> Callable[[Member], tuple[object, ...]]:
    def key(member: Member) -> tuple[object, ...]:
        parts: list[object] = []
        for policy in policies:
            match policy:
                case "NewestInstance":
                    parts.append(-member.launched)
                case "OldestInstance":
                    parts.append(member.launched)
                case "OldestLaunchConfiguration" | "OldestLaunchTemplate":
                    parts.append(member.current)
                case _:
                    parts += [member.current, member.launched]
        return (*parts, member.launched, member.instance)

    return key
