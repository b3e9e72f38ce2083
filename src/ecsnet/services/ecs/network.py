"""The network configuration of a task or service, checked as RunTask and CreateService check it.

Texts are those of the service (API types NetworkConfiguration and AwsVpcConfiguration; Developer Guide, "Amazon ECS
task networking").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecsnet.model.ecs import AwsvpcConfiguration, TaskDefinition
from ecsnet.model.tables import GROUPS, SUBNETS
from ecsnet.services.call import Call, not_implemented
from ecsnet.services.ecs import errors

_MAX_SUBNETS = 16
_MAX_GROUPS = 5


def configuration(
    call: Call, definition: TaskDefinition, given: Mapping[str, Any] | None, *, fargate: bool
) -> AwsvpcConfiguration | None:
    """The checked awsvpcConfiguration; None for a definition of another network mode.

    Raises InvalidParameterException.
    """
    inner = (given or {}).get("awsvpcConfiguration")
    if definition.network_mode != "awsvpc":
        if inner is not None:
            raise errors.invalid(
                "Network Configuration is not valid for the given networkMode of this task definition."
            )
        return None
    if inner is None:
        raise errors.invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    subnets, groups = tuple(inner.get("subnets") or ()), tuple(inner.get("securityGroups") or ())
    if not subnets:
        raise errors.invalid("subnets can not be empty.")
    if len(subnets) > _MAX_SUBNETS:
        raise errors.invalid(f"subnets can have at most {_MAX_SUBNETS} items.")
    if len(groups) > _MAX_GROUPS:
        raise errors.invalid(f"securityGroups can have at most {_MAX_GROUPS} items.")
    public = inner.get("assignPublicIp") == "ENABLED"
    if public and not fargate:
        raise errors.invalid("Assign public IP is not supported for this launch type.")
    _check_vpc(call, subnets, groups)
    return AwsvpcConfiguration(
        subnets=tuple(dict.fromkeys(subnets)), groups=tuple(dict.fromkeys(groups)), assign_public_ip=public
    )


def _check_vpc(call: Call, subnets: tuple[str, ...], groups: tuple[str, ...]) -> None:
    home = (call.account, call.region)
    vpcs = set()
    for subnet in subnets:
        row = call.tx.get(SUBNETS, subnet)
        if row is None or (row.account, row.region) != home:
            raise errors.invalid(
                f"Error retrieving subnet information for [{subnet}]: The subnet ID '{subnet}' does not exist "
                "(ErrorCode: InvalidSubnetID.NotFound)"
            )
        if row.cidr is None:
            raise not_implemented("RunTask and CreateService", f"the IPv6-only subnet {subnet}")
        vpcs.add(row.vpc)
    if len(vpcs) > 1:
        raise errors.invalid(f"The subnets {', '.join(subnets)} belong to different VPCs; they must share one.")
    for group in groups:
        found = call.tx.get(GROUPS, group)
        if found is None or (found.account, found.region) != home:
            raise errors.invalid(
                f"Error retrieving security group information for [{group}]: The security group '{group}' does not "
                "exist (ErrorCode: InvalidGroup.NotFound)"
            )
        if found.vpc not in vpcs:
            raise errors.invalid(
                f"Security group {group} does not appear to belong to the same VPC as the input subnets."
            )


def wire(network: AwsvpcConfiguration | None) -> Mapping[str, Any] | None:
    """networkConfiguration as the Describe operations answer it."""
    if network is None:
        return None
    return {
        "awsvpcConfiguration": {
            "subnets": list(network.subnets),
            "securityGroups": list(network.groups),
            "assignPublicIp": "ENABLED" if network.assign_public_ip else "DISABLED",
        }
    }
