"""Typed readers of environment variables that fail with the variable's name."""

from __future__ import annotations

import os
from pathlib import Path


def env_text(name: str, default: str = "") -> str:
    """Return the variable, or the content of the file that `<name>_FILE` points to, or the default."""
    file = os.environ.get(f"{name}_FILE")
    if file:
        try:
            return Path(file).read_text().strip()
        except OSError as error:
            raise ValueError(f"{name}_FILE={file}: {error.strerror}") from None
    return os.environ.get(name, default)


def env_bool(name: str, default: bool) -> bool:
    """Return the variable as a truth value."""
    text = env_text(name).lower()
    if not text:
        return default
    if text in {"1", "true", "yes", "on"}:
        return True
    if text in {"0", "false", "no", "off"}:
        return False
    raise ValueError(f"{name}={text!r} is not a truth value; give true or false")


def env_int(name: str, default: int) -> int:
    """Return the variable as an integer."""
    text = env_text(name)
    try:
        return int(text) if text else default
    except ValueError:
        raise ValueError(f"{name}={text!r} is not an integer") from None


def env_list(name: str) -> list[str]:
    """Return the comma-separated variable as a list."""
    return [item.strip() for item in env_text(name).split(",") if item.strip()]
