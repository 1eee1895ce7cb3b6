"""Who may do what, and who did: DIDs, keys, keystore, tokens, contexts, audit log."""
