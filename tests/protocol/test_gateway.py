"""The whole request path, driven by real boto3 clients through uvicorn."""

from __future__ import annotations

import http.client
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError
from gatewayharness import NOW, Gateway

from ecsnet.model.base import scope
from ecsnet.model.tables import GROUPS, SEEDED_ACCOUNTS


def code(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_a_write_is_stored_awaited_and_read_back(gateway: Gateway) -> None:
    ec2 = gateway.client("ec2")
    made = ec2.create_security_group(GroupName="web", Description='a < b & "c"', VpcId="vpc-1")
    assert gateway.applied == [gateway.store.snapshot.revision]
    assert len(made["ResponseMetadata"]["RequestId"]) == 36
    found = ec2.describe_security_groups()["SecurityGroups"]
    assert [group["Description"] for group in found] == ['a < b & "c"']
    assert found[0]["GroupId"] == made["GroupId"]
    assert ec2.describe_security_groups()["SecurityGroups"] == found, "the cached fragment says the same"
    ec2.delete_security_group(GroupId=made["GroupId"])
    assert ec2.describe_security_groups()["SecurityGroups"] == []


def test_a_failed_write_leaves_no_trace(gateway: Gateway) -> None:
    ec2 = gateway.client("ec2")
    ec2.create_security_group(GroupName="web", Description="d")
    revision = gateway.store.snapshot.revision
    with pytest.raises(ClientError) as error:
        ec2.create_security_group(GroupName="web", Description="d")
    assert code(error) == ("InvalidGroup.Duplicate", 400)
    assert gateway.store.snapshot.revision == revision
    assert gateway.applied == [revision]


def test_accounts_and_regions_are_apart(gateway: Gateway) -> None:
    places = [("111111111111", "us-east-1"), ("111111111111", "eu-west-1"), ("222222222222", "us-east-1")]
    for account, region in places:
        gateway.client("ec2", account=account, region=region).create_security_group(GroupName=region, Description="d")
    for account, region in places:
        found = gateway.client("ec2", account=account, region=region).describe_security_groups()["SecurityGroups"]
        assert [(group["OwnerId"], group["GroupName"]) for group in found] == [(account, region)]
    assert gateway.seeded == places, "each place is seeded once, at its first touch"


def test_the_default_account(gateway: Gateway) -> None:
    assert gateway.client("ecs").list_clusters()["clusterArns"] == ["arn:aws:ecs:eu-west-1:123456789012:cluster/web"]
    assert gateway.store.snapshot.get(SEEDED_ACCOUNTS, scope("123456789012", "eu-west-1")) is not None


def test_the_four_protocols_of_our_services(gateway: Gateway) -> None:
    arn = gateway.client("ecs").list_clusters(nextToken="zwölf")["clusterArns"][0]
    assert arn.endswith("cluster/zwölf")
    tasks = gateway.client("ecs").describe_tasks(tasks=["a", "b"])["tasks"]
    moment = datetime.fromtimestamp(NOW, UTC)
    assert [(task["taskArn"], task["createdAt"].astimezone(UTC)) for task in tasks] == [("a", moment), ("b", moment)]
    balancer = gateway.client("elbv2").describe_load_balancers()["LoadBalancers"][0]
    assert balancer["LoadBalancerName"] == "front & <back>"
    assert balancer["CreatedTime"].timestamp() == NOW + 0.25
    assert gateway.client("cloudformation").describe_stacks()["Stacks"] == []
    gateway.client("ec2").delete_vpc(VpcId="vpc-1")


def test_dry_run_tells_whether_it_would_work(gateway: Gateway) -> None:
    ec2 = gateway.client("ec2")
    with pytest.raises(ClientError) as error:
        ec2.create_security_group(GroupName="web", Description="d", DryRun=True)
    assert code(error) == ("DryRunOperation", 412)
    assert ec2.describe_security_groups()["SecurityGroups"] == []
    ec2.create_security_group(GroupName="web", Description="d", DryRun=False)
    with pytest.raises(ClientError) as error:
        ec2.create_security_group(GroupName="web", Description="d", DryRun=True)
    assert code(error) == ("InvalidGroup.Duplicate", 400)
    with pytest.raises(ClientError) as error:
        ec2.create_security_group(GroupName="other", DryRun=True)
    assert code(error) == ("MissingParameter", 400)
    with pytest.raises(ClientError) as error:
        ec2.describe_security_groups(DryRun=True)
    assert code(error) == ("DryRunOperation", 412)


def test_what_is_not_built_says_so(gateway: Gateway) -> None:
    cases = (
        lambda: gateway.client("ec2").create_vpn_gateway(Type="ipsec.1"),
        lambda: gateway.client("ecs").list_attributes(targetType="container-instance"),
        lambda: gateway.client("elbv2").describe_ssl_policies(),
    )
    for ask in cases:
        with pytest.raises(ClientError) as error:
            ask()
        assert code(error) == ("NotImplemented", 501)
        assert "ecsnet does not implement" in error.value.response["Error"]["Message"]
    assert gateway.elsewhere.asked == [], "our own services are never forwarded"


def test_unknown_operations_get_the_services_own_error(gateway: Gateway) -> None:
    ask = http.client.HTTPConnection("127.0.0.1", gateway.port)
    form = {"content-type": "application/x-www-form-urlencoded"}
    scope_of = "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=0"
    ask.request("POST", "/", "Action=Fly&Version=2016-11-15", form | {"authorization": scope_of.format("ec2")})
    reply = ask.getresponse()
    assert (reply.status, b"<Code>InvalidAction</Code>" in reply.read()) == (400, True)
    ask.request("POST", "/", "Version=2016-11-15", form | {"authorization": scope_of.format("ec2")})
    assert b"<Code>MissingAction</Code>" in ask.getresponse().read()
    headers = {"x-amz-target": "AmazonEC2ContainerServiceV20141113.Fly"}
    ask.request("POST", "/", "{}", headers)
    assert b"UnknownOperationException" in ask.getresponse().read()


def test_our_own_faults_are_internal_failures(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ClientError) as error:
        gateway.client("ec2").describe_vpcs()
    assert code(error) == ("InternalFailure", 500)
    assert "a fault of ours" in caplog.text
    assert "a fault of ours" not in str(error.value), "the caller is told where to look, not what broke inside"


def test_everything_else_is_passed_on_with_its_account(gateway: Gateway) -> None:
    s3 = gateway.client("s3", account="333333333333")
    s3.put_object(Bucket="cdk", Key="a b/ü.json", Body=b"x" * 3_000_000)
    account, method, target, _ = gateway.elsewhere.asked[-1]
    assert (account, method, target) == ("333333333333", "PUT", "/cdk/a%20b/%C3%BC.json")
    gateway.client("iam").list_roles()
    assert gateway.elsewhere.asked[-1][3].startswith(b"Action=ListRoles")
    gateway.client("elb").describe_load_balancers()
    assert b"2012-06-01" in gateway.elsewhere.asked[-1][3], "Classic Load Balancers share our signing name"


def test_a_path_that_looks_like_ours_is_never_forwarded(gateway: Gateway) -> None:
    ask = http.client.HTTPConnection("127.0.0.1", gateway.port)
    ask.request("GET", "/_ecsnet/nothing")
    assert ask.getresponse().status == 404
    assert gateway.elsewhere.asked == []


def test_our_own_pages(gateway: Gateway) -> None:
    gateway.client("ec2").create_security_group(GroupName="web", Description="d")
    ask = http.client.HTTPConnection("127.0.0.1", gateway.port)
    ask.request("GET", "/_ecsnet/reset")
    reply = ask.getresponse()
    assert (reply.status, reply.read()) == (404, b"ecsnet has no page GET /_ecsnet/reset.\n")
    ask.request("POST", "/_ecsnet/reset")
    assert ask.getresponse().read() == b"{}"
    assert list(gateway.store.snapshot.rows(GROUPS)) == []
    ask.request("GET", "/_ecsnet/view/a/b")
    assert ask.getresponse().read() == b"/_ecsnet/view/a/b"
