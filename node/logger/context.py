"""What a log line is about: ids that hold for everything done inside a block, across rooms. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from types import MappingProxyType
from typing import Final, ParamSpec, TypeVar

IDS: Final = ("request", "deployment", "allocation")
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_bound: ContextVar[Mapping[str, str]] = ContextVar("dms_log_ids", default=_NOTHING)

P = ParamSpec("P")
R = TypeVar("R")


def bound() -> Mapping[str, str]:
    """Return the ids that hold here."""
    return _bound.get()


def request_id() -> str:
    """Return the id of the request that is being served, empty outside of one."""
    return bound().get("request", "")


@contextmanager
def bind(**ids: str) -> Iterator[None]:
    """Let these ids (of `IDS`) hold inside the block; empty ones change nothing."""
    unknown = set(ids) - set(IDS)
    if unknown:
        raise ValueError(f"no log line has {', '.join(sorted(unknown))}; there are {', '.join(IDS)}")
    token = _bound.set({**bound(), **{name: value for name, value in ids.items() if value}})
    try:
        yield
    finally:
        _bound.reset(token)


def about(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Bind a function's first argument, a key, under `name` while it runs."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def inside(*args: P.args, **kwargs: P.kwargs) -> R:
            with bind(**{name: str(args[0]) if args else ""}):
                return function(*args, **kwargs)

        return inside

    return decorate


def begin(**ids: str) -> None:
    """Let these ids, and no others, hold in this thread from now on: for hooks that have a start and an end."""
    _bound.set({name: value for name, value in ids.items() if value} if ids else _NOTHING)
