"""Regions with their zones (public AWS tables: "Regions and Availability Zones", "AZ IDs").

AWS maps zone names to zone ids per account; here every account has the mapping below.
"""

from __future__ import annotations

from ecsnet.model.base import Record
from ecsnet.services.call import AwsError


class Zone(Record, frozen=True, kw_only=True, gc=False):
    name: str
    id: str
    region: str


class RegionInfo(Record, frozen=True, kw_only=True, gc=False):
    name: str
    opt_in: bool
    zones: tuple[Zone, ...]

    @property
    def endpoint(self) -> str:
        suffix = "amazonaws.com.cn" if self.name.startswith("cn-") else "amazonaws.com"
        return f"ec2.{self.name}.{suffix}"

    @property
    def opt_in_status(self) -> str:
        """Every region can be used here, so those that AWS lets one opt into count as opted in."""
        return "opted-in" if self.opt_in else "opt-in-not-required"


# Region, prefix of its zone ids, zone letters with the number of each zone id, whether it must be opted into.
_TABLE: tuple[tuple[str, str, str, bool], ...] = (
    ("af-south-1", "afs1", "a1 b2 c3", True),
    ("ap-east-1", "ape1", "a1 b2 c3", True),
    ("ap-northeast-1", "apne1", "a4 c1 d2", False),
    ("ap-northeast-2", "apne2", "a1 b2 c3 d4", False),
    ("ap-northeast-3", "apne3", "a3 b1 c2", False),
    ("ap-south-1", "aps1", "a1 b3 c2", False),
    ("ap-south-2", "aps2", "a1 b2 c3", True),
    ("ap-southeast-1", "apse1", "a1 b2 c3", False),
    ("ap-southeast-2", "apse2", "a1 b3 c2", False),
    ("ap-southeast-3", "apse3", "a1 b2 c3", True),
    ("ap-southeast-4", "apse4", "a1 b2 c3", True),
    ("ap-southeast-5", "apse5", "a1 b2 c3", True),
    ("ap-southeast-7", "apse7", "a1 b2 c3", True),
    ("ca-central-1", "cac1", "a1 b2 d4", False),
    ("ca-west-1", "caw1", "a1 b2 c3", True),
    ("cn-north-1", "cnn1", "a1 b2 d4", False),
    ("cn-northwest-1", "cnnw1", "a1 b2 c3", False),
    ("eu-central-1", "euc1", "a2 b3 c1", False),
    ("eu-central-2", "euc2", "a1 b2 c3", True),
    ("eu-north-1", "eun1", "a1 b2 c3", False),
    ("eu-south-1", "eus1", "a1 b2 c3", True),
    ("eu-south-2", "eus2", "a1 b2 c3", True),
    ("eu-west-1", "euw1", "a3 b1 c2", False),
    ("eu-west-2", "euw2", "a2 b3 c1", False),
    ("eu-west-3", "euw3", "a1 b2 c3", False),
    ("il-central-1", "ilc1", "a1 b2 c3", True),
    ("me-central-1", "mec1", "a1 b2 c3", True),
    ("me-south-1", "mes1", "a1 b2 c3", True),
    ("mx-central-1", "mxc1", "a1 b2 c3", True),
    ("sa-east-1", "sae1", "a1 b2 c3", False),
    ("us-east-1", "use1", "a1 b2 c4 d6 e3 f5", False),
    ("us-east-2", "use2", "a1 b2 c3", False),
    ("us-gov-east-1", "usge1", "a1 b2 c3", False),
    ("us-gov-west-1", "usgw1", "a1 b2 c3", False),
    ("us-west-1", "usw1", "a3 c1", False),
    ("us-west-2", "usw2", "a1 b2 c3 d4", False),
)


def _region(name: str, prefix: str, zones: str, opt_in: bool) -> RegionInfo:
    return RegionInfo(
        name=name,
        opt_in=opt_in,
        zones=tuple(Zone(name=f"{name}{zone[0]}", id=f"{prefix}-az{zone[1:]}", region=name) for zone in zones.split()),
    )


REGIONS = {row[0]: _region(*row) for row in _TABLE}


def region_info(name: str) -> RegionInfo:
    """The region. Raises InvalidParameterValue for a name that AWS does not have."""
    found = REGIONS.get(name)
    if found is None:
        raise AwsError(
            "InvalidParameterValue", f"The region '{name}' does not exist. Use one of: {', '.join(REGIONS)}."
        )
    return found


def partition(region: str) -> str:
    """The first part of ARNs of this region."""
    if region.startswith("cn-"):
        return "aws-cn"
    if region.startswith("us-gov-"):
        return "aws-us-gov"
    return "aws"


def arn(region: str, account: str, resource: str) -> str:
    """An EC2 ARN; `resource` is "subnet/subnet-…"."""
    return f"arn:{partition(region)}:ec2:{region}:{account}:{resource}"
