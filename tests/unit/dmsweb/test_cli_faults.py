"""What people do wrong on the command line: each gets one sentence, one document, and never a traceback."""

import io
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dmsweb.cli.main import VERBS, run
from dmsweb.cli.output import Output, reason_line

ROOT = Path(__file__).resolve().parents[3]
HELLO = str(ROOT / "examples" / "hello.yaml")
SITE = ("--url", "http://127.0.0.1:9", "--token", "t")


def said(capsys, *arguments, code):
    """Run the command line, expect `code`; return its JSON document and what stderr says."""
    assert run([*arguments, "--json"]) == code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return json.loads(captured.out), captured.err


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e999", "x", ""])
@pytest.mark.parametrize(
    "arguments",
    [
        ("onboard", "--ram", "4", "--disk", "1", "--cpu"),
        ("deploy", "-f", HELLO, "--deadline"),
        ("deploy", "-f", HELLO, "--wait", "--timeout"),
        ("shutdown", "x", "--wait", "--timeout"),
    ],
)
def test_a_number_that_is_none_is_wrong_usage(number, arguments, capsys):
    document, err = said(capsys, *arguments, number, code=2)
    assert document["type"] == "urn:dms:problem:usage"
    assert "is not a number" in err


def test_a_negative_time_to_wait_is_wrong_usage(capsys):
    said(capsys, "deploy", "-f", HELLO, "--wait", "--timeout", "-1", code=2)


@pytest.mark.parametrize("url", ["127.0.0.1:8765", "http://", "ftp://x", "x y", "http://a:b"])
def test_what_is_no_address_is_said_before_anybody_is_asked(url, capsys):
    document, _ = said(capsys, "get", "nodes", "--url", url, "--token", "t", code=1)
    assert document["type"] == "urn:dms:problem:bad_url"
    assert "http://127.0.0.1:8765" in document["hint"]


@pytest.mark.parametrize("token", ["wr\nong", "tök", "a\x00b"])
def test_what_can_be_no_token_is_refused(token, capsys):
    document, _ = said(capsys, "get", "nodes", "--url", "http://127.0.0.1:9", "--token", token, code=1)
    assert "./dms user token NAME" in document["hint"]


def test_a_home_that_is_a_file_is_said_in_a_sentence(capsys, tmp_path):
    home = tmp_path / "home"
    home.write_text("")
    document, err = said(capsys, "key", "new", "a", "--home", str(home), code=1)
    assert document["type"] == "urn:dms:problem:home_unusable"
    assert "choose another with DMS_HOME" in err


def test_a_port_that_is_no_number_is_said(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("DMS_PORT", "abc")
    document, _ = said(capsys, "up", "--detach", "--home", str(tmp_path), code=1)
    assert "DMS_PORT is 'abc'" in document["detail"]


def test_a_fault_of_the_program_is_one_document_with_its_trace_on_stderr(capsys, monkeypatch):
    def broken(*_):
        raise RuntimeError("lost")

    monkeypatch.setattr("dmsweb.cli.validate.check", broken)
    assert run(["validate", HELLO, "--json"]) == 1
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["type"] == "urn:dms:problem:internal_error"
    assert "trace" not in document
    assert "RuntimeError: lost" in captured.err


def test_no_verb_at_all_shows_the_verbs(capsys):
    assert run([]) == 2
    err = capsys.readouterr().err
    assert err.startswith("Usage: dms")
    assert all(name in err for name in VERBS)


@pytest.mark.parametrize("name", sorted(set(VERBS) - {"test", "bench", "demo", "up"}))
def test_every_verb_answers_with_one_document_when_its_home_has_no_site(name, capsys, tmp_path):
    arguments = {
        "onboard": ["--cpu", "1", "--ram", "4", "--disk", "1"],
        "deploy": ["-f", HELLO],
        "validate": [HELLO],
        "get": ["nodes"],
        "show": ["x"],
        "logs": ["x"],
        "shutdown": ["x"],
        "actor": ["cmd", "/public/hello"],
        "key": ["list"],
        "cap": ["list"],
        "user": ["nonsense"],
    }
    code = run([name, *arguments.get(name, []), "--home", str(tmp_path / "none"), "--json"])
    assert code in (0, 1, 2)
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert ("type" in document) == bool(code) or name == "doctor"


def test_letters_that_the_locale_lacks_end_no_command(tmp_path):
    home = tmp_path / "höme 日本"
    environment = {"PATH": "", "LC_ALL": "C.UTF-8", "HOME": "/"}
    for arguments in (["status"], ["status", "--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "dmsweb.cli", *arguments],
            cwd=ROOT, env=environment | {"DMS_HOME": str(home), "PYTHONIOENCODING": "ascii"},
            capture_output=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        done.stdout.decode("ascii")
    assert json.loads(done.stdout)["home"].endswith("\u65e5\u672c")


def test_nothing_is_said_twice(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    Output().problem(
        {
            "detail": "the ensemble is invalid: line 1: the document is empty",
            "hint": "write something",
            "errors": [{"message": "line 1: the document is empty", "hint": "write something"}],
        }
    )
    assert stream.getvalue() == (
        "dms: the ensemble is invalid: line 1: the document is empty\n  hint: write something\n"
    )


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ({"message": "ram: too little", "path": "ram"}, "ram: too little"),
        ({"message": "too little", "path": "ram", "hint": "less"}, "ram: too little; less"),
        ({"message": "2 B asked, 1 B free", "needed": "2 B", "available": "1 B"}, "2 B asked, 1 B free"),
        ({"message": "no", "needed": "2 B", "available": "1 B"}, "no (needed 2 B, available 1 B)"),
        ({"message": "must be positive", "available": "-5"}, "must be positive (given -5)"),
        ("plain", "plain"),
    ],
)
def test_a_reason_is_one_line(reason, line):
    assert reason_line(reason) == line


def test_a_file_or_standard_input_that_is_no_ensemble(capsys, tmp_path):
    for name, data in {
        "empty": b"", "comment": b"# only\n", "binary": bytes(range(256)), "utf16": "a: 1".encode("utf-16"),
        "tab": b"\ta: 1\n",
    }.items():  # fmt: skip
        path = tmp_path / f"{name}.yaml"
        path.write_bytes(data)
        document, _ = said(capsys, "deploy", "-f", str(path), *SITE, code=1)
        assert document["errors"]
        assert document["hint"]


def test_windows_line_ends_and_byte_order_marks_are_fine(capsys, tmp_path):
    text = Path(HELLO).read_bytes()
    for data in (text.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + text):
        path = tmp_path / "e.yaml"
        path.write_bytes(data)
        assert said(capsys, "validate", str(path), code=0)[0]["valid"]


def test_a_demo_that_cannot_start_says_why_in_its_document(capsys, monkeypatch, tmp_path):
    home = tmp_path / "home"
    home.write_text("")
    monkeypatch.setenv("DMS_PORT", "0")
    document, _ = said(capsys, "demo", "--home", str(home), code=1)
    assert document["type"] == "urn:dms:problem:cannot_start"
    assert "cannot be written" in document["detail"]


def test_a_demo_takes_a_free_port_when_nobody_chose_one(monkeypatch, tmp_path):
    from dmsweb.cli import demo
    from dmsweb.cli.session import Session
    from dmsweb.home import Home

    session = Session(home=Home(tmp_path))
    monkeypatch.delenv("DMS_PORT", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr(demo, "DEFAULT_PORT", other.getsockname()[1])
        assert demo._taken(session)
        monkeypatch.setenv("DMS_PORT", "1")
        assert not demo._taken(session)
    monkeypatch.delenv("DMS_PORT")
    assert not demo._taken(session)
