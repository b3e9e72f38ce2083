"""The calls that start, stop, end and list instances."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ecsnet.model import ec2
from ecsnet.services.call import AwsError, Cached, Call, Operation, Reply, Request, not_implemented, read, write
from ecsnet.services.ec2 import families, instance_filters
from ecsnet.services.ec2.instance_launch import run_instances
from ecsnet.services.ec2.instance_view import cached_instance, state_item, status_item
from ecsnet.services.ec2.instances import (
    begin_start,
    begin_stop,
    begin_terminate,
    chosen_instances,
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


def _items(call: Call, rows: Iterable[ec2.Instance]) -> list[Cached]:
    return [cached_instance(call, row) for row in rows]


_LISTING: Listing[ec2.Instance] = Listing(
    family=families.INSTANCE, filters=instance_filters.FILTERS, ids="InstanceIds", members="Reservations", items=_items
)


def describe_instances(call: Call, request: Request) -> Reply:
    """Instances by reservation, terminated ones for an hour. Source: EC2 API, DescribeInstances."""
    instance_filters.check(request)
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
    filters=instance_filters.STATUS_FILTERS,
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
