"""Text of a YAML or JSON document -> tree with places, bounded before anything is expanded.

The parser's events are read one at a time; size, depth, aliases and the size after expansion are checked at
each, so that the work is bounded by the limits and never by what the text would expand to. Nothing is ever
constructed from a tag. `load` returns what it found wrong instead of raising.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

import yaml

from capabilities.numbers import NUMBERS, Numbers
from deployments.ensemble.marks import mark_at, mark_in, marks_of, unescape
from deployments.ensemble.problems import Mark, Report, join
from deployments.ensemble.scalars import NotFinite, resolve
from deployments.ensemble.source import decode
from deployments.ensemble.tree import UNFILLED, Mapping, Scalar, Sequence, Tree, kind

# Long texts count for more than one unit, so that many aliases of a long text are bounded too.
CHARACTERS_PER_UNIT = 64

_CORE = "tag:yaml.org,2002:"
_RESOLVED_TAGS = frozenset({f"{_CORE}{name}" for name in ("int", "float", "bool", "null")})
_CONTAINER_TAGS = {
    yaml.MappingStartEvent: (None, "!", f"{_CORE}map"),
    yaml.SequenceStartEvent: (None, "!", f"{_CORE}seq"),
}
_SURROGATES = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")


class _Stop(Exception):
    """The rest of the document cannot or may not be read; the reason is in the report."""


class _Frame:
    """A container that is being read."""

    __slots__ = ("anchor", "deepest", "index", "key", "key_mark", "merges", "node", "start")

    def __init__(self, node: Sequence | Mapping, anchor: str | None, start: int, index: int) -> None:
        self.node = node
        self.anchor = anchor
        self.start = start
        self.index = index
        self.deepest = 0
        self.key: str | None = None
        self.key_mark: Mark = node.mark
        self.merges: list[Tree] = []


class _Loader:
    """Builds the tree of one document from the parser's events."""

    def __init__(self, text: str, report: Report, numbers: Numbers, literal: bool) -> None:
        self.text = text
        self.literal = literal
        self.report = report
        self.numbers = numbers
        self.spent = 0
        self.aliases = 0
        self.anchors: dict[str, Tree | None] = {}
        self.stack: list[_Frame] = []
        self.root: Tree | None = None

    def run(self) -> Tree | None:
        """Return the document's root, None when it is empty. Raises _Stop, yaml.YAMLError."""
        parser = yaml.CSafeLoader(self.text)
        try:
            documents = 0
            while (event := parser.get_event()) is not None:
                cls = event.__class__
                if cls is yaml.ScalarEvent:
                    self._scalar(event)
                elif cls is yaml.MappingStartEvent or cls is yaml.SequenceStartEvent:
                    self._open(event)
                elif cls is yaml.MappingEndEvent or cls is yaml.SequenceEndEvent:
                    self._close()
                elif cls is yaml.AliasEvent:
                    self._alias(event)
                elif cls is yaml.DocumentStartEvent:
                    documents += 1
                    if documents > 1:
                        self._stop(_mark(event), "a second document begins", "one file holds one ensemble")
        finally:
            parser.dispose()
        return self.root

    def _stop(self, mark: Mark, message: str, hint: str) -> NoReturn:
        self.report.error(self._path(), mark, message, hint)
        raise _Stop

    def _path(self) -> str:
        path = ""
        for frame in self.stack:
            if isinstance(frame.node, Sequence):
                path = join(path, len(frame.node.items))
            elif frame.key is not None:
                path = join(path, frame.key)
        return path

    def _spend(self, units: int, mark: Mark) -> None:
        self.spent += units
        if self.spent > self.numbers.ensemble_max_nodes:
            self._stop(
                mark,
                f"the document holds more than {self.numbers.ensemble_max_nodes} values once its aliases"
                " are expanded",
                "use fewer or smaller anchors, or split the ensemble",
            )

    def _deeper(self, depth: int, mark: Mark) -> None:
        if depth > self.numbers.ensemble_max_depth:
            self._stop(
                mark,
                f"nested deeper than {self.numbers.ensemble_max_depth} levels",
                "an ensemble needs fewer than 10 levels",
            )
        if self.stack and depth > self.stack[-1].deepest:
            self.stack[-1].deepest = depth

    def _scalar(self, event: Any) -> None:
        text: str = event.value
        mark = _mark(event)
        units = 1 + len(text) // CHARACTERS_PER_UNIT
        self._spend(units, mark)
        tag: str | None = event.tag
        plain = event.implicit[0] if tag is None else tag in _RESOLVED_TAGS
        refused = tag is not None and not plain and tag not in ("!", f"{_CORE}str")
        if refused:
            self._refuse_tag(tag or "", mark)
        if self._wants_key():
            self._name(text, mark, plain)
            return
        node = Scalar(text, text, mark, units)
        if refused:
            node.value = UNFILLED
        elif not self.literal and "{" in text and (found := mark_in(text)):
            self.report.error(self._path(), mark, *found)
            node.value = UNFILLED
        elif not self.literal and "${" in text:
            node.text = node.value = unescape(text)
        elif plain:
            try:
                node.value = resolve(text)
            except NotFinite:
                self.report.error(self._path(), mark, f"{text} is not a finite number", "give a plain number")
                node.value = UNFILLED
        self._add(node, event.anchor)

    def _refuse_tag(self, tag: str, mark: Mark) -> None:
        shown = tag.replace(_CORE, "!!")[:80]
        self.report.error(self._path(), mark, f"the tag {shown} is refused", "write plain YAML without tags")

    def _open(self, event: Any) -> None:
        mark = _mark(event)
        self._spend(1, mark)
        self._deeper(len(self.stack) + 1, mark)
        if event.tag not in _CONTAINER_TAGS[event.__class__]:
            self._refuse_tag(event.tag, mark)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        node: Sequence | Mapping
        node = Sequence([], mark) if event.__class__ is yaml.SequenceStartEvent else Mapping({}, mark)
        self.stack.append(_Frame(node, event.anchor, self.spent - 1, event.start_mark.index))

    def _close(self) -> None:
        frame = self.stack.pop()
        node: Tree = frame.node
        node.units = self.spent - frame.start
        node.depth = max(1, frame.deepest - len(self.stack))
        if self.stack and frame.deepest > self.stack[-1].deepest:
            self.stack[-1].deepest = frame.deepest
        if frame.merges and isinstance(node, Mapping):
            _merge(node, frame.merges)
        if self._wants_key():
            self._bad_key(frame)
            return
        found = (
            mark_at(self.text, frame.index) if isinstance(node, Mapping) and len(node.items) <= 1 else None
        )
        if found:
            self.report.error(self._path(), node.mark, *found)
            node = Scalar("", UNFILLED, node.mark)
        self._add(node, frame.anchor)

    def _bad_key(self, frame: _Frame) -> None:
        """A map or list stands where a key is due: most often the inner half of a `{{ mark }}`."""
        parent = self.stack[-1]
        parent.key, parent.key_mark = "", frame.node.mark
        if mark_at(self.text, parent.index) is None:
            parent.key = None
            self.report.error(
                self._path(),
                frame.node.mark,
                f"a key must be text, not {kind(frame.node)}",
                "write `key: value`",
            )
            parent.key = ""

    def _alias(self, event: Any) -> None:
        mark = _mark(event)
        self.aliases += 1
        if self.aliases > self.numbers.ensemble_max_aliases:
            self._stop(mark, f"more than {self.numbers.ensemble_max_aliases} aliases", "use fewer aliases")
        name: str = event.anchor
        if name not in self.anchors:
            self._stop(
                mark, f"the alias *{name[:60]} has no anchor &{name[:60]} before it", "define it first"
            )
        node = self.anchors[name]
        if node is None:
            self._stop(mark, f"the alias *{name[:60]} contains itself", "an anchor cannot hold itself")
            return
        self._spend(node.units, mark)
        self._deeper(len(self.stack) + node.depth, mark)
        if self._wants_key():
            if isinstance(node, Scalar):
                self._name(node.text, mark, plain=False)
                return
            self._stop(mark, f"a key must be text, not {kind(node)}", "write `key: value`")
        self._add(node, None)

    def _wants_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].node, Mapping) and self.stack[-1].key is None

    def _name(self, text: str, mark: Mark, plain: bool) -> None:
        frame = self.stack[-1]
        frame.key, frame.key_mark = text, mark
        known = frame.node.marks.get(text) if isinstance(frame.node, Mapping) else None
        if known is not None and not (plain and text == "<<"):
            self.report.error(
                self._path(),
                mark,
                f"the key {text[:60]} is there twice",
                f"remove one of them; the first is on line {known.line}",
            )

    def _add(self, node: Tree, anchor: str | None) -> None:
        if anchor is not None:
            self.anchors[anchor] = node
        if not self.stack:
            self.root = node
            return
        frame = self.stack[-1]
        if isinstance(frame.node, Sequence):
            frame.node.items.append(node)
            return
        key = frame.key or ""
        if key == "<<":
            frame.merges += self._mergeable(node)
        else:
            frame.node.items[key] = node
            frame.node.marks[key] = frame.key_mark
        frame.key = None

    def _mergeable(self, node: Tree) -> list[Tree]:
        nodes: list[Tree] = node.items if isinstance(node, Sequence) else [node]
        if all(isinstance(item, Mapping) for item in nodes):
            return nodes
        self.report.error(self._path(), node.mark, "<< merges maps only", "write `<<: *name` of a map")
        return []


def _merge(node: Mapping, bases: list[Tree]) -> None:
    """Add the keys of `bases` that the map lacks; of several bases the first wins."""
    for base in bases:
        if isinstance(base, Mapping):
            for key, value in base.items.items():
                if key not in node.items:
                    node.items[key] = value
                    node.marks[key] = base.mark_of(key)


def _mark(event: Any) -> Mark:
    start = event.start_mark
    return Mark(start.line + 1, start.column + 1)


def load(
    source: str | bytes, report: Report, *, numbers: Numbers = NUMBERS, literal: bool = False
) -> Tree | None:
    """Return the tree of `source`, or None; everything that is wrong with it is in `report`.

    With `literal` the marks of templates are ordinary text in values: other formats have their own.
    """
    text = decode(source, report, max_bytes=numbers.ensemble_max_bytes)
    if text is None:
        return None
    if text.lstrip().startswith("{"):
        text = _SURROGATES.sub(_astral, text)
    loader = _Loader(text, report, numbers, literal)
    try:
        return loader.run()
    except _Stop:
        return None
    except yaml.YAMLError as fault:
        marks = marks_of(text)
        for mark, message, hint in marks:
            report.error("", mark, message, hint)
        if not marks:
            _syntax(fault, report)
        return None


def _astral(match: re.Match[str]) -> str:
    """JSON writes characters above U+FFFF as two escapes, which YAML's scanner does not join."""
    high, low = int(match[2], 16), int(match[3], 16)
    return f"{match[1]}\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"


def _syntax(fault: yaml.YAMLError, report: Report) -> None:
    place = getattr(fault, "problem_mark", None) or getattr(fault, "context_mark", None)
    mark = Mark(place.line + 1, place.column + 1) if place else Mark(1, 1)
    said = " ".join(
        str(part) for part in (getattr(fault, "context", ""), getattr(fault, "problem", "")) if part
    )
    hint = "check the indentation, quotes and brackets of this and the line before"
    if "tab" in said or "cannot start any token" in said:
        hint = "indent with blanks, not tabs, and quote text that begins with @, ` or %"
    report.error("", mark, f"not YAML: {said or 'the parser gives up'}", hint)
