"""The grammar of a flow log's format: `${field} ${field} …` (VPC user guide, "Flow log records").

A format's version is the highest version among its fields. `${ecsnet-rule}` is ecsnet's own field: the rule that
decided about the packets.
"""

from __future__ import annotations

import re

from ecsnet.services.call import AwsError, not_implemented

RULE = "ecsnet-rule"
"""The id of the security group rule, or the network ACL entry, that decided."""

VERSION_2 = (
    "version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes",
    "start", "end", "action", "log-status",
)  # fmt: skip
VERSION_3 = ("vpc-id", "subnet-id", "instance-id", "tcp-flags", "type", "pkt-srcaddr", "pkt-dstaddr")
VERSION_4 = ("region", "az-id", "sublocation-type", "sublocation-id")
VERSION_5 = ("pkt-src-aws-service", "pkt-dst-aws-service", "flow-direction", "traffic-path")
VERSION_7 = (
    "ecs-cluster-arn", "ecs-cluster-name", "ecs-container-instance-arn", "ecs-container-instance-id",
    "ecs-container-id", "ecs-second-container-id", "ecs-service-name", "ecs-task-definition-arn", "ecs-task-arn",
    "ecs-task-id",
)  # fmt: skip

_NEWER = frozenset(("reject-reason", "resource-id", "encryption-status", "interface-type"))
"""Fields of version 8 and later that AWS documents and ecsnet does not fill."""

VERSIONS: dict[str, int] = {
    field: number
    for number, fields in ((2, VERSION_2), (3, VERSION_3), (4, VERSION_4), (5, VERSION_5), (7, VERSION_7), (2, (RULE,)))
    for field in fields
}
"""Every field with the version that introduced it."""

_FIELD = re.compile(r"\$\{([a-z0-9-]+)\}")

DEFAULT = " ".join(f"${{{field}}}" for field in VERSION_2)
"""The format of a flow log that names none."""


def fields(text: str) -> tuple[str, ...]:
    """The fields of a format, in order.

    Raises InvalidParameter for text that is no format or names an unknown field, NotImplemented for a field that AWS
    has and ecsnet does not fill.
    """
    names = []
    for word in text.split():
        match = _FIELD.fullmatch(word)
        if match is None:
            raise AwsError("InvalidParameter", f"Invalid LogFormat: '{word}' is not of the form ${{field}}.")
        names.append(match.group(1))
    if not names:
        raise AwsError("InvalidParameter", "LogFormat can't be empty.")
    for name in names:
        if name in _NEWER:
            raise not_implemented("CreateFlowLogs", f"the log format field {name}")
        if name not in VERSIONS:
            raise AwsError("InvalidParameter", f"Unknown fields provided: {name}")
    if len(set(names)) < len(names):
        raise AwsError("InvalidParameter", "LogFormat names a field twice.")
    return tuple(names)


def version(names: tuple[str, ...]) -> int:
    """The value of `${version}` in a format with these fields."""
    return max(VERSIONS[name] for name in names)
