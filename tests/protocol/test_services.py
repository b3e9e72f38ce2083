"""Our real services through the whole gateway with boto3: paginators, tokens, dry runs, defaults and error codes.

No data plane runs here: `applied` returns at once, so nothing that has to be observed ever becomes true.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from gatewayharness import Elsewhere, Gateway, conforming, serve

from ecsnet.daemon import SERVICES
from ecsnet.model.tables import SCHEMA
from ecsnet.services.ec2.ops import seed_account
from ecsnet.store.store import Store


@pytest.fixture(scope="module")
def real() -> Iterator[Gateway]:
    made = Gateway(store=Store(None, SCHEMA), elsewhere=Elsewhere(), services=conforming(SERVICES), seed=seed_account)
    made.port, stop = serve(made.app())
    try:
        yield made
    finally:
        stop()
        made.store.close()


def refused(call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**params)
    return str(error.value.response["Error"]["Code"])


def test_a_new_account_has_its_default_vpc_in_every_region(real: Gateway) -> None:
    for region in ("us-east-1", "eu-west-1"):
        ec2 = real.client("ec2", account="100000000001", region=region)
        vpcs = ec2.describe_vpcs()["Vpcs"]
        assert [(vpc["CidrBlock"], vpc["IsDefault"]) for vpc in vpcs] == [("172.31.0.0/16", True)]
        zones = ec2.describe_availability_zones()["AvailabilityZones"]
        subnets = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
        assert sorted(subnet["AvailabilityZone"] for subnet in subnets) == sorted(zone["ZoneName"] for zone in zones)


def test_a_network_is_made_listed_page_by_page_and_deleted(real: Gateway) -> None:
    ec2 = real.client("ec2", account="100000000002")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    made = {ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24")["Subnet"]["SubnetId"] for number in range(12)}
    pages = ec2.get_paginator("describe_subnets").paginate(
        Filters=[{"Name": "vpc-id", "Values": [vpc]}], PaginationConfig={"PageSize": 5}
    )
    sizes, seen = [], []
    for page in pages:
        sizes.append(len(page["Subnets"]))
        seen += [subnet["SubnetId"] for subnet in page["Subnets"]]
    assert sizes == [5, 5, 2]
    assert (set(seen), len(seen)) == (made, 12)
    assert refused(ec2.delete_vpc, VpcId=vpc) == "DependencyViolation"
    for subnet in made:
        ec2.delete_subnet(SubnetId=subnet)
    assert refused(ec2.delete_vpc, VpcId=vpc, DryRun=True) == "DryRunOperation"
    ec2.get_waiter("vpc_available").wait(VpcIds=[vpc])
    ec2.delete_vpc(VpcId=vpc)
    assert refused(ec2.describe_vpcs, VpcIds=[vpc]) == "InvalidVpcID.NotFound"
    assert refused(ec2.create_vpc, CidrBlock="10.0.0.0/99") == "InvalidParameterValue"


def test_rules_of_a_group(real: Gateway) -> None:
    ec2 = real.client("ec2", account="100000000003")
    group = ec2.create_security_group(GroupName="web", Description="the web")["GroupId"]
    permission = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    rules = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])["SecurityGroupRules"]
    assert [rule["CidrIpv4"] for rule in rules] == ["10.0.0.0/8"]
    found = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    assert found["IpPermissions"][0]["IpRanges"] == [{"CidrIp": "10.0.0.0/8"}]
    code = refused(ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[permission])
    assert code == "InvalidPermission.Duplicate"
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[permission])
    assert ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"] == []


def test_ecs_and_load_balancing(real: Gateway) -> None:
    ecs = real.client("ecs", account="100000000004")
    cluster = ecs.create_cluster(clusterName="web", tags=[{"key": "team", "value": "a"}])["cluster"]
    assert cluster["status"] == "ACTIVE"
    definition = ecs.register_task_definition(
        family="web",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "web", "image": "nginx", "portMappings": [{"containerPort": 80}]}],
    )["taskDefinition"]
    assert definition["taskDefinitionArn"].endswith(":task-definition/web:1")
    assert ecs.describe_clusters(clusters=["web", "none"])["failures"][0]["reason"] == "MISSING"
    assert ecs.list_tasks(cluster="web")["taskArns"] == []

    ec2 = real.client("ec2", account="100000000004")
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]]
    elbv2 = real.client("elbv2", account="100000000004")
    balancer = elbv2.create_load_balancer(Name="front", Subnets=subnets[:2])["LoadBalancers"][0]
    assert balancer["State"]["Code"] == "provisioning", "nothing has seen it yet"
    assert refused(elbv2.describe_load_balancers, Names=["none"]) == "LoadBalancerNotFound"

    network = {"awsvpcConfiguration": {"subnets": subnets[:1]}}
    task = ecs.run_task(cluster="web", taskDefinition="web", launchType="FARGATE", networkConfiguration=network)
    assert task["tasks"][0]["lastStatus"] in ("PROVISIONING", "PENDING"), "nothing has seen it running"
    described = ecs.describe_tasks(cluster="web", tasks=[task["tasks"][0]["taskArn"]], include=["TAGS"])["tasks"][0]
    assert described["taskArn"] == task["tasks"][0]["taskArn"]


def test_stacks(real: Gateway) -> None:
    stacks = real.client("cloudformation", account="100000000005")
    assert refused(stacks.describe_stacks, StackName="none") == "ValidationError"
    assert refused(stacks.create_stack, StackName="bad", TemplateBody="not: [a template") == "ValidationError"
    assert stacks.list_exports()["Exports"] == []
