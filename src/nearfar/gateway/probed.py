"""What probes found out about deployments, believed where nobody declared otherwise. It probes nothing and decides
nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from nearfar.core.routing import Capability, Deployment
from nearfar.store.capabilities import Finding


def target(deployment: Deployment) -> str:
    """What a finding is about: another model or address under the same name is another thing."""
    return f"{deployment.provider} {deployment.model} {deployment.base_url}"


def believe(deployment: Deployment, findings: Iterable[Finding]) -> Deployment:
    """``deployment`` with its findings as capabilities: above the catalogue's word, below the owner's."""
    known = dict(deployment.capabilities)
    for item in findings:
        before = known.get(item.what)
        if (
            item.can is None
            or item.target != target(deployment)
            or (before is not None and before.source == "declared")
        ):
            continue
        known[item.what] = Capability(can=item.can, source="probed", date=item.date)
    return deployment if known == deployment.capabilities else msgspec.structs.replace(deployment, capabilities=known)


def known(deployment: Deployment, needs: Collection[str] = ()) -> dict[str, Capability]:
    """What somebody found out or declared about this very deployment; of ``needs``, the catalogue's word too."""
    return {
        what: item
        for what, item in sorted(deployment.capabilities.items())
        if item.source in {"probed", "declared"} or what in needs
    }
