"""RunInstances: what a request says of the instances themselves; their interfaces are in `launch_interfaces`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ecsnet.model import ec2
from ecsnet.model.base import Tags
from ecsnet.services.call import AwsError, Call, Request
from ecsnet.services.ec2 import errors
from ecsnet.services.ec2.instance_type import DEFAULT, instance_type
from ecsnet.services.ec2.launch_interfaces import WantedInterface
from ecsnet.services.ec2.tagging import checked, pairs

_USER_DATA_LIMIT = 16384


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSettings:
    """The part that may be refused."""

    type: str
    image: str
    tags: Tags
    interface_tags: Tags


def launch_settings(request: Request) -> LaunchSettings:
    """Raises MissingParameter, InvalidAMIID.Malformed, InvalidParameterValue."""
    kind = instance_type(request.get("InstanceType") or DEFAULT).name
    image = _image(request)
    _check_user_data(request.get("UserData"))
    instance_tags, interface_tags = _tags(request)
    return LaunchSettings(type=kind, image=image, tags=instance_tags, interface_tags=interface_tags)


def _image(request: Request) -> str:
    image: str | None = request.get("ImageId")
    if not image:
        raise errors.missing_parameter("ImageId")
    if not image.startswith("ami-"):
        raise AwsError("InvalidAMIID.Malformed", f'Invalid id: "{image}" (expecting "ami-...")')
    return image


def _check_user_data(text: str | None) -> None:
    # base64 makes four characters of three bytes
    if text is not None and len(text) * 3 // 4 > _USER_DATA_LIMIT + 2:
        raise AwsError("InvalidParameterValue", f"User data is limited to {_USER_DATA_LIMIT} bytes")


def _tags(request: Request) -> tuple[Tags, Tags]:
    """The tags of the instances and of their interfaces; those of volumes have nothing to go to."""
    given: dict[str, list[tuple[str, str]]] = {"instance": [], "network-interface": [], "volume": []}
    for one in request.get("TagSpecifications") or ():
        kind = one.get("ResourceType")
        if kind not in given:
            raise AwsError(
                "InvalidParameterValue", f"'{kind}' is not a valid taggable resource type for this operation."
            )
        given[kind].extend(pairs(one.get("Tags") or ()))
    return checked(given["instance"]), checked(given["network-interface"])


def pending_instance(call: Call, request: Request, settings: LaunchSettings, primary: WantedInterface) -> ec2.Instance:
    """One instance of the request, without its place in the reservation."""
    metadata: Mapping[str, Any] = request.get("MetadataOptions") or {}
    return ec2.Instance(
        id=call.ids.resource("i"),
        account=call.account,
        region=call.region,
        az=primary.subnet.az,
        vpc=primary.subnet.vpc,
        subnet=primary.subnet.id,
        image=settings.image,
        type=settings.type,
        state="pending",
        reservation="",
        launched=call.now,
        key_name=request.get("KeyName"),
        user_data=request.get("UserData"),
        profile=_profile(call, request.get("IamInstanceProfile") or {}),
        client_token=request.get("ClientToken"),
        http_tokens=metadata.get("HttpTokens") or "optional",
        http_hop_limit=int(metadata.get("HttpPutResponseHopLimit") or 1),
        http_endpoint=metadata.get("HttpEndpoint") != "disabled",
        metadata_tags=metadata.get("InstanceMetadataTags") == "enabled",
        shutdown_behavior=request.get("InstanceInitiatedShutdownBehavior") or "stop",
        termination_protection=bool(request.get("DisableApiTermination")),
        stop_protection=bool(request.get("DisableApiStop")),
        public_ip=primary.public,
        tags=settings.tags,
    )


def _profile(call: Call, given: Mapping[str, Any]) -> str | None:
    if given.get("Arn"):
        return str(given["Arn"])
    return f"arn:aws:iam::{call.account}:instance-profile/{given['Name']}" if given.get("Name") else None
