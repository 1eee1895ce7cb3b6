"""The question to /readyz never blocks, waits for whoever listens, and asks again."""

from __future__ import annotations

import socket

from dmsweb.launch.ready import PATIENCE_S, Question
from tests.support.services import wait_for


def answer(listener: socket.socket, text: bytes) -> None:
    link, _ = listener.accept()
    assert link.recv(1024).startswith(b"GET /readyz ")
    link.sendall(text)
    link.close()


def test_it_waits_until_somebody_answers_and_asks_again_until_the_answer_is_yes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        question = Question("127.0.0.1", listener.getsockname()[1])
        assert not question.answered(0)
        assert not question.answered(1)
        answer(listener, b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
        wait_for(lambda: question._link is None or question.answered(1) or question._link is None)
        assert not question.answered(2)
        answer(listener, b"HTTP/1.1 200 OK\r\n\r\n")
        wait_for(lambda: question.answered(2), what="the answer")


def test_a_question_nobody_answers_is_asked_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        question = Question("127.0.0.1", listener.getsockname()[1])
        assert not question.answered(0)
        assert not question.answered(PATIENCE_S + 1)
        listener.accept()[0].close()
        answer(listener, b"HTTP/1.1 200 OK\r\n\r\n")
        wait_for(lambda: question.answered(PATIENCE_S + 2), what="the answer")


def test_nobody_listening_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert not Question("127.0.0.1", port).answered(0)
