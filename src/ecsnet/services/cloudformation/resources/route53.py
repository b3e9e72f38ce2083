"""Route 53: hosted zones and records, kept in the backing server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecsnet.services.call import AwsError
from ecsnet.services.cloudformation.resources.backed import if_there
from ecsnet.services.cloudformation.resources.base import Backed, BackedEnv, Made, Properties

_NOTE = "Kept only: ecsnet's resolvers do not answer for hosted zones."


async def _create_zone(env: BackedEnv, p: Properties) -> Made:
    vpcs = p.get("VPCs") or []
    members: dict[str, Any] = {
        "Name": p["Name"],
        "CallerReference": env.naming.uuid(),
        "HostedZoneConfig": {
            "Comment": (p.get("HostedZoneConfig") or {}).get("Comment", ""),
            "PrivateZone": bool(vpcs),
        },
        "VPC": {"VPCId": vpcs[0]["VPCId"], "VPCRegion": vpcs[0]["VPCRegion"]} if vpcs else None,
    }
    reply = await env.run("route53", "CreateHostedZone", members)
    zone = reply["HostedZone"]["Id"].rsplit("/", 1)[1]
    servers = (reply.get("DelegationSet") or {}).get("NameServers") or []
    return Made(id=zone, attributes={"Id": zone, "NameServers": list(servers)}, note=_NOTE)


async def _delete_zone(env: BackedEnv, id_: str, p: Properties) -> None:
    await if_there(env, "route53", "DeleteHostedZone", {"Id": id_})


async def _zone_of(env: BackedEnv, p: Properties) -> str:
    if p.get("HostedZoneId"):
        return str(p["HostedZoneId"])
    name = str(p.get("HostedZoneName") or "")
    if not name.endswith("."):
        raise AwsError("InvalidRequest", f"HostedZoneName must end with a dot; got {name!r}.")
    reply = await env.run("route53", "ListHostedZonesByName", {"DNSName": name})
    for zone in reply.get("HostedZones") or ():
        if zone["Name"] == name:
            return str(zone["Id"]).rsplit("/", 1)[1]
    raise AwsError("InvalidRequest", f"No hosted zones named {name} found")


_PLAIN = ("Failover", "GeoLocation", "HealthCheckId", "MultiValueAnswer", "Region", "SetIdentifier", "Weight")


def _record(p: Mapping[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = {"Name": p["Name"], "Type": p["Type"]}
    record |= {key: p[key] for key in _PLAIN if key in p}
    if p.get("TTL") is not None:
        record["TTL"] = int(p["TTL"])
    if p.get("ResourceRecords"):
        record["ResourceRecords"] = [{"Value": value} for value in p["ResourceRecords"]]
    if p.get("AliasTarget"):
        alias = p["AliasTarget"]
        record["AliasTarget"] = {
            "DNSName": alias["DNSName"],
            "HostedZoneId": alias["HostedZoneId"],
            "EvaluateTargetHealth": bool(alias.get("EvaluateTargetHealth", False)),
        }
    return record


async def _change(env: BackedEnv, zone: str, action: str, records: list[dict[str, Any]]) -> None:
    changes = [{"Action": action, "ResourceRecordSet": record} for record in records]
    members = {"HostedZoneId": zone, "ChangeBatch": {"Changes": changes}}
    await env.run("route53", "ChangeResourceRecordSets", members)


async def _create_record(env: BackedEnv, p: Properties) -> Made:
    await _change(env, await _zone_of(env, p), "UPSERT" if env.resumed else "CREATE", [_record(p)])
    return Made(id=p["Name"].removesuffix("."), note=_NOTE)


async def _update_record(env: BackedEnv, id_: str, before: Properties, after: Properties) -> Made:
    await _change(env, await _zone_of(env, after), "UPSERT", [_record(after)])
    return Made(id=id_, note=_NOTE)


async def _delete_records(env: BackedEnv, zone: Properties, records: list[dict[str, Any]]) -> None:
    try:
        await _change(env, await _zone_of(env, zone), "DELETE", records)
    except AwsError as error:
        # A record or zone that is gone is what was wanted.
        if error.code not in ("InvalidChangeBatch", "NoSuchHostedZone", "InvalidRequest"):
            raise


async def _delete_record(env: BackedEnv, id_: str, p: Properties) -> None:
    await _delete_records(env, p, [_record(p)])


async def _create_group(env: BackedEnv, p: Properties) -> Made:
    records = [_record(record) for record in p.get("RecordSets") or ()]
    await _change(env, await _zone_of(env, p), "UPSERT" if env.resumed else "CREATE", records)
    return Made(id=env.naming.name(128), note=_NOTE)


async def _update_group(env: BackedEnv, id_: str, before: Properties, after: Properties) -> Made:
    old = [_record(record) for record in before.get("RecordSets") or ()]
    new = [_record(record) for record in after.get("RecordSets") or ()]
    kept = {(record["Name"], record["Type"], record.get("SetIdentifier")) for record in new}
    gone = [record for record in old if (record["Name"], record["Type"], record.get("SetIdentifier")) not in kept]
    if gone:
        await _delete_records(env, before, gone)
    await _change(env, await _zone_of(env, after), "UPSERT", new)
    return Made(id=id_, note=_NOTE)


async def _delete_group(env: BackedEnv, id_: str, p: Properties) -> None:
    await _delete_records(env, p, [_record(record) for record in p.get("RecordSets") or ()])


PROVISIONERS = (
    Backed(type="AWS::Route53::HostedZone", create=_create_zone, delete=_delete_zone),
    Backed(
        type="AWS::Route53::RecordSet",
        create=_create_record,
        update=_update_record,
        delete=_delete_record,
        replace_on=("HostedZoneId", "HostedZoneName", "Name", "SetIdentifier", "Type"),
    ),
    Backed(
        type="AWS::Route53::RecordSetGroup",
        create=_create_group,
        update=_update_group,
        delete=_delete_group,
        replace_on=("HostedZoneId", "HostedZoneName"),
    ),
)
