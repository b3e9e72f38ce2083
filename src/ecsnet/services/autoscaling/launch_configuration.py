"""Launch configurations: what a group launches, unchangeable once made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ecsnet.model.autoscaling import LaunchConfiguration
from ecsnet.model.base import scope
from ecsnet.model.tables import (
    AUTO_SCALING_GROUPS_BY_CONFIGURATION,
    LAUNCH_CONFIGURATIONS,
    LAUNCH_CONFIGURATIONS_BY_SCOPE,
)
from ecsnet.services.autoscaling import errors
from ecsnet.services.autoscaling.lookup import page, require_configuration
from ecsnet.services.call import Call, Operation, Reply, Request, not_implemented, read, write


def create_launch_configuration(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, CreateLaunchConfiguration. Raises AlreadyExists, ValidationError."""
    name = request["LaunchConfigurationName"]
    for member in ("InstanceId", "ClassicLinkVPCId"):
        if request.get(member):
            raise not_implemented("CreateLaunchConfiguration", member)
    for member in ("ImageId", "InstanceType"):
        if not request.get(member):
            raise errors.validation(f"Valid requests must contain either the InstanceID parameter or {member}.")
    if call.tx.get(LAUNCH_CONFIGURATIONS, f"{scope(call.account, call.region)}/{name}") is not None:
        raise errors.exists(
            f"Launch Configuration by this name already exists - A launch configuration already exists with the name "
            f"{name}"
        )
    arn = (
        f"arn:aws:autoscaling:{call.region}:{call.account}:launchConfiguration:{call.ids.uuid()}"
        f":launchConfigurationName/{name}"
    )
    settings = {key: value for key, value in request.items() if key != "LaunchConfigurationName"}
    call.tx.put(
        LAUNCH_CONFIGURATIONS,
        LaunchConfiguration(
            arn=arn,
            account=call.account,
            region=call.region,
            name=name,
            settings=json.dumps(settings),
            created=call.now,
        ),
    )
    return {}


def delete_launch_configuration(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, DeleteLaunchConfiguration. Raises ResourceInUse."""
    row = require_configuration(call, request["LaunchConfigurationName"])
    key = f"{scope(call.account, call.region)}/{row.name}"
    users = sorted(group.name for group in call.tx.find(AUTO_SCALING_GROUPS_BY_CONFIGURATION, key))
    if users:
        raise errors.in_use(
            f"Cannot delete launch configuration {row.name} because it is attached to AutoScalingGroup {users[0]}"
        )
    call.tx.delete(LAUNCH_CONFIGURATIONS, key)
    return {}


def describe_launch_configurations(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, DescribeLaunchConfigurations. Unknown names are left out."""
    found = {row.name: row for row in call.tx.find(LAUNCH_CONFIGURATIONS_BY_SCOPE, scope(call.account, call.region))}
    wanted = request.get("LaunchConfigurationNames")
    keys, token = page(request, sorted(name for name in found if not wanted or name in wanted))
    reply: dict[str, Any] = {"LaunchConfigurations": [_item(found[key]) for key in keys]}
    return reply if token is None else {**reply, "NextToken": token}


def _item(row: LaunchConfiguration) -> Mapping[str, Any]:
    settings = json.loads(row.settings)
    return {
        "KeyName": "",
        "SecurityGroups": [],
        "UserData": "",
        "KernelId": "",
        "RamdiskId": "",
        "BlockDeviceMappings": [],
        "InstanceMonitoring": {"Enabled": True},
        "EbsOptimized": False,
        **settings,
        "LaunchConfigurationName": row.name,
        "LaunchConfigurationARN": row.arn,
        "CreatedTime": row.created,
    }


OPERATIONS: tuple[Operation, ...] = (
    write("CreateLaunchConfiguration", create_launch_configuration),
    write("DeleteLaunchConfiguration", delete_launch_configuration),
    read("DescribeLaunchConfigurations", describe_launch_configurations),
)
