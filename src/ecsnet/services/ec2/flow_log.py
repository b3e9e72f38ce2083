"""The flow log calls. What fills the logs is `ecsnet.control.flows`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, Literal, cast

import msgspec

from ecsnet.model import ec2
from ecsnet.model.tables import FLOW_LOGS, FLOW_LOGS_BY_RESOURCE, OBSERVED_FLOW_LOGS
from ecsnet.services.call import (
    AwsError,
    Cached,
    Call,
    Operation,
    Outside,
    Reply,
    Request,
    not_implemented,
    read,
    write,
)
from ecsnet.services.ec2 import errors, families, flow_log_format
from ecsnet.services.ec2.family import Family
from ecsnet.services.ec2.filters import Filters, some
from ecsnet.services.ec2.flow_logs import drop_flow_log
from ecsnet.services.ec2.listing import Listing, drop_empty, each
from ecsnet.services.ec2.tagging import specified, tag_set

Kind = Literal["VPC", "Subnet", "NetworkInterface"]
Destination = Literal["cloud-watch-logs", "s3", "local-file"]

_RESOURCES: Final[Mapping[str, Family[Any]]] = {
    "VPC": families.VPC,
    "Subnet": families.SUBNET,
    "NetworkInterface": families.INTERFACE,
}
_NOT_BUILT_RESOURCES = ("TransitGateway", "TransitGatewayAttachment", "RegionalNatGateway")
_TRAFFIC = ("ACCEPT", "REJECT", "ALL")
_DESTINATIONS = ("cloud-watch-logs", "s3", "local-file")
_SUBSCRIPTIONS = 250
"""Flow logs of one resource (VPC user guide, "Amazon VPC quotas")."""
_BUCKET_MISSING = "ecsnet:bucket-missing"
_GROUP_ARN = re.compile(r"arn:[^:]+:logs:[^:]*:[^:]*:log-group:([^:]+)(?::\*)?")
_BUCKET_ARN = re.compile(r"arn:[^:]+:s3:::([^/]+)(/.*)?")


class _Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks for, the same for each of its resources."""

    kind: Kind
    traffic: Literal["ACCEPT", "REJECT", "ALL"]
    destination_type: Destination
    log_group: str | None
    destination: str | None
    role: str | None
    format: str
    interval: Literal[60, 600]


async def look_for_bucket(outside: Outside, request: Request) -> Request:
    """Say in the request whether the bucket that it names is missing."""
    if request.get("LogDestinationType") != "s3":
        return request
    bucket = bucket_of(request.get("LogDestination") or "")
    if bucket is None:
        return request
    try:
        await outside.call("s3", "HeadBucket", {"Bucket": bucket[0]})
    except AwsError as error:
        if error.status != 404:
            raise
        return {**request, _BUCKET_MISSING: bucket[0]}
    return request


def bucket_of(destination: str) -> tuple[str, str] | None:
    """Bucket and folder ("" or "folder/") of a bucket's ARN."""
    match = _BUCKET_ARN.fullmatch(destination)
    if match is None:
        return None
    folder = (match.group(2) or "").strip("/")
    return match.group(1), f"{folder}/" if folder else ""


def create_flow_logs(call: Call, request: Request) -> Reply:
    """Make one flow log per resource; a resource that does not exist is listed in `Unsuccessful`.

    Source: EC2 API, CreateFlowLogs. Raises InvalidParameter, MissingParameter, FlowLogAlreadyExists, LimitExceeded;
    NotImplemented for what is not built (transit gateways, Firehose, Parquet, accounts of others).
    """
    settings = _settings(request)
    tags = specified(request, families.FLOW_LOG.noun)
    token: str | None = request.get("ClientToken")
    made: list[str] = []
    unsuccessful: list[Mapping[str, Any]] = []
    for resource in request["ResourceIds"]:
        try:
            _RESOURCES[settings.kind].require(call, resource)
        except AwsError as error:
            unsuccessful.append(_failed(resource, error.code, error.message))
            continue
        if bucket := request.get(_BUCKET_MISSING):
            unsuccessful.append(_failed(resource, "400", f"LogDestination: {bucket} does not exist."))
            continue
        made.append(_made(call, settings, resource, token, tags).id)
    return drop_empty({"ClientToken": token, "FlowLogIds": made, "Unsuccessful": unsuccessful})


def _failed(resource: str, code: str, message: str) -> Mapping[str, Any]:
    return {"ResourceId": resource, "Error": {"Code": code, "Message": message}}


def _made(
    call: Call, settings: _Settings, resource: str, token: str | None, tags: tuple[tuple[str, str], ...]
) -> ec2.FlowLog:
    others = list(call.tx.find(FLOW_LOGS_BY_RESOURCE, resource))
    for other in others:
        if token and other.token == token:
            return other
        if _of(other) == settings:
            raise AwsError(
                "FlowLogAlreadyExists",
                "Error. There is an existing Flow Log with the same configuration and log destination.",
            )
    if len(others) >= _SUBSCRIPTIONS:
        raise AwsError("LimitExceeded", f"The maximum number of flow logs for {resource} has been reached.")
    return call.tx.put(
        FLOW_LOGS,
        ec2.FlowLog(
            id=call.ids.resource("fl"),
            account=call.account,
            region=call.region,
            resource_kind=settings.kind,
            resource=resource,
            traffic=settings.traffic,
            destination_type=settings.destination_type,
            log_group=settings.log_group,
            destination=settings.destination,
            role=settings.role,
            format=settings.format,
            interval=settings.interval,
            created=call.now,
            token=token,
            tags=tags,
        ),
    )


def _of(row: ec2.FlowLog) -> _Settings:
    return _Settings(
        kind=row.resource_kind,
        traffic=row.traffic,
        destination_type=row.destination_type,
        log_group=row.log_group,
        destination=row.destination,
        role=row.role,
        format=row.format,
        interval=row.interval,
    )


def _settings(request: Request) -> _Settings:
    kind: str = request["ResourceType"]
    if kind in _NOT_BUILT_RESOURCES:
        raise not_implemented("CreateFlowLogs", f"ResourceType {kind}")
    if kind not in _RESOURCES:
        raise AwsError("InvalidParameter", f"Unknown resource type: {kind}")
    traffic = request.get("TrafficType")
    if not traffic:
        raise errors.missing_parameter("TrafficType")
    if traffic not in _TRAFFIC:
        raise AwsError("InvalidParameter", f"Invalid TrafficType: {traffic}")
    interval: Literal[60, 600] = request.get("MaxAggregationInterval") or 600
    if interval not in (60, 600):
        raise AwsError("InvalidParameter", "Invalid Flow Log Max Aggregation Interval")
    _refuse_options(request)
    text = request.get("LogFormat") or flow_log_format.DEFAULT
    flow_log_format.fields(text)
    destination_type, log_group, destination = _destination(request)
    return _Settings(
        kind=cast("Kind", kind),
        traffic=traffic,
        destination_type=destination_type,
        log_group=log_group,
        destination=destination,
        role=request.get("DeliverLogsPermissionArn"),
        format=" ".join(text.split()),
        interval=interval,
    )


def _refuse_options(request: Request) -> None:
    options = request.get("DestinationOptions") or {}
    if options.get("FileFormat", "plain-text") != "plain-text":
        raise not_implemented("CreateFlowLogs", f"FileFormat {options['FileFormat']}")
    for member in ("HiveCompatiblePartitions", "PerHourPartition"):
        if options.get(member):
            raise not_implemented("CreateFlowLogs", member)
    for member in ("DeliverCrossAccountRole", "TagFieldSpecifications"):
        if request.get(member):
            raise not_implemented("CreateFlowLogs", member)


def _destination(request: Request) -> tuple[Destination, str | None, str | None]:
    """Type, log group and ARN of the destination."""
    kind = request.get("LogDestinationType") or "cloud-watch-logs"
    group: str | None = request.get("LogGroupName")
    destination: str | None = request.get("LogDestination")
    if kind == "kinesis-data-firehose":
        raise not_implemented("CreateFlowLogs", f"LogDestinationType {kind}")
    if kind not in _DESTINATIONS:
        raise AwsError("InvalidParameter", f"Invalid LogDestinationType: {kind}")
    if kind == "local-file":
        if group or destination:
            raise AwsError("InvalidParameter", "A local-file has no LogGroupName and no LogDestination.")
        return "local-file", None, None
    if group is None and destination is None:
        raise AwsError("InvalidParameter", "LogDestination can't be empty if LogGroupName is not provided.")
    if kind == "s3":
        if group is not None:
            raise AwsError(
                "InvalidParameter", "LogDestination type must be cloud-watch-logs if LogGroupName is provided."
            )
        if bucket_of(destination or "") is None:
            raise AwsError("InvalidParameter", f"LogDestination is not the ARN of a bucket: {destination}")
        return "s3", None, destination
    if not request.get("DeliverLogsPermissionArn"):
        raise AwsError(
            "InvalidParameter", "DeliverLogsPermissionArn can't be empty if LogDestinationType is cloud-watch-logs."
        )
    if group is not None and destination is not None:
        raise AwsError("InvalidParameter", "LogGroupName and LogDestination can't both be provided.")
    if destination is not None:
        match = _GROUP_ARN.fullmatch(destination)
        if match is None:
            raise AwsError("InvalidParameter", f"LogDestination is not the ARN of a log group: {destination}")
        group = match.group(1)
    return "cloud-watch-logs", group, destination


def delete_flow_logs(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DeleteFlowLogs. Raises InvalidFlowLogId.NotFound, and then deletes nothing."""
    ids: list[str] = request["FlowLogIds"]
    missing = [key for key in ids if families.FLOW_LOG.find(call, key) is None]
    if missing:
        raise AwsError(
            "InvalidFlowLogId.NotFound",
            f"These flow log ids in the input list are not found: [TotalCount: {len(missing)}] {' '.join(missing)}",
        )
    for key in dict.fromkeys(ids):
        drop_flow_log(call, key)
    return {"Unsuccessful": []}


def _item(row: ec2.FlowLog, seen: ec2.ObservedFlowLog | None) -> Mapping[str, Any]:
    """The wire form (EC2 API, shape FlowLog). Nothing is said about deliveries before the first one."""
    status = None if seen is None else "SUCCESS" if seen.failure is None else "FAILED"
    return drop_empty(
        {
            "FlowLogId": row.id,
            "FlowLogStatus": "ACTIVE",
            "CreationTime": row.created,
            "ResourceId": row.resource,
            "TrafficType": row.traffic,
            "LogDestinationType": row.destination_type,
            "LogDestination": row.destination,
            "LogGroupName": row.log_group,
            "DeliverLogsPermissionArn": row.role,
            "DeliverLogsStatus": status,
            "DeliverLogsErrorMessage": seen.failure if seen is not None else None,
            "LogFormat": row.format,
            "MaxAggregationInterval": row.interval,
            "Tags": tag_set(row.tags),
        }
    )


def _cached(call: Call, row: ec2.FlowLog) -> Cached:
    seen = call.tx.get(OBSERVED_FLOW_LOGS, row.id)
    return Cached(key=("flow-log", row.id), sources=(row, seen), build=partial(_item, row, seen))


def _delivery(call: Call, row: ec2.FlowLog) -> tuple[str, ...]:
    seen = call.tx.get(OBSERVED_FLOW_LOGS, row.id)
    return () if seen is None else ("SUCCESS" if seen.failure is None else "FAILED",)


_LISTING = Listing(
    family=families.FLOW_LOG,
    filters=Filters(
        fields={
            "deliver-log-status": _delivery,
            "flow-log-id": lambda call, r: (r.id,),
            "log-destination-type": lambda call, r: (r.destination_type,),
            "log-group-name": lambda call, r: some(r.log_group),
            "resource-id": lambda call, r: (r.resource,),
            "traffic-type": lambda call, r: (r.traffic,),
        },
        indexes={"resource-id": FLOW_LOGS_BY_RESOURCE},
        keys=frozenset({"flow-log-id"}),
        tags=lambda r: r.tags,
    ),
    ids="FlowLogIds",
    members="FlowLogs",
    items=each(_cached),
)


def describe_flow_logs(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DescribeFlowLogs, whose filters come in the member `Filter`."""
    if request.get("Filter"):
        request = {**request, "Filters": request["Filter"]}
    return _LISTING.describe(call, request)


OPERATIONS: tuple[Operation, ...] = (
    write("CreateFlowLogs", create_flow_logs, prepare=look_for_bucket),
    write("DeleteFlowLogs", delete_flow_logs),
    read("DescribeFlowLogs", describe_flow_logs),
)
