"""Every write of EC2, rehearsed and then done, and every listing page by page, through boto3.

Before each call the same call is made with DryRun: it must answer DryRunOperation and change nothing (EC2 API,
"DryRun").

At the end every listing that has a paginator is walked in small pages and compared with the listing in one piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError
from gatewayharness import Elsewhere, Gateway, conforming, serve

from ecsnet.daemon import SERVICES
from ecsnet.model.tables import INSTANCES, SCHEMA
from ecsnet.services import ec2 as service
from ecsnet.services.call import Call, Kind, Settings
from ecsnet.services.ec2 import ops
from ecsnet.store.store import Store, Transaction

ACCOUNT, OTHER = "300000000001", "300000000002"
MODEL = botocore.session.get_session().get_service_model("ec2")
WRITES = {operation.name for operation in service.OPERATIONS if operation.kind is Kind.WRITE}
CANNOT_WORK = {"EnableVgwRoutePropagation", "DisableVgwRoutePropagation"}
"""There are no virtual private gateways."""
PEER = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80}


class Rehearsal:
    """An account whose every call is made dry first."""

    def __init__(self, gateway: Gateway, account: str = ACCOUNT) -> None:
        self.gateway = gateway
        self.account = account
        self.client = gateway.client("ec2", account=account, region="us-east-1")
        self.methods = {operation: method for method, operation in self.client.meta.method_to_api_mapping.items()}
        self.client.describe_vpcs()  # the first touch makes what AWS gives to a new account
        self.done: set[str] = set()
        self.rehearsed: set[str] = set()

    def __call__(self, operation: str, **params: Any) -> Any:
        method = getattr(self.client, self.methods[operation])
        if "DryRun" in MODEL.operation_model(operation).input_shape.members:
            before = self.gateway.store.snapshot
            with pytest.raises(ClientError) as caught:
                method(**params, DryRun=True)
            assert caught.value.response["Error"]["Code"] == "DryRunOperation", (operation, caught.value)
            assert self.gateway.store.snapshot is before, f"{operation}: a rehearsal left a trace"
            self.rehearsed.add(operation)
        self.done.add(operation)
        return method(**params)

    def observed(self, change: Callable[[Call], object]) -> None:
        """What a controller does when the agent has seen something."""
        with self.gateway.store.transaction() as tx:
            change(self._call(tx))

    def _call(self, tx: Transaction) -> Call:
        return Call(
            tx=tx, account=self.account, region="us-east-1", now=self.gateway.now, ids=_NoIds(), settings=Settings()
        )


class _NoIds:
    def resource(self, prefix: str) -> str:
        raise AssertionError

    uuid = hex = resource


_RAISED = (
    "vpcs_per_region",
    "elastic_ips_per_region",
    "internet_gateways_per_region",
    "egress_only_internet_gateways_per_region",
    "nat_gateways_per_zone",
)


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    made = Gateway(
        store=Store(None, SCHEMA),
        elsewhere=Elsewhere(),
        services=conforming(SERVICES),
        seed=ops.seed_account,
        quotas=dict.fromkeys(_RAISED, 20),
    )
    made.port, stop = serve(made.app())
    try:
        yield made
    finally:
        stop()
        made.store.close()


def _networks(do: Rehearsal) -> tuple[str, str]:
    vpc = do("CreateVpc", CidrBlock="10.0.0.0/16", InstanceTenancy="dedicated")["Vpc"]["VpcId"]
    do("ModifyVpcTenancy", VpcId=vpc, InstanceTenancy="default")
    do("ModifyVpcAttribute", VpcId=vpc, EnableDnsHostnames={"Value": True})
    block = do("AssociateVpcCidrBlock", VpcId=vpc, CidrBlock="10.9.0.0/16")["CidrBlockAssociation"]
    do("DisassociateVpcCidrBlock", AssociationId=block["AssociationId"])
    six = do("AssociateVpcCidrBlock", VpcId=vpc, AmazonProvidedIpv6CidrBlock=True)["Ipv6CidrBlockAssociation"]
    found = do.client.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["Ipv6CidrBlockAssociationSet"][0]
    assert found["AssociationId"] == six["AssociationId"]
    subnet = do("CreateSubnet", VpcId=vpc, CidrBlock="10.0.0.0/24", AvailabilityZone="us-east-1a")["Subnet"]["SubnetId"]
    do("ModifySubnetAttribute", SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
    part = found["Ipv6CidrBlock"].replace("/56", "/64")
    association = do("AssociateSubnetCidrBlock", SubnetId=subnet, Ipv6CidrBlock=part)["Ipv6CidrBlockAssociation"]
    do("DisassociateSubnetCidrBlock", AssociationId=association["AssociationId"])
    do("AssociateSubnetCidrBlock", SubnetId=subnet, Ipv6CidrBlock=part)
    made = do("CreateSubnetCidrReservation", SubnetId=subnet, Cidr="10.0.0.240/28", ReservationType="explicit")
    reserved = made["SubnetCidrReservation"]["SubnetCidrReservationId"]
    do("DeleteSubnetCidrReservation", SubnetCidrReservationId=reserved)
    zone = do.client.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
    do("DeleteSubnet", SubnetId=zone[0]["SubnetId"])
    do("CreateDefaultSubnet", AvailabilityZone=zone[0]["AvailabilityZone"])
    options = do("CreateDhcpOptions", DhcpConfigurations=[{"Key": "domain-name", "Values": ["example.com"]}])
    key = options["DhcpOptions"]["DhcpOptionsId"]
    do("AssociateDhcpOptions", DhcpOptionsId=key, VpcId=vpc)
    do("AssociateDhcpOptions", DhcpOptionsId="default", VpcId=vpc)
    do("DeleteDhcpOptions", DhcpOptionsId=key)
    do("ModifyAvailabilityZoneGroup", GroupName="us-east-1-zg-1", OptInStatus="opted-in")
    return str(vpc), str(subnet)


def _routes(do: Rehearsal, vpc: str, subnet: str) -> None:
    gateway = do("CreateInternetGateway")["InternetGateway"]["InternetGatewayId"]
    do("AttachInternetGateway", InternetGatewayId=gateway, VpcId=vpc)
    do("DetachInternetGateway", InternetGatewayId=gateway, VpcId=vpc)
    do("DeleteInternetGateway", InternetGatewayId=gateway)
    gateway = do("CreateInternetGateway")["InternetGateway"]["InternetGatewayId"]
    do("AttachInternetGateway", InternetGatewayId=gateway, VpcId=vpc)
    eigw = do("CreateEgressOnlyInternetGateway", VpcId=vpc)["EgressOnlyInternetGateway"]
    do("DeleteEgressOnlyInternetGateway", EgressOnlyInternetGatewayId=eigw["EgressOnlyInternetGatewayId"])
    table = do("CreateRouteTable", VpcId=vpc)["RouteTable"]["RouteTableId"]
    other = do("CreateRouteTable", VpcId=vpc)["RouteTable"]["RouteTableId"]
    association = do("AssociateRouteTable", RouteTableId=table, SubnetId=subnet)["AssociationId"]
    association = do("ReplaceRouteTableAssociation", AssociationId=association, RouteTableId=other)["NewAssociationId"]
    do("DisassociateRouteTable", AssociationId=association)
    do("DeleteRouteTable", RouteTableId=other)
    route = {"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0"}
    do("CreateRoute", **route, GatewayId=gateway)
    do("ReplaceRoute", **route, GatewayId=gateway)
    do("DeleteRoute", **route)
    service_name = "com.amazonaws.us-east-1.s3"
    endpoint = do("CreateVpcEndpoint", VpcId=vpc, ServiceName=service_name)["VpcEndpoint"]["VpcEndpointId"]
    do("ModifyVpcEndpoint", VpcEndpointId=endpoint, AddRouteTableIds=[table])
    do("DeleteVpcEndpoints", VpcEndpointIds=[endpoint])
    acl = do("CreateNetworkAcl", VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    entry = {"NetworkAclId": acl, "RuleNumber": 1, "Egress": False}
    values = {"Protocol": "-1", "RuleAction": "allow", "CidrBlock": "10.0.0.0/8"}
    do("CreateNetworkAclEntry", **entry, **values)
    do("ReplaceNetworkAclEntry", **entry, **values)
    do("DeleteNetworkAclEntry", **entry)
    (row,) = do.client.describe_network_acls(Filters=[{"Name": "association.subnet-id", "Values": [subnet]}])[
        "NetworkAcls"
    ]
    association = next(one for one in row["Associations"] if one["SubnetId"] == subnet)["NetworkAclAssociationId"]
    association = do("ReplaceNetworkAclAssociation", AssociationId=association, NetworkAclId=acl)["NewAssociationId"]
    do("ReplaceNetworkAclAssociation", AssociationId=association, NetworkAclId=row["NetworkAclId"])
    do("DeleteNetworkAcl", NetworkAclId=acl)


def _groups(do: Rehearsal, vpc: str) -> None:
    group = do("CreateSecurityGroup", GroupName="web", Description="x", VpcId=vpc)["GroupId"]
    for way in ("Ingress", "Egress"):
        permission = [{**PEER, "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "a"}]}]
        made = do(f"AuthorizeSecurityGroup{way}", GroupId=group, IpPermissions=permission)["SecurityGroupRules"][0]
        do(f"UpdateSecurityGroupRuleDescriptions{way}", GroupId=group, IpPermissions=permission)
        changed = {"IpProtocol": "tcp", "FromPort": 81, "ToPort": 81, "CidrIpv4": "10.0.0.0/8"}
        rule = {"SecurityGroupRuleId": made["SecurityGroupRuleId"], "SecurityGroupRule": changed}
        do("ModifySecurityGroupRules", GroupId=group, SecurityGroupRules=[rule])
        ids = [made["SecurityGroupRuleId"]]
        do(f"RevokeSecurityGroup{way}", GroupId=group, SecurityGroupRuleIds=ids)
    far = do("CreateVpc", CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    do("AssociateSecurityGroupVpc", GroupId=group, VpcId=far)
    do.client.get_waiter("security_group_vpc_association_associated").wait()
    do("DisassociateSecurityGroupVpc", GroupId=group, VpcId=far)
    do.client.get_waiter("security_group_vpc_association_disassociated").wait()
    do("DeleteSecurityGroup", GroupId=group)
    peering = {"VpcId": vpc, "PeerVpcId": far}
    for end in ("RejectVpcPeeringConnection", "DeleteVpcPeeringConnection"):
        pcx = do("CreateVpcPeeringConnection", **peering)["VpcPeeringConnection"]["VpcPeeringConnectionId"]
        if end == "DeleteVpcPeeringConnection":
            do("AcceptVpcPeeringConnection", VpcPeeringConnectionId=pcx)
            do("ModifyVpcPeeringConnectionOptions", VpcPeeringConnectionId=pcx,
               RequesterPeeringConnectionOptions={"AllowDnsResolutionFromRemoteVpc": False})  # fmt: skip
        do(end, VpcPeeringConnectionId=pcx)
    do("DeleteVpc", VpcId=far)


def _lists(do: Rehearsal, vpc: str) -> None:
    entry = [{"Cidr": "10.0.0.0/8"}]
    made = do("CreateManagedPrefixList", PrefixListName="l", MaxEntries=9, AddressFamily="IPv4", Entries=entry)
    key = made["PrefixList"]["PrefixListId"]
    do("ModifyManagedPrefixList", PrefixListId=key, CurrentVersion=1, AddEntries=[{"Cidr": "192.0.2.0/24"}])
    do("RestoreManagedPrefixListVersion", PrefixListId=key, PreviousVersion=1, CurrentVersion=2)
    do("DeleteManagedPrefixList", PrefixListId=key)
    flow_log = {"ResourceType": "VPC", "TrafficType": "ALL", "LogDestinationType": "local-file"}
    made = do("CreateFlowLogs", ResourceIds=[vpc], **flow_log)
    do("DeleteFlowLogs", FlowLogIds=made["FlowLogIds"])
    do("CreateTags", Resources=[vpc], Tags=[{"Key": "a", "Value": "b"}])
    do("DeleteTags", Resources=[vpc], Tags=[{"Key": "a"}])
    data = {"ImageId": "ami-12345678", "InstanceType": "t3.micro"}
    do("CreateLaunchTemplate", LaunchTemplateName="t", LaunchTemplateData=data)
    do("CreateLaunchTemplateVersion", LaunchTemplateName="t", LaunchTemplateData=data)
    do("ModifyLaunchTemplate", LaunchTemplateName="t", DefaultVersion="2")
    do("DeleteLaunchTemplate", LaunchTemplateName="t")


def _interfaces(do: Rehearsal, subnet: str) -> None:
    eni = do("CreateNetworkInterface", SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    do("ModifyNetworkInterfaceAttribute", NetworkInterfaceId=eni, SourceDestCheck={"Value": False})
    do("ResetNetworkInterfaceAttribute", NetworkInterfaceId=eni, SourceDestCheck="true")
    made = do("AssignPrivateIpAddresses", NetworkInterfaceId=eni, SecondaryPrivateIpAddressCount=1)
    address = made["AssignedPrivateIpAddresses"][0]["PrivateIpAddress"]
    do("UnassignPrivateIpAddresses", NetworkInterfaceId=eni, PrivateIpAddresses=[address])
    six = do("AssignIpv6Addresses", NetworkInterfaceId=eni, Ipv6AddressCount=1)["AssignedIpv6Addresses"]
    do("UnassignIpv6Addresses", NetworkInterfaceId=eni, Ipv6Addresses=six)
    made = do("CreateNetworkInterfacePermission", NetworkInterfaceId=eni, AwsAccountId=OTHER,
              Permission="INSTANCE-ATTACH")  # fmt: skip
    permission = made["InterfacePermission"]["NetworkInterfacePermissionId"]
    do("DeleteNetworkInterfacePermission", NetworkInterfacePermissionId=permission)
    eip = do("AllocateAddress")["AllocationId"]
    do("ModifyAddressAttribute", AllocationId=eip, DomainName="mail.example.com")
    do("ResetAddressAttribute", AllocationId=eip, Attribute="domain-name")
    association = do("AssociateAddress", AllocationId=eip, NetworkInterfaceId=eni)["AssociationId"]
    do("DisassociateAddress", AssociationId=association)
    do("EnableAddressTransfer", AllocationId=eip, TransferAccountId=OTHER)
    do("DisableAddressTransfer", AllocationId=eip)
    given = do("EnableAddressTransfer", AllocationId=eip, TransferAccountId=OTHER)["AddressTransfer"]
    other = Rehearsal(do.gateway, OTHER)
    other("AcceptAddressTransfer", Address=given["PublicIp"])
    other("ReleaseAddress", AllocationId=eip)
    do.done |= other.done
    do.rehearsed |= other.rehearsed

    launch = {"ImageId": "ami-12345678", "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
    instance = do("RunInstances", **launch, SubnetId=subnet)["Instances"][0]["InstanceId"]

    def seen(move: Callable[[Call, Any], object]) -> None:
        do.observed(lambda call: move(call, call.tx.get(INSTANCES, instance)))

    seen(ops.make_running)
    do.client.get_waiter("instance_running").wait(InstanceIds=[instance])
    attach = {"NetworkInterfaceId": eni, "InstanceId": instance, "DeviceIndex": 1}
    attachment = do("AttachNetworkInterface", **attach)["AttachmentId"]
    do("DetachNetworkInterface", AttachmentId=attachment)
    do("DeleteNetworkInterface", NetworkInterfaceId=eni)
    do("ModifyInstanceAttribute", InstanceId=instance, SourceDestCheck={"Value": False})
    do("ModifyInstanceMetadataOptions", InstanceId=instance, HttpTokens="required")
    do("RebootInstances", InstanceIds=[instance])
    do("StopInstances", InstanceIds=[instance])
    seen(ops.finish_stop)
    do.client.get_waiter("instance_stopped").wait(InstanceIds=[instance])
    do("StartInstances", InstanceIds=[instance])
    do("TerminateInstances", InstanceIds=[instance])
    seen(ops.finish_terminate)
    do.client.get_waiter("instance_terminated").wait(InstanceIds=[instance])


def _nat_gateways(do: Rehearsal, subnet: str) -> None:
    made = do("CreateNatGateway", SubnetId=subnet, ConnectivityType="private")["NatGateway"]["NatGatewayId"]
    do.observed(lambda call: ops.make_nat_available(call, made))
    do.client.get_waiter("nat_gateway_available").wait(NatGatewayIds=[made])
    given = do("AssignPrivateNatGatewayAddress", NatGatewayId=made, PrivateIpAddressCount=1)
    address = given["NatGatewayAddresses"][-1]["PrivateIp"]
    do("UnassignPrivateNatGatewayAddress", NatGatewayId=made, PrivateIpAddresses=[address])
    public, second = (do("AllocateAddress")["AllocationId"] for _ in range(2))
    other = do("CreateNatGateway", SubnetId=subnet, AllocationId=public)["NatGateway"]["NatGatewayId"]
    do.observed(lambda call: ops.make_nat_available(call, other))
    bound = do("AssociateNatGatewayAddress", NatGatewayId=other, AllocationIds=[second])["NatGatewayAddresses"]
    association = next(one["AssociationId"] for one in bound if one.get("AllocationId") == second)
    do("DisassociateNatGatewayAddress", NatGatewayId=other, AssociationIds=[association])
    for key in (made, other):
        do("DeleteNatGateway", NatGatewayId=key)
        do.observed(lambda call, key=key: ops.finish_nat_delete(call, key))
    do.client.get_waiter("nat_gateway_deleted").wait(NatGatewayIds=[made, other])


def test_every_write_is_rehearsed_without_a_trace_and_then_works(gateway: Gateway) -> None:
    do = Rehearsal(gateway)
    vpc, subnet = _networks(do)
    _routes(do, vpc, subnet)
    _groups(do, vpc)
    _lists(do, vpc)
    _interfaces(do, subnet)
    _nat_gateways(do, subnet)
    for one in do.client.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]:
        _empty(do.client, one["VpcId"])
        do("DeleteVpc", VpcId=one["VpcId"])
    do("CreateDefaultVpc")
    assert WRITES - do.done == CANNOT_WORK
    without = {name for name in WRITES if "DryRun" not in MODEL.operation_model(name).input_shape.members}
    assert do.rehearsed == WRITES - CANNOT_WORK - without


def _empty(client: Any, vpc: str) -> None:
    of_vpc = [{"Name": "vpc-id", "Values": [vpc]}]
    for subnet in client.describe_subnets(Filters=of_vpc)["Subnets"]:
        client.delete_subnet(SubnetId=subnet["SubnetId"])
    attached = [{"Name": "attachment.vpc-id", "Values": [vpc]}]
    for gateway in client.describe_internet_gateways(Filters=attached)["InternetGateways"]:
        client.detach_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"], VpcId=vpc)


# ── pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────

PAGED_ACCOUNT = "300000000003"
COUNT = 7
"""How many there are of what is listed: two pages of five."""


@pytest.fixture(scope="module")
def paged(gateway: Gateway) -> tuple[Any, dict[str, dict[str, Any]]]:
    """A client of an account with seven of everything, and what the listings that need it are asked."""
    client = gateway.client("ec2", account=PAGED_ACCOUNT, region="us-east-1")
    vpc = client.create_vpc(CidrBlock="10.0.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]["VpcId"]
    gateways = [client.create_internet_gateway()["InternetGateway"]["InternetGatewayId"] for _ in range(COUNT)]
    client.attach_internet_gateway(InternetGatewayId=gateways[0], VpcId=vpc)
    subnet = client.create_subnet(VpcId=vpc, CidrBlock="10.0.250.0/24")["Subnet"]["SubnetId"]
    data = {"ImageId": "ami-12345678", "InstanceType": "t3.micro"}
    offices = client.create_managed_prefix_list(
        PrefixListName="offices", MaxEntries=20, AddressFamily="IPv4",
        Entries=[{"Cidr": f"192.0.2.{number}/32"} for number in range(COUNT)],
    )["PrefixList"]["PrefixListId"]  # fmt: skip
    client.create_launch_template(LaunchTemplateName="base", LaunchTemplateData=data)
    for number in range(COUNT):
        client.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24")
        peer = client.create_vpc(CidrBlock=f"10.{10 + number}.0.0/16")["Vpc"]["VpcId"]
        pcx = client.create_vpc_peering_connection(VpcId=vpc, PeerVpcId=peer)["VpcPeeringConnection"]
        client.accept_vpc_peering_connection(VpcPeeringConnectionId=pcx["VpcPeeringConnectionId"])
        far = client.create_security_group(GroupName="far", Description="x", VpcId=peer)["GroupId"]
        group = client.create_security_group(GroupName=f"g{number}", Description="x", VpcId=vpc)["GroupId"]
        client.authorize_security_group_ingress(
            GroupId=group,
            IpPermissions=[
                {**PEER, "UserIdGroupPairs": [{"GroupId": far}], "PrefixListIds": [{"PrefixListId": offices}]}
            ],
        )
        client.delete_vpc_peering_connection(VpcPeeringConnectionId=pcx["VpcPeeringConnectionId"])
        client.associate_security_group_vpc(GroupId=group, VpcId=peer)
        client.create_egress_only_internet_gateway(VpcId=peer)
        client.create_route_table(VpcId=vpc)
        client.create_network_acl(VpcId=vpc)
        client.create_dhcp_options(DhcpConfigurations=[{"Key": "domain-name", "Values": [f"e{number}.com"]}])
        client.create_nat_gateway(SubnetId=subnet, ConnectivityType="private")
        eni = client.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
        client.create_network_interface_permission(
            NetworkInterfaceId=eni, AwsAccountId=OTHER, Permission="EIP-ASSOCIATE"
        )
        eip = client.allocate_address()["AllocationId"]
        client.enable_address_transfer(AllocationId=eip, TransferAccountId=OTHER)
        client.create_managed_prefix_list(PrefixListName=f"l{number}", MaxEntries=1, AddressFamily="IPv4")
        flow_log = {"ResourceType": "VPC", "TrafficType": "ALL", "LogDestinationType": "local-file"}
        client.create_flow_logs(ResourceIds=[peer], **flow_log)
        client.run_instances(**data, MinCount=1, MaxCount=1, SubnetId=subnet)
        client.create_launch_template(LaunchTemplateName=f"t{number}", LaunchTemplateData=data)
        client.create_launch_template_version(LaunchTemplateName="base", LaunchTemplateData=data)
        client.create_tags(Resources=[peer], Tags=[{"Key": "Name", "Value": str(number)}])
        client.create_vpc_endpoint(VpcId=peer, ServiceName="com.amazonaws.us-east-1.s3")
    return client, {
        "GetManagedPrefixListEntries": {"PrefixListId": offices},
        "GetManagedPrefixListAssociations": {"PrefixListId": offices},
        "DescribeStaleSecurityGroups": {"VpcId": vpc},
        "GetSecurityGroupsForVpc": {"VpcId": vpc},
        "DescribeLaunchTemplateVersions": {"LaunchTemplateName": "base"},
        "DescribeInstanceStatus": {"IncludeAllInstances": True},
    }


def _paged_operations() -> Iterator[str]:
    pages = botocore.session.get_session().get_paginator_model("ec2")
    for operation in service.OPERATIONS:
        if operation.kind is Kind.READ:
            try:
                pages.get_paginator(operation.name)
            except ValueError:
                continue
            yield operation.name


FEW = {
    "DescribeClassicLinkInstances",
    "DescribeImages",
    "DescribeMovingAddresses",
    "DescribePrefixLists",
    "DescribeTransitGateways",
    "DescribeVpcEndpointServices",
}
"""Listings of which there are not enough for two pages, whatever an account does."""


@pytest.mark.parametrize("operation", list(_paged_operations()))
def test_pages_hold_what_the_listing_holds(paged: tuple[Any, dict[str, dict[str, Any]]], operation: str) -> None:
    client, asked = paged
    method = next(name for name, api in client.meta.method_to_api_mapping.items() if api == operation)
    params = asked.get(operation, {})
    paginator = client.get_paginator(method)
    keys = [expression.expression for expression in paginator.result_keys]
    whole = getattr(client, method)(**params)
    pages = list(paginator.paginate(**params, PaginationConfig={"PageSize": 5}))
    for key in keys:
        assert [item for page in pages for item in page.get(key, [])] == whole.get(key, [])
    assert all(len(page.get(key, [])) <= 5 for page in pages for key in keys)
    assert len(pages) > 1 or operation in FEW
