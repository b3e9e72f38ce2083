"""What has to be deployed before a template, and the values of its parameters, as a user would wire them.

In this order: stacks whose exports it imports, outputs of templates in the same folder under the parameter's name, and
a scaffold of our own (network, cluster, roles, load balancer) by the parameter's type and name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from catalog import Catalog, Template

SCAFFOLD = "scaffold"
"""Name of the stack of `scaffold.yaml`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """The value of a stack's output, known once it is deployed."""

    stack: str
    key: str


Value = str | Output


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One stack. `template` None is the scaffold."""

    stack: str
    template: Template | None
    parameters: Mapping[str, Value] = field(default_factory=dict)


class Plan:
    """The stacks to deploy for one template, in order; the last one is the template's own."""

    def __init__(self, catalog: Catalog, template: Template) -> None:
        self._catalog = catalog
        self.steps: list[Step] = []
        self._stacks: dict[Template, str] = {}
        self._scaffolded = False
        self._add(template)

    def _add(self, template: Template) -> str:
        """Plan a template and what it needs; returns its stack's name."""
        if template in self._stacks:
            return self._stacks[template]
        self._stacks[template] = name = _stack_name(template, len(self._stacks))
        parameters: dict[str, Value] = {}
        for parameter, rests in self._imports(template).items():
            stack = self._exporters(template, rests)
            if parameter in template.parameters and stack is not None:
                parameters[parameter] = stack
        for parameter, declared in template.parameters.items():
            if parameter not in parameters and declared.get("Default") is None:
                parameters[parameter] = self._value(template, parameter, declared)
        self.steps.append(Step(stack=name, template=template, parameters=parameters))
        return name

    def _exporters(self, template: Template, rests: set[str]) -> str | None:
        """Plan the stacks that export some names; returns the one whose own name the exports begin with."""
        found = None
        missing = frozenset(rests)
        while missing and (exporter := self._catalog.exporter(template, missing)) is not None:
            stack = self._stacks.get(exporter) or self._add(exporter)
            met = [name for name in exporter.exports if name.rest in missing]
            if found is None and any(name.parameter == "AWS::StackName" for name in met):
                found = stack
            missing -= {name.rest for name in met}
        return found

    def _imports(self, template: Template) -> Mapping[str, set[str]]:
        """What it and its parts import, by the parameter that names the exporting stack.

        Constant names are grouped one by one, because several stacks may give them.
        """
        found: dict[str, set[str]] = {}
        own = {name.rest for one in self._catalog.whole(template) for name in one.exports}
        for one in self._catalog.whole(template):
            for name in one.imports:
                optional = one.parameters.get(name.parameter, {}).get("Default") == ""
                if name.rest not in own and not optional:
                    found.setdefault(name.parameter or f"={name.rest}", set()).add(name.rest)
        return dict(sorted(found.items()))

    def _value(self, template: Template, name: str, declared: Mapping[str, Any]) -> Value:
        givers = [
            other
            for other in self._catalog.siblings(template)
            if name in other.outputs and other not in self._stacks and self._catalog.root(other) == other
        ]
        known = [other for other in self._stacks if name in other.outputs and other != template]
        if known:
            return Output(stack=self._stacks[known[0]], key=name)
        if givers:
            wanted = set(template.parameters)
            best = max(givers, key=lambda other: (len(wanted & other.outputs), other.name))
            return Output(stack=self._add(best), key=name)
        return self._generated(template, name, declared)

    def _generated(self, template: Template, name: str, declared: Mapping[str, Any]) -> Value:
        kind = str(declared.get("Type", "String"))
        allowed = declared.get("AllowedValues")
        if allowed:
            return str(allowed[0])
        output = _scaffold_output(name, kind)
        if output == "VpcCidr" and "AWS::EC2::VPC" in template.types:
            output = None  # the block of a VPC that it makes itself
        if output is not None:
            if not self._scaffolded:
                self._scaffolded = True
                self.steps.insert(0, Step(stack=SCAFFOLD, template=None))
            return Output(stack=SCAFFOLD, key=output)
        return _plain(name, kind, declared)


def _stack_name(template: Template, number: int) -> str:
    """Short, because load balancers and target groups are named after their stacks within 32 characters."""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", template.path.name.split(".")[0]).strip("-").lower()
    return f"{stem[:12].strip('-') or 'stack'}-{number}" if stem[:1].isalpha() else f"s{number}"


_BY_TYPE = {
    "AWS::EC2::VPC::Id": "VpcId",
    "AWS::EC2::SecurityGroup::Id": "SecurityGroup",
    "List<AWS::EC2::SecurityGroup::Id>": "SecurityGroup",
    "AWS::Route53::HostedZone::Id": "HostedZone",
}

_BY_NAME = (
    (r"vpc.*cidr", "VpcCidr"),
    (r"vpc(id)?$|vpc.*ref$", "VpcId"),
    (r"private.*subnet.*2|subnet(two|b|02|2)$|subnet4$", "PrivateSubnet2"),
    (r"private.*subnet.*1$|private.*subnet1.*ref$", "PrivateSubnet1"),
    (r"public.*subnet.*2", "PublicSubnet2"),
    (r"public.*subnet.*1", "PublicSubnet1"),
    (r"subnet(id)?(one|a|01|1)$|subnet3$", "PublicSubnet1"),
    (r"private.*subnets?", "PrivateSubnetIds"),
    (r"subnet(id)?s$", "PublicSubnetIds"),
    (r"subnet(id)?$", "PublicSubnet1"),
    (r"ec2capacityprovider|^capacityprovider", "CapacityProvider"),
    (r"cluster(name)?$", "ClusterName"),
    (r"(execution|service|task|autoscaling).*role|role(arn)?$", "RoleArn"),
    (r"securitygroup", "SecurityGroup"),
    (r"listener", "Listener"),
    (r"targetgroup", "TargetGroup"),
    (r"cname|dnsname", "LoadBalancerName"),
    (r"alb$|loadbalancer(arn)?$", "LoadBalancer"),
    (r"kms", "Key"),
    (r"loggroup", "LogGroup"),
    (r"namespace", "Namespace"),
)


def _scaffold_output(name: str, kind: str) -> str | None:
    if kind in _BY_TYPE:
        return _BY_TYPE[kind]
    if kind == "List<AWS::EC2::Subnet::Id>":
        return "PrivateSubnetIds" if "private" in name.lower() else "PublicSubnetIds"
    if kind not in ("String", "CommaDelimitedList", "AWS::EC2::Subnet::Id"):
        return None
    for pattern, output in _BY_NAME:
        if re.search(pattern, name.lower()):
            return output
    return None


_PLAIN_TYPES = {
    "AWS::EC2::KeyPair::KeyName": "coverage",
    "AWS::EC2::Image::Id": "ami-0123456789abcdef0",
    "AWS::EC2::AvailabilityZone::Name": "us-east-1a",
    "List<AWS::EC2::AvailabilityZone::Name>": "us-east-1a,us-east-1b",
    "AWS::EC2::Instance::Id": "i-0123456789abcdef0",
}

_PLAIN_NAMES = (
    (r"cidr.*4|4.*cidr", "10.0.3.0/24"),
    (r"cidr.*3|3.*cidr", "10.0.2.0/24"),
    (r"cidr.*2|2.*cidr", "10.0.1.0/24"),
    (r"cidr.*1|1.*cidr|subnet.*cidr", "10.0.0.0/24"),
    (r"cidr", "10.0.0.0/16"),
    (r"image|docker", "public.ecr.aws/nginx/nginx:latest"),
    (r"zone.*2", "us-east-1b"),
    (r"instancetype", "t3.large"),
    (r"priority", "100"),
    (r"memory", "512"),
    (r"cpu", "256"),
    (r"port$", "80"),
    (r"path$", "/"),
    (r"url$", "http://example.com/"),
    (r"domain|hostname", "example.com"),
    (r"email", "somebody@example.com"),
    (r"password|secret", "Passw0rd1234"),
)


def _plain(name: str, kind: str, declared: Mapping[str, Any]) -> str:
    if kind == "AWS::EC2::AvailabilityZone::Name" and name.endswith("2"):
        return "us-east-1b"
    if kind in _PLAIN_TYPES:
        return _PLAIN_TYPES[kind]
    for pattern, value in _PLAIN_NAMES:
        if re.search(pattern, name.lower()):
            return value
    if kind.startswith(("Number", "List<Number>")):
        return str(declared.get("MinValue", 1))
    return "coverage".ljust(int(declared.get("MinLength", 0)), "x")
