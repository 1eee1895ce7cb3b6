"""`./dms test`: what the tests need, set up where this machine allows it, then pytest."""
