"""NAT gateways move on what was seen of their interface."""

from __future__ import annotations

from ecs_harness import Cloud
from ecsnet.model.tables import INTERFACES, OBSERVED_INTERFACES


def state(cloud: Cloud, nat: str) -> str | None:
    found = cloud.ec2("DescribeNatGateways", NatGatewayIds=[nat])["NatGateways"]
    return str(found[0]["State"]) if found else None


def test_is_available_when_seen_and_deleted_when_gone(cloud: Cloud) -> None:
    allocation = cloud.ec2("AllocateAddress")["AllocationId"]
    made = cloud.ec2("CreateNatGateway", SubnetId=cloud.subnets[0], AllocationId=allocation)["NatGateway"]
    nat = made["NatGatewayId"]
    cloud.agent_away = True
    cloud.settle()
    assert state(cloud, nat) == "pending"
    cloud.agent_away = False
    cloud.settle()
    assert state(cloud, nat) == "available"
    cloud.ec2("DeleteNatGateway", NatGatewayId=nat)
    assert state(cloud, nat) == "deleting"
    cloud.settle()
    assert state(cloud, nat) == "deleted"
    assert list(cloud.store.snapshot.rows(INTERFACES)) == []
    assert list(cloud.store.snapshot.rows(OBSERVED_INTERFACES)) == []
    cloud.wait(3601)
    assert list(cloud.ec2("DescribeNatGateways")["NatGateways"]) == []
