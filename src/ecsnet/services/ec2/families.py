"""The resource families of EC2 networking, one value each."""

from __future__ import annotations

from typing import Any

from ecsnet.model import tables
from ecsnet.services.ec2.family import Family
from ecsnet.services.ec2.vpc_peerings import PeeringFamily

VPC = Family(
    noun="vpc",
    prefix="vpc",
    table=tables.VPCS,
    scope=tables.VPCS_BY_SCOPE,
    missing="InvalidVpcID.NotFound",
    missing_text="The vpc ID '{id}' does not exist",
    malformed="InvalidVpcID.Malformed",
)
SUBNET = Family(
    noun="subnet",
    prefix="subnet",
    table=tables.SUBNETS,
    scope=tables.SUBNETS_BY_SCOPE,
    missing="InvalidSubnetID.NotFound",
    missing_text="The subnet ID '{id}' does not exist",
    malformed="InvalidSubnetID.Malformed",
)
INTERNET_GATEWAY = Family(
    noun="internet-gateway",
    prefix="igw",
    table=tables.INTERNET_GATEWAYS,
    scope=tables.INTERNET_GATEWAYS_BY_SCOPE,
    missing="InvalidInternetGatewayID.NotFound",
    missing_text="The internetGateway ID '{id}' does not exist",
    malformed="InvalidInternetGatewayId.Malformed",
)
EGRESS_ONLY_GATEWAY = Family(
    noun="egress-only-internet-gateway",
    prefix="eigw",
    table=tables.EGRESS_ONLY_GATEWAYS,
    scope=tables.EGRESS_ONLY_GATEWAYS_BY_SCOPE,
    missing="InvalidGatewayID.NotFound",
    missing_text="The eigw ID '{id}' does not exist",
    malformed="InvalidEgressOnlyInternetGatewayId.Malformed",
)
ROUTE_TABLE = Family(
    noun="route-table",
    prefix="rtb",
    table=tables.ROUTE_TABLES,
    scope=tables.ROUTE_TABLES_BY_SCOPE,
    missing="InvalidRouteTableID.NotFound",
    missing_text="The routeTable ID '{id}' does not exist",
    malformed="InvalidRouteTableId.Malformed",
)
NAT_GATEWAY = Family(
    noun="natgateway",
    prefix="nat",
    table=tables.NAT_GATEWAYS,
    scope=tables.NAT_GATEWAYS_BY_SCOPE,
    missing="NatGatewayNotFound",
    missing_text="The Nat Gateway {id} was not found",
    malformed="NatGatewayMalformed",
)
VPC_ENDPOINT = Family(
    noun="vpc-endpoint",
    prefix="vpce",
    table=tables.VPC_ENDPOINTS,
    scope=tables.VPC_ENDPOINTS_BY_SCOPE,
    missing="InvalidVpcEndpointId.NotFound",
    missing_text="The VpcEndPoint ID '{id}' does not exist",
    malformed="InvalidVpcEndpointId.Malformed",
)
PREFIX_LIST = Family(
    noun="prefix-list",
    prefix="pl",
    table=tables.PREFIX_LISTS,
    scope=tables.PREFIX_LISTS_BY_SCOPE,
    missing="InvalidPrefixListID.NotFound",
    missing_text="The prefix list ID '{id}' does not exist",
    malformed="InvalidPrefixListId.Malformed",
)
ELASTIC_IP = Family(
    noun="elastic-ip",
    prefix="eipalloc",
    table=tables.ELASTIC_IPS,
    scope=tables.ELASTIC_IPS_BY_SCOPE,
    missing="InvalidAllocationID.NotFound",
    missing_text="Allocation ID '{id}' not found.",
    malformed="InvalidAllocationID.Malformed",
)
CIDR_RESERVATION = Family(
    noun="subnet-cidr-reservation",
    prefix="scr",
    table=tables.CIDR_RESERVATIONS,
    scope=tables.CIDR_RESERVATIONS_BY_SCOPE,
    missing="InvalidSubnetCidrReservationID.NotFound",
    missing_text="The subnet CIDR reservation ID '{id}' does not exist",
    malformed="InvalidSubnetCidrReservationID.Malformed",
)
GROUP = Family(
    noun="security-group",
    prefix="sg",
    table=tables.GROUPS,
    scope=tables.GROUPS_BY_SCOPE,
    missing="InvalidGroup.NotFound",
    missing_text="The security group '{id}' does not exist",
    malformed="InvalidGroupId.Malformed",
)
ACL = Family(
    noun="network-acl",
    prefix="acl",
    table=tables.ACLS,
    scope=tables.ACLS_BY_SCOPE,
    missing="InvalidNetworkAclID.NotFound",
    missing_text="The network acl ID '{id}' does not exist",
    malformed="InvalidNetworkAclID.Malformed",
)
DHCP_OPTIONS = Family(
    noun="dhcp-options",
    prefix="dopt",
    table=tables.DHCP_OPTIONS,
    scope=tables.DHCP_OPTIONS_BY_SCOPE,
    missing="InvalidDhcpOptionID.NotFound",
    missing_text="DhcpOptionID {id} does not exist.",
    malformed="InvalidDhcpOptionsId.Malformed",
)
INTERFACE = Family(
    noun="network-interface",
    prefix="eni",
    table=tables.INTERFACES,
    scope=tables.INTERFACES_BY_SCOPE,
    missing="InvalidNetworkInterfaceID.NotFound",
    missing_text="The networkInterface ID '{id}' does not exist",
    malformed="InvalidNetworkInterfaceId.Malformed",
)
FLOW_LOG = Family(
    noun="vpc-flow-log",
    prefix="fl",
    table=tables.FLOW_LOGS,
    scope=tables.FLOW_LOGS_BY_SCOPE,
    missing="InvalidFlowLogId.NotFound",
    missing_text="These flow log ids in the input list are not found: [TotalCount: 1] {id}",
    malformed="InvalidFlowLogId.Malformed",
)

INSTANCE = Family(
    noun="instance",
    prefix="i",
    table=tables.INSTANCES,
    scope=tables.INSTANCES_BY_SCOPE,
    missing="InvalidInstanceID.NotFound",
    missing_text="The instance ID '{id}' does not exist",
    malformed="InvalidInstanceID.Malformed",
)

PEERING = PeeringFamily(
    noun="vpc-peering-connection",
    prefix="pcx",
    table=tables.PEERINGS,
    scope=tables.PEERINGS_BY_SCOPE,
    missing="InvalidVpcPeeringConnectionID.NotFound",
    missing_text="VpcPeeringConnectionID {id} does not exist.",
    malformed="InvalidVpcPeeringConnectionID.Malformed",
)

LAUNCH_TEMPLATE = Family(
    noun="launch-template",
    prefix="lt",
    table=tables.LAUNCH_TEMPLATES,
    scope=tables.LAUNCH_TEMPLATES_BY_SCOPE,
    missing="InvalidLaunchTemplateId.NotFound",
    missing_text="The specified launch template, with template ID {id}, does not exist.",
    malformed="InvalidLaunchTemplateId.Malformed",
)

ALL: tuple[Family[Any], ...] = (
    VPC,
    SUBNET,
    INTERNET_GATEWAY,
    EGRESS_ONLY_GATEWAY,
    ROUTE_TABLE,
    NAT_GATEWAY,
    VPC_ENDPOINT,
    PREFIX_LIST,
    ELASTIC_IP,
    CIDR_RESERVATION,
    GROUP,
    ACL,
    DHCP_OPTIONS,
    INTERFACE,
    INSTANCE,
    LAUNCH_TEMPLATE,
    FLOW_LOG,
    PEERING,
)
