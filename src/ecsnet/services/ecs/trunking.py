"""How many awsvpc tasks a container instance holds, with and without ENI trunking.

Source: Developer Guide, "Increasing Amazon ECS Linux container instance network interfaces" and "Supported instances
for increased Amazon ECS container network interfaces".
"""

from __future__ import annotations

from collections.abc import Mapping

_FAMILIES: Mapping[str, Mapping[str, int]] = {
    "m5": {"large": 10, "xlarge": 20, "2xlarge": 40, "4xlarge": 60, "24xlarge": 120},
    "m6i": {"large": 10, "xlarge": 20},
    "m6g": {"medium": 4, "large": 10},
    "m7g": {"medium": 4, "large": 10, "xlarge": 20, "2xlarge": 40, "4xlarge": 60, "8xlarge": 60, "12xlarge": 60}
    | {"16xlarge": 120},
    "m8g": {"medium": 4, "large": 10, "xlarge": 20, "2xlarge": 40, "4xlarge": 60, "8xlarge": 60, "12xlarge": 60}
    | {"16xlarge": 120, "24xlarge": 120, "48xlarge": 120},
    "m7i": {"large": 10, "xlarge": 20, "2xlarge": 40, "4xlarge": 60, "8xlarge": 90, "12xlarge": 120}
    | {"16xlarge": 120, "24xlarge": 120, "48xlarge": 120},
    "c7i": {"large": 10, "xlarge": 20, "2xlarge": 40, "4xlarge": 60, "8xlarge": 90, "12xlarge": 120}
    | {"16xlarge": 120, "24xlarge": 120, "48xlarge": 120},
    "m7i-flex": {"large": 4, "xlarge": 10, "2xlarge": 20},
    "c5": {"large": 10, "xlarge": 20, "2xlarge": 40, "4xlarge": 60, "9xlarge": 60, "18xlarge": 120},
    "c6i": {"large": 10},
    "c6g": {"large": 10},
    "c7g": {"large": 10},
    "r5": {"large": 10, "xlarge": 20},
    "g5": {"xlarge": 6},
    "a1": {"medium": 10},
}

_FEWER: Mapping[str, int] = {"p5.48xlarge": 1}
"""Types that hold fewer awsvpc tasks than they have interfaces (Developer Guide, "awsvpc network mode")."""


def trunked_tasks(type: str) -> int | None:
    """awsvpc tasks of an instance type with trunking; None where it is not supported (or not known to be)."""
    family, _, size = type.partition(".")
    return _FAMILIES.get(family, {}).get(size)


def task_interfaces(type: str, interfaces: int, *, trunking: bool) -> int:
    """awsvpc tasks of an instance that may have `interfaces` in all; the primary one is never a task's.

    `trunking`: whether the account setting awsvpcTrunking was enabled when the instance registered.
    """
    trunked = trunked_tasks(type) if trunking else None
    return trunked if trunked is not None else _FEWER.get(type, max(0, interfaces - 1))
