"""The verbs below the flow log calls."""

from __future__ import annotations

from ecsnet.model.tables import FLOW_LOGS, FLOW_LOGS_BY_RESOURCE, OBSERVED_FLOW_LOGS
from ecsnet.services.call import Call


def drop_flow_log(call: Call, flow_log: str) -> None:
    """Delete a flow log with what is known of its deliveries."""
    call.tx.delete(FLOW_LOGS, flow_log)
    if call.tx.get(OBSERVED_FLOW_LOGS, flow_log) is not None:
        call.tx.delete(OBSERVED_FLOW_LOGS, flow_log)


def drop_flow_logs_of(call: Call, resource: str) -> None:
    """Delete the flow logs of a VPC, subnet or interface that is being deleted."""
    for key in list(call.tx.keys(FLOW_LOGS_BY_RESOURCE, resource)):
        drop_flow_log(call, key)
