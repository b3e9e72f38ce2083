"""Every table and index of the store, in one place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from ecsnet.model import autoscaling, capacity, cloudformation, ec2, ecs, elbv2, faults, rollout, sts
from ecsnet.model.base import scope
from ecsnet.store.schema import Index, Schema, Table


def address_block(vpc: str, address: IPv4Address | IPv6Address) -> str:
    """The index value of the delegable block (/28 or /80) in which an address of a VPC lies."""
    return f"{vpc}/{address.version}/{int(address) >> (4 if address.version == 4 else 48):x}"


VPCS = Table(name="vpc", record=ec2.Vpc, key=lambda r: r.id)
SUBNETS = Table(name="subnet", record=ec2.Subnet, key=lambda r: r.id)
INTERNET_GATEWAYS = Table(name="internet_gateway", record=ec2.InternetGateway, key=lambda r: r.id)
ROUTE_TABLES = Table(name="route_table", record=ec2.RouteTable, key=lambda r: r.id)
ROUTE_TABLE_ASSOCIATIONS = Table(name="route_table_association", record=ec2.RouteTableAssociation, key=lambda r: r.id)
NAT_GATEWAYS = Table(name="nat_gateway", record=ec2.NatGateway, key=lambda r: r.id)
VPC_ENDPOINTS = Table(name="vpc_endpoint", record=ec2.VpcEndpoint, key=lambda r: r.id)
EGRESS_ONLY_GATEWAYS = Table(name="egress_only_gateway", record=ec2.EgressOnlyInternetGateway, key=lambda r: r.id)
PEERINGS = Table(name="vpc_peering", record=ec2.VpcPeeringConnection, key=lambda r: r.id)
PREFIX_LISTS = Table(name="prefix_list", record=ec2.PrefixList, key=lambda r: r.id)
PREFIX_LIST_VERSIONS = Table(
    name="prefix_list_version",
    record=ec2.PrefixListVersion,
    key=lambda r: prefix_list_version_key(r.prefix_list, r.version),
)
FLOW_LOGS = Table(name="flow_log", record=ec2.FlowLog, key=lambda r: r.id)
OBSERVED_FLOW_LOGS = Table(name="observed_flow_log", record=ec2.ObservedFlowLog, key=lambda r: r.flow_log)
CIDR_RESERVATIONS = Table(name="cidr_reservation", record=ec2.CidrReservation, key=lambda r: r.id)
INSTANCES = Table(name="instance", record=ec2.Instance, key=lambda r: r.id)
LAUNCH_TEMPLATES = Table(name="launch_template", record=ec2.LaunchTemplate, key=lambda r: r.id)
OBSERVED_INSTANCES = Table(name="observed_instance", record=ec2.ObservedInstance, key=lambda r: r.instance)
ELASTIC_IPS = Table(name="elastic_ip", record=ec2.ElasticIp, key=lambda r: r.allocation)
GROUPS = Table(name="security_group", record=ec2.SecurityGroup, key=lambda r: r.id)
ADDRESS_TRANSFERS = Table(name="address_transfer", record=ec2.AddressTransfer, key=lambda r: r.allocation)
GROUP_ASSOCIATIONS = Table(
    name="security_group_association", record=ec2.GroupAssociation, key=lambda r: f"{r.group}/{r.vpc}"
)
GROUP_SETS = Table(name="security_group_set", record=ec2.GroupSet, key=lambda r: group_set_key(r.vpc, r.groups))
INTERFACE_PERMISSIONS = Table(name="interface_permission", record=ec2.InterfacePermission, key=lambda r: r.id)
GROUP_RULES = Table(name="security_group_rule", record=ec2.SecurityGroupRule, key=lambda r: r.id)
ACLS = Table(name="network_acl", record=ec2.NetworkAcl, key=lambda r: r.id)
ACL_ASSOCIATIONS = Table(name="network_acl_association", record=ec2.NetworkAclAssociation, key=lambda r: r.id)
DHCP_OPTIONS = Table(name="dhcp_options", record=ec2.DhcpOptions, key=lambda r: r.id)
INTERFACES = Table(name="network_interface", record=ec2.NetworkInterface, key=lambda r: r.id)
OBSERVED_INTERFACES = Table(name="observed_interface", record=ec2.ObservedInterface, key=lambda r: r.interface)
CLIENT_TOKENS = Table(
    name="ec2_client_token",
    record=ec2.ClientToken,
    key=lambda r: f"{scope(r.account, r.region)}/{r.operation}/{r.token}",
)
SEEDED_ACCOUNTS = Table(name="seeded_account", record=ec2.SeededAccount, key=lambda r: scope(r.account, r.region))

SESSION_KEYS = Table(name="session_key", record=sts.SessionKey, key=lambda r: r.access_key)

LOAD_BALANCERS = Table(name="load_balancer", record=elbv2.LoadBalancer, key=lambda r: r.arn)
LISTENERS = Table(name="listener", record=elbv2.Listener, key=lambda r: r.arn)
LISTENER_RULES = Table(name="listener_rule", record=elbv2.Rule, key=lambda r: r.arn)
TARGET_GROUPS = Table(name="target_group", record=elbv2.TargetGroup, key=lambda r: r.arn)
TARGETS = Table(name="target", record=elbv2.Target, key=lambda r: target_key(r.target_group, r.id, r.port))
TARGET_HEALTH = Table(
    name="target_health", record=elbv2.TargetHealth, key=lambda r: target_key(r.target_group, r.id, r.port)
)
OBSERVED_LOAD_BALANCERS = Table(
    name="observed_load_balancer", record=elbv2.ObservedLoadBalancer, key=lambda r: r.load_balancer
)

CLUSTERS = Table(name="cluster", record=ecs.Cluster, key=lambda r: r.arn)
TASK_DEFINITIONS = Table(name="task_definition", record=ecs.TaskDefinition, key=lambda r: r.arn)
TASK_FAMILIES = Table(name="task_family", record=ecs.TaskFamily, key=lambda r: f"{scope(r.account, r.region)}/{r.name}")
EXECUTE_SESSIONS = Table(name="execute_session", record=ecs.ExecuteSession, key=lambda r: r.id)
ACCOUNT_SETTINGS = Table(
    name="account_setting",
    record=ecs.AccountSetting,
    key=lambda r: f"{scope(r.account, r.region)}/{r.principal or ''}/{r.name}",
)
SERVICES = Table(name="service", record=ecs.Service, key=lambda r: r.arn)
TASKS = Table(name="task", record=ecs.Task, key=lambda r: r.arn)
CONTAINER_INSTANCES = Table(name="container_instance", record=capacity.ContainerInstance, key=lambda r: r.arn)
CAPACITY_PROVIDERS = Table(name="capacity_provider", record=capacity.CapacityProvider, key=lambda r: r.arn)
SERVICE_DEPLOYMENTS = Table(name="service_deployment", record=rollout.ServiceDeployment, key=lambda r: r.arn)
SERVICE_REVISIONS = Table(name="service_revision", record=rollout.ServiceRevision, key=lambda r: r.arn)
OBSERVED_CONTAINERS = Table(
    name="observed_container", record=ecs.ObservedContainer, key=lambda r: container_key(r.task, r.container)
)

LAUNCH_CONFIGURATIONS = Table(
    name="launch_configuration",
    record=autoscaling.LaunchConfiguration,
    key=lambda r: f"{scope(r.account, r.region)}/{r.name}",
)
AUTO_SCALING_GROUPS = Table(name="auto_scaling_group", record=autoscaling.AutoScalingGroup, key=lambda r: r.arn)
GROUP_INSTANCES = Table(name="group_instance", record=autoscaling.GroupInstance, key=lambda r: r.instance)
LIFECYCLE_HOOKS = Table(
    name="lifecycle_hook", record=autoscaling.LifecycleHook, key=lambda r: lifecycle_hook_key(r.group, r.name)
)
SCALING_ACTIVITIES = Table(name="scaling_activity", record=autoscaling.Activity, key=lambda r: r.id)
ATTACH_FAULTS = Table(name="attach_fault", record=faults.AttachFault, key=lambda r: r.group)

STACKS = Table(name="stack", record=cloudformation.Stack, key=lambda r: r.id)
STACK_RESOURCES = Table(
    name="stack_resource", record=cloudformation.StackResource, key=lambda r: stack_resource_key(r.stack, r.logical)
)
STACK_EVENTS = Table(name="stack_event", record=cloudformation.StackEvent, key=lambda r: f"{r.stack}|{r.number:08d}")
STACK_SIGNALS = Table(
    name="stack_signal",
    record=cloudformation.Signal,
    key=lambda r: f"{stack_resource_key(r.stack, r.logical)}|{r.unique}",
)
EXPORTS = Table(
    name="stack_export", record=cloudformation.Export, key=lambda r: export_key(r.account, r.region, r.name)
)
CHANGE_SETS = Table(name="change_set", record=cloudformation.ChangeSet, key=lambda r: r.id)


def stack_resource_key(stack: str, logical: str) -> str:
    return f"{stack}|{logical}"


def export_key(account: str, region: str, name: str) -> str:
    return f"{scope(account, region)}/{name}"


def vpc_pair(one: str, other: str) -> str:
    """The same text for two VPCs in either order."""
    return f"{min(one, other)}/{max(one, other)}"


def group_name_key(vpc: str, name: str) -> str:
    """Names of security groups are case-insensitive (EC2 API, CreateSecurityGroup)."""
    return f"{vpc}/{name.lower()}"


def group_set_key(vpc: str, groups: Iterable[str]) -> str:
    """`groups` in any order."""
    return " ".join((vpc, *sorted(groups)))


def prefix_list_version_key(prefix_list: str, version: int) -> str:
    return f"{prefix_list}/{version}"


def lifecycle_hook_key(group: str, name: str) -> str:
    return f"{group}|{name}"


def provider_key(account: str, region: str, name: str) -> str:
    """Of a capacity provider, by its name."""
    return f"{scope(account, region)}/{name}"


def target_key(target_group: str, target: str, port: int) -> str:
    return f"{target_group}|{target}|{port}"


def place_key(container_instance: str, group: str) -> str:
    """Of a task group (user text) on one container instance."""
    return f"{container_instance}|{group}"


def container_key(task: str, container: str) -> str:
    return f"{task}/{container}"


VPCS_BY_SCOPE = Index(name="vpc_by_scope", table=VPCS, values=lambda r: (scope(r.account, r.region),))
VPCS_BY_IPV6_BLOCK = Index(
    name="vpc_by_ipv6_block", table=VPCS, values=lambda r: tuple(str(one.cidr) for one in r.ipv6_cidrs)
)
VPCS_BY_CIDR_ASSOCIATION = Index(
    name="vpc_by_cidr_association", table=VPCS, values=lambda r: tuple(one.id for one in (*r.cidrs, *r.ipv6_cidrs))
)
SUBNETS_BY_CIDR_ASSOCIATION = Index(
    name="subnet_by_cidr_association", table=SUBNETS, values=lambda r: (r.ipv6_cidr.id,) if r.ipv6_cidr else ()
)
SUBNETS_BY_SCOPE = Index(name="subnet_by_scope", table=SUBNETS, values=lambda r: (scope(r.account, r.region),))
SUBNETS_BY_VPC = Index(name="subnet_by_vpc", table=SUBNETS, values=lambda r: (r.vpc,))
INTERNET_GATEWAYS_BY_SCOPE = Index(
    name="internet_gateway_by_scope", table=INTERNET_GATEWAYS, values=lambda r: (scope(r.account, r.region),)
)
INTERNET_GATEWAYS_BY_VPC = Index(
    name="internet_gateway_by_vpc", table=INTERNET_GATEWAYS, values=lambda r: (r.vpc,) if r.vpc else ()
)
ROUTE_TABLES_BY_SCOPE = Index(
    name="route_table_by_scope", table=ROUTE_TABLES, values=lambda r: (scope(r.account, r.region),)
)
ROUTE_TABLES_BY_VPC = Index(name="route_table_by_vpc", table=ROUTE_TABLES, values=lambda r: (r.vpc,))
ROUTE_TABLES_BY_TARGET = Index(
    name="route_table_by_target",
    table=ROUTE_TABLES,
    values=lambda r: {route.target.id for route in r.routes if route.target.id},
)
ASSOCIATIONS_BY_ROUTE_TABLE = Index(
    name="association_by_route_table", table=ROUTE_TABLE_ASSOCIATIONS, values=lambda r: (r.route_table,)
)
ASSOCIATIONS_BY_SUBNET = Index(
    name="association_by_subnet",
    table=ROUTE_TABLE_ASSOCIATIONS,
    values=lambda r: (r.subnet,) if r.subnet else (),
)
ASSOCIATIONS_BY_GATEWAY = Index(
    name="association_by_gateway",
    table=ROUTE_TABLE_ASSOCIATIONS,
    values=lambda r: (r.gateway,) if r.gateway else (),
)
MAIN_ASSOCIATION_BY_VPC = Index(
    name="main_association_by_vpc",
    table=ROUTE_TABLE_ASSOCIATIONS,
    values=lambda r: (r.vpc,) if r.main else (),
)
ROUTE_TABLES_BY_PREFIX_LIST = Index(
    name="route_table_by_prefix_list",
    table=ROUTE_TABLES,
    values=lambda r: {route.prefix_list for route in r.routes if route.prefix_list},
)
NAT_GATEWAYS_BY_SCOPE = Index(
    name="nat_gateway_by_scope", table=NAT_GATEWAYS, values=lambda r: (scope(r.account, r.region),)
)
NAT_GATEWAYS_BY_VPC = Index(name="nat_gateway_by_vpc", table=NAT_GATEWAYS, values=lambda r: (r.vpc,))
VPC_ENDPOINTS_BY_SCOPE = Index(
    name="vpc_endpoint_by_scope", table=VPC_ENDPOINTS, values=lambda r: (scope(r.account, r.region),)
)
VPC_ENDPOINTS_BY_VPC = Index(name="vpc_endpoint_by_vpc", table=VPC_ENDPOINTS, values=lambda r: (r.vpc,))
EGRESS_ONLY_GATEWAYS_BY_SCOPE = Index(
    name="egress_only_gateway_by_scope", table=EGRESS_ONLY_GATEWAYS, values=lambda r: (scope(r.account, r.region),)
)
EGRESS_ONLY_GATEWAYS_BY_VPC = Index(
    name="egress_only_gateway_by_vpc", table=EGRESS_ONLY_GATEWAYS, values=lambda r: (r.vpc,)
)
PEERINGS_BY_SCOPE = Index(
    name="vpc_peering_by_scope",
    table=PEERINGS,
    values=lambda r: {scope(side.account, side.region) for side in (r.requester, r.accepter)},
)
PEERINGS_BY_VPC = Index(name="vpc_peering_by_vpc", table=PEERINGS, values=lambda r: {r.requester.vpc, r.accepter.vpc})
PEERINGS_BY_PAIR = Index(
    name="vpc_peering_by_pair", table=PEERINGS, values=lambda r: (vpc_pair(r.requester.vpc, r.accepter.vpc),)
)
PREFIX_LISTS_BY_SCOPE = Index(
    name="prefix_list_by_scope", table=PREFIX_LISTS, values=lambda r: (scope(r.account, r.region),)
)
PREFIX_LIST_VERSIONS_BY_LIST = Index(
    name="prefix_list_version_by_list", table=PREFIX_LIST_VERSIONS, values=lambda r: (r.prefix_list,)
)
FLOW_LOGS_BY_SCOPE = Index(name="flow_log_by_scope", table=FLOW_LOGS, values=lambda r: (scope(r.account, r.region),))
FLOW_LOGS_BY_RESOURCE = Index(name="flow_log_by_resource", table=FLOW_LOGS, values=lambda r: (r.resource,))
CIDR_RESERVATIONS_BY_SCOPE = Index(
    name="cidr_reservation_by_scope", table=CIDR_RESERVATIONS, values=lambda r: (scope(r.account, r.region),)
)
CIDR_RESERVATIONS_BY_SUBNET = Index(
    name="cidr_reservation_by_subnet", table=CIDR_RESERVATIONS, values=lambda r: (r.subnet,)
)
INSTANCES_BY_SCOPE = Index(name="instance_by_scope", table=INSTANCES, values=lambda r: (scope(r.account, r.region),))
LAUNCH_TEMPLATES_BY_SCOPE = Index(
    name="launch_template_by_scope", table=LAUNCH_TEMPLATES, values=lambda r: (scope(r.account, r.region),)
)
LAUNCH_TEMPLATES_BY_NAME = Index(
    name="launch_template_by_name",
    table=LAUNCH_TEMPLATES,
    values=lambda r: (f"{scope(r.account, r.region)}/{r.name}",),
)
INSTANCES_BY_VPC = Index(name="instance_by_vpc", table=INSTANCES, values=lambda r: (r.vpc,))
INSTANCES_BY_SUBNET = Index(name="instance_by_subnet", table=INSTANCES, values=lambda r: (r.subnet,))
INSTANCES_BY_RESERVATION = Index(name="instance_by_reservation", table=INSTANCES, values=lambda r: (r.reservation,))
ELASTIC_IPS_BY_SCOPE = Index(
    name="elastic_ip_by_scope", table=ELASTIC_IPS, values=lambda r: (scope(r.account, r.region),)
)
ELASTIC_IPS_BY_INTERFACE = Index(
    name="elastic_ip_by_interface", table=ELASTIC_IPS, values=lambda r: (r.interface,) if r.interface else ()
)
GROUPS_BY_SCOPE = Index(name="group_by_scope", table=GROUPS, values=lambda r: (scope(r.account, r.region),))
GROUPS_BY_VPC = Index(name="group_by_vpc", table=GROUPS, values=lambda r: (r.vpc,))
GROUPS_BY_NAME = Index(name="group_by_name", table=GROUPS, values=lambda r: (group_name_key(r.vpc, r.name),))
GROUP_ASSOCIATIONS_BY_SCOPE = Index(
    name="group_association_by_scope", table=GROUP_ASSOCIATIONS, values=lambda r: (scope(r.account, r.region),)
)
GROUP_ASSOCIATIONS_BY_GROUP = Index(
    name="group_association_by_group", table=GROUP_ASSOCIATIONS, values=lambda r: (r.group,)
)
GROUP_ASSOCIATIONS_BY_VPC = Index(name="group_association_by_vpc", table=GROUP_ASSOCIATIONS, values=lambda r: (r.vpc,))
GROUP_SETS_BY_PART = Index(name="group_set_by_part", table=GROUP_SETS, values=lambda r: (r.vpc, *r.groups))
"""By the VPC and by each of the groups: with any of them the set goes."""
ADDRESS_TRANSFERS_BY_SCOPE = Index(
    name="address_transfer_by_scope", table=ADDRESS_TRANSFERS, values=lambda r: (scope(r.account, r.region),)
)
ADDRESS_TRANSFERS_BY_PUBLIC_IP = Index(
    name="address_transfer_by_public_ip", table=ADDRESS_TRANSFERS, values=lambda r: (str(r.public_ip),)
)
INTERFACE_PERMISSIONS_BY_SCOPE = Index(
    name="interface_permission_by_scope", table=INTERFACE_PERMISSIONS, values=lambda r: (scope(r.account, r.region),)
)
INTERFACE_PERMISSIONS_BY_INTERFACE = Index(
    name="interface_permission_by_interface", table=INTERFACE_PERMISSIONS, values=lambda r: (r.interface,)
)
RULES_BY_GROUP = Index(name="rule_by_group", table=GROUP_RULES, values=lambda r: (r.group,))
RULES_BY_PREFIX_LIST = Index(
    name="rule_by_prefix_list", table=GROUP_RULES, values=lambda r: (r.prefix_list,) if r.prefix_list else ()
)
RULES_BY_PEER_GROUP = Index(
    name="rule_by_peer_group", table=GROUP_RULES, values=lambda r: (r.peer_group,) if r.peer_group else ()
)
RULES_BY_REMOTE_GROUP = Index(
    name="rule_by_remote_group",
    table=GROUP_RULES,
    values=lambda r: (r.peer_group,) if r.peer_group and r.peer_vpc else (),
)
"""Rules that name a group of a peered VPC, by that group."""
ACLS_BY_SCOPE = Index(name="acl_by_scope", table=ACLS, values=lambda r: (scope(r.account, r.region),))
ACLS_BY_VPC = Index(name="acl_by_vpc", table=ACLS, values=lambda r: (r.vpc,))
ACL_ASSOCIATIONS_BY_SUBNET = Index(
    name="acl_association_by_subnet", table=ACL_ASSOCIATIONS, values=lambda r: (r.subnet,)
)
ACL_ASSOCIATIONS_BY_ACL = Index(name="acl_association_by_acl", table=ACL_ASSOCIATIONS, values=lambda r: (r.acl,))
DHCP_OPTIONS_BY_SCOPE = Index(
    name="dhcp_options_by_scope", table=DHCP_OPTIONS, values=lambda r: (scope(r.account, r.region),)
)
INTERFACES_BY_SCOPE = Index(name="interface_by_scope", table=INTERFACES, values=lambda r: (scope(r.account, r.region),))
INTERFACES_BY_VPC = Index(name="interface_by_vpc", table=INTERFACES, values=lambda r: (r.vpc,))
INTERFACES_BY_SUBNET = Index(name="interface_by_subnet", table=INTERFACES, values=lambda r: (r.subnet,))
INTERFACES_BY_GROUP = Index(name="interface_by_group", table=INTERFACES, values=lambda r: r.groups)
INTERFACES_BY_ADDRESS = Index(
    name="interface_by_address",
    table=INTERFACES,
    values=lambda r: tuple(f"{r.vpc}/{ip}" for ip in (*r.private_ips, *r.ipv6_ips)),
)
INTERFACES_WITH_SECONDARIES_BY_SUBNET = Index(
    name="interface_with_secondaries_by_subnet",
    table=INTERFACES,
    values=lambda r: (r.subnet,) if r.secondary_ips or r.ipv4_prefixes else (),
)
INTERFACES_BY_PREFIX = Index(
    name="interface_by_prefix",
    table=INTERFACES,
    values=lambda r: tuple(f"{r.vpc}/{prefix}" for prefix in (*r.ipv4_prefixes, *r.ipv6_prefixes)),
)
INTERFACES_BY_BLOCK = Index(
    name="interface_by_block",
    table=INTERFACES,
    values=lambda r: (
        *(address_block(r.vpc, ip) for ip in r.private_ips),
        *(address_block(r.vpc, ip) for ip in r.ipv6_ips),
    ),
)
INTERFACES_WITH_PREFIXES_BY_GROUP = Index(
    name="interface_with_prefixes_by_group",
    table=INTERFACES,
    values=lambda r: r.groups if r.ipv4_prefixes or r.ipv6_prefixes else (),
)
INTERFACES_WITH_IPV6_BY_SUBNET = Index(
    name="interface_with_ipv6_by_subnet",
    table=INTERFACES,
    values=lambda r: (r.subnet,) if r.ipv6_ips or r.ipv6_prefixes else (),
)
INTERFACES_WITH_PREFIXES_BY_SUBNET = Index(
    name="interface_with_prefixes_by_subnet",
    table=INTERFACES,
    values=lambda r: (r.subnet,) if r.ipv4_prefixes or r.ipv6_prefixes else (),
)
INTERFACES_BY_DIGITS = Index(
    name="interface_by_digits", table=INTERFACES, values=lambda r: (r.id.rpartition("-")[2][:12],)
)
"""By the part of the id that is in names of kernel objects."""
INTERFACES_BY_OWNER = Index(
    name="interface_by_owner",
    table=INTERFACES,
    values=lambda r: (r.attachment.owner,) if r.attachment else (),
)
INTERFACES_BY_ATTACHMENT = Index(
    name="interface_by_attachment",
    table=INTERFACES,
    values=lambda r: (r.attachment.id,) if r.attachment else (),
)
INTERFACES_BY_PUBLIC_IP = Index(
    name="interface_by_public_ip",
    table=INTERFACES,
    values=lambda r: (str(r.auto_public_ip),) if r.auto_public_ip else (),
)
ELASTIC_IPS_BY_ASSOCIATION = Index(
    name="elastic_ip_by_association", table=ELASTIC_IPS, values=lambda r: (r.association,) if r.association else ()
)
ELASTIC_IPS_BY_PUBLIC_IP = Index(
    name="elastic_ip_by_public_ip", table=ELASTIC_IPS, values=lambda r: (str(r.public_ip),)
)

CLIENT_TOKENS_BY_RESOURCE = Index(
    name="ec2_client_token_by_resource", table=CLIENT_TOKENS, values=lambda r: (r.resource,)
)

LOAD_BALANCERS_BY_SCOPE = Index(
    name="load_balancer_by_scope", table=LOAD_BALANCERS, values=lambda r: (scope(r.account, r.region),)
)
LOAD_BALANCERS_BY_VPC = Index(name="load_balancer_by_vpc", table=LOAD_BALANCERS, values=lambda r: (r.vpc,))
LISTENERS_BY_LOAD_BALANCER = Index(
    name="listener_by_load_balancer", table=LISTENERS, values=lambda r: (r.load_balancer,)
)
RULES_BY_LISTENER = Index(name="listener_rule_by_listener", table=LISTENER_RULES, values=lambda r: (r.listener,))
TARGET_GROUPS_BY_SCOPE = Index(
    name="target_group_by_scope", table=TARGET_GROUPS, values=lambda r: (scope(r.account, r.region),)
)
LISTENERS_BY_TARGET_GROUP = Index(
    name="listener_by_target_group",
    table=LISTENERS,
    values=lambda r: {t.target_group for a in r.default_actions for t in a.forward},
)
LISTENER_RULES_BY_TARGET_GROUP = Index(
    name="listener_rule_by_target_group",
    table=LISTENER_RULES,
    values=lambda r: {t.target_group for a in r.actions for t in a.forward},
)
TARGETS_BY_GROUP = Index(name="target_by_group", table=TARGETS, values=lambda r: (r.target_group,))
TARGET_HEALTH_BY_GROUP = Index(name="target_health_by_group", table=TARGET_HEALTH, values=lambda r: (r.target_group,))

CLUSTERS_BY_SCOPE = Index(name="cluster_by_scope", table=CLUSTERS, values=lambda r: (scope(r.account, r.region),))
TASK_DEFINITIONS_BY_SCOPE = Index(
    name="task_definition_by_scope", table=TASK_DEFINITIONS, values=lambda r: (scope(r.account, r.region),)
)
TASK_DEFINITIONS_BY_FAMILY = Index(
    name="task_definition_by_family",
    table=TASK_DEFINITIONS,
    values=lambda r: (f"{scope(r.account, r.region)}/{r.family}",),
)
SERVICES_BY_CLUSTER = Index(name="service_by_cluster", table=SERVICES, values=lambda r: (r.cluster,))
UNPLACED_SERVICES_BY_CLUSTER = Index(
    name="unplaced_service_by_cluster", table=SERVICES, values=lambda r: (r.cluster,) if r.unplaced else ()
)
DAEMON_SERVICES_BY_CLUSTER = Index(
    name="daemon_service_by_cluster",
    table=SERVICES,
    values=lambda r: (r.cluster,) if r.scheduling == "DAEMON" and r.status != "INACTIVE" else (),
)
SERVICES_BY_PROVIDER = Index(
    name="service_by_provider",
    table=SERVICES,
    values=lambda r: (
        {item.provider for one in ecs.all_deployments(r) for item in one.capacity_strategy}
        if r.status == "ACTIVE"
        else ()
    ),
)
SERVICE_DEPLOYMENTS_BY_SERVICE = Index(
    name="service_deployment_by_service", table=SERVICE_DEPLOYMENTS, values=lambda r: (r.service,)
)
CONTAINER_INSTANCES_BY_CLUSTER = Index(
    name="container_instance_by_cluster",
    table=CONTAINER_INSTANCES,
    values=lambda r: (r.cluster,) if r.status != "INACTIVE" else (),
)
CONTAINER_INSTANCES_BY_INSTANCE = Index(
    name="container_instance_by_instance",
    table=CONTAINER_INSTANCES,
    values=lambda r: (r.instance,),
)
"""Every registration of an instance, INACTIVE ones included."""
CONTAINER_INSTANCES_BY_ADDRESS = Index(
    name="container_instance_by_address",
    table=CONTAINER_INSTANCES,
    values=lambda r: (str(r.address),) if r.address is not None and r.status != "INACTIVE" else (),
)
"""EXTERNAL ones."""
CAPACITY_PROVIDERS_BY_SCOPE = Index(
    name="capacity_provider_by_scope", table=CAPACITY_PROVIDERS, values=lambda r: (scope(r.account, r.region),)
)
SERVICES_BY_TARGET_GROUP = Index(
    name="service_by_target_group",
    table=SERVICES,
    values=lambda r: {lb.target_group for lb in r.load_balancers},
)
SERVICES_BY_DEFINITION = Index(
    name="service_by_definition",
    table=SERVICES,
    values=lambda r: {one.task_definition for one in ecs.all_deployments(r)} if r.status != "INACTIVE" else (),
)
SERVICES_BY_TASK_SET = Index(
    name="service_by_task_set", table=SERVICES, values=lambda r: {one.deployment.id for one in r.task_sets}
)
TASKS_BY_CLUSTER = Index(name="task_by_cluster", table=TASKS, values=lambda r: (r.cluster,))
TASKS_BY_SERVICE = Index(name="task_by_service", table=TASKS, values=lambda r: (r.service,) if r.service else ())
UNSTOPPED_TASKS_BY_SERVICE = Index(
    name="unstopped_task_by_service",
    table=TASKS,
    values=lambda r: (r.service,) if r.service and r.last_status is not ecs.TaskStatus.STOPPED else (),
)
TASKS_BY_INTERFACE = Index(
    name="task_by_interface", table=TASKS, values=lambda r: (r.interface,) if r.interface else ()
)
TASKS_BY_CONTAINER_INSTANCE = Index(
    name="task_by_container_instance",
    table=TASKS,
    values=lambda r: (r.container_instance,) if r.container_instance and ecs.holds_resources(r) else (),
)
WANTED_TASKS_BY_PLACE = Index(
    name="wanted_task_by_place",
    table=TASKS,
    values=lambda r: (
        (place_key(r.container_instance, r.group),)
        if r.container_instance and r.desired_status == "RUNNING" and ecs.holds_resources(r)
        else ()
    ),
)
"""Tasks that are to run, by container instance and task group: what placement constraints and strategies count."""
WAITING_TASKS_BY_CLUSTER = Index(
    name="waiting_task_by_cluster",
    table=TASKS,
    values=lambda r: (r.cluster,) if r.wanted is not None else (),
)
TASKS_BY_STATUS = Index(name="task_by_status", table=TASKS, values=lambda r: (r.last_status.value,))
TASKS_BY_CLIENT_TOKEN = Index(
    name="task_by_client_token",
    table=TASKS,
    values=lambda r: (f"{r.cluster}/{r.client_token}",) if r.client_token else (),
)
TASKS_BY_DEFINITION = Index(name="task_by_definition", table=TASKS, values=lambda r: (r.task_definition,))
TASK_FAMILIES_BY_SCOPE = Index(
    name="task_family_by_scope", table=TASK_FAMILIES, values=lambda r: (scope(r.account, r.region),)
)
ACCOUNT_SETTINGS_BY_SCOPE = Index(
    name="account_setting_by_scope", table=ACCOUNT_SETTINGS, values=lambda r: (scope(r.account, r.region),)
)
OBSERVED_CONTAINERS_BY_TASK = Index(
    name="observed_container_by_task", table=OBSERVED_CONTAINERS, values=lambda r: (r.task,)
)

LAUNCH_CONFIGURATIONS_BY_SCOPE = Index(
    name="launch_configuration_by_scope",
    table=LAUNCH_CONFIGURATIONS,
    values=lambda r: (scope(r.account, r.region),),
)
AUTO_SCALING_GROUPS_BY_SCOPE = Index(
    name="auto_scaling_group_by_scope", table=AUTO_SCALING_GROUPS, values=lambda r: (scope(r.account, r.region),)
)
AUTO_SCALING_GROUPS_BY_NAME = Index(
    name="auto_scaling_group_by_name",
    table=AUTO_SCALING_GROUPS,
    values=lambda r: (f"{scope(r.account, r.region)}/{r.name}",),
)
AUTO_SCALING_GROUPS_BY_CONFIGURATION = Index(
    name="auto_scaling_group_by_configuration",
    table=AUTO_SCALING_GROUPS,
    values=lambda r: (f"{scope(r.account, r.region)}/{r.source.configuration}",) if r.source.configuration else (),
)
GROUP_INSTANCES_BY_GROUP = Index(name="group_instance_by_group", table=GROUP_INSTANCES, values=lambda r: (r.group,))
STAYING_INSTANCES_BY_GROUP = Index(
    name="staying_instance_by_group",
    table=GROUP_INSTANCES,
    values=lambda r: (r.group,) if r.state not in autoscaling.LEAVING else (),
)
"""What counts for the size of a group."""
LIFECYCLE_HOOKS_BY_GROUP = Index(name="lifecycle_hook_by_group", table=LIFECYCLE_HOOKS, values=lambda r: (r.group,))
SCALING_ACTIVITIES_BY_GROUP = Index(
    name="scaling_activity_by_group", table=SCALING_ACTIVITIES, values=lambda r: (r.group,)
)
CAPACITY_PROVIDERS_BY_NAME = Index(
    name="capacity_provider_by_name",
    table=CAPACITY_PROVIDERS,
    values=lambda r: (provider_key(r.account, r.region, r.name),),
)
CAPACITY_PROVIDERS_BY_GROUP = Index(
    name="capacity_provider_by_group",
    table=CAPACITY_PROVIDERS,
    values=lambda r: (f"{scope(r.account, r.region)}/{r.group.rpartition('/')[2]}",),
)
"""By the name of the Auto Scaling group."""

CONTAINER_INSTANCES_BY_PROVIDER = Index(
    name="container_instance_by_provider",
    table=CONTAINER_INSTANCES,
    values=lambda r: (provider_key(r.account, r.region, r.capacity_provider),) if r.capacity_provider else (),
)
WAITING_TASKS_BY_PROVIDER = Index(
    name="waiting_task_by_provider",
    table=TASKS,
    values=lambda r: (
        (provider_key(r.account, r.region, r.capacity_provider),)
        if r.wanted is not None and r.capacity_provider and r.desired_status == "RUNNING"
        else ()
    ),
)

STACKS_BY_SCOPE = Index(name="stack_by_scope", table=STACKS, values=lambda r: (scope(r.account, r.region),))
STACKS_BY_NAME = Index(
    name="stack_by_name",
    table=STACKS,
    values=lambda r: () if r.deleted else (f"{scope(r.account, r.region)}/{r.name}",),
)
STACKS_MOVING = Index(
    name="stack_moving", table=STACKS, values=lambda r: ("yes",) if r.status in cloudformation.MOVING else ()
)
STACKS_BY_IMPORT = Index(
    name="stack_by_import",
    table=STACKS,
    values=lambda r: () if r.deleted else {export_key(r.account, r.region, name) for name in r.current.imports},
)
STACKS_BY_PARENT = Index(name="stack_by_parent", table=STACKS, values=lambda r: (r.parent,) if r.parent else ())
STACK_RESOURCES_BY_STACK = Index(name="stack_resource_by_stack", table=STACK_RESOURCES, values=lambda r: (r.stack,))
STACK_RESOURCES_BY_PHYSICAL = Index(
    name="stack_resource_by_physical", table=STACK_RESOURCES, values=lambda r: (r.physical.id,) if r.physical else ()
)
STACK_EVENTS_BY_STACK = Index(name="stack_event_by_stack", table=STACK_EVENTS, values=lambda r: (r.stack,))
STACK_SIGNALS_BY_RESOURCE = Index(
    name="stack_signal_by_resource",
    table=STACK_SIGNALS,
    values=lambda r: (stack_resource_key(r.stack, r.logical),),
)
EXPORTS_BY_SCOPE = Index(name="stack_export_by_scope", table=EXPORTS, values=lambda r: (scope(r.account, r.region),))
EXPORTS_BY_STACK = Index(name="stack_export_by_stack", table=EXPORTS, values=lambda r: (r.stack,))
CHANGE_SETS_BY_STACK = Index(name="change_set_by_stack", table=CHANGE_SETS, values=lambda r: (r.stack,))


def tag_key(account: str, region: str, key: str, value: str) -> str:
    return f"{scope(account, region)}/{key}={value}"


def _tags(row: Any) -> tuple[str, ...]:
    return tuple(tag_key(row.account, row.region, key, value) for key, value in row.tags)


TAG_INDEXES: Mapping[str, Index[Any]] = {
    table.name: Index(name=f"{table.name}_by_tag", table=table, values=_tags)
    for table in (
        VPCS,
        SUBNETS,
        INTERNET_GATEWAYS,
        EGRESS_ONLY_GATEWAYS,
        ROUTE_TABLES,
        NAT_GATEWAYS,
        VPC_ENDPOINTS,
        PREFIX_LISTS,
        ELASTIC_IPS,
        GROUPS,
        ACLS,
        DHCP_OPTIONS,
        INTERFACES,
        INSTANCES,
        LAUNCH_TEMPLATES,
        FLOW_LOGS,
    )
}
"""By the table's name: its rows by `tag_key`, for listings that filter by a tag."""


def _declared(kind: type) -> tuple[object, ...]:
    return tuple(value for value in globals().values() if isinstance(value, kind))


SCHEMA = Schema(tables=_declared(Table), indexes=(*_declared(Index), *TAG_INDEXES.values()))  # type: ignore[arg-type]
