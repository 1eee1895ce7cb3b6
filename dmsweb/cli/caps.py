"""The whole of `cap`: importing this module gives the group all its verbs."""

from dmsweb.cli import cap_ask, cap_give
from dmsweb.cli.cap import cap

__all__ = ["cap", "cap_ask", "cap_give"]
