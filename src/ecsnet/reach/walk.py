"""The walk of one packet through routers, filters and gateways, until routing ends or it arrives.

Filters never end it: what blocks is written down and the packet goes on as if it had been admitted, so that every
blocker of a flow is named at once. Order and rules: VPC user guide ("Security groups", "Network ACLs", "Route tables",
"Internet gateways", "NAT gateways"), VPC peering guide; `docs/reach.md` has the picture.
"""

from __future__ import annotations

from typing import NamedTuple

from ecsnet.decision import Drop, What
from ecsnet.model import ec2
from ecsnet.reach import services
from ecsnet.reach.checks import Memory, ask_acl, ask_groups, check_destination, check_source
from ecsnet.reach.flow import CLIENTS, ICMP, PUBLIC_POOL, TCP, UDP, Packet, Stage, private_block
from ecsnet.reach.log import Log
from ecsnet.reach.records import Records, has_address, in_subnet
from ecsnet.reach.routes import Choice, choose

_NAT_PORT = 1024
"""NAT gateways choose from 1,024 to 65,535 (VPC user guide, "NAT gateway basics"); a lower port is changed."""


class Arrival(NamedTuple):
    """Where the packet came out, and as what."""

    interface: ec2.NetworkInterface | None
    """None: on the internet, or at a service of the VPC's own router."""
    packet: Packet
    known: bool = True
    """False on the real internet: nobody here knows what is there."""
    service: bool = False


class Walk:
    """One direction of a flow. A reply is given the memory of its request. None as an answer: the walk has ended."""

    def __init__(self, records: Records, log: Log, memory: Memory) -> None:
        self._records = records
        self._log = log
        self._memory = memory

    # ── where packets start ──────────────────────────────────────────────────────────────────────────────────────────

    def leave(self, sender: ec2.NetworkInterface, packet: Packet) -> Arrival | None:
        """From an interface: its own packet, or one that it passes on."""
        records, log = self._records, self._log
        if not self._cross(sender.vpc, sender.id, packet):
            return None
        check_source(log, sender, packet)
        if services.is_local(records, sender.vpc, packet.destination):
            return self._service(sender, packet)
        ask_groups(records, log, self._memory, sender, "out", packet)
        subnet = records.subnet(sender.subnet)
        if subnet is not None and in_subnet(subnet, packet.destination):
            return self._local(sender.vpc, subnet, packet, subnet.id, "same subnet")
        table = None if subnet is None else records.table_of(subnet.id)
        return self._follow(sender.vpc, subnet, table, packet)

    def from_internet(self, packet: Packet, *, was_sent_out: bool = False) -> Arrival | None:
        """Between the gateways: a packet of a client there, or one that a gateway let out."""
        destination, records = packet.destination, self._records
        if destination in CLIENTS or records.is_external_machine(destination):
            return Arrival(None, packet)
        if destination.version == 6:
            return self._from_internet6(packet, was_sent_out)
        target = records.private_of(destination)
        gateway = None if target is None else records.internet_gateway(target[0])
        if target is None or gateway is None:
            return self._nowhere(packet, was_sent_out, "IGW_PRIVATE_IP_ASSOCIATION_FOR_INGRESS")
        if (block := private_block(packet.source)) is not None:
            text = f"{packet.source} is a private address: nothing on the internet has it"
            drop = Drop(What.IGW_PRIVATE, gateway)
            self._log.block(
                Stage.GATEWAY, gateway, packet, f"IGW_SOURCE_ADDRESS_NOT_IN_{block}_INGRESS", text, drop
            )  # fmt: skip
        self._log.passed(Stage.GATEWAY, gateway, packet, f"{destination} is {target[1]} inside")
        return self._enter(gateway, target[0], packet.to_address(target[1]))

    def _from_internet6(self, packet: Packet, was_sent_out: bool) -> Arrival | None:
        """IPv6 addresses are public as they are. A subnet whose table leads to the egress-only gateway is behind that
        one (VPC user guide, "Egress-only internet gateways"), every other one behind the internet gateway."""
        records = self._records
        vpc = records.vpc_of_ipv6(packet.destination)
        if vpc is None:
            return self._nowhere(packet, was_sent_out, "UNKNOWN_DESTINATION")
        one_way = records.behind_egress_only(vpc, packet.destination)
        if one_way is not None:
            request = self._memory.egress_only.get(one_way)
            if request is None or packet != request.reply():
                text, drop = (
                    "an egress-only gateway lets nothing in that was not asked for",
                    Drop(What.EGRESS_ONLY, one_way),
                )
                self._log.block(Stage.GATEWAY, one_way, packet, "ECSNET_EIGW_NO_INBOUND", text, drop)
                return None
            self._log.passed(Stage.GATEWAY, one_way, packet, "reply to what left through it")
            return self._enter(one_way, vpc, packet)
        gateway = records.internet_gateway(vpc)
        if gateway is None:
            return self._nowhere(packet, False, "NO_ROUTE_TO_DESTINATION")
        self._log.passed(Stage.GATEWAY, gateway, packet, "from the internet")
        return self._enter(gateway, vpc, packet)

    def _nowhere(self, packet: Packet, was_sent_out: bool, code: str) -> Arrival | None:
        """No interface here has the public address. What left a VPC may find somebody on the real internet."""
        if was_sent_out and packet.destination not in PUBLIC_POOL:
            return Arrival(None, packet, known=False)
        text = f"no interface behind a gateway has the public address {packet.destination}"
        self._log.block(Stage.INTERNET, "internet", packet, code, text, Drop(What.ROUTE))
        return None

    def _enter(self, gateway: str, vpc: str, packet: Packet) -> Arrival | None:
        """From a gateway into its VPC, by the gateway's own route table where it has one."""
        if not self._cross(vpc, gateway, packet):
            return None
        return self._follow(vpc, None, self._records.edge_table(gateway), packet)

    def _cross(self, vpc: str, component: str, packet: Packet) -> bool:
        """Begin a crossing of a VPC's router. It knows the connections whose beginning crossed it."""
        if not self._log.cross(component, packet):
            return False
        if self._log.direction == "forward":
            self._memory.answers.append((vpc, packet.reply()))
        elif packet.protocol != UDP and (vpc, packet) not in self._memory.answers:
            text = f"{vpc} did not see the beginning of this connection"
            self._log.block(Stage.STATE, vpc, packet, "ECSNET_NO_STATE", text, Drop(What.INVALID))
        return True

    # ── routing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _follow(
        self, vpc: str, subnet: ec2.Subnet | None, table: ec2.RouteTable | None, packet: Packet
    ) -> Arrival | None:
        """Onwards from a subnet (None: from a gateway) by the route that applies."""
        records, log, destination = self._records, self._log, packet.destination
        name = vpc if table is None else table.id
        choice = choose(records, vpc, None if table is None else table.id, destination)
        if choice is not None and choice.active:
            if choice.kind == "local":
                return self._local(vpc, subnet, packet, name, choice.text)
            if choice.interface is not None:
                return self._deliver(subnet, choice.interface, packet, name, choice.text)
        ask_acl(records, log, subnet, "out", packet)
        if choice is None:
            log.no_route(name, packet, "NO_ROUTE_TO_DESTINATION", f"no route to {packet.destination}")
            return None
        if not choice.active:
            text = f"{choice.text} is a black hole: its target is not there"
            log.no_route(name, packet, "BAD_STATE_ROUTE", text, choice.text)
            return None
        log.passed(Stage.ROUTE, name, packet, choice.text, (choice.text,))
        return self._beyond(vpc, choice, packet)

    def _beyond(self, vpc: str, choice: Choice, packet: Packet) -> Arrival | None:
        """Out of the VPC through a gateway or a peering connection."""
        match choice.kind:
            case "igw":
                return self._internet_gateway(vpc, choice.target, packet)
            case "eigw":
                self._memory.egress_only[choice.target] = packet
                self._log.passed(Stage.GATEWAY, choice.target, packet, "out to the internet")
                return self.from_internet(packet, was_sent_out=True)
            case "pcx":
                return self._peering(vpc, choice, packet)
            case _:
                text = f"nothing is behind {choice.target}"
                self._log.no_route(choice.target, packet, "NO_POSSIBLE_DESTINATION", text)
                return None

    def _local(self, vpc: str, subnet: ec2.Subnet | None, packet: Packet, table: str, route: str) -> Arrival | None:
        """To whoever has the address in this VPC."""
        records, destination = self._records, packet.destination
        owner = records.owner(vpc, destination)
        if owner is not None and records.held(owner.id):
            return self._deliver(subnet, owner, packet, table, route)
        if services.is_router(records, vpc, destination):
            self._no_service(packet)  # from outside: the VPC's own interfaces were served when they left
            return None
        if subnet is None or not in_subnet(subnet, destination):
            ask_acl(records, self._log, subnet, "out", packet)
        if owner is None:
            text = f"no interface of {vpc} has {destination}"
            self._log.no_route(table, packet, "UNKNOWN_DESTINATION", text, route)
        else:
            text = f"{destination} is {owner.id}, which nothing holds"
            self._log.no_route(table, packet, "BAD_STATE_ATTACHMENT", text, route)
        return None

    def _deliver(
        self, subnet: ec2.Subnet | None, receiver: ec2.NetworkInterface, packet: Packet, table: str, route: str
    ) -> Arrival | None:
        """To an interface: the one with the address, or the next hop that shall pass it on."""
        records, log = self._records, self._log
        nat, mine = records.nat_of(receiver), has_address(receiver, packet.destination)
        if nat is None and not mine and not log.passes_on(receiver.id, packet):
            return None
        inside = records.subnet(receiver.subnet)
        border = subnet is None or inside is None or subnet.id != inside.id
        if border:
            ask_acl(records, log, subnet, "out", packet)
        log.passed(Stage.ROUTE, table, packet, route, (route,))
        if border:
            ask_acl(records, log, inside, "in", packet)
        check_destination(log, receiver, packet, mine=mine)
        ask_groups(records, log, self._memory, receiver, "in", packet)
        if nat is not None:
            return self._nat_reply(nat, receiver, packet) if mine else self._nat_gateway(nat, receiver, packet)
        if mine:
            return Arrival(receiver, packet)
        log.hidden = True
        return self.leave(receiver, packet)

    # ── gateways ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _internet_gateway(self, vpc: str, gateway: str, packet: Packet) -> Arrival | None:
        """One address for another, nothing else; IPv6 passes as it is."""
        log = self._log
        if packet.source.version == 6:
            if not self._records.contains(vpc, packet.source):
                code, drop = "IGW_PUBLIC_IP_ASSOCIATION_FOR_EGRESS", Drop(What.IGW_NO_PUBLIC, gateway)
                log.block(Stage.GATEWAY, gateway, packet, code, f"{packet.source} is not of the VPC", drop)
                return None
            log.passed(Stage.GATEWAY, gateway, packet, "out to the internet")
            return self.from_internet(packet, was_sent_out=True)
        public = self._records.public_of(vpc, packet.source)
        if public is None:
            code, drop = "IGW_PUBLIC_IP_ASSOCIATION_FOR_EGRESS", Drop(What.IGW_NO_PUBLIC, gateway)
            log.block(Stage.GATEWAY, gateway, packet, code, f"{packet.source} has no public address", drop)
        if (block := private_block(packet.destination)) is not None:
            text = f"{packet.destination} is a private address: the internet does not have it"
            code, drop = f"IGW_DESTINATION_ADDRESS_NOT_IN_{block}_EGRESS", Drop(What.IGW_PRIVATE, gateway)
            log.block(Stage.GATEWAY, gateway, packet, code, text, drop)
        if public is None or block is not None:
            return None
        log.passed(Stage.GATEWAY, gateway, packet, f"{packet.source} is {public} outside")
        return self.from_internet(packet.from_address(public), was_sent_out=True)

    def _nat_gateway(self, nat: ec2.NatGateway, interface: ec2.NetworkInterface, packet: Packet) -> Arrival | None:
        """Out under its own address. It serves its own VPC, and only TCP, UDP and ICMP."""
        log = self._log
        if log.direction == "return" and packet.protocol != UDP:
            # An answer without a question: TCP and ICMP have a state, of which this is not the beginning.
            text, drop = "the gateway does not know the connection", Drop(What.NAT_STATE, nat.id)
            log.block(Stage.GATEWAY, nat.id, packet, "ECSNET_NAT_NO_STATE", text, drop)
            return None
        if packet.protocol not in (TCP, UDP, ICMP):
            text, drop = "a NAT gateway carries TCP, UDP and ICMP", Drop(What.NAT_PROTOCOL, nat.id)
            log.block(Stage.GATEWAY, nat.id, packet, "PROTOCOL_RESTRICTION", text, drop)
        if not self._records.contains(nat.vpc, packet.source):
            text, drop = f"{packet.source} is not in the gateway's VPC", Drop(What.NAT_SOURCE, nat.id)
            log.block(Stage.GATEWAY, nat.id, packet, "NGW_REQUIRES_SOURCE_IN_VPC", text, drop)
        port = max(packet.source_port, _NAT_PORT) if packet.protocol in (TCP, UDP) else 0
        assert interface.private_ip is not None  # a NAT gateway is in a subnet with IPv4
        out = packet.from_address(interface.private_ip, port)
        self._memory.translations.append((interface.id, packet, out))
        log.passed(Stage.GATEWAY, nat.id, packet, f"{packet.source} leaves as {out.source}")
        return self.leave(interface, out)

    def _nat_reply(self, nat: ec2.NatGateway, interface: ec2.NetworkInterface, packet: Packet) -> Arrival | None:
        """Back to whom it remembers; nothing else enters through it."""
        for key, before, after in self._memory.translations:
            if key == interface.id and packet == after.reply():
                self._log.passed(Stage.GATEWAY, nat.id, packet, f"back to {before.source}")
                return self.leave(interface, packet.to_address(before.source, before.source_port))
        text, drop = "a NAT gateway lets nothing in that was not asked for", Drop(What.NAT_IN, nat.id)
        self._log.block(Stage.GATEWAY, nat.id, packet, "ECSNET_NAT_NO_INBOUND", text, drop)
        return None

    def _peering(self, vpc: str, choice: Choice, packet: Packet) -> Arrival | None:
        """Between the two VPCs and nothing beyond: neither a third one nor the other's gateways."""
        records, log, peering = self._records, self._log, choice.target
        peer = records.peer(peering, vpc)
        if peer is None or not records.blocks(peer):
            log.block(Stage.PEERING, peering, packet, "UNKNOWN_RESOURCE", "the other VPC is not stored here")
            return None
        if not records.has_interfaces(peer):
            log.no_route(peering, packet, "UNKNOWN_DESTINATION", f"{peer} has no interface at all", choice.text)
            return None
        if not (records.contains(vpc, packet.source) and records.contains(peer, packet.destination)):
            text = f"{packet.source} → {packet.destination} is not between {vpc} and {peer}"
            drop = Drop(What.PEERING, peering)
            log.block(Stage.PEERING, peering, packet, "PCX_REQUIRES_ADDRESS_IN_VPC_CIDR", text, drop)
            return None
        log.passed(Stage.PEERING, peering, packet, f"to {peer}")
        return self._local(peer, None, packet, peer, "local") if self._cross(peer, peering, packet) else None

    def _service(self, sender: ec2.NetworkInterface, packet: Packet) -> Arrival | None:
        """The VPC's own services are beyond groups and ACLs (VPC user guide, "Amazon DNS server")."""
        name, address = services.name_of(self._records, sender, packet), str(packet.destination)
        if name is not None:
            self._log.passed(Stage.SERVICE, address, packet, name)
            return Arrival(None, packet, service=True)
        self._no_service(packet)
        return None

    def _no_service(self, packet: Packet) -> None:
        text, address = "the VPC's router has no such service for it", str(packet.destination)
        self._log.block(Stage.SERVICE, address, packet, "ECSNET_NO_SUCH_SERVICE", text, Drop(What.SERVICE))
