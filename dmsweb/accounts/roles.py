"""What a new account may do until somebody says otherwise."""

from __future__ import annotations

# The node issues one token over these to each account that is not an administrator. An administrator's DID is
# a root anchor instead and needs none.
DEFAULT_GRANT: tuple[str, ...] = (
    "/public",
    "/dms/node/deployment",
    "/dms/node/allocations",
    "/dms/node/allocation",
    "/dms/node/container",
    "/dms/node/resources",
    "/dms/node/hardware",
    "/dms/node/onboarding/status",
    "/dms/node/quota/get",
)
