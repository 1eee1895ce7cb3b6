"""The whole of `key`: importing this module gives the group all its verbs."""

from dmsweb.cli import key_ledger
from dmsweb.cli.key import key

__all__ = ["key", "key_ledger"]
