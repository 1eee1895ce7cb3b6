"""Marks that somebody had to fill in: `{{ name }}`, `{$name}` and `${source:key}`.

Templates hold `{{ name }}` marks for a form's values; `${..}` placeholders are the command line's to resolve
(see `deployments.ensemble.placeholders`). Whatever of them reaches the parser is an error that names it.
`$${` stands for a literal `${`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from deployments.ensemble.problems import Mark

# `{{ end }}` and `{{ else }}` close blocks of Go templates, which commands such as `docker inspect -f` take.
_BRACES = re.compile(r"\{\{[ \t]*(?!(?:end|else)\b)([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*\}\}")
_DOLLAR = re.compile(r"\{\$([A-Za-z_][A-Za-z0-9_]*)\}")
PLACEHOLDER = re.compile(r"(?<!\$)\$\{([^{}\n]*)\}")
_COMMENT = re.compile(r"(?:^|\s)#.*")

Found = tuple[str, str]


def _unfilled(shown: str, name: str) -> Found:
    return f"the mark {shown} is not filled in", f"put the value of {name} in its place"


def mark_at(text: str, index: int) -> Found | None:
    """Return message and hint when a mark begins exactly at `index`."""
    for pattern in (_BRACES, _DOLLAR):
        if found := pattern.match(text, index):
            return _unfilled(found[0], found[1])
    return None


def mark_in(text: str) -> Found | None:
    """Return message and hint when the scalar's `text` holds a mark or an unresolved placeholder."""
    for pattern in (_BRACES, _DOLLAR):
        if (found := pattern.search(text)) and text[max(0, found.start() - 1) : found.start()] != "$":
            return _unfilled(found[0], found[1])
    if "${" in text and (found := PLACEHOLDER.search(text)):
        return (
            f"the placeholder {found[0][:80]} is not resolved",
            "the command line resolves it (./dms deploy -f FILE); for a literal write $${...}",
        )
    return None


def unescape(text: str) -> str:
    """Return `text` with `$${` as `${`."""
    return text.replace("$${", "${")


def marks_of(text: str) -> list[tuple[Mark, str, str]]:
    """Return every template mark outside comments, for documents that are no YAML because of them."""
    marks = []
    for number, line in enumerate(text.splitlines(), 1):
        if "{{" not in line and "{$" not in line:
            continue
        line = _COMMENT.sub("", line)
        for pattern in (_BRACES, _DOLLAR):
            for found in pattern.finditer(line):
                marks.append((Mark(number, found.start() + 1), *_unfilled(found[0], found[1])))
    return marks[:200]


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return the template `text` with the `{{ name }}` marks that `values` knows replaced."""
    return _BRACES.sub(lambda found: values.get(found[1], found[0]), text)
