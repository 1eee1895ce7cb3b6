"""The command line's frame: lazy verbs, options before and after the verb, exit codes, one JSON document."""

import fcntl
import json
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from dmsweb.cli.actor import request_of
from dmsweb.cli.main import VERBS, run
from dmsweb.cli.output import clean

ROOT = Path(__file__).resolve().parents[3]
HELLO = str(ROOT / "examples" / "hello.yaml")


class Site(BaseHTTPRequestHandler):
    """The least of a site: it shows what was asked."""

    def do_GET(self):  # noqa: N802
        self._answer(None)

    def do_POST(self):  # noqa: N802
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0))))

    def _answer(self, body):
        kind, status = "application/json", 200
        document = {"path": self.path, "body": body, "token": self.headers.get("Authorization")}
        if "refused" in self.path:
            kind, status = "application/problem+json", 409
            document = {
                "type": "urn:dms:problem:no_room",
                "detail": "not enough memory",
                "hint": "ask for less",
                "errors": [{"check": "ram", "message": "too little", "needed": "2", "available": "1"}],
                "extra": 7,
            }
        if "html" in self.path:
            kind = "text/html"
        if self.path.endswith("/behaviors/"):
            document = {"behaviors": [{"path": "/x", "request": SCHEMA, "response": {}, "doc": "Does x."}]}
        data = b"<html>" if "html" in self.path else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        pass


SCHEMA = {
    "type": "object",
    "properties": {
        "EnsembleID": {"type": "string"},
        "Limit": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "all": {"type": "boolean"},
        "status": {"type": "array", "items": {"type": "string"}},
        "Kind": {"$ref": "#/$defs/Kind"},
    },
    "$defs": {"Kind": {"enum": ["a", "1"], "type": "string"}},
}


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A home whose site is a server of this test."""
    server = HTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    for folder in ("run", "secrets"):
        (tmp_path / folder).mkdir()
    url = f"http://127.0.0.1:{server.server_port}"
    (tmp_path / "run" / "site.json").write_text(json.dumps({"url": url}))
    (tmp_path / "secrets" / "cli-token").write_text("secret\n")
    monkeypatch.setenv("DMS_HOME", str(tmp_path))
    with (tmp_path / "run" / "supervisor.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as the supervisor of a running site does
        yield url
    server.shutdown()
    server.server_close()
    thread.join()


def fresh(*arguments: str, code: str) -> str:
    """Run the command line in a fresh interpreter, then `code`; return stdout."""
    program = f"import sys; from dmsweb.cli.main import run; rc = run({list(arguments)!r}); {code}"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


HEAVY = (
    "heavy = {'django', 'httpx', 'rich', 'celery', 'pydantic'};"
    "print(rc, sorted({name.split('.')[0] for name in sys.modules} & heavy))"
)


def test_validate_loads_neither_django_nor_httpx():
    assert fresh("validate", HELLO, "--json", code=HEAVY).endswith("0 []\n")


def test_help_loads_no_verb():
    code = (
        HEAVY
        + "; print([name for name in sys.modules if name in ('dmsweb.cli.site', 'dmsweb.cli.validate')])"
    )
    assert fresh("--help", code=code).endswith("0 []\n[]\n")


def test_help_lists_every_verb_with_one_line(capsys):
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    for name, (_, text) in VERBS.items():
        assert name in out
        assert text.split(";")[0][:30] in out


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_of_the_table_exists_and_has_help(name, capsys):
    assert run([name, "--help"]) == 0
    assert "--json" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--json", "validate", HELLO], ["validate", HELLO, "--json"]])
def test_global_options_stand_before_and_after_the_verb(arguments, capsys):
    assert run(arguments) == 0
    assert json.loads(capsys.readouterr().out) == {"valid": True, "errors": [], "warnings": []}


def test_home_after_the_verb_wins(capsys, tmp_path):
    assert run(["--home", "/nowhere", "key", "list", "--home", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"items": [], "total": 0}


@pytest.mark.parametrize(
    "arguments", [["valdate"], ["validate"], ["validate", "--bogus", "x"], ["get", "everything"]]
)
def test_wrong_usage_is_exit_2_and_says_so(arguments, capsys):
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("dms: ")


def test_wrong_usage_under_json_is_one_problem_document(capsys):
    assert run(["valdate", "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["type"] == "urn:dms:problem:usage"
    assert "did you mean validate?" in document["detail"]


def test_site_down_is_one_clear_sentence(capsys, tmp_path):
    assert run(["behaviors", "--home", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"dms: no site runs in {tmp_path}\n  hint: start it with ./dms up\n"


def test_stale_site_file_is_site_down_too(capsys, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "cli-token").write_text("t")
    # Somebody else listens where the killed site did: the token must not go there.
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.setblocking(False)
        url = f"http://127.0.0.1:{other.getsockname()[1]}"
        (tmp_path / "run" / "site.json").write_text(json.dumps({"url": url}))
        assert run(["behaviors", "--home", str(tmp_path), "--json"]) == 1
        with pytest.raises(BlockingIOError):
            other.accept()
    assert json.loads(capsys.readouterr().out)["type"] == "urn:dms:problem:site_down"


@pytest.mark.parametrize(
    ("url", "code"),
    [("http://127.0.0.1:9", "connection_refused"), ("http://no-such-host.invalid", "unreachable")],
)
def test_other_sites_faults_are_told_apart(url, code, capsys):
    assert run(["behaviors", "--url", url, "--token", "t", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["type"] == f"urn:dms:problem:{code}"


def test_other_site_needs_a_token(capsys, monkeypatch):
    monkeypatch.delenv("DMS_TOKEN", raising=False)
    assert run(["behaviors", "--url", "http://127.0.0.1:9"]) == 1
    assert "--token" in capsys.readouterr().err


def test_silent_site_is_exit_3(capsys, monkeypatch):
    import socket

    monkeypatch.setattr("dmsweb.cli.client.READ_TIMEOUT_S", 0.2)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert run(["behaviors", "--url", url, "--token", "t"]) == 3
    assert "did not answer in time" in capsys.readouterr().err


def test_refusal_of_the_site_is_printed_whole(site, capsys):
    assert run(["actor", "cmd", "/refused", "--json"]) == 1
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["detail"] == "not enough memory"
    assert document["extra"] == 7
    assert captured.err == (
        "dms: not enough memory\n  - too little (needed 2, available 1)\n  hint: ask for less\n"
    )


def test_answer_that_is_no_sites_is_refused(site, capsys):
    assert run(["actor", "cmd", "/html"]) == 1
    assert "does not answer like a DMS site" in capsys.readouterr().err


def test_actor_cmd_invokes_with_the_local_token(site, capsys):
    assert run(["actor", "cmd", "/x", "--ensemble-id", "e", "--all", "--limit=3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "path": "/api/v1/x",
        "body": {"EnsembleID": "e", "all": True, "Limit": 3},
        "token": "Bearer secret",
    }


def test_actor_cmd_describes_the_request(site, capsys):
    assert run(["actor", "cmd", "/unknown", "--a", "1"]) == 1
    assert "no behavior /unknown" in capsys.readouterr().err
    assert run(["actor", "cmd", "/x", "--help"]) == 0
    assert "--EnsembleID" in capsys.readouterr().out
    assert run(["actor", "cmd", "--help"]) == 0
    assert "PATH" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "payload"),
    [
        (['{"any": 1}'], {"any": 1}),
        (["--EnsembleID", "12"], {"EnsembleID": "12"}),
        (["--status", '["a", "b"]'], {"status": ["a", "b"]}),
        (["--all", "false"], {"all": False}),
        (["--kind", "1"], {"Kind": "1"}),
        (["--limit", "null"], {"Limit": None}),
        (["--ensemble_id=a=b"], {"EnsembleID": "a=b"}),
    ],
)
def test_request_from_options(arguments, payload):
    assert request_of(SCHEMA, arguments) == payload


@pytest.mark.parametrize("arguments", [["--bogus", "1"], ["--limit", "x"], ["--limit"], ["a", "b"], ["[1]"]])
def test_bad_request_options_are_usage_errors(arguments, site):
    assert run(["actor", "cmd", "/x", *arguments]) == 2


def test_validate_reads_standard_input():
    done = subprocess.run(
        [sys.executable, "-m", "dmsweb.cli", "validate", "-", "--json"],
        cwd=ROOT, input=b"allocations: {a: {type: task}}", capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["valid"] is False
    assert set(document["errors"][0]) == {"path", "line", "column", "message", "hint"}


@pytest.mark.parametrize("name", ["missing.yaml", ".", "large.yaml"])
def test_unreadable_files_are_invalid_with_a_reason(name, tmp_path, capsys):
    with (tmp_path / "large.yaml").open("wb") as file:
        file.truncate(100 << 20)
    assert run(["validate", str(tmp_path / name), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["valid"] is False
    assert document["errors"][0]["message"]
    assert document["errors"][0]["hint"]


def test_validate_resolves_placeholders_from_environment_and_folder(tmp_path, capsys, monkeypatch):
    text = Path(HELLO).read_text().replace("dms.local/base:1", "${IMAGE}").replace("0.5", "${file:cores}")
    (tmp_path / "e.yaml").write_text(text)
    (tmp_path / "cores").write_text("0.5\n")
    monkeypatch.delenv("IMAGE", raising=False)
    assert run(["validate", str(tmp_path / "e.yaml"), "--json"]) == 1
    (error,) = json.loads(capsys.readouterr().out)["errors"]
    assert "IMAGE" in error["message"]
    assert error["line"] > 1
    monkeypatch.setenv("IMAGE", "alpine")
    assert run(["validate", str(tmp_path / "e.yaml"), "--json"]) == 0


def test_people_get_file_line_and_column(tmp_path, capsys):
    path = tmp_path / "e.yaml"
    path.write_text("allocations:\n  a: 1\n")
    assert run(["validate", str(path)]) == 1
    assert f"{path}:2:6: error: allocations.a: " in capsys.readouterr().out


def test_keys_are_made_listed_imported_and_deleted_without_a_site(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DMS_PASSPHRASE", "a passphrase")
    home = ["--home", str(tmp_path), "--json"]
    seed = tmp_path / "seed"
    seed.write_text("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    assert run(["key", "import", "alice", str(seed), *home]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["did"] == "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw"
    assert (tmp_path / "key" / "alice.json").stat().st_mode & 0o777 == 0o600
    assert run(["key", "did", "alice", *home]) == 0
    assert json.loads(capsys.readouterr().out)["did"] == made["did"]
    assert run(["key", "new", "alice", *home]) == 1
    assert run(["key", "new", "../x", *home]) == 1
    capsys.readouterr()
    assert run(["key", "list", *home]) == 0
    assert json.loads(capsys.readouterr().out)["total"] == 1
    assert run(["key", "delete", "alice", *home]) == 2
    assert run(["key", "delete", "alice", "--yes", *home]) == 0
    assert not (tmp_path / "key" / "alice.json").exists()


def test_control_characters_of_strangers_do_not_reach_the_terminal():
    assert clean("a\x1b[31mb\u009bc\td\n") == "a\ufffd[31mb\ufffdc\td\n"


def test_a_lost_ctrl_c_ends_the_log_at_its_next_chunk(capsys):
    from dmsweb.cli.session import Session

    session = Session()
    session.chunk("one", b"")
    session.interrupted = True
    with pytest.raises(KeyboardInterrupt):
        session.chunk("one", b"more")
    assert "more" not in capsys.readouterr().out
