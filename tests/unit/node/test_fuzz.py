"""Some thousand hostile inputs with a fixed seed; `./dms bench fuzz` draws for a minute."""

from __future__ import annotations

from bench.fuzz import Fuzzer


def test_nearly_good_messages_are_read_or_refused() -> None:
    outcome = Fuzzer(20_261_126).run(inputs=6_000)
    assert outcome.crashes == []
    assert outcome.inputs == 6_000
    # Most is refused, and some of what was changed did not matter.
    assert 0 < outcome.accepted < 3_000
