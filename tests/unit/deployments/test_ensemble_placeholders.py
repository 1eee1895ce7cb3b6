"""Placeholders: every source, quoting that keeps the document's structure and lines, bounded resolution."""

from pathlib import Path

import pytest

from capabilities.refusal import Refusal
from deployments.ensemble.placeholders import resolve_text


def resolved(text: str, folder: Path, **environ: str) -> str:
    return resolve_text(text, folder, environ)


def test_placeholders_of_every_kind(tmp_path):
    (tmp_path / "tag").write_text("1.2\n")
    text = (
        "a: ${A}\nb: 'x-${env:A|upper}-${file:tag}' # ${A} stays\nc: ${NONE:-fall back}\nd: $${A}\ne: ${N}\n"
    )
    assert resolved(text, tmp_path, A="v: [1]", N="3", NONE="") == (
        'a: "v: [1]"\nb: "x-v: [1]-1.2" # ${A} stays\nc: "fall back"\nd: $${A}\ne: 3\n'
    )


def test_placeholders_keep_lines_and_wide_characters(tmp_path):
    text = "a: 😀 ${A}\ns: |\n  one\n  ${A}\nb: ${A}\n"
    found = resolved(text, tmp_path, A="€")
    assert found == 'a: "😀 €"\ns: "one\\n€\\n"\n\n\nb: "€"\n'


def test_placeholders_lead_on_but_not_round(tmp_path):
    assert resolved("a: ${A}", tmp_path, A="${B}", B="b") == 'a: "b"'
    with pytest.raises(Refusal, match="cycle"):
        resolved("a: ${A}", tmp_path, A="${B}", B="${A}")
    with pytest.raises(Refusal, match="too large"):
        resolved("a: ${A}", tmp_path, A="${A}${A}" + "x" * 1000)


def test_every_unresolved_placeholder_is_named(tmp_path):
    with pytest.raises(Refusal) as caught:
        resolved("a: ${A}\nb: ${file:none}\nc: ${vault:x}\n", tmp_path)
    assert [reason.message.split(":")[0] for reason in caught.value.reasons] == ["line 1", "line 2", "line 3"]
    assert "known: env, file" in caught.value.reasons[2].message
