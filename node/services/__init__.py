"""Use cases that write: onboarding, ledger, ports, samples."""
