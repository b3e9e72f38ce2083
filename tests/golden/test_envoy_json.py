"""The Envoy resources of one load balancer as text, reviewed by people."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ecs_harness import Cloud
from ecsnet.compile.engine import Engine
from ecsnet.compile.fragments import FRAGMENTS
from ecsnet.fabric.kernel.plan import Planner
from ecsnet.hostplan.balancer import EnvoyResource
from spread_ids import SpreadIds

GOLDEN = Path(__file__).parent / "balancer.envoy.json"


def test_resources_of_a_balancer_with_one_of_everything() -> None:
    cloud = Cloud(ids=SpreadIds())
    vpc = cloud.ec2("DescribeVpcs")["Vpcs"][0]["VpcId"]
    balancer = cloud.elbv2("CreateLoadBalancer", Name="shop", Subnets=cloud.subnets[:2])["LoadBalancers"][0]
    groups = [
        cloud.elbv2("CreateTargetGroup", Name=name, Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip")[
            "TargetGroups"
        ][0]["TargetGroupArn"]
        for name in ("web", "api")
    ]
    cloud.elbv2("RegisterTargets", TargetGroupArn=groups[0], Targets=[{"Id": "172.31.0.9"}, {"Id": "172.31.0.10"}])
    listener = cloud.elbv2(
        "CreateListener",
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": groups[0]}],
    )["Listeners"][0]["ListenerArn"]
    weighted = {"TargetGroups": [{"TargetGroupArn": arn, "Weight": 10} for arn in groups]}
    redirect = {"StatusCode": "HTTP_301", "Protocol": "HTTPS", "Port": "443"}
    fixed = {"StatusCode": "404", "ContentType": "text/plain", "MessageBody": "no such thing"}
    everything = [
        {"Field": "path-pattern", "Values": ["/api/*"]},
        {"Field": "host-header", "Values": ["*.shop.test"]},
        {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Beta", "Values": ["y?s"]}},
        {"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}},
        {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v", "Value": "1*"}]}},
    ]
    for priority, (conditions, action) in enumerate(
        (
            (everything, {"Type": "forward", "ForwardConfig": weighted}),
            ([{"Field": "path-pattern", "Values": ["/old"]}], {"Type": "redirect", "RedirectConfig": redirect}),
            (
                [{"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["PUT", "POST"]}}],
                {"Type": "fixed-response", "FixedResponseConfig": fixed},
            ),
        ),
        start=1,
    ):
        cloud.elbv2("CreateRule", ListenerArn=listener, Priority=priority, Conditions=conditions, Actions=[action])
    planner = Planner()
    planner.apply(Engine(FRAGMENTS).start(cloud.store.snapshot))
    resources = sorted((item for item in planner.all() if isinstance(item, EnvoyResource)), key=lambda item: item.key)
    # One node is enough to read: the other differs in its address and its interface only.
    half = [item for item in resources if item.name.endswith(resources[0].name.rpartition("-")[2])]
    assert len(half) * 2 == len(resources)
    shown = {item.key: {"after": list(item.after), "body": json.loads(item.body)} for item in half}
    text = json.dumps(shown, indent=1, sort_keys=True) + "\n"
    if os.environ.get("ECSNET_UPDATE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text(), "differs; if that is wanted, run with ECSNET_UPDATE_GOLDEN=1 and review"
