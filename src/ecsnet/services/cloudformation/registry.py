"""Every resource type that ecsnet makes."""

from __future__ import annotations

from collections.abc import Mapping

from ecsnet.services.cloudformation.resources import ec2, ec2_groups, ec2_routing
from ecsnet.services.cloudformation.resources.base import Provisioner

PROVISIONERS: Mapping[str, Provisioner] = {
    provisioner.type: provisioner for module in (ec2, ec2_routing, ec2_groups) for provisioner in module.PROVISIONERS
}
