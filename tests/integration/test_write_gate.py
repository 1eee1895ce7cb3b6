"""The SQLite write gate with real threads and real processes on a real file."""

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError

from dmsweb.database.sqlite.base import DatabaseWrapper
from dmsweb.database.sqlite.gate import Gate, GateTimeout, Turnstile


def wrapper(path: Path | str, timeout_s: float = 30.0) -> DatabaseWrapper:
    """Return a connection to `path` outside Django's registry."""
    from django.db import connections

    settings: dict[str, Any] = connections.settings["default"] | {
        "ENGINE": "dmsweb.database.sqlite",
        "NAME": path,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": timeout_s,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
    return DatabaseWrapper(settings, alias="gated")


class Block:
    """An atomic block on a connection that is not in Django's registry."""

    def __init__(self, connection: DatabaseWrapper) -> None:
        self.connection = connection

    def __enter__(self) -> None:
        self.connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
        self.connection.in_atomic_block = True

    def __exit__(self, kind: object, *rest: object) -> None:
        self.connection.in_atomic_block = False
        self.connection.rollback() if kind else self.connection.commit()
        self.connection.set_autocommit(True)


@pytest.fixture(autouse=True)
def _databases_of_its_own(django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "db").mkdir()
    first = wrapper(tmp_path / "db" / "dms.sqlite3")
    with first.cursor() as cursor:
        cursor.execute("CREATE TABLE counter (value INTEGER)")
        cursor.execute("INSERT INTO counter VALUES (0)")
    first.close()
    yield tmp_path


def database(home: Path) -> Path:
    return home / "db" / "dms.sqlite3"


def value(connection: DatabaseWrapper) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM counter")
        return int(cursor.fetchone()[0])


def process(home: Path, *arguments: str) -> "subprocess.Popen[str]":
    environment = os.environ | {"DMS_HOME": str(home), "DJANGO_SETTINGS_MODULE": "dmsweb.settings"}
    environment.pop("DATABASE_URL", None)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.writer", *arguments],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def add(connection: DatabaseWrapper, times: int) -> None:
    for _ in range(times):
        with Block(connection):
            seen = value(connection)
            with connection.cursor() as cursor:
                cursor.execute("UPDATE counter SET value = %s", [seen + 1])


def test_no_write_of_threads_and_processes_is_lost(home: Path) -> None:
    processes = [process(home, "count", "100") for _ in range(2)]

    def work() -> None:
        connection = wrapper(database(home))
        add(connection, 50)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [started.wait(timeout=120) for started in processes] == [0, 0]
    assert value(wrapper(database(home))) == 600


def test_a_reader_never_waits_and_a_writer_says_why_it_gave_up(home: Path) -> None:
    holder = process(home, "hold")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    connection = wrapper(database(home), timeout_s=0.2)
    assert value(connection) == 0
    with connection.cursor() as cursor, pytest.raises(OperationalError, match="another process writes"):
        cursor.execute("UPDATE counter SET value = 9")
    with pytest.raises(OperationalError, match="database is locked"), Block(connection):
        pass
    holder.communicate("\n")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE counter SET value = value + 1")
    assert value(connection) == 2


def test_a_killed_writer_blocks_nobody(home: Path) -> None:
    holder = process(home, "hold")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()
    connection = wrapper(database(home))
    add(connection, 1)
    assert value(connection) == 1


def test_a_thread_that_gives_up_names_the_other_threads(home: Path) -> None:
    holder, waiter = wrapper(database(home)), wrapper(database(home), timeout_s=0.1)
    with Block(holder), waiter.cursor() as cursor, pytest.raises(OperationalError, match="other threads"):
        cursor.execute("UPDATE counter SET value = 9")
    add(waiter, 1)


def test_nested_and_failed_blocks_give_the_gate_back_once(home: Path) -> None:
    connection, other = wrapper(database(home)), wrapper(database(home), timeout_s=0.1)
    with pytest.raises(ZeroDivisionError), Block(connection):
        sid = connection.savepoint()
        with connection.cursor() as cursor:
            cursor.execute("UPDATE counter SET value = 5")
        connection.savepoint_rollback(str(sid))
        raise ZeroDivisionError
    with connection.cursor() as cursor, pytest.raises(OperationalError, match="no such table"):
        cursor.execute("INSERT INTO nowhere VALUES (1)")
    add(other, 1)
    assert value(connection) == 1


def test_a_closed_connection_gives_the_gate_back(home: Path) -> None:
    connection, other = wrapper(database(home)), wrapper(database(home), timeout_s=0.1)
    connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    connection.close()
    add(other, 1)


def test_a_thread_that_ends_in_a_transaction_gives_the_gate_back(home: Path) -> None:
    def work() -> None:
        connection = wrapper(database(home))
        connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    gc.collect()  # the connection is part of a cycle, and ends with it
    add(wrapper(database(home), timeout_s=1.0), 1)


def test_rows_returned_by_a_write_are_read_while_the_gate_is_held(home: Path) -> None:
    connection, other = wrapper(database(home)), wrapper(database(home), timeout_s=0.1)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO counter VALUES (7), (8), (9), (10) RETURNING value")
        add(other, 1)
        assert cursor.fetchone() == (7,)
        assert cursor.fetchmany(1) == [(8,)]
        assert next(iter(cursor)) == (9,)
        assert cursor.fetchall() == [(10,)]
        assert cursor.fetchone() is None


def test_two_files_have_two_gates(home: Path) -> None:
    first, second = wrapper(database(home)), wrapper(home / "db" / "nonces.sqlite3", timeout_s=0.1)
    with Block(first), second.cursor() as cursor:
        cursor.execute("CREATE TABLE nonce (key TEXT)")


def test_a_database_in_memory_has_no_gate() -> None:
    connection = wrapper(":memory:")
    with Block(connection), connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (x)")
    assert connection._gate is None


def test_a_forked_child_does_not_own_what_its_parent_holds(home: Path) -> None:
    gate = Gate(str(home / "x"))
    gate.acquire(1.0)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        # The child sees the parent's lock from outside, and its end does not open it.
        gate.close_inherited()
        try:
            gate.acquire(0.05)
            os.write(write, b"got it")
        except GateTimeout:
            os.write(write, b"late")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 10) == b"late"
    again = Gate(str(home / "x"))
    with pytest.raises(GateTimeout):
        again.acquire(0.05)
    gate.release()
    again.acquire(1.0)
    again.release()


def test_threads_get_their_turn_in_the_order_they_asked() -> None:
    turnstile, order = Turnstile(), list[int]()
    assert turnstile.acquire(1.0)
    threads = []
    for number in range(5):

        def work(number: int = number) -> None:
            assert turnstile.acquire(10.0)
            order.append(number)
            turnstile.release()

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        while len(turnstile._waiting) <= number:
            pass
    turnstile.release()
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]


def test_giving_up_leaves_the_turnstile_in_order() -> None:
    turnstile = Turnstile()
    assert turnstile.acquire(1.0)
    assert not turnstile.acquire(0.01)
    turnstile.release()
    assert turnstile.acquire(0.01)


def test_atomic_of_django_uses_it(home: Path) -> None:
    done = process(home, "count", "1")
    assert done.wait(timeout=60) == 0
    assert value(wrapper(database(home))) == 1
    assert (home / "db" / "dms.sqlite3.gate").exists()
