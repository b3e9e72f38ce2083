"""Random networks and random changes of them, made by API calls, and the flows that are asked about.

Every choice comes from one `random.Random`, which Hypothesis may own. A call that AWS would refuse is no change:
another one is tried.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Network
from typing import Any

from api_lab import ApiLab

from ecsnet.fabric.kernel import naming
from ecsnet.model import ec2
from ecsnet.model import tables as t
from ecsnet.reach.flow import CLIENTS, ICMP, TCP, UDP, Flow, IpAddress
from ecsnet.services.call import AwsError

BLOCKS = ("10.0.0.0/16", "10.1.0.0/16", "10.0.0.0/16")
"""Of the three VPCs: the first two may peer, the first and the last look alike."""

PORTS = (80, 443, 5432, 8080)
QUOTAS = {"vpcs_per_region": 10, "elastic_ips_per_region": 50, "nat_gateways_per_zone": 50, "groups_per_interface": 16}
MOST_INSTANCES = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A VPC with what never changes about it."""

    vpc: str
    subnets: tuple[str, ...]
    tables: tuple[str, ...]
    acls: tuple[str, ...]
    groups: tuple[str, ...]
    gateway: str


class RandomNetwork:
    """A network of three VPCs, and its changes."""

    def __init__(self, lab: ApiLab, dice: random.Random) -> None:
        self._lab = lab
        self._dice = dice
        self._call = lab.ec2
        self.lists = tuple(
            self._call("CreateManagedPrefixList", PrefixListName=f"list-{n}", AddressFamily="IPv4", MaxEntries=5)[
                "PrefixList"
            ]["PrefixListId"]
            for n in (1, 2)
        )
        self.sites = tuple(self._site(number, block) for number, block in enumerate(BLOCKS))
        self._source_port = dice.randrange(32768, 60999)
        self._listeners: dict[str, list[int]] = {}
        """By namespace."""
        for _ in range(6):
            self._launch()
        lab.settle()

    def _site(self, number: int, block: str) -> Site:
        call, dice = self._call, self._dice
        dual = number != 2
        vpc = call("CreateVpc", CidrBlock=block, AmazonProvidedIpv6CidrBlock=dual)["Vpc"]["VpcId"]
        self._lab.settle()
        six: list[IPv6Network] = []
        if dual:
            found = call("DescribeVpcs", VpcIds=[vpc])["Vpcs"][0]["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
            six = list(IPv6Network(found).subnets(new_prefix=64))
        subnets = []
        for index in (1, 2):
            more = {"Ipv6CidrBlock": str(six[index])} if six else {}
            block24 = block.replace("0.0/16", f"{index}.0/24")
            zone = "us-east-1a" if index == 1 else "us-east-1b"
            reply = call("CreateSubnet", VpcId=vpc, CidrBlock=block24, AvailabilityZone=zone, **more)
            subnets.append(reply["Subnet"]["SubnetId"])
            if six and dice.random() < 0.7:
                call("ModifySubnetAttribute", SubnetId=subnets[-1], AssignIpv6AddressOnCreation={"Value": True})
        main = call("DescribeRouteTables", Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"][0]
        gateway = call("CreateInternetGateway")["InternetGateway"]["InternetGatewayId"]
        call("AttachInternetGateway", InternetGatewayId=gateway, VpcId=vpc)
        other = call("CreateRouteTable", VpcId=vpc)["RouteTable"]["RouteTableId"]
        call("CreateRoute", RouteTableId=main["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
        acls = call("DescribeNetworkAcls", Filters=[{"Name": "vpc-id", "Values": [vpc]}])["NetworkAcls"]
        custom = call("CreateNetworkAcl", VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
        for egress in (False, True):
            call("CreateNetworkAclEntry", NetworkAclId=custom, RuleNumber=100, Protocol="-1", RuleAction="allow",
                 Egress=egress, CidrBlock="0.0.0.0/0")  # fmt: skip
        groups = tuple(
            call("CreateSecurityGroup", GroupName=f"group-{n}", Description="x", VpcId=vpc)["GroupId"] for n in range(3)
        )
        for group in groups:
            port = dice.choice(PORTS)
            call("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[
                {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
            ])  # fmt: skip
        return Site(
            vpc=vpc,
            subnets=tuple(subnets),
            tables=(main["RouteTableId"], other),
            acls=(acls[0]["NetworkAclId"], custom),
            groups=groups,
            gateway=gateway,
        )

    # ── changes ──────────────────────────────────────────────────────────────────────────────────────────────────

    def change(self) -> str:
        """Make one change and bring it into force; what it was."""
        while True:
            one = self._dice.choices(_CHANGES, _WEIGHTS)[0]
            try:
                said = one(self)
            except AwsError as error:
                if error.code in ("InternalError", "InternalFailure"):
                    raise
                continue
            if said:
                self._lab.settle()
                return said

    def _instances(self, *states: str) -> list[ec2.Instance]:
        rows = self._lab.store.snapshot.rows(t.INSTANCES)
        return sorted((row for row in rows if row.state in (states or ("running",))), key=lambda row: row.id)

    def interfaces(self) -> list[ec2.NetworkInterface]:
        """The interfaces of running instances."""
        running = {row.id for row in self._instances()}
        rows = self._lab.store.snapshot.rows(t.INTERFACES)
        return sorted((row for row in rows if row.attachment and row.attachment.owner in running), key=lambda r: r.id)

    def _site_of(self, vpc: str) -> Site:
        return next(site for site in self.sites if site.vpc == vpc)

    def _launch(self) -> str:
        if len(self._instances("running", "pending")) >= MOST_INSTANCES:
            return ""
        dice = self._dice
        site = dice.choices(self.sites, (5, 3, 2))[0]
        groups = dice.sample(self._usable(site), dice.choice((1, 1, 2)))
        network = {
            "DeviceIndex": 0,
            "SubnetId": dice.choice(site.subnets),
            "Groups": groups,
            "AssociatePublicIpAddress": dice.random() < 0.5,
        }
        made = self._call("RunInstances", ImageId="ami-1", InstanceType="m5.large", MinCount=1, MaxCount=1,
                          NetworkInterfaces=[network])["Instances"][0]  # fmt: skip
        return f"launch {made['InstanceId']}"

    def _terminate(self) -> str:
        found = self._instances()
        if len(found) < 5:
            return ""
        chosen = self._dice.choice(found).id
        self._quiet(naming.instance_namespace(chosen))
        self._call("TerminateInstances", InstanceIds=[chosen])
        return f"terminate {chosen}"

    def _stop_or_start(self) -> str:
        stopped = self._instances("stopped")
        if stopped:
            self._call("StartInstances", InstanceIds=[stopped[0].id])
            return f"start {stopped[0].id}"
        found = self._instances()
        if len(found) < 5:
            return ""
        chosen = self._dice.choice(found).id
        self._quiet(naming.instance_namespace(chosen))
        self._call("StopInstances", InstanceIds=[chosen])
        return f"stop {chosen}"

    def _permission(self, site: Site) -> dict[str, Any]:
        dice = self._dice
        protocol = dice.choice(("tcp", "tcp", "tcp", "udp", "icmp", "-1", "icmpv6"))
        one: dict[str, Any] = {"IpProtocol": protocol}
        if protocol in ("tcp", "udp"):
            port = dice.choice(PORTS)
            first, last = dice.choice(((port, port), (port, port + 500), (0, 65535), (1, 1024)))
            one |= {"FromPort": first, "ToPort": last}
        elif protocol in ("icmp", "icmpv6"):
            one |= {"FromPort": dice.choice((-1, 8 if protocol == "icmp" else 128)), "ToPort": -1}
        peer = dice.choice(("any", "any6", "cidr", "group", "group", "list", "peer"))
        match peer:
            case "any":
                one["IpRanges"] = [{"CidrIp": "0.0.0.0/0"}]
            case "any6":
                one["Ipv6Ranges"] = [{"CidrIpv6": "::/0"}]
            case "cidr":
                one["IpRanges"] = [{"CidrIp": self._cidr()}]
            case "group":
                one["UserIdGroupPairs"] = [{"GroupId": dice.choice(site.groups)}]
            case "list":
                one["PrefixListIds"] = [{"PrefixListId": dice.choice(self.lists)}]
            case _:
                other = dice.choice(self.sites)
                one["UserIdGroupPairs"] = [{"GroupId": dice.choice(other.groups)}]
        return one

    def _cidr(self) -> str:
        """A block near the addresses that exist."""
        dice = self._dice
        found = self.interfaces()
        if found and dice.random() < 0.4:
            return f"{dice.choice(found).private_ip}/32"
        return dice.choice(("10.0.1.0/24", "10.0.2.0/24", "10.1.0.0/16", "10.0.0.0/8", "198.18.0.0/15", "10.0.1.0/25"))

    def _add_rule(self) -> str:
        site = self._dice.choice(self.sites)
        group, egress = self._dice.choice(site.groups), self._dice.random() < 0.3
        name = "AuthorizeSecurityGroupEgress" if egress else "AuthorizeSecurityGroupIngress"
        permission = self._permission(site)
        self._call(name, GroupId=group, IpPermissions=[permission])
        return f"{name} {group} {permission}"

    def _remove_rule(self) -> str:
        found = sorted(self._lab.store.snapshot.rows(t.GROUP_RULES), key=lambda row: row.id)
        own = {group for site in self.sites for group in site.groups}
        chosen = self._dice.choice([rule for rule in found if rule.group in own] or [None])
        if chosen is None:
            return ""
        name = "RevokeSecurityGroupEgress" if chosen.egress else "RevokeSecurityGroupIngress"
        self._call(name, GroupId=chosen.group, SecurityGroupRuleIds=[chosen.id])
        return f"{name} {chosen.id} of {chosen.group}"

    def _change_groups(self) -> str:
        found = self.interfaces()
        if not found:
            return ""
        chosen = self._dice.choice(found)
        groups = self._dice.sample(self._usable(self._site_of(chosen.vpc)), self._dice.choice((1, 2, 3)))
        self._call("ModifyNetworkInterfaceAttribute", NetworkInterfaceId=chosen.id, Groups=groups)
        return f"{chosen.id} in {groups}"

    def _usable(self, site: Site) -> list[str]:
        """The groups that interfaces of a VPC may have: its own, and those that are shared with it."""
        shared = (row.group for row in self._lab.store.snapshot.rows(t.GROUP_ASSOCIATIONS) if row.vpc == site.vpc)
        return [*site.groups, *sorted(shared)]

    def _share_group(self) -> str:
        site, other = self._dice.sample(self.sites, 2)
        group = self._dice.choice(site.groups)
        name = "AssociateSecurityGroupVpc" if self._dice.random() < 0.7 else "DisassociateSecurityGroupVpc"
        self._call(name, GroupId=group, VpcId=other.vpc)
        return f"{name} {group} {other.vpc}"

    def _acl_entry(self) -> str:
        dice = self._dice
        site = dice.choice(self.sites)
        acl, egress = dice.choice(site.acls), dice.random() < 0.5
        row = self._lab.store.snapshot.get(t.ACLS, acl)
        assert row is not None
        numbers = [entry.number for entry in row.entries if entry.egress == egress]
        if numbers and dice.random() < 0.45:
            number = dice.choice(numbers)
            if number == 100 and dice.random() < 0.8:
                return ""  # without it hardly anything crosses a border
            self._call("DeleteNetworkAclEntry", NetworkAclId=acl, RuleNumber=number, Egress=egress)
            return f"{acl} without {number} {'out' if egress else 'in'}"
        protocol = dice.choice(("-1", "6", "6", "17", "1"))
        more: dict[str, Any] = {}
        if protocol in ("6", "17"):
            port = dice.choice(PORTS)
            first, last = dice.choice(((port, port), (1024, 65535), (32768, 46000), (0, 1023)))
            more["PortRange"] = {"From": first, "To": last}
        elif protocol == "1":
            more["IcmpTypeCode"] = {"Type": dice.choice((-1, 0, 8)), "Code": -1}
        block = (
            {"Ipv6CidrBlock": "::/0"}
            if dice.random() < 0.2
            else {"CidrBlock": dice.choice((self._cidr(), "0.0.0.0/0"))}
        )
        number = dice.choice((50, 90, 95, 110, 120))
        action = dice.choice(("allow", "deny"))
        self._call("CreateNetworkAclEntry", NetworkAclId=acl, RuleNumber=number, Protocol=protocol, RuleAction=action,
                   Egress=egress, **block, **more)  # fmt: skip
        return f"{acl} {number} {'out' if egress else 'in'} {action} {protocol} {block} {more}"

    def _associate_acl(self) -> str:
        site = self._dice.choice(self.sites)
        subnet, acl = self._dice.choice(site.subnets), self._dice.choice(site.acls)
        found = self._call("DescribeNetworkAcls", Filters=[{"Name": "association.subnet-id", "Values": [subnet]}])
        (association,) = [one for one in found["NetworkAcls"][0]["Associations"] if one["SubnetId"] == subnet]
        if association["NetworkAclId"] == acl:
            return ""
        self._call(
            "ReplaceNetworkAclAssociation", AssociationId=association["NetworkAclAssociationId"], NetworkAclId=acl
        )
        return f"{subnet} under {acl}"

    def _target(self, site: Site, six: bool) -> dict[str, str]:
        dice, snapshot = self._dice, self._lab.store.snapshot
        choices: list[dict[str, str]] = [{"GatewayId": site.gateway}]
        choices += [
            {"NatGatewayId": nat.id} for nat in snapshot.rows(t.NAT_GATEWAYS) if nat.vpc == site.vpc and not six
        ]
        choices += [
            {"VpcPeeringConnectionId": one.id}
            for one in snapshot.rows(t.PEERINGS)
            if site.vpc in (one.requester.vpc, one.accepter.vpc)
        ]
        choices += [
            {"NetworkInterfaceId": row.id}
            for row in self.interfaces()
            if row.vpc == site.vpc and not row.source_dest_check
        ]
        if six:
            choices += [
                {"EgressOnlyInternetGatewayId": one.id}
                for one in snapshot.rows(t.EGRESS_ONLY_GATEWAYS)
                if one.vpc == site.vpc
            ]
        return dice.choice(sorted(choices, key=str))

    def _route(self) -> str:
        dice = self._dice
        site = dice.choice(self.sites)
        table = dice.choice(site.tables)
        row = self._lab.store.snapshot.get(t.ROUTE_TABLES, table)
        assert row is not None
        movable = [route for route in row.routes if route.target.kind not in ("local", "vpce")]
        if movable and dice.random() < 0.4:
            gone = dice.choice(movable)
            name = "DestinationPrefixListId" if gone.prefix_list else "DestinationCidrBlock"
            if gone.destination is not None and gone.destination.version == 6:
                name = "DestinationIpv6CidrBlock"
            self._call("DeleteRoute", RouteTableId=table, **{name: str(gone.destination or gone.prefix_list)})
            return f"{table} without {gone.destination or gone.prefix_list}"
        six = dice.random() < 0.25
        destination: dict[str, str]
        if six:
            other = dice.choice(self.sites[:2])
            blocks = self._lab.store.snapshot.get(t.VPCS, other.vpc)
            assert blocks is not None
            choices = ("::/0", *(str(block.cidr) for block in blocks.ipv6_cidrs))
            destination = {"DestinationIpv6CidrBlock": dice.choice(choices)}
        elif dice.random() < 0.15:
            destination = {"DestinationPrefixListId": dice.choice(self.lists)}
        else:
            choices = ("0.0.0.0/0", "0.0.0.0/0", "10.1.0.0/16", "10.0.0.0/16", "10.0.1.0/24", "10.0.2.0/24",
                       "198.18.0.0/15", "10.1.1.0/24")  # fmt: skip
            destination = {"DestinationCidrBlock": dice.choice(choices)}
        target = self._target(site, six)
        self._call("CreateRoute", RouteTableId=table, **destination, **target)
        return f"{table} {destination} {target}"

    def _associate_table(self) -> str:
        dice = self._dice
        site = dice.choice(self.sites)
        subnet = dice.choice(site.subnets)
        own = list(self._lab.store.snapshot.find(t.ASSOCIATIONS_BY_SUBNET, subnet))
        if own and dice.random() < 0.5:
            self._call("DisassociateRouteTable", AssociationId=own[0].id)
            return f"{subnet} uses the main table"
        table = dice.choice(site.tables)
        if own:
            self._call("ReplaceRouteTableAssociation", AssociationId=own[0].id, RouteTableId=table)
        else:
            self._call("AssociateRouteTable", SubnetId=subnet, RouteTableId=table)
        return f"{subnet} uses {table}"

    def _internet_gateway(self) -> str:
        site = self._dice.choice(self.sites)
        row = self._lab.store.snapshot.get(t.INTERNET_GATEWAYS, site.gateway)
        assert row is not None
        name = "AttachInternetGateway" if row.vpc is None else "DetachInternetGateway"
        self._call(name, InternetGatewayId=site.gateway, VpcId=site.vpc)
        return f"{name} {site.gateway}"

    def _elastic_ip(self) -> str:
        dice = self._dice
        found = sorted(self._lab.store.snapshot.rows(t.ELASTIC_IPS), key=lambda row: row.allocation)
        mine = [row for row in found if row.interface is None or dice.random() < 0.5]
        nats = {nat.allocation for nat in self._lab.store.snapshot.rows(t.NAT_GATEWAYS)}
        mine = [row for row in mine if row.allocation not in nats]
        interfaces = self.interfaces()
        if not mine or not interfaces:
            return f"allocate {self._call('AllocateAddress', Domain='vpc')['AllocationId']}"
        chosen = dice.choice(mine)
        if chosen.interface is not None and dice.random() < 0.5:
            self._call("DisassociateAddress", AssociationId=chosen.association)
            return f"{chosen.public_ip} is nobody's"
        to = dice.choice(interfaces).id
        self._call("AssociateAddress", AllocationId=chosen.allocation, NetworkInterfaceId=to, AllowReassociation=True)
        return f"{chosen.public_ip} to {to}"

    def _nat(self) -> str:
        dice = self._dice
        found = [row for row in self._lab.store.snapshot.rows(t.NAT_GATEWAYS) if row.state == "available"]
        if found and dice.random() < 0.4:
            chosen = min(found, key=lambda row: row.id).id
            self._call("DeleteNatGateway", NatGatewayId=chosen)
            return f"delete {chosen}"
        if len(found) > 2:
            return ""
        site = dice.choice(self.sites)
        subnet = dice.choice(site.subnets)
        if dice.random() < 0.3:
            made = self._call("CreateNatGateway", SubnetId=subnet, ConnectivityType="private")
        else:
            address = self._call("AllocateAddress", Domain="vpc")["AllocationId"]
            made = self._call("CreateNatGateway", SubnetId=subnet, AllocationId=address)
        nat = made["NatGateway"]["NatGatewayId"]
        # Nobody makes a NAT gateway without a route to it, and a random route is seldom that one.
        table = dice.choice(site.tables)
        row = self._lab.store.snapshot.get(t.ROUTE_TABLES, table)
        has_default = row is not None and any(str(route.destination) == "0.0.0.0/0" for route in row.routes)
        name = "ReplaceRoute" if has_default else "CreateRoute"
        self._call(name, RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat)
        other = next(one for one in site.subnets if one != subnet)
        own = list(self._lab.store.snapshot.find(t.ASSOCIATIONS_BY_SUBNET, other))
        if own:
            self._call("ReplaceRouteTableAssociation", AssociationId=own[0].id, RouteTableId=table)
        else:
            self._call("AssociateRouteTable", SubnetId=other, RouteTableId=table)
        return f"{nat} in {subnet}, default route of {table} for {other}"

    def _peering(self) -> str:
        dice = self._dice
        active = [row for row in self._lab.store.snapshot.rows(t.PEERINGS) if row.status == "active"]
        if active and dice.random() < 0.4:
            chosen = min(active, key=lambda row: row.id).id
            self._call("DeleteVpcPeeringConnection", VpcPeeringConnectionId=chosen)
            return f"delete {chosen}"
        one, other = dice.choice(((0, 1), (1, 2), (0, 2)))
        made = self._call("CreateVpcPeeringConnection", VpcId=self.sites[one].vpc, PeerVpcId=self.sites[other].vpc)
        peering = made["VpcPeeringConnection"]["VpcPeeringConnectionId"]
        self._lab.settle()
        self._call("AcceptVpcPeeringConnection", VpcPeeringConnectionId=peering)
        for here, there in ((one, other), (other, one)):
            if dice.random() < 0.8:
                table = dice.choice(self.sites[here].tables)
                try:
                    self._call("CreateRoute", RouteTableId=table, DestinationCidrBlock=BLOCKS[there],
                               VpcPeeringConnectionId=peering)  # fmt: skip
                except AwsError:
                    continue  # the route exists
        return f"{peering} between {one} and {other}"

    def _check(self) -> str:
        found = self.interfaces()
        if not found:
            return ""
        chosen = self._dice.choice(found)
        value = not chosen.source_dest_check
        self._call("ModifyNetworkInterfaceAttribute", NetworkInterfaceId=chosen.id, SourceDestCheck={"Value": value})
        return f"{chosen.id} source/destination check {value}"

    def _list_entry(self) -> str:
        dice = self._dice
        key = dice.choice(self.lists)
        row = self._lab.store.snapshot.get(t.PREFIX_LISTS, key)
        assert row is not None
        cidr = self._cidr()
        change: dict[str, Any] = {"AddEntries": [{"Cidr": cidr}]}
        if row.entries and dice.random() < 0.5:
            change = {"RemoveEntries": [{"Cidr": str(dice.choice(row.entries).cidr)}]}
        self._call("ModifyManagedPrefixList", PrefixListId=key, CurrentVersion=row.version, **change)
        return f"{key} {change}"

    def _egress_only(self) -> str:
        found = sorted(row.id for row in self._lab.store.snapshot.rows(t.EGRESS_ONLY_GATEWAYS))
        if found and self._dice.random() < 0.5:
            self._call("DeleteEgressOnlyInternetGateway", EgressOnlyInternetGatewayId=found[0])
            return f"delete {found[0]}"
        site = self._dice.choice(self.sites[:2])
        made = self._call("CreateEgressOnlyInternetGateway", VpcId=site.vpc)
        return f"create {made['EgressOnlyInternetGateway']['EgressOnlyInternetGatewayId']}"

    # ── who answers ──────────────────────────────────────────────────────────────────────────────────────────────

    def listen(self) -> None:
        """Let every host listen on the ports that are asked about.

        A closed port answers with a reset, which ends the connection for a router's tracking: through an appliance it
        would cross that router a second time and be nobody's.
        """
        hosts = [naming.instance_namespace(row.attachment.owner) for row in self.interfaces() if row.attachment]
        for netns in (naming.INTERNET, *hosts):
            if netns not in self._listeners:
                self._listeners[netns] = [
                    self._lab.net.inside.call("listen", netns=netns, address="::", port=port, proto="tcp")
                    for port in PORTS
                ]

    def _quiet(self, netns: str) -> None:
        """A listener would keep the namespace alive."""
        for number in self._listeners.pop(netns, ()):
            self._lab.net.inside.call("unlisten", number=number)

    def close(self) -> None:
        """Nobody listens any more."""
        for netns in list(self._listeners):
            self._quiet(netns)

    # ── questions ────────────────────────────────────────────────────────────────────────────────────────────────

    def flows(self, count: int) -> list[Flow]:
        """Flows between what exists, the internet, and addresses that nobody has. Source ports are never used twice
        within the time for which a datagram is remembered."""
        sources: list[ec2.NetworkInterface | None] = [*self.interfaces(), None]
        destinations = list(self._destinations())
        found: list[Flow] = []
        while len(found) < count:
            source, destination = self._dice.choice(sources), self._dice.choice(destinations)
            if not self._can_start(source, destination):
                continue
            self._source_port = 32768 + (self._source_port - 32767) % (60999 - 32768)
            protocol = self._dice.choice((TCP, TCP, TCP, UDP, ICMP))
            icmp = (8, 0)
            if protocol == ICMP and destination.version == 6:
                protocol, icmp = 58, (128, 0)
            found.append(
                Flow(
                    source=None if source is None else source.id,
                    destination=destination,
                    protocol=protocol,
                    port=self._dice.choice(PORTS),
                    icmp=icmp,
                    source_port=self._source_port,
                )
            )
        return found

    def _can_start(self, source: ec2.NetworkInterface | None, destination: IpAddress) -> bool:
        """A host has no packet for itself that leaves it, and none of an IP version of which it has no address.

        To its own public address it has one, but nobody could tell it from its answer.
        """
        if source is None:
            return destination not in CLIENTS
        own = {source.private_ip, *source.secondary_ips, *source.ipv6_ips, source.auto_public_ip}
        own |= {row.public_ip for row in self._lab.store.snapshot.find(t.ELASTIC_IPS_BY_INTERFACE, source.id)}
        return destination not in own and (destination.version == 4 or bool(source.ipv6_ips))

    def _destinations(self) -> Iterator[IpAddress]:
        snapshot = self._lab.store.snapshot
        for row in self.interfaces():
            if row.private_ip is not None:
                yield row.private_ip
                yield row.private_ip
            yield from row.ipv6_ips
            if row.auto_public_ip is not None:
                yield row.auto_public_ip
        for address in snapshot.rows(t.ELASTIC_IPS):
            yield address.public_ip
        yield from CLIENTS
        yield IPv4Address("10.0.1.250")
        yield IPv4Address("10.9.0.1")
        yield IPv4Address("198.18.200.200")


Change = Callable[[RandomNetwork], str]
_TABLE: tuple[tuple[int, Change], ...] = (
    (8, RandomNetwork._launch),
    (4, RandomNetwork._terminate),
    (2, RandomNetwork._stop_or_start),
    (16, RandomNetwork._add_rule),
    (9, RandomNetwork._remove_rule),
    (5, RandomNetwork._change_groups),
    (4, RandomNetwork._share_group),
    (12, RandomNetwork._acl_entry),
    (3, RandomNetwork._associate_acl),
    (12, RandomNetwork._route),
    (5, RandomNetwork._associate_table),
    (2, RandomNetwork._internet_gateway),
    (5, RandomNetwork._elastic_ip),
    (4, RandomNetwork._nat),
    (5, RandomNetwork._peering),
    (5, RandomNetwork._check),
    (5, RandomNetwork._list_entry),
    (2, RandomNetwork._egress_only),
)
_WEIGHTS = tuple(weight for weight, _ in _TABLE)
_CHANGES = tuple(change for _, change in _TABLE)
