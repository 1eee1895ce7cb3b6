"""A nonce is accepted once, by whichever process or thread comes first, until its envelope has long expired."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
from django.db import connections, router

from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from node import nonces
from node.handle import Handle
from node.models import SeenNonce
from tests.unit.node.doorway import NS, Sender

TO = Handle.of_key(Sender().key.public)


@pytest.mark.django_db(databases=["default", "nonces"])
def test_the_second_copy_is_refused():
    sender = Sender()
    envelope = sender.message(TO, "/test/echo")
    now = time.time_ns()
    nonces.accept(envelope, now)
    with pytest.raises(Refusal, match="received before") as caught:
        nonces.accept(envelope, now)
    assert caught.value.code == "message_replayed"
    assert caught.value.status == 409
    nonces.accept(sender.message(TO, "/test/echo"), now)
    nonces.accept(replace(envelope, sender=Handle.of_key(Sender().key.public)), now)


@pytest.mark.django_db(databases=["default", "nonces"])
def test_only_what_has_long_expired_is_forgotten():
    now = time.time_ns()
    sender = Sender()
    old = sender.message(TO, "/x", now_ns=now - int((NUMBERS.nonce_kept_after_s + 100) * NS))
    new = sender.message(TO, "/x", now_ns=now - 60 * NS)
    nonces.accept(old, now)
    nonces.accept(new, now)
    assert nonces.purge(now) == 1
    assert list(SeenNonce.objects.values_list("key", flat=True)) == [nonces.key_of_envelope(new)]


@pytest.mark.django_db(transaction=True, databases=["default", "nonces"])
def test_of_many_copies_at_once_one_is_accepted():
    envelope = Sender().message(TO, "/test/echo")
    start, outcomes = threading.Barrier(6), []

    def copy():
        start.wait()
        try:
            nonces.accept(envelope, time.time_ns())
            outcomes.append("accepted")
        except Refusal as refusal:
            outcomes.append(refusal.code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=copy) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["accepted"] + ["message_replayed"] * 5


@pytest.mark.django_db(transaction=True, databases=["default", "nonces"])
def test_the_memory_outlives_the_connection():
    envelope = Sender().message(TO, "/test/echo")
    nonces.accept(envelope, time.time_ns())
    connections[router.db_for_write(SeenNonce)].close()
    with pytest.raises(Refusal, match="received before"):
        nonces.accept(envelope, time.time_ns())


@pytest.mark.django_db(databases=["default", "nonces"])
def test_after_a_restore_what_may_have_been_received_before_is_refused():
    sender = Sender()
    now = time.time_ns()
    nonces.floor_set(now + 600 * NS)
    old = sender.message(TO, "/test/echo", now_ns=now)
    with pytest.raises(Refusal, match="restored from a backup") as caught:
        nonces.accept(old, now)
    assert caught.value.code == "message_before_restore"
    assert caught.value.members["retry_after_s"] == 600
    later = now + 590 * NS
    fresh = sender.message(TO, "/test/echo", now_ns=later)
    nonces.accept(fresh, later)
    with pytest.raises(Refusal, match="received before"):
        nonces.accept(fresh, later)
    nonces.purge(now + int((600 + NUMBERS.nonce_kept_after_s + 1) * NS))
    assert not SeenNonce.objects.filter(key=nonces.FLOOR).exists()
