"""People: accounts, logins, API tokens."""
