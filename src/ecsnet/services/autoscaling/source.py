"""What a group launches: the RunInstances request that its launch configuration or launch template comes to."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from ecsnet.model.autoscaling import AutoScalingGroup, LaunchSource
from ecsnet.services.autoscaling import errors
from ecsnet.services.autoscaling.lookup import require_configuration
from ecsnet.services.call import AwsError, Call, Request
from ecsnet.services.ec2 import ops as ec2_ops

_SAME = ("ImageId", "InstanceType", "KeyName", "UserData", "MetadataOptions", "EbsOptimized")
"""Members of a launch configuration that RunInstances has under the same name."""


def of_request(call: Call, request: Request) -> LaunchSource | None:
    """The source that a request names; None when it names none. Raises ValidationError."""
    mixed = request.get("MixedInstancesPolicy")
    named = [
        name for name in ("LaunchConfigurationName", "LaunchTemplate", "MixedInstancesPolicy") if request.get(name)
    ]
    if not named:
        return None
    if len(named) > 1:
        raise errors.validation(
            "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or "
            "MixedInstancesPolicy parameter."
        )
    if request.get("LaunchConfigurationName"):
        return LaunchSource(configuration=require_configuration(call, request["LaunchConfigurationName"]).name)
    if not mixed:
        return _template(call, request["LaunchTemplate"], None)
    template = mixed.get("LaunchTemplate") or {}
    overrides = template.get("Overrides") or ()
    kind = overrides[0].get("InstanceType") if overrides else None
    return _template(call, template.get("LaunchTemplateSpecification") or {}, kind)


def _template(call: Call, given: Mapping[str, Any], kind: str | None) -> LaunchSource:
    try:
        template = ec2_ops.launch_template(call, given)
        version = str(given.get("Version") or "$Default")
        ec2_ops.launch_template_version(template, version)
    except AwsError as error:
        raise errors.validation(f"You must use a valid fully-formed launch template. {error.message}") from error
    return LaunchSource(template=template.id, version=version, instance_type=kind)


def settled(call: Call, source: LaunchSource) -> LaunchSource:
    """The source with the number that its version means now: what an instance launched now is launched from.

    Raises AwsError when the template or the version is gone.
    """
    if source.template is None:
        return source
    template = ec2_ops.launch_template(call, {"LaunchTemplateId": source.template})
    number = ec2_ops.launch_template_version(template, source.version).number
    return LaunchSource(template=source.template, version=str(number), instance_type=source.instance_type)


def instance_type_of(call: Call, group: AutoScalingGroup) -> str:
    """The type that the group launches now. Raises AwsError when its source is gone or does not say."""
    source = group.source
    if source.instance_type is not None:
        return source.instance_type
    if source.configuration is not None:
        return str(json.loads(require_configuration(call, source.configuration).settings)["InstanceType"])
    template = ec2_ops.launch_template(call, {"LaunchTemplateId": source.template})
    data = json.loads(ec2_ops.launch_template_version(template, source.version).data)
    if not data.get("InstanceType"):
        raise errors.validation(f"The launch template {template.id} does not name an instance type.")
    return str(data["InstanceType"])


def run_request(call: Call, group: AutoScalingGroup, source: LaunchSource, subnet: str) -> Request:
    """The RunInstances request for one instance of a group in a subnet. Raises AwsError for what is gone."""
    request: dict[str, Any] = {"MinCount": 1, "MaxCount": 1}
    if source.template is not None:
        request["LaunchTemplate"] = {"LaunchTemplateId": source.template, "Version": source.version}
        if source.instance_type is not None:
            request["InstanceType"] = source.instance_type
        return {**request, **_placed(call, source, subnet)}
    settings = json.loads(require_configuration(call, source.configuration or "").settings)
    request |= {name: settings[name] for name in _SAME if settings.get(name)}
    profile = settings.get("IamInstanceProfile")
    if profile:
        request["IamInstanceProfile"] = {"Arn" if profile.startswith("arn:") else "Name": profile}
    public = settings.get("AssociatePublicIpAddress")
    if public is None:
        request["SubnetId"] = subnet
        request["SecurityGroupIds"] = settings.get("SecurityGroups") or []
    else:
        request["NetworkInterfaces"] = [
            {
                "DeviceIndex": 0,
                "SubnetId": subnet,
                "Groups": settings.get("SecurityGroups") or [],
                "AssociatePublicIpAddress": public,
            }
        ]
    return request


def _placed(call: Call, source: LaunchSource, subnet: str) -> Request:
    """The subnet, beside the template's parameters or in its first network interface, where EC2 wants it."""
    template = ec2_ops.launch_template(call, {"LaunchTemplateId": source.template})
    interfaces = json.loads(ec2_ops.launch_template_version(template, source.version).data).get("NetworkInterfaces")
    if not interfaces:
        return {"SubnetId": subnet}
    first, *others = interfaces
    return {"NetworkInterfaces": [{**first, "SubnetId": subnet}, *others]}


def shown(call: Call, source: LaunchSource) -> dict[str, Any]:
    """The members by which groups and instances name their source."""
    if source.configuration is not None:
        return {"LaunchConfigurationName": source.configuration}
    specification = {"LaunchTemplateId": source.template, "Version": source.version}
    with contextlib.suppress(AwsError):  # a template that is deleted is still named by its id
        specification["LaunchTemplateName"] = ec2_ops.launch_template(call, {"LaunchTemplateId": source.template}).name
    return {"LaunchTemplate": specification}
