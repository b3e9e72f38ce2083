"""What the load balancing tests start from: a cloud with a load balancer, a target group and ways to fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ecs_harness import Cloud
from ecsnet.services.call import AwsError


@dataclass
class Elb(Cloud):
    """A cloud, driven by the load balancing API."""

    def fails(self, operation: str, **request: Any) -> str:
        """ "Code: message" of a call that must fail and leave no trace."""
        before = self.store.snapshot
        try:
            self.elbv2(operation, **request)
        except AwsError as error:
            assert self.store.snapshot is before
            return f"{error.code}: {error.message}"
        raise AssertionError(f"{operation} did not fail")

    @property
    def vpc(self) -> str:
        return str(self.ec2("DescribeVpcs")["Vpcs"][0]["VpcId"])

    def balancer(self, name: str = "shop", **more: Any) -> Any:
        return self.elbv2("CreateLoadBalancer", **{"Name": name, "Subnets": self.subnets[:2]} | more)["LoadBalancers"][
            0
        ]

    def group(self, name: str = "web", **more: Any) -> str:
        request = {"Name": name, "Protocol": "HTTP", "Port": 80, "VpcId": self.vpc, "TargetType": "ip"} | more
        return str(self.elbv2("CreateTargetGroup", **request)["TargetGroups"][0]["TargetGroupArn"])

    def listener(self, balancer: str, group: str, port: int = 80) -> str:
        action = {"Type": "forward", "TargetGroupArn": group}
        request = {"LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": port, "DefaultActions": [action]}
        return str(self.elbv2("CreateListener", **request)["Listeners"][0]["ListenerArn"])

    def health(self, group: str, **more: Any) -> list[tuple[str, str, str | None]]:
        """(id:port, state, reason) of every target."""
        listed = self.elbv2("DescribeTargetHealth", TargetGroupArn=group, **more)["TargetHealthDescriptions"]
        return [
            (f"{t['Target']['Id']}:{t['Target']['Port']}", t["TargetHealth"]["State"], t["TargetHealth"].get("Reason"))
            for t in listed
        ]


FIXED = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}
