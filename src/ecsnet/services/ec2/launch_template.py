"""Launch templates: parameters of RunInstances that are kept under a name, in versions.

What a version holds is shown as it was given; RunInstances judges it when it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import msgspec

from ecsnet.model import ec2
from ecsnet.model.base import scope
from ecsnet.model.tables import LAUNCH_TEMPLATES, LAUNCH_TEMPLATES_BY_NAME
from ecsnet.services.call import AwsError, Cached, Call, Operation, Reply, Request, read, write
from ecsnet.services.ec2 import errors, families, idempotency
from ecsnet.services.ec2.filters import Extract, Filters, some
from ecsnet.services.ec2.listing import Listing, drop_empty, each
from ecsnet.services.ec2.paging import page
from ecsnet.services.ec2.tagging import specified, tag_set


def create_launch_template(call: Call, request: Request) -> Reply:
    """Source: EC2 API, CreateLaunchTemplate. Raises InvalidLaunchTemplateName.AlreadyExistsException."""
    known = idempotency.earlier(call, "CreateLaunchTemplate", request)
    if known is not None:
        return {"LaunchTemplate": _item(families.LAUNCH_TEMPLATE.require(call, known))}
    name = request["LaunchTemplateName"]
    if _named(call, name) is not None:
        raise AwsError("InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use.")
    row = call.tx.put(
        LAUNCH_TEMPLATES,
        ec2.LaunchTemplate(
            id=call.ids.resource("lt"),
            account=call.account,
            region=call.region,
            name=name,
            created=call.now,
            versions=(_version(call, 1, request["LaunchTemplateData"], request.get("VersionDescription")),),
            tags=specified(request, families.LAUNCH_TEMPLATE.noun),
        ),
    )
    idempotency.remember(call, "CreateLaunchTemplate", request, row.id)
    return {"LaunchTemplate": _item(row)}


def create_launch_template_version(call: Call, request: Request) -> Reply:
    """Source: EC2 API, CreateLaunchTemplateVersion; SourceVersion gives what the new data does not."""
    row = chosen(call, request)
    data: dict[str, Any] = {}
    if request.get("SourceVersion"):
        data = msgspec.json.decode(version_of(row, request["SourceVersion"]).data)
    made = _version(
        call, row.versions[-1].number + 1, {**data, **request["LaunchTemplateData"]}, request.get("VersionDescription")
    )
    row = call.tx.put(LAUNCH_TEMPLATES, msgspec.structs.replace(row, versions=(*row.versions, made)))
    return {"LaunchTemplateVersion": _version_item(row, made)}


def modify_launch_template(call: Call, request: Request) -> Reply:
    """Source: EC2 API, ModifyLaunchTemplate: which version is the default one."""
    row = chosen(call, request)
    if request.get("DefaultVersion"):
        number = version_of(row, request["DefaultVersion"]).number
        row = call.tx.put(LAUNCH_TEMPLATES, msgspec.structs.replace(row, default=number))
    return {"LaunchTemplate": _item(row)}


def delete_launch_template(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DeleteLaunchTemplate. Instances that were made from it stay."""
    row = chosen(call, request)
    idempotency.forget(call, row.id)
    call.tx.delete(LAUNCH_TEMPLATES, row.id)
    return {"LaunchTemplate": _item(row)}


def describe_launch_template_versions(call: Call, request: Request) -> Reply:
    """Versions of one template, or of all of them. Source: EC2 API, DescribeLaunchTemplateVersions."""
    tests = _VERSION_FILTERS.parse(request)
    one_only = request.get("LaunchTemplateId") or request.get("LaunchTemplateName")
    rows = [chosen(call, request)] if one_only else sorted(families.LAUNCH_TEMPLATE.all(call), key=lambda row: row.id)
    wanted = request.get("Versions")
    found = {
        f"{row.id}/{_NEWEST - one.number:010d}": (row, one)
        for row in rows
        for one in ([version_of(row, name) for name in wanted] if wanted else row.versions)
        if all(test.matches(call, one) for test in tests)
    }
    keys, token = page(request, sorted(found), smallest=1)
    return drop_empty({"LaunchTemplateVersions": [_version_item(*found[key]) for key in keys], "NextToken": token})


_NEWEST = 10**9
"""Larger than any version's number: the newest version of a template is listed first."""


def _of_data(member: str) -> Extract[ec2.LaunchTemplateVersion]:
    return lambda call, one: some(msgspec.json.decode(one.data).get(member))


_VERSION_FILTERS: Filters[ec2.LaunchTemplateVersion] = Filters(
    fields={"image-id": _of_data("ImageId"), "instance-type": _of_data("InstanceType")}
)


def chosen(call: Call, named: Mapping[str, Any]) -> ec2.LaunchTemplate:
    """The template that LaunchTemplateId or LaunchTemplateName names.

    Raises MissingParameter, InvalidLaunchTemplateId.NotFound or InvalidLaunchTemplateName.NotFoundException.
    """
    if named.get("LaunchTemplateId"):
        return families.LAUNCH_TEMPLATE.require(call, named["LaunchTemplateId"])
    name = named.get("LaunchTemplateName")
    if not name:
        raise errors.missing_parameter("launchTemplateId")
    row = _named(call, name)
    if row is None:
        raise AwsError(
            "InvalidLaunchTemplateName.NotFoundException",
            f"The specified launch template, with template name {name}, does not exist.",
        )
    return row


def version_of(row: ec2.LaunchTemplate, wanted: str | None) -> ec2.LaunchTemplateVersion:
    """A version by number, $Latest or $Default (also None). Raises InvalidLaunchTemplateId.VersionNotFound."""
    match wanted:
        case "$Latest":
            return row.versions[-1]
        case None | "" | "$Default":
            number = str(row.default)
        case _:
            number = str(wanted)
    for one in row.versions:
        if str(one.number) == number:
            return one
    raise AwsError(
        "InvalidLaunchTemplateId.VersionNotFound",
        f"Could not find the specified version {number} for the launch template with ID {row.id}.",
    )


def launch_request(call: Call, request: Request) -> Request:
    """A RunInstances request with what its launch template adds; the request's own parameters win.

    Source: EC2 API, RunInstances, LaunchTemplate ("Any additional parameters that you specify override the same
    parameters in the launch template"). Tags are joined by resource type and key.
    """
    named = request["LaunchTemplate"]
    data = msgspec.json.decode(version_of(chosen(call, named), named.get("Version")).data)
    merged = {**data, **{name: value for name, value in request.items() if value is not None}}
    del merged["LaunchTemplate"]
    tags = _joined_tags((*(data.get("TagSpecifications") or ()), *(request.get("TagSpecifications") or ())))
    return {**merged, "TagSpecifications": tags} if tags else merged


def _joined_tags(specifications: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    kinds: dict[str, dict[str, str]] = {}
    for one in specifications:
        found = kinds.setdefault(one.get("ResourceType") or "", {})
        found.update({tag.get("Key") or "": tag.get("Value") or "" for tag in one.get("Tags") or ()})
    return [
        {"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        for kind, tags in kinds.items()
    ]


def _named(call: Call, name: str) -> ec2.LaunchTemplate | None:
    return next(call.tx.find(LAUNCH_TEMPLATES_BY_NAME, f"{scope(call.account, call.region)}/{name}"), None)


def _version(call: Call, number: int, data: Mapping[str, Any], text: str | None) -> ec2.LaunchTemplateVersion:
    return ec2.LaunchTemplateVersion(
        number=number, created=call.now, description=text, data=msgspec.json.encode(data).decode()
    )


def _item(row: ec2.LaunchTemplate) -> Mapping[str, Any]:
    """The wire form (EC2 API, shape LaunchTemplate)."""
    return {
        "LaunchTemplateId": row.id,
        "LaunchTemplateName": row.name,
        "CreateTime": row.created,
        "DefaultVersionNumber": row.default,
        "LatestVersionNumber": row.versions[-1].number,
        "Tags": tag_set(row.tags),
    }


def _version_item(row: ec2.LaunchTemplate, one: ec2.LaunchTemplateVersion) -> Mapping[str, Any]:
    """The wire form (EC2 API, shape LaunchTemplateVersion)."""
    return drop_empty(
        {
            "LaunchTemplateId": row.id,
            "LaunchTemplateName": row.name,
            "VersionNumber": one.number,
            "VersionDescription": one.description,
            "CreateTime": one.created,
            "DefaultVersion": one.number == row.default,
            "LaunchTemplateData": msgspec.json.decode(one.data),
        }
    )


def _cached(call: Call, row: ec2.LaunchTemplate) -> Cached:
    return Cached(key=("lt", row.id), sources=(row,), build=partial(_item, row))


_LISTING: Listing[ec2.LaunchTemplate] = Listing(
    family=families.LAUNCH_TEMPLATE,
    filters=Filters(
        fields={"launch-template-name": lambda call, r: (r.name,)},
        tags=lambda r: r.tags,
    ),
    ids="LaunchTemplateIds",
    members="LaunchTemplates",
    items=each(_cached),
)


def describe_launch_templates(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DescribeLaunchTemplates; templates may be named by id or by name."""
    names = request.get("LaunchTemplateNames") or ()
    if names:
        ids = [chosen(call, {"LaunchTemplateName": name}).id for name in names]
        request = {**request, "LaunchTemplateIds": [*(request.get("LaunchTemplateIds") or ()), *ids]}
    return _LISTING.describe(call, request)


OPERATIONS: tuple[Operation, ...] = (
    write("CreateLaunchTemplate", create_launch_template),
    write("CreateLaunchTemplateVersion", create_launch_template_version),
    write("ModifyLaunchTemplate", modify_launch_template),
    write("DeleteLaunchTemplate", delete_launch_template),
    read("DescribeLaunchTemplates", describe_launch_templates),
    read("DescribeLaunchTemplateVersions", describe_launch_template_versions),
)
