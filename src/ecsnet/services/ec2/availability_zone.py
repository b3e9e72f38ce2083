"""Regions and availability zones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, read, write
from ecsnet.services.ec2 import errors
from ecsnet.services.ec2.filters import Filters
from ecsnet.services.ec2.regions import REGIONS, RegionInfo, Zone, partition, region_info

_ZONE_FILTERS: Filters[Zone] = Filters(
    fields={
        "group-long-name": lambda call, r: (),
        "group-name": lambda call, r: (f"{r.region}-zg-1",),
        "message": lambda call, r: (),
        "opt-in-status": lambda call, r: ("opt-in-not-required",),
        "parent-zone-id": lambda call, r: (),
        "parent-zone-name": lambda call, r: (),
        "region-name": lambda call, r: (r.region,),
        "state": lambda call, r: ("available",),
        "zone-id": lambda call, r: (r.id,),
        "zone-name": lambda call, r: (r.name,),
        "zone-type": lambda call, r: ("availability-zone",),
    }
)
_REGION_FILTERS: Filters[RegionInfo] = Filters(
    fields={
        "endpoint": lambda call, r: (r.endpoint,),
        "opt-in-status": lambda call, r: (r.opt_in_status,),
        "region-name": lambda call, r: (r.name,),
    }
)


def describe_availability_zones(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DescribeAvailabilityZones. Raises InvalidParameterValue for an unknown zone."""
    zones = region_info(call.region).zones
    names, ids = request.get("ZoneNames") or (), request.get("ZoneIds") or ()
    for given, known, what in ((names, [z.name for z in zones], "zone"), (ids, [z.id for z in zones], "zone id")):
        wrong = [one for one in given if one not in known]
        if wrong:
            raise AwsError("InvalidParameterValue", f"Invalid availability {what}: [{', '.join(wrong)}]")
    tests = _ZONE_FILTERS.parse(request)
    return {
        "AvailabilityZones": [
            _zone_item(zone)
            for zone in zones
            if (not names or zone.name in names)
            and (not ids or zone.id in ids)
            and all(test.matches(call, zone) for test in tests)
        ]
    }


def _zone_item(zone: Zone) -> Mapping[str, Any]:
    return {
        "ZoneName": zone.name,
        "ZoneId": zone.id,
        "RegionName": zone.region,
        "GroupName": f"{zone.region}-zg-1",
        "NetworkBorderGroup": zone.region,
        "ZoneType": "availability-zone",
        "OptInStatus": "opt-in-not-required",
        "State": "available",
        "Messages": [],
    }


def modify_availability_zone_group(call: Call, request: Request) -> Reply:
    """Source: EC2 API, ModifyAvailabilityZoneGroup, for the one group there is: zones that nobody can opt out of.

    Raises InvalidParameterValue for another group and for opting out.
    """
    group, wanted = request["GroupName"], request["OptInStatus"]
    if group != f"{call.region}-zg-1":
        raise errors.invalid_value("groupName", group, "There is no such zone group in this region.")
    if wanted != "opted-in":
        raise errors.invalid_value("optInStatus", wanted, "Availability Zones cannot be opted out of.")
    return {"Return": True}


def describe_regions(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DescribeRegions. Raises InvalidParameterValue for an unknown region."""
    names = request.get("RegionNames") or ()
    wrong = [name for name in names if name not in REGIONS]
    if wrong:
        raise AwsError("InvalidParameterValue", f"Invalid region name(s): [{', '.join(wrong)}]")
    tests = _REGION_FILTERS.parse(request)
    own = partition(call.region)
    return {
        "Regions": [
            {"RegionName": region.name, "Endpoint": region.endpoint, "OptInStatus": region.opt_in_status}
            for region in REGIONS.values()
            if partition(region.name) == own
            and (not names or region.name in names)
            and all(test.matches(call, region) for test in tests)
        ]
    }


OPERATIONS: tuple[Operation, ...] = (
    read("DescribeAvailabilityZones", describe_availability_zones),
    write("ModifyAvailabilityZoneGroup", modify_availability_zone_group),
    read("DescribeRegions", describe_regions),
)
