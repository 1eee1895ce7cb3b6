"""The patterns of names: hosts, images, environment variables, volumes."""

from __future__ import annotations

import re

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
LABEL = re.compile(_LABEL)
NODE_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?:{_LABEL}(?:\.{_LABEL})*(?::[0-9]{{1,5}})?/)?"
    rf"{_COMPONENT}(?:/{_COMPONENT})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
    r"(?:@[A-Za-z][A-Za-z0-9]*:[0-9a-fA-F]{32,128})?"
)
MAX_HOST_NAME = 253
MAX_IMAGE = 512


def is_host_name(text: str) -> bool:
    """Whether `text` is a host name: labels of 1-63 letters, digits and inner hyphens, joined by dots."""
    return len(text) <= MAX_HOST_NAME and HOST_NAME.fullmatch(text) is not None


def is_image(text: str) -> bool:
    """Whether `text` names an image: registry/name:tag, also with a digest."""
    return len(text) <= MAX_IMAGE and _IMAGE.fullmatch(text) is not None
