"""From ensemble to running allocations: parse, bid, match, commit, provision, supervise."""
