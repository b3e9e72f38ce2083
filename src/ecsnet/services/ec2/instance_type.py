"""Instance types: how many interfaces each may have and how many addresses an interface of it.

Source: EC2 User Guide, "Maximum IP addresses per network interface", and EC2 API, DescribeInstanceTypes. Current and
widely used families without bare metal. Another type is unknown here, as a type of another region is on AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from ecsnet.model.base import Record
from ecsnet.services.call import AwsError, Cached, Call, Operation, Reply, Request, read
from ecsnet.services.ec2.filters import Filters, Test
from ecsnet.services.ec2.paging import page

DEFAULT = "m1.small"
"""EC2 API, RunInstances, InstanceType: "Default: m1.small"."""

_WITHOUT_IPV6 = frozenset({"m1"})

# family architecture size:vCPUs:MiB:interfaces:IPv4 addresses per interface …
_TABLE = """
a1 arm64 medium:1:2048:2:4 large:2:4096:3:10 xlarge:4:8192:4:15 2xlarge:8:16384:4:15 4xlarge:16:32768:8:30
t2 x86_64 nano:1:512:2:2 micro:1:1024:2:2 small:1:2048:3:4 medium:2:4096:3:6 large:2:8192:3:12
  xlarge:4:16384:3:15 2xlarge:8:32768:3:15
t3 x86_64 nano:2:512:2:2 micro:2:1024:2:2 small:2:2048:3:4 medium:2:4096:3:6 large:2:8192:3:12
  xlarge:4:16384:4:15 2xlarge:8:32768:4:15
t3a x86_64 nano:2:512:2:2 micro:2:1024:2:2 small:2:2048:2:4 medium:2:4096:3:6 large:2:8192:3:12
  xlarge:4:16384:4:15 2xlarge:8:32768:4:15
t4g arm64 nano:2:512:2:2 micro:2:1024:2:2 small:2:2048:3:4 medium:2:4096:3:6 large:2:8192:3:12
  xlarge:4:16384:4:15 2xlarge:8:32768:4:15
m1 x86_64 small:1:1740:2:4 medium:1:3788:2:6 large:2:7680:3:10 xlarge:4:15360:4:15
m4 x86_64 large:2:8192:2:10 xlarge:4:16384:4:15 2xlarge:8:32768:4:15 4xlarge:16:65536:8:30
  10xlarge:40:163840:8:30 16xlarge:64:262144:8:30
m5 x86_64 large:2:8192:3:10 xlarge:4:16384:4:15 2xlarge:8:32768:4:15 4xlarge:16:65536:8:30
  8xlarge:32:131072:8:30 12xlarge:48:196608:8:30 16xlarge:64:262144:15:50 24xlarge:96:393216:15:50
m5a x86_64 large:2:8192:3:10 xlarge:4:16384:4:15 2xlarge:8:32768:4:15 4xlarge:16:65536:8:30
  8xlarge:32:131072:8:30 12xlarge:48:196608:8:30 16xlarge:64:262144:15:50 24xlarge:96:393216:15:50
m5n x86_64 large:2:8192:3:10 xlarge:4:16384:4:15 2xlarge:8:32768:4:15 4xlarge:16:65536:8:30
  8xlarge:32:131072:8:30 12xlarge:48:196608:8:30 16xlarge:64:262144:15:50 24xlarge:96:393216:15:50
m6a x86_64 large:2:8192:3:10 xlarge:4:16384:4:15 2xlarge:8:32768:4:15 4xlarge:16:65536:8:30
  8xlarge:32:131072:8:30 12xlarge:48:196608:8:30 16xlarge:64:262144:15:50 24xlarge:96:393216:15:50
  32xlarge:128:524288:15:50 48xlarge:192:786432:15:50
m6g arm64 medium:1:4096:2:4 large:2:8192:3:10 xlarge:4:16384:4:15 2xlarge:8:32768:4:15 4xlarge:16:65536:8:30
  8xlarge:32:131072:8:30 12xlarge:48:196608:8:30 16xlarge:64:262144:15:50
m6i x86_64 large:2:8192:3:10 xlarge:4:16384:4:15 2xlarge:8:32768:4:15 4xlarge:16:65536:8:30
  8xlarge:32:131072:8:30 12xlarge:48:196608:8:30 16xlarge:64:262144:15:50 24xlarge:96:393216:15:50
  32xlarge:128:524288:15:50
m7a x86_64 medium:1:4096:2:4 large:2:8192:3:10 xlarge:4:16384:4:15 2xlarge:8:32768:4:15 4xlarge:16:65536:8:30
  8xlarge:32:131072:8:30 12xlarge:48:196608:8:30 16xlarge:64:262144:15:50 24xlarge:96:393216:15:50
  32xlarge:128:524288:15:50 48xlarge:192:786432:15:50
m7g arm64 medium:1:4096:2:4 large:2:8192:3:10 xlarge:4:16384:4:15 2xlarge:8:32768:4:15 4xlarge:16:65536:8:30
  8xlarge:32:131072:8:30 12xlarge:48:196608:8:30 16xlarge:64:262144:15:50
m7i x86_64 large:2:8192:3:10 xlarge:4:16384:4:15 2xlarge:8:32768:4:15 4xlarge:16:65536:8:30
  8xlarge:32:131072:8:30 12xlarge:48:196608:8:30 16xlarge:64:262144:15:50 24xlarge:96:393216:15:50
  48xlarge:192:786432:15:50
m7i-flex x86_64 large:2:8192:3:10 xlarge:4:16384:4:15 2xlarge:8:32768:4:15 4xlarge:16:65536:8:30
  8xlarge:32:131072:8:30 12xlarge:48:196608:8:30 16xlarge:64:262144:15:50
m8g arm64 medium:1:4096:2:4 large:2:8192:3:10 xlarge:4:16384:4:15 2xlarge:8:32768:4:15 4xlarge:16:65536:8:30
  8xlarge:32:131072:8:30 12xlarge:48:196608:8:30 16xlarge:64:262144:15:50 24xlarge:96:393216:15:50
  48xlarge:192:786432:15:50
c4 x86_64 large:2:3840:3:10 xlarge:4:7680:4:15 2xlarge:8:15360:4:15 4xlarge:16:30720:8:30 8xlarge:36:61440:8:30
c5 x86_64 large:2:4096:3:10 xlarge:4:8192:4:15 2xlarge:8:16384:4:15 4xlarge:16:32768:8:30 9xlarge:36:73728:8:30
  12xlarge:48:98304:8:30 18xlarge:72:147456:15:50 24xlarge:96:196608:15:50
c5a x86_64 large:2:4096:3:10 xlarge:4:8192:4:15 2xlarge:8:16384:4:15 4xlarge:16:32768:8:30 8xlarge:32:65536:8:30
  12xlarge:48:98304:8:30 16xlarge:64:131072:15:50 24xlarge:96:196608:15:50
c5n x86_64 large:2:5376:3:10 xlarge:4:10752:4:15 2xlarge:8:21504:4:15 4xlarge:16:43008:8:30
  9xlarge:36:98304:8:30 18xlarge:72:196608:15:50
c6a x86_64 large:2:4096:3:10 xlarge:4:8192:4:15 2xlarge:8:16384:4:15 4xlarge:16:32768:8:30 8xlarge:32:65536:8:30
  12xlarge:48:98304:8:30 16xlarge:64:131072:15:50 24xlarge:96:196608:15:50 32xlarge:128:262144:15:50
  48xlarge:192:393216:15:50
c6g arm64 medium:1:2048:2:4 large:2:4096:3:10 xlarge:4:8192:4:15 2xlarge:8:16384:4:15 4xlarge:16:32768:8:30
  8xlarge:32:65536:8:30 12xlarge:48:98304:8:30 16xlarge:64:131072:15:50
c6i x86_64 large:2:4096:3:10 xlarge:4:8192:4:15 2xlarge:8:16384:4:15 4xlarge:16:32768:8:30 8xlarge:32:65536:8:30
  12xlarge:48:98304:8:30 16xlarge:64:131072:15:50 24xlarge:96:196608:15:50 32xlarge:128:262144:15:50
c7a x86_64 medium:1:2048:2:4 large:2:4096:3:10 xlarge:4:8192:4:15 2xlarge:8:16384:4:15 4xlarge:16:32768:8:30
  8xlarge:32:65536:8:30 12xlarge:48:98304:8:30 16xlarge:64:131072:15:50 24xlarge:96:196608:15:50
  32xlarge:128:262144:15:50 48xlarge:192:393216:15:50
c7g arm64 medium:1:2048:2:4 large:2:4096:3:10 xlarge:4:8192:4:15 2xlarge:8:16384:4:15 4xlarge:16:32768:8:30
  8xlarge:32:65536:8:30 12xlarge:48:98304:8:30 16xlarge:64:131072:15:50
c7i x86_64 large:2:4096:3:10 xlarge:4:8192:4:15 2xlarge:8:16384:4:15 4xlarge:16:32768:8:30 8xlarge:32:65536:8:30
  12xlarge:48:98304:8:30 16xlarge:64:131072:15:50 24xlarge:96:196608:15:50 48xlarge:192:393216:15:50
c8g arm64 medium:1:2048:2:4 large:2:4096:3:10 xlarge:4:8192:4:15 2xlarge:8:16384:4:15 4xlarge:16:32768:8:30
  8xlarge:32:65536:8:30 12xlarge:48:98304:8:30 16xlarge:64:131072:15:50 24xlarge:96:196608:15:50
  48xlarge:192:393216:15:50
g3 x86_64 4xlarge:16:124928:8:30 8xlarge:32:249856:8:30 16xlarge:64:499712:15:50
inf2 x86_64 xlarge:4:16384:4:15 8xlarge:32:131072:8:30 24xlarge:96:393216:15:50 48xlarge:192:786432:15:50
r4 x86_64 large:2:15616:3:10 xlarge:4:31232:4:15 2xlarge:8:62464:4:15 4xlarge:16:124928:8:30
  8xlarge:32:249856:8:30 16xlarge:64:499712:15:50
r5 x86_64 large:2:16384:3:10 xlarge:4:32768:4:15 2xlarge:8:65536:4:15 4xlarge:16:131072:8:30
  8xlarge:32:262144:8:30 12xlarge:48:393216:8:30 16xlarge:64:524288:15:50 24xlarge:96:786432:15:50
r6a x86_64 large:2:16384:3:10 xlarge:4:32768:4:15 2xlarge:8:65536:4:15 4xlarge:16:131072:8:30
  8xlarge:32:262144:8:30 12xlarge:48:393216:8:30 16xlarge:64:524288:15:50 24xlarge:96:786432:15:50
  32xlarge:128:1048576:15:50 48xlarge:192:1572864:15:50
r6g arm64 medium:1:8192:2:4 large:2:16384:3:10 xlarge:4:32768:4:15 2xlarge:8:65536:4:15 4xlarge:16:131072:8:30
  8xlarge:32:262144:8:30 12xlarge:48:393216:8:30 16xlarge:64:524288:15:50
r6i x86_64 large:2:16384:3:10 xlarge:4:32768:4:15 2xlarge:8:65536:4:15 4xlarge:16:131072:8:30
  8xlarge:32:262144:8:30 12xlarge:48:393216:8:30 16xlarge:64:524288:15:50 24xlarge:96:786432:15:50
  32xlarge:128:1048576:15:50
r7g arm64 medium:1:8192:2:4 large:2:16384:3:10 xlarge:4:32768:4:15 2xlarge:8:65536:4:15 4xlarge:16:131072:8:30
  8xlarge:32:262144:8:30 12xlarge:48:393216:8:30 16xlarge:64:524288:15:50
r7i x86_64 large:2:16384:3:10 xlarge:4:32768:4:15 2xlarge:8:65536:4:15 4xlarge:16:131072:8:30
  8xlarge:32:262144:8:30 12xlarge:48:393216:8:30 16xlarge:64:524288:15:50 24xlarge:96:786432:15:50
  48xlarge:192:1572864:15:50
r8g arm64 medium:1:8192:2:4 large:2:16384:3:10 xlarge:4:32768:4:15 2xlarge:8:65536:4:15 4xlarge:16:131072:8:30
  8xlarge:32:262144:8:30 12xlarge:48:393216:8:30 16xlarge:64:524288:15:50 24xlarge:96:786432:15:50
  48xlarge:192:1572864:15:50
i3 x86_64 large:2:15616:3:10 xlarge:4:31232:4:15 2xlarge:8:62464:4:15 4xlarge:16:124928:8:30
  8xlarge:32:249856:8:30 16xlarge:64:499712:15:50
i4i x86_64 large:2:16384:3:10 xlarge:4:32768:4:15 2xlarge:8:65536:4:15 4xlarge:16:131072:8:30
  8xlarge:32:262144:8:30 12xlarge:48:393216:8:30 16xlarge:64:524288:15:50 24xlarge:96:786432:15:30
  32xlarge:128:1048576:15:50
g4dn x86_64 xlarge:4:16384:3:10 2xlarge:8:32768:3:10 4xlarge:16:65536:3:10 8xlarge:32:131072:4:15
  12xlarge:48:196608:8:30 16xlarge:64:262144:4:15
g5 x86_64 xlarge:4:16384:4:15 2xlarge:8:32768:4:15 4xlarge:16:65536:8:30 8xlarge:32:131072:8:30
  12xlarge:48:196608:15:50 16xlarge:64:262144:8:30 24xlarge:96:393216:15:50 48xlarge:192:786432:7:50
"""


class InstanceType(Record, frozen=True, kw_only=True, gc=False):
    """What ecsnet knows of one type."""

    name: str
    architecture: Literal["x86_64", "arm64"]
    vcpus: int
    memory: int
    """MiB."""
    interfaces: int
    """Most interfaces of an instance, the primary one included."""
    ipv4_per_interface: int
    ipv6_per_interface: int


def _parsed() -> dict[str, InstanceType]:
    types: dict[str, InstanceType] = {}
    family = architecture = ""
    words = iter(_TABLE.split())
    for word in words:
        if ":" not in word:
            family, architecture = word, next(words)
            continue
        size, vcpus, memory, interfaces, addresses = word.split(":")
        name = f"{family}.{size}"
        types[name] = InstanceType(
            name=name,
            architecture="arm64" if architecture == "arm64" else "x86_64",
            vcpus=int(vcpus),
            memory=int(memory),
            interfaces=int(interfaces),
            ipv4_per_interface=int(addresses),
            ipv6_per_interface=0 if family in _WITHOUT_IPV6 else int(addresses),
        )
    return types


TYPES: Mapping[str, InstanceType] = _parsed()


def instance_type(name: str) -> InstanceType:
    """One type by name. Raises InvalidParameterValue for one that is not in the table."""
    found = TYPES.get(name)
    if found is None:
        raise AwsError("InvalidParameterValue", f"Invalid value '{name}' for InstanceType.")
    return found


def _item(one: InstanceType) -> Mapping[str, Any]:
    """The wire form (EC2 API, shape InstanceTypeInfo): only the members that the table knows."""
    return {
        "InstanceType": one.name,
        "ProcessorInfo": {"SupportedArchitectures": [one.architecture]},
        "VCpuInfo": {"DefaultVCpus": one.vcpus},
        "MemoryInfo": {"SizeInMiB": one.memory},
        "NetworkInfo": {
            "MaximumNetworkInterfaces": one.interfaces,
            "Ipv4AddressesPerInterface": one.ipv4_per_interface,
            "Ipv6AddressesPerInterface": one.ipv6_per_interface,
            "Ipv6Supported": one.ipv6_per_interface > 0,
            "MaximumNetworkCards": 1,
            "DefaultNetworkCardIndex": 0,
            "NetworkCards": [{"NetworkCardIndex": 0, "MaximumNetworkInterfaces": one.interfaces}],
        },
    }


_FILTERS: Filters[InstanceType] = Filters(
    fields={
        "instance-type": lambda call, r: (r.name,),
        "memory-info.size-in-mib": lambda call, r: (str(r.memory),),
        "network-info.ipv4-addresses-per-interface": lambda call, r: (str(r.ipv4_per_interface),),
        "network-info.ipv6-addresses-per-interface": lambda call, r: (str(r.ipv6_per_interface),),
        "network-info.maximum-network-interfaces": lambda call, r: (str(r.interfaces),),
        "processor-info.supported-architecture": lambda call, r: (r.architecture,),
        "vcpu-info.default-vcpus": lambda call, r: (str(r.vcpus),),
    }
)


def describe_instance_types(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DescribeInstanceTypes. Raises InvalidInstanceType for a type that is not in the table."""
    named = request.get("InstanceTypes")
    for name in named or ():
        if name not in TYPES:
            raise AwsError("InvalidInstanceType", f"The following supplied instance types do not exist: [{name}]")
    tests: tuple[Test[InstanceType], ...] = _FILTERS.parse(request)
    chosen = {name: TYPES[name] for name in (named or TYPES) if all(test.matches(call, TYPES[name]) for test in tests)}
    keys, token = page(request, sorted(chosen), ids_member="InstanceTypes")
    reply: dict[str, Any] = {
        "InstanceTypes": [
            Cached(key=("type", key), sources=(chosen[key],), build=partial(_item, chosen[key])) for key in keys
        ]
    }
    return reply if token is None else {**reply, "NextToken": token}


OPERATIONS: tuple[Operation, ...] = (read("DescribeInstanceTypes", describe_instance_types),)
