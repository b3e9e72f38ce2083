"""Flow logs."""

from __future__ import annotations

from ecsnet.services.call import AwsError
from ecsnet.services.cloudformation.resources.base import Env, Made, Native, Properties, delete_if_there
from ecsnet.services.cloudformation.resources.ec2 import retag, tagged

_MEMBERS = (
    "DeliverCrossAccountRole",
    "DeliverLogsPermissionArn",
    "DestinationOptions",
    "LogDestination",
    "LogDestinationType",
    "LogFormat",
    "LogGroupName",
    "MaxAggregationInterval",
    "ResourceType",
)


def _create(env: Env, p: Properties) -> Made:
    request = {
        "ResourceIds": [p["ResourceId"]],
        "TrafficType": p.get("TrafficType"),
        "TagSpecifications": tagged(env, p, "vpc-flow-log"),
        **{name: p[name] for name in _MEMBERS if name in p},
    }
    if "MaxAggregationInterval" in p:
        request["MaxAggregationInterval"] = int(p["MaxAggregationInterval"])
    reply = env.run("ec2", "CreateFlowLogs", {name: value for name, value in request.items() if value is not None})
    for failed in reply.get("Unsuccessful") or ():
        raise AwsError(failed["Error"]["Code"], failed["Error"]["Message"])
    flow_log = reply["FlowLogIds"][0]
    return Made(id=flow_log, attributes={"Id": flow_log})


def _update(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    retag(env, id_, before, after)
    return Made(id=id_, attributes={"Id": id_})


def _delete(env: Env, id_: str, p: Properties) -> None:
    delete_if_there(env, "ec2", "DeleteFlowLogs", {"FlowLogIds": [id_]})


PROVISIONERS = (Native(type="AWS::EC2::FlowLog", create=_create, update=_update, delete=_delete),)
