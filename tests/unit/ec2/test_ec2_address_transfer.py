"""Elastic IPs between accounts, their reverse names, and what other accounts may do with an interface."""

from __future__ import annotations

import pytest
from ec2_account import Ec2

OTHER = "444455556666"
DAY = 86_400.0


def test_an_address_is_handed_over(bare: Ec2) -> None:
    theirs = bare.other(account=OTHER)
    eip = bare("AllocateAddress", TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": [{"Key": "a"}]}])
    key, address = eip["AllocationId"], eip["PublicIp"]
    missing = ("InvalidAddress.NotFound", f"Address '{address}' not found.")
    assert theirs.error("AcceptAddressTransfer", Address=address) == missing
    for wrong in ("123", bare.account, "44445555666x"):
        code, _ = bare.error("EnableAddressTransfer", AllocationId=key, TransferAccountId=wrong)
        assert code == "InvalidParameterValue"
    offer = bare("EnableAddressTransfer", AllocationId=key, TransferAccountId=OTHER)["AddressTransfer"]
    assert offer["AddressTransferStatus"] == "pending"
    assert offer["TransferOfferExpirationTimestamp"] == bare.now + 7 * DAY
    assert bare.other(account="777788889999").error("AcceptAddressTransfer", Address=address) == missing
    assert theirs.other(region="eu-west-1").error("AcceptAddressTransfer", Address=address) == missing

    taken = theirs("AcceptAddressTransfer", Address=address)["AddressTransfer"]
    assert (taken["AddressTransferStatus"], taken["AllocationId"]) == ("accepted", key)
    (row,) = theirs("DescribeAddresses")["Addresses"]
    assert (row["PublicIp"], row["AllocationId"], row["Tags"]) == (address, key, [])
    assert bare("DescribeAddresses")["Addresses"] == []
    assert theirs("DescribeAddressTransfers")["AddressTransfers"] == []
    (seen,) = bare("DescribeAddressTransfers", AllocationIds=[key])["AddressTransfers"]
    assert seen["TransferOfferAcceptedTimestamp"] == bare.now
    assert bare.other(now=bare.now + 14 * DAY)("DescribeAddressTransfers")["AddressTransfers"] == []
    theirs("ReleaseAddress", AllocationId=key)


def test_an_offer_ends(bare: Ec2) -> None:
    theirs = bare.other(account=OTHER)
    eip = bare("AllocateAddress")
    key, address = eip["AllocationId"], eip["PublicIp"]
    request = {"AllocationId": key, "TransferAccountId": OTHER}
    bare("EnableAddressTransfer", **request)
    done = bare("DisableAddressTransfer", AllocationId=key)["AddressTransfer"]
    assert done["AddressTransferStatus"] == "disabled"
    assert bare.error("DisableAddressTransfer", AllocationId=key)[0] == "InvalidParameterValue"
    assert theirs.error("AcceptAddressTransfer", Address=address)[0] == "InvalidAddress.NotFound"
    bare("EnableAddressTransfer", **request)
    late = theirs.other(now=bare.now + 7 * DAY)
    assert late.error("AcceptAddressTransfer", Address=address)[0] == "InvalidAddress.NotFound"
    assert bare.other(now=late.now)("DescribeAddressTransfers")["AddressTransfers"] == []
    bare("ReleaseAddress", AllocationId=key)
    assert bare("DescribeAddressTransfers")["AddressTransfers"] == []


def test_what_stands_in_the_way_of_a_transfer(ec2: Ec2) -> None:
    theirs = ec2.other(account=OTHER, quotas={"elastic_ips_per_region": 1})
    eni = ec2.interface(ec2("DescribeSubnets")["Subnets"][0]["SubnetId"])["NetworkInterfaceId"]
    eip = ec2("AllocateAddress")
    key = eip["AllocationId"]
    ec2("EnableAddressTransfer", AllocationId=key, TransferAccountId=OTHER)
    association = ec2("AssociateAddress", AllocationId=key, NetworkInterfaceId=eni)["AssociationId"]
    code, _ = theirs.error("AcceptAddressTransfer", Address=eip["PublicIp"])
    assert code == "InvalidTransfer.AddressAssociated"
    ec2("DisassociateAddress", AssociationId=association)
    ec2("ModifyAddressAttribute", AllocationId=key, DomainName="mail.example.com")
    code, _ = theirs.error("AcceptAddressTransfer", Address=eip["PublicIp"])
    assert code == "InvalidTransfer.AddressCustomPtrSet"
    ec2("ResetAddressAttribute", AllocationId=key, Attribute="domain-name")
    theirs("AllocateAddress")
    assert theirs.error("AcceptAddressTransfer", Address=eip["PublicIp"])[0] == "AddressLimitExceeded"


def test_reverse_names(bare: Ec2) -> None:
    one, other = (bare("AllocateAddress")["AllocationId"] for _ in range(2))
    made = bare("ModifyAddressAttribute", AllocationId=one, DomainName="Mail.Example.com")["Address"]
    assert made["PtrRecord"] == "mail.example.com."
    rows = {row["AllocationId"]: row.get("PtrRecord") for row in bare("DescribeAddressesAttribute")["Addresses"]}
    assert rows == {one: "mail.example.com.", other: None}
    assert bare.error("ReleaseAddress", AllocationId=one)[0] == "InvalidAddress.Locked"
    assert "PtrRecord" not in bare("ResetAddressAttribute", AllocationId=one, Attribute="domain-name")["Address"]
    bare("ReleaseAddress", AllocationId=one)
    assert bare.error("ModifyAddressAttribute", AllocationId=other)[0] == "MissingParameter"


@pytest.mark.parametrize(
    "name", ["localhost", "a..b", "-a.example.com", "a b.example.com", "ü.example.com", "x." * 130]
)
def test_no_host_name(bare: Ec2, name: str) -> None:
    key = bare("AllocateAddress")["AllocationId"]
    assert bare.error("ModifyAddressAttribute", AllocationId=key, DomainName=name)[0] == "InvalidParameterValue"


def test_permissions_of_interfaces(ec2: Ec2) -> None:
    theirs = ec2.other(account=OTHER)
    eni = ec2.interface(ec2("DescribeSubnets")["Subnets"][0]["SubnetId"])["NetworkInterfaceId"]
    eip = theirs("AllocateAddress")["AllocationId"]
    bind = {"AllocationId": eip, "NetworkInterfaceId": eni}
    assert theirs.error("AssociateAddress", **bind)[0] == "InvalidNetworkInterfaceID.NotFound"
    grant = {"NetworkInterfaceId": eni, "AwsAccountId": OTHER, "Permission": "EIP-ASSOCIATE"}
    made = [ec2("CreateNetworkInterfacePermission", **grant)["InterfacePermission"] for _ in range(2)]
    assert made[0] == made[1]
    key = made[0]["NetworkInterfacePermissionId"]
    association = theirs("AssociateAddress", **bind)["AssociationId"]
    assert ec2("DescribeNetworkInterfaces")["NetworkInterfaces"][0]["Association"]["IpOwnerId"] == OTHER
    in_use = ec2.error("DeleteNetworkInterfacePermission", NetworkInterfacePermissionId=key)
    assert in_use[0] == "OperationNotPermitted"
    theirs("DisassociateAddress", AssociationId=association)
    ec2("DeleteNetworkInterfacePermission", NetworkInterfacePermissionId=key)
    assert theirs.error("AssociateAddress", **bind)[0] == "InvalidNetworkInterfaceID.NotFound"


def test_attaching_to_an_instance_of_another_account_is_not_built(ec2: Ec2) -> None:
    theirs = ec2.other(account=OTHER)
    eni = ec2.interface(ec2("DescribeSubnets")["Subnets"][0]["SubnetId"])["NetworkInterfaceId"]
    attach = {"NetworkInterfaceId": eni, "InstanceId": "i-12345678", "DeviceIndex": 1}
    assert theirs.error("AttachNetworkInterface", **attach)[0] == "InvalidNetworkInterfaceID.NotFound"
    grant = {"NetworkInterfaceId": eni, "AwsAccountId": OTHER, "Permission": "INSTANCE-ATTACH"}
    ec2("CreateNetworkInterfacePermission", **grant)
    assert theirs.error("AttachNetworkInterface", **attach)[0] == "NotImplemented"
    ec2("DeleteNetworkInterface", NetworkInterfaceId=eni)
    assert ec2("DescribeNetworkInterfacePermissions")["NetworkInterfacePermissions"] == []


def test_small_changes(ec2: Ec2) -> None:
    vpc = ec2.vpc(InstanceTenancy="dedicated")
    assert ec2("ModifyVpcTenancy", VpcId=vpc, InstanceTenancy="default")["ReturnValue"] is True
    assert ec2("DescribeVpcs", VpcIds=[vpc])["Vpcs"][0]["InstanceTenancy"] == "default"
    assert ec2.error("ModifyVpcTenancy", VpcId=vpc, InstanceTenancy="dedicated")[0] == "InvalidParameterValue"
    eni = ec2.interface(ec2.subnet(vpc))["NetworkInterfaceId"]
    ec2("ModifyNetworkInterfaceAttribute", NetworkInterfaceId=eni, SourceDestCheck={"Value": False})
    ec2("ResetNetworkInterfaceAttribute", NetworkInterfaceId=eni, SourceDestCheck="true")
    assert ec2("DescribeNetworkInterfaces", NetworkInterfaceIds=[eni])["NetworkInterfaces"][0]["SourceDestCheck"]
    zones = {"GroupName": "us-east-1-zg-1"}
    assert ec2("ModifyAvailabilityZoneGroup", **zones, OptInStatus="opted-in")["Return"] is True
    assert ec2.error("ModifyAvailabilityZoneGroup", **zones, OptInStatus="not-opted-in")[0] == "InvalidParameterValue"
    assert ec2.error("ModifyAvailabilityZoneGroup", GroupName="x", OptInStatus="opted-in")[0] == "InvalidParameterValue"
    assert ec2("DescribeMovingAddresses") == {"MovingAddressStatuses": []}
    table = ec2("DescribeRouteTables")["RouteTables"][0]["RouteTableId"]
    for operation in ("EnableVgwRoutePropagation", "DisableVgwRoutePropagation"):
        assert ec2.error(operation, RouteTableId=table, GatewayId="vgw-1a2b3c4d") == (
            "InvalidVpnGatewayID.NotFound",
            "The vpnGateway ID 'vgw-1a2b3c4d' does not exist",
        )
