"""Words for people."""

from node.words import count


def test_a_noun_agrees_with_its_number() -> None:
    assert [count(number, "node") for number in (0, 1, 2)] == ["0 nodes", "1 node", "2 nodes"]
