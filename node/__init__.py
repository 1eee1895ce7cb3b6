"""One machine and its peers: actor runtime, hardware, onboarding, resource ledger, ports."""
