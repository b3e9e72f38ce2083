"""Whatever text a user sends: every answer is a reply or an AwsError, and no text reaches the packet filters.

Requests are drawn from the API's own model. Strings are ids of resources that exist, values that are nearly right, and
text that would mean something to nft, a shell, a path or a parser.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import msgspec
from ec2_account import MODEL, RUN, Ec2, fits, plain
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ecsnet.agent.order import IN_KERNEL
from ecsnet.compile.engine import Engine
from ecsnet.compile.fragments import FRAGMENTS
from ecsnet.fabric.kernel.plan import Planner
from ecsnet.hostplan.kernel import HostObject, NftChain, NftElement, NftSet
from ecsnet.model.tables import SCHEMA
from ecsnet.services import ec2 as service
from ecsnet.services.call import AwsError
from ecsnet.store.store import Store

OPERATIONS = sorted(operation.name for operation in service.OPERATIONS)

IDS = ("vpc", "subnet", "group", "group2", "rule", "list", "list6", "acl", "association", "table", "gateway", "eni")
"""Resources of the account; in a request `@vpc` stands for the id."""

MARK = "Zz9Qx"
"""In all hostile text, and in nothing else."""

HOSTILE = tuple(
    text.replace("~", MARK)
    for text in (
        '~"; drop', "~ }\nadd rule inet ecs gate_i accept", "$(~)", "`~`", "../../~", "~\x00", "'~' OR 1=1",
        '~" comment "', "%s%n~", "{{~}}", "~\r\nX: y", "\u202e~", "~٣", "<~/>", "accept ~", "@~", "~" * 60,
    )
)  # fmt: skip
NEARLY = (
    "", " ", "0", "-1", "1", "6", "17", "58", "256", "٣", "１", "tcp", "ICMP", "all", "10.0.0.0/16", "10.0.0.0/24",
    "0.0.0.0/0", "10.0.0.1/33", "10.0.0.0/-1", "10.0.0.0/255.255.0.0", "10.0.0.0/0.0.255.255", "::/0", "2001:db8::/32",
    "2001:db8::%eth0/64", "::ffff:10.0.0.0/112", "010.0.0.0/8", "1/8", "pl-", "sg-0", "igw-x", "local", "allow", "deny",
    "default", "IPv4", "IPv6", "security-group", "route-table", "prefix-list", "tag:x", "vpc-id", "group-id", "*", "?",
    "sg-00000000000000001\n", "123456789012/sg-00000000000000001", "aws:x",
)  # fmt: skip
LETTERS = " \t\n\x00\x7f\"'`$;{}[]()<>@#%&|\\/.,:*?!-_=+~^0aAzZé٣\u202e\U0001f600"
NUMBERS = (-(2**31), -2, -1, 0, 1, 8, 80, 100, 255, 256, 1000, 32766, 32767, 65535, 65536, 2**31 - 1)

FITTING: Mapping[str, tuple[object, ...]] = {
    "VpcId": ("@vpc",),
    "SubnetId": ("@subnet",),
    "GroupId": ("@group", "@group2"),
    "ReferencedGroupId": ("@group", "@group2"),
    "SecurityGroupRuleId": ("@rule",),
    "PrefixListId": ("@list", "@list6"),
    "DestinationPrefixListId": ("@list", "@list6"),
    "NetworkAclId": ("@acl",),
    "AssociationId": ("@association",),
    "RouteTableId": ("@table",),
    "GatewayId": ("@gateway", "local"),
    "InternetGatewayId": ("@gateway",),
    "NetworkInterfaceId": ("@eni",),
    "Cidr": ("10.0.0.0/8", "198.51.100.7/24", "::/0", "0.0.0.0/0"),
    "CidrIp": ("10.0.0.0/8", "0.0.0.0/0", "198.51.100.7/24"),
    "CidrIpv4": ("10.0.0.0/8", "0.0.0.0/0"),
    "CidrIpv6": ("2001:db8::1/32", "::/0"),
    "CidrBlock": ("10.0.0.0/8", "0.0.0.0/0"),
    "Ipv6CidrBlock": ("::/0", "2001:db8::/32"),
    "DestinationCidrBlock": ("0.0.0.0/0", "198.51.100.0/24", "10.0.0.0/24"),
    "DestinationIpv6CidrBlock": ("::/0",),
    "IpProtocol": ("tcp", "udp", "icmp", "icmpv6", "-1", "50", "006"),
    "Protocol": ("6", "17", "1", "58", "-1", "50", "006"),
    "RuleAction": ("allow", "deny"),
    "AddressFamily": ("IPv4", "IPv6"),
    "FromPort": (-1, 0, 8, 80),
    "ToPort": (-1, 0, 80, 65535),
    "From": (0, 80),
    "To": (80, 65535),
    "Type": (-1, 8, 128),
    "Code": (-1, 0),
    "RuleNumber": (1, 100, 32766),
    "MaxEntries": (1, 5, 60),
    "CurrentVersion": (1, 2),
    "PreviousVersion": (1,),
    "Name": ("vpc-id", "group-id", "tag:a", "owner-id"),
    "ResourceType": ("security-group", "security-group-rule", "prefix-list", "route-table", "network-acl"),
    "MaxResults": (5, 1000),
}
"""What a member most often is, so that many calls succeed."""


_TCP = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
_PEERS: dict[str, Any] = {
    "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "x"}],
    "Ipv6Ranges": [{"CidrIpv6": "2001:db8::/32", "Description": "x"}],
    "PrefixListIds": [{"PrefixListId": "@list", "Description": "x"}],
    "UserIdGroupPairs": [{"GroupId": "@group2", "Description": "x", "UserId": "111122223333"}],
}
_TAGS = [{"ResourceType": "security-group-rule", "Tags": [{"Key": "k", "Value": "v"}]}]
_RULES = {"GroupId": "@group", "IpPermissions": [{**_TCP, **_PEERS}], "TagSpecifications": _TAGS}
_ENTRY = {"NetworkAclId": "@acl", "RuleNumber": 7, "Protocol": "6", "RuleAction": "deny", "Egress": False}
_CHANGE = {**_TCP, "CidrIpv4": "10.9.0.0/16", "Description": "x"}
GOOD: tuple[tuple[str, dict[str, Any]], ...] = (
    ("AuthorizeSecurityGroupIngress", _RULES),
    ("AuthorizeSecurityGroupEgress", _RULES),
    (
        "ModifySecurityGroupRules",
        {
            "GroupId": "@group",
            "SecurityGroupRules": [{"SecurityGroupRuleId": "@rule", "SecurityGroupRule": _CHANGE}],
        },
    ),
    (
        "UpdateSecurityGroupRuleDescriptionsIngress",
        {"GroupId": "@group", "SecurityGroupRuleDescriptions": [{"SecurityGroupRuleId": "@rule", "Description": "x"}]},
    ),
    ("CreateNetworkAclEntry", {**_ENTRY, "CidrBlock": "10.0.0.0/8", "PortRange": {"From": 1, "To": 2}}),
    ("CreateNetworkAclEntry", {**_ENTRY, "Ipv6CidrBlock": "::/0", "Protocol": "58", "IcmpTypeCode": {"Type": 1}}),
    ("CreateRoute", {"RouteTableId": "@table", "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "@gateway"}),
    ("CreateRoute", {"RouteTableId": "@table", "DestinationPrefixListId": "@list", "NetworkInterfaceId": "@eni"}),
    (
        "ModifyManagedPrefixList",
        {
            "PrefixListId": "@list",
            "PrefixListName": "n",
            "AddEntries": [{"Cidr": "192.0.2.0/24", "Description": "x"}],
        },
    ),
    ("CreateSecurityGroup", {"GroupName": "n", "Description": "x", "VpcId": "@vpc"}),
)
"""Calls that succeed as they are; drawn with at most one value that may not fit."""


class Drawer:
    """Draws requests that fit the model's shapes: what the gateway lets through."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._hostile = random.choice((0.0, 0.1, 0.3))
        """How often a value is not one that fits."""
        self._generous = random.choice((0.1, 0.3, 0.6))
        """How often a member that may be left out is there."""

    def value(self, name: str, shape: Any) -> Any:
        pick = self._random
        match shape.type_name:
            case "structure":
                chosen = [
                    one for one in shape.members if one in shape.required_members or pick.random() < self._generous
                ]
                return {one: self.value(one, shape.members[one]) for one in chosen if one != "DryRun"}
            case "list":
                return [self.value(_single(name), shape.member) for _ in range(pick.choice((0, 1, 1, 2)))]
            case "boolean":
                return pick.random() < 0.5
            case kind:
                if name in FITTING and pick.random() >= self._hostile:
                    return pick.choice(FITTING[name])
                return self._text(name) if kind == "string" else pick.choice(NUMBERS)

    def nearly(self, request: Any) -> Any:
        """The request with one of its strings, chosen at random, replaced by any text."""
        leaves = list(_strings(request))
        victim = self._random.choice(leaves)

        def copy(value: Any, path: tuple[object, ...]) -> Any:
            match value:
                case dict():
                    return {key: copy(item, (*path, key)) for key, item in value.items()}
                case list():
                    return [copy(item, (*path, index)) for index, item in enumerate(value)]
                case _:
                    return self._any_text() if path == victim else value

        return copy(request, ())

    def _text(self, name: str) -> str:
        pick = self._random
        if name not in FITTING and pick.random() >= self._hostile:
            return "".join(pick.choices("abcXYZ09 -_", k=pick.choice((1, 5, 40))))
        return self._any_text()

    def _any_text(self) -> str:
        pick = self._random
        source = pick.choice(("ids", "nearly", "hostile", "letters"))
        if source == "letters":
            return "".join(pick.choices(LETTERS, k=pick.choice((0, 1, 7, 128, 256, 300))))
        return pick.choice({"ids": [f"@{one}" for one in IDS], "nearly": NEARLY, "hostile": HOSTILE}[source])


def _strings(value: Any, path: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """Where the strings of a request are."""
    match value:
        case dict():
            for key, item in value.items():
                yield from _strings(item, (*path, key))
        case list():
            for index, item in enumerate(value):
                yield from _strings(item, (*path, index))
        case str():
            yield path


def _single(name: str) -> str:
    """The member of a list: GroupIds are GroupId."""
    return {"Values": "VpcId", "Resources": "GroupId", "Groups": "GroupId"}.get(name, name.removesuffix("s"))


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    drawer = Drawer(draw(st.randoms(use_true_random=False)))
    if draw(st.booleans()):
        good, request = draw(st.sampled_from(GOOD))
        return good, request if draw(st.booleans()) else drawer.nearly(request)
    name = draw(st.sampled_from(OPERATIONS))
    return name, drawer.value("", MODEL.operation_model(name).input_shape)


def _account() -> tuple[Ec2, dict[str, str]]:
    """A VPC with one of everything that a request may name, and an interface, so that it has a router."""
    ec2 = Ec2(store=Store(None, SCHEMA))
    vpc = ec2.vpc()
    subnet = ec2.subnet(vpc)
    groups = [
        str(ec2("CreateSecurityGroup", GroupName=name, Description="x", VpcId=vpc)["GroupId"]) for name in ("a", "b")
    ]
    peer = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    rule = ec2("AuthorizeSecurityGroupIngress", GroupId=groups[0], IpPermissions=[peer])["SecurityGroupRules"][0]
    lists = [
        str(
            ec2("CreateManagedPrefixList", PrefixListName="l", MaxEntries=5, AddressFamily=family)["PrefixList"][
                "PrefixListId"
            ]
        )
        for family in ("IPv4", "IPv6")
    ]
    acl = ec2("CreateNetworkAcl", VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    (row,) = ec2("DescribeNetworkAcls", Filters=[{"Name": "default", "Values": ["true"]}])["NetworkAcls"]
    table = ec2("CreateRouteTable", VpcId=vpc)["RouteTable"]["RouteTableId"]
    gateway = ec2("CreateInternetGateway")["InternetGateway"]["InternetGatewayId"]
    ec2("AttachInternetGateway", InternetGatewayId=gateway, VpcId=vpc)
    eni = ec2.interface(subnet, Groups=groups)["NetworkInterfaceId"]
    made = (vpc, subnet, *groups, rule["SecurityGroupRuleId"], *lists, acl)
    association = row["Associations"][0]["NetworkAclAssociationId"]
    return ec2, dict(zip(IDS, (*made, association, table, gateway, eni), strict=True))


def _named(value: Any, ids: Mapping[str, str]) -> Any:
    """The request with ids instead of their names."""
    if isinstance(value, Mapping):
        return {key: _named(item, ids) for key, item in value.items()}
    if isinstance(value, list):
        return [_named(item, ids) for item in value]
    return ids.get(value[1:], value) if isinstance(value, str) and value.startswith("@") else value


def _plan(store: Store) -> list[HostObject]:
    planner = Planner()
    planner.apply(Engine(FRAGMENTS).start(store.snapshot))
    return [item for item in planner.all() if isinstance(item, IN_KERNEL)]


_SILENT: Mapping[str, object] = {"name": "x", "description": "x", "tags": ()}
"""What the free text of any record may be replaced by without changing a packet's fate."""


def _silenced(store: Store) -> Store:
    """The same rows without free text."""
    quiet = Store(None, SCHEMA)
    with quiet.transaction() as tx:
        for table in SCHEMA.tables:
            for row in store.snapshot.tables[table.name].values():
                fields = {field.name for field in msgspec.structs.fields(row)}
                changes = {name: value for name, value in _SILENT.items() if name in fields}
                if "entries" in fields and table.name.startswith("prefix_list"):
                    changes["entries"] = tuple(msgspec.structs.replace(one, description=None) for one in row.entries)
                tx.put(table, msgspec.structs.replace(row, **changes))
    return quiet


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@example(calls=[("CreateNetworkAclEntry", {**_ENTRY, "Ipv6CidrBlock": "2001:db8::%eth0/64"})])
@example(calls=[("CreateNetworkInterface", {"SubnetId": "@subnet", "Ipv4Prefixes": [{}]})])
@example(calls=[("CreateNetworkInterface", {"SubnetId": "@subnet", "Ipv6AddressCount": -1})])
@given(calls=st.lists(requests(), min_size=1, max_size=12))
def test_no_text_changes_a_rule_beyond_the_model(calls: list[tuple[str, dict[str, Any]]]) -> None:
    ec2, ids = _account()
    for name, drawn in calls:
        request = _named(drawn, ids)
        before = ec2.store.snapshot
        try:
            with ec2.store.transaction() as tx:
                reply = plain(RUN[name](ec2.call(tx), request))
        except AwsError:
            assert ec2.store.snapshot is before, f"{name} failed and left a trace"
        else:
            fits(reply, MODEL.operation_model(name).output_shape, name)
    plan = _plan(ec2.store)
    assert MARK not in repr(plan)
    assert plan == _plan(_silenced(ec2.store))
    for item in plan:
        match item:
            case NftChain():
                texts = [item.name, *(rule.text for rule in item.rules), *(rule.comment for rule in item.rules)]
            case NftSet():
                texts = [item.name, item.type]
            case NftElement():
                texts = [item.set, item.element, item.value or ""]
            case _:
                continue
        assert all(text.isascii() and text.isprintable() for text in texts)
