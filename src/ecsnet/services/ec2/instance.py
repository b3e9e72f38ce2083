"""The calls that start, stop, end and list instances."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ecsnet.model import ec2
from ecsnet.model.dnsnames import private_dns_name
from ecsnet.model.tables import INSTANCES_BY_RESERVATION, INSTANCES_BY_SUBNET, INSTANCES_BY_VPC
from ecsnet.services.call import AwsError, Cached, Call, Operation, Reply, Request, not_implemented, read, write
from ecsnet.services.ec2 import families
from ecsnet.services.ec2.addressing import public_ip_of
from ecsnet.services.ec2.filters import Extract, Filters, flag, some
from ecsnet.services.ec2.instance_launch import run_instances
from ecsnet.services.ec2.instance_type import TYPES
from ecsnet.services.ec2.instance_view import STATE_CODES, cached_instance, state_item, status_item
from ecsnet.services.ec2.instances import (
    begin_start,
    begin_stop,
    begin_terminate,
    chosen_instances,
    interfaces_of,
    primary_interface,
)
from ecsnet.services.ec2.listing import Listing
from ecsnet.services.ec2.paging import page


def start_instances(call: Call, request: Request) -> Reply:
    """Source: EC2 API, StartInstances. Raises IncorrectInstanceState."""
    return {"StartingInstances": _each(call, request, begin_start)}


def stop_instances(call: Call, request: Request) -> Reply:
    """Source: EC2 API, StopInstances. Raises IncorrectInstanceState, OperationNotPermitted when protected."""
    if request.get("Hibernate"):
        raise not_implemented("StopInstances", "Hibernate")
    return {"StoppingInstances": _each(call, request, begin_stop)}


def terminate_instances(call: Call, request: Request) -> Reply:
    """Source: EC2 API, TerminateInstances. Raises OperationNotPermitted when protected."""
    return {"TerminatingInstances": _each(call, request, begin_terminate)}


def _each(call: Call, request: Request, change: Callable[[Call, ec2.Instance], ec2.Instance]) -> list[dict[str, Any]]:
    changes = []
    for before in chosen_instances(call, request["InstanceIds"]):
        after = change(call, before)
        changes.append(
            {
                "InstanceId": before.id,
                "PreviousState": state_item(before.state),
                "CurrentState": state_item(after.state),
            }
        )
    return changes


def reboot_instances(call: Call, request: Request) -> Reply:
    """Nothing of a network stack changes in a reboot, and nothing else of an instance exists here.

    Source: EC2 API, RebootInstances. Raises IncorrectState for an instance that does not run.
    """
    for instance in chosen_instances(call, request["InstanceIds"]):
        if instance.state != "running":
            raise AwsError(
                "IncorrectState", f"The instance '{instance.id}' is not in a state from which it can be rebooted."
            )
    return {}


# ── listings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _of_interfaces(values: Callable[[ec2.NetworkInterface], Iterable[str]]) -> Extract[ec2.Instance]:
    """The values of all interfaces of an instance."""
    return lambda call, r: [value for eni in interfaces_of(call.tx, r.id) for value in values(eni)]


def _of_primary(values: Callable[[Call, ec2.NetworkInterface], Iterable[str]]) -> Extract[ec2.Instance]:
    def extract(call: Call, instance: ec2.Instance) -> Iterable[str]:
        primary = primary_interface(call.tx, instance.id)
        return () if primary is None else values(call, primary)

    return extract


_STATUS_FIELDS: dict[str, Extract[ec2.Instance]] = {
    "availability-zone": lambda call, r: (r.az,),
    "instance-state-code": lambda call, r: (str(STATE_CODES[r.state]),),
    "instance-state-name": lambda call, r: (r.state,),
}

_FILTERS: Filters[ec2.Instance] = Filters(
    fields={
        **_STATUS_FIELDS,
        "architecture": lambda call, r: (TYPES[r.type].architecture,),
        "client-token": lambda call, r: some(r.client_token),
        "group-id": _of_primary(lambda call, eni: eni.groups),
        "iam-instance-profile.arn": lambda call, r: some(r.profile),
        "image-id": lambda call, r: (r.image,),
        "instance-id": lambda call, r: (r.id,),
        "instance-type": lambda call, r: (r.type,),
        "instance.group-id": _of_primary(lambda call, eni: eni.groups),
        "ip-address": _of_primary(lambda call, eni: some(public_ip_of(call.tx, eni, eni.private_ip))),
        "key-name": lambda call, r: some(r.key_name),
        "launch-index": lambda call, r: (str(r.launch_index),),
        "metadata-options.http-endpoint": lambda call, r: ("enabled" if r.http_endpoint else "disabled",),
        "metadata-options.http-tokens": lambda call, r: (r.http_tokens,),
        "network-interface.addresses.private-ip-address": _of_interfaces(
            lambda eni: [str(address) for address in eni.private_ips]
        ),
        "network-interface.attachment.attachment-id": _of_interfaces(
            lambda eni: some(eni.attachment and eni.attachment.id)
        ),
        "network-interface.attachment.device-index": _of_interfaces(
            lambda eni: () if eni.attachment is None else (str(eni.attachment.device_index),)
        ),
        "network-interface.group-id": _of_interfaces(lambda eni: eni.groups),
        "network-interface.mac-address": _of_interfaces(lambda eni: (eni.mac,)),
        "network-interface.network-interface-id": _of_interfaces(lambda eni: (eni.id,)),
        "network-interface.private-ip-address": _of_interfaces(lambda eni: some(eni.private_ip)),
        "network-interface.subnet-id": _of_interfaces(lambda eni: (eni.subnet,)),
        "network-interface.vpc-id": _of_interfaces(lambda eni: (eni.vpc,)),
        "owner-id": lambda call, r: (r.account,),
        "private-dns-name": _of_primary(
            lambda call, eni: () if eni.private_ip is None else (private_dns_name(eni.region, eni.private_ip),)
        ),
        "private-ip-address": _of_primary(lambda call, eni: some(eni.private_ip)),
        "reservation-id": lambda call, r: (r.reservation,),
        "source-dest-check": _of_primary(lambda call, eni: flag(eni.source_dest_check)),
        "subnet-id": lambda call, r: (r.subnet,),
        "vpc-id": lambda call, r: (r.vpc,),
    },
    indexes={
        "reservation-id": INSTANCES_BY_RESERVATION,
        "subnet-id": INSTANCES_BY_SUBNET,
        "vpc-id": INSTANCES_BY_VPC,
    },
    keys=frozenset({"instance-id"}),
    tags=lambda r: r.tags,
)


def _items(call: Call, rows: Iterable[ec2.Instance]) -> list[Cached]:
    return [cached_instance(call, row) for row in rows]


_LISTING: Listing[ec2.Instance] = Listing(
    family=families.INSTANCE, filters=_FILTERS, ids="InstanceIds", members="Reservations", items=_items
)


def describe_instances(call: Call, request: Request) -> Reply:
    """Instances by reservation, terminated ones for an hour. Source: EC2 API, DescribeInstances."""
    rows = {row.id: row for row in _LISTING.select(call, request)}
    keys, token = page(request, sorted(rows), ids_member="InstanceIds")
    grouped: dict[str, list[ec2.Instance]] = {}
    for key in keys:
        grouped.setdefault(rows[key].reservation, []).append(rows[key])
    reservations = [
        {"ReservationId": name, "OwnerId": call.account, "Groups": [], "Instances": _items(call, members)}
        for name, members in grouped.items()
    ]
    return {"Reservations": reservations} if token is None else {"Reservations": reservations, "NextToken": token}


_STATUS_LISTING: Listing[ec2.Instance] = Listing(
    family=families.INSTANCE,
    filters=Filters(fields=_STATUS_FIELDS, tags=lambda r: r.tags),
    ids="InstanceIds",
    members="InstanceStatuses",
    items=_items,
)


def describe_instance_status(call: Call, request: Request) -> Reply:
    """Running instances, with IncludeAllInstances all. Source: EC2 API, DescribeInstanceStatus."""
    everything = bool(request.get("IncludeAllInstances"))
    rows = {row.id: row for row in _STATUS_LISTING.select(call, request) if everything or row.state == "running"}
    keys, token = page(request, sorted(rows), ids_member="InstanceIds")
    items = [status_item(call, rows[key]) for key in keys]
    return {"InstanceStatuses": items} if token is None else {"InstanceStatuses": items, "NextToken": token}


OPERATIONS: tuple[Operation, ...] = (
    write("RunInstances", run_instances),
    write("StartInstances", start_instances),
    write("StopInstances", stop_instances),
    write("RebootInstances", reboot_instances),
    write("TerminateInstances", terminate_instances),
    read("DescribeInstances", describe_instances),
    read("DescribeInstanceStatus", describe_instance_status),
)
