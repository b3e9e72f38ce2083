"""Load balancers from the API to Envoy resources: incremental equals full, whatever happens, and who owns what."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ecs_harness import Cloud
from ecsnet.compile.engine import Engine
from ecsnet.compile.fragments import FRAGMENTS
from ecsnet.fabric.kernel.plan import Planner
from ecsnet.hostplan.balancer import EnvoyResource
from ecsnet.hostplan.kernel import HostObject
from ecsnet.model.tables import LISTENERS, LOAD_BALANCERS
from ecsnet.services.call import AwsError
from ecsnet.store.store import Commit
from spread_ids import SpreadIds

NAMES = st.sampled_from(["a", "b"])
GROUPS = st.sampled_from(["g", "h"])
ADDRESSES = st.sampled_from(["172.31.0.9", "172.31.16.9", "172.31.32.9"])


class Balancers(RuleBasedStateMachine):
    """Calls the API at random and follows every commit."""

    def __init__(self) -> None:
        super().__init__()
        self.cloud = Cloud(ids=SpreadIds())
        self.engine = Engine(FRAGMENTS)
        self.planner = Planner()
        self.host: dict[str, HostObject] = {}
        self._follow(self.engine.start(self.cloud.store.snapshot))
        self.cloud.store.subscribe(self._committed)

    def _committed(self, commit: Commit) -> None:
        self._follow(self.engine.apply(commit))

    def _follow(self, delta: Any) -> None:
        put, remove = self.planner.apply(delta)
        for key in remove:
            del self.host[key]
        self.host.update({item.key: item for item in put})

    def call(self, operation: str, **request: Any) -> Any:
        with contextlib.suppress(AwsError):
            return self.cloud.elbv2(operation, **request)
        return None

    def find(self, what: str, name: str) -> str:
        answer = self.call(f"Describe{what}s", Names=[name])
        return str(answer[f"{what}s"][0][f"{what}Arn"]) if answer else "arn:none"

    @rule(name=NAMES, first=st.integers(0, 1), there=st.booleans())
    def balancer(self, name: str, first: int, there: bool) -> None:
        if there:
            self.call("CreateLoadBalancer", Name=name, Subnets=self.cloud.subnets[first : first + 2])
        else:
            self.call("DeleteLoadBalancer", LoadBalancerArn=self.find("LoadBalancer", name))

    @rule(name=NAMES, first=st.integers(0, 1))
    def subnets(self, name: str, first: int) -> None:
        arn = self.find("LoadBalancer", name)
        self.call("SetSubnets", LoadBalancerArn=arn, Subnets=self.cloud.subnets[first : first + 2])

    @rule(name=GROUPS, there=st.booleans())
    def group(self, name: str, there: bool) -> None:
        vpc = self.cloud.ec2("DescribeVpcs")["Vpcs"][0]["VpcId"]
        if there:
            self.call("CreateTargetGroup", Name=name, Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip")
        else:
            self.call("DeleteTargetGroup", TargetGroupArn=self.find("TargetGroup", name))

    @rule(group=GROUPS, address=ADDRESSES, there=st.booleans())
    def target(self, group: str, address: str, there: bool) -> None:
        operation = "RegisterTargets" if there else "DeregisterTargets"
        self.call(operation, TargetGroupArn=self.find("TargetGroup", group), Targets=[{"Id": address}])

    @rule(name=NAMES, group=GROUPS, port=st.integers(80, 81), secure=st.booleans())
    def listener(self, name: str, group: str, port: int, secure: bool) -> None:
        action = {"Type": "forward", "TargetGroupArn": self.find("TargetGroup", group)}
        request: dict[str, Any] = {"Protocol": "HTTP", "Port": port, "DefaultActions": [action]}
        if secure:
            arn = "arn:aws:acm:us-east-1:111122223333:certificate/1"
            request |= {"Protocol": "HTTPS", "Certificates": [{"CertificateArn": arn}]}
        self.call("CreateListener", LoadBalancerArn=self.find("LoadBalancer", name), **request)

    @rule(name=NAMES, group=GROUPS, priority=st.integers(1, 2), there=st.booleans())
    def listener_rule(self, name: str, group: str, priority: int, there: bool) -> None:
        answer = self.call("DescribeListeners", LoadBalancerArn=self.find("LoadBalancer", name))
        for listener in answer["Listeners"][:1] if answer else ():
            arn = listener["ListenerArn"]
            if there:
                action = {"Type": "forward", "TargetGroupArn": self.find("TargetGroup", group)}
                condition = {"Field": "path-pattern", "Values": [f"/{priority}"]}
                self.call("CreateRule", ListenerArn=arn, Priority=priority, Conditions=[condition], Actions=[action])
            else:
                self.call("DeleteRule", RuleArn=self.call("DescribeRules", ListenerArn=arn)["Rules"][0]["RuleArn"])

    @rule(group=GROUPS, key=st.sampled_from(["load_balancing.cross_zone.enabled", "stickiness.enabled"]))
    def group_attribute(self, group: str, key: str) -> None:
        arn = self.find("TargetGroup", group)
        value = "false" if "cross" in key else "true"
        self.call("ModifyTargetGroupAttributes", TargetGroupArn=arn, Attributes=[{"Key": key, "Value": value}])

    @rule(name=NAMES, seconds=st.integers(1, 3))
    def balancer_attribute(self, name: str, seconds: int) -> None:
        attribute = {"Key": "idle_timeout.timeout_seconds", "Value": str(seconds)}
        arn = self.find("LoadBalancer", name)
        self.call("ModifyLoadBalancerAttributes", LoadBalancerArn=arn, Attributes=[attribute])

    @invariant()
    def incremental_is_full(self) -> None:
        snapshot = self.cloud.store.snapshot
        assert self.engine.objects() == Engine(FRAGMENTS).full(snapshot)
        for item in self.host.values():
            if isinstance(item, EnvoyResource):
                assert [key for key in item.needs if key not in self.host] == []
        listeners = [item for item in self.host.values() if isinstance(item, EnvoyResource) and item.kind == "listener"]
        nodes = {row.arn: len(row.nodes) for row in snapshot.rows(LOAD_BALANCERS)}
        assert len(listeners) == sum(nodes[row.load_balancer] for row in snapshot.rows(LISTENERS))


TestBalancers = Balancers.TestCase
TestBalancers.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


def test_members_per_node_follow_zones_and_draining() -> None:
    machine = Balancers()
    machine.balancer("a", 0, True)
    machine.group("g", True)
    machine.listener("a", "g", 80, False)
    for address in ("172.31.0.9", "172.31.16.9", "172.31.32.9"):
        machine.target("g", address, True)
    machine.target("g", "172.31.0.9", False)

    def used() -> list[list[tuple[str, str]]]:
        bodies = [
            json.loads(item.body)
            for _key, item in sorted(machine.host.items())
            if isinstance(item, EnvoyResource) and item.kind == "endpoints"
        ]
        return [
            sorted(
                (entry["endpoint"]["address"]["socket_address"]["address"], entry["health_status"])
                for entry in body["endpoints"][0]["lb_endpoints"]
            )
            for body in bodies
        ]

    zones = {
        subnet["AvailabilityZone"]: subnet["CidrBlock"]
        for subnet in machine.cloud.ec2("DescribeSubnets", SubnetIds=machine.cloud.subnets[:2])["Subnets"]
    }
    enabled = {address for address in ("172.31.0.9", "172.31.16.9", "172.31.32.9") if _within(address, zones)}
    for listed in used():
        assert {address for address, _status in listed} == enabled
        assert dict(listed).get("172.31.0.9", "DRAINING") == "DRAINING"
    machine.group_attribute("g", "load_balancing.cross_zone.enabled")
    assert sum(len(listed) for listed in used()) == len(enabled)


def _within(address: str, zones: dict[str, str]) -> bool:
    blocks = [".".join(cidr.split(".")[:3]) for cidr in zones.values()]
    return any(address.startswith(f"{block}.") for block in blocks)
