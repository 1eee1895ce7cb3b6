"""Say why: every failed check as one flat line with its subject, peer and numbers, and as a sentence. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from capabilities.refusal import Reason

Line = dict[str, str]
MEMBERS = ("subject", "peer", "check", "message", "path", "needed", "available", "hint")


def line(reason: Reason, *, subject: str = "", peer: str = "") -> Line:
    """Return a failed check with all members, also those that are empty: readers need not look for them."""
    return complete({"subject": subject or reason.path, "peer": peer} | reason.document())


def complete(known: Mapping[str, str]) -> Line:
    """Return the line with every member."""
    return {member: str(known.get(member, "")) for member in MEMBERS}


def sentence(reason: Mapping[str, str]) -> str:
    """Return the failed check with its numbers as a sentence."""
    text = reason.get("message") or reason.get("check", "")
    needed, available = reason.get("needed", ""), reason.get("available", "")
    if needed and available and not (needed in text and available in text):
        text += f" ({needed} wanted, {available} available)"
    return text


def not_placed(missing: Sequence[str], reasons: Sequence[Mapping[str, str]]) -> str:
    """Return why ensemble nodes have no place, in one sentence; the rest is in the reasons."""
    nodes = ", ".join(missing)
    if not reasons:
        return f"not placed: nobody answered for {nodes}"
    more = len(reasons) - 1
    rest = f" (and {more} more reason{'s' if more > 1 else ''})" if more else ""
    return f"not placed: {nodes}: {sentence(reasons[0])}{rest}"


def shortage(reasons: Iterable[Mapping[str, str]]) -> str:
    """Return what is wanted and what there is of it, for whoever waits."""
    parts = []
    for reason in reasons:
        needed, available = reason.get("needed", ""), reason.get("available", "")
        if reason.get("check") in {"ports", "executor"}:
            parts.append(reason.get("message", ""))
        elif needed and available and reason.get("check") != "draining":
            parts.append(f"{needed} wanted, {available} free")
        else:
            parts.append(sentence(reason))
    return "; ".join(dict.fromkeys(parts))


def too_late(status: str, waited: Sequence[Mapping[str, str]]) -> str:
    """Return that the deadline passed, and what was waited for."""
    names = [
        f"{item['subject']} ({item['available']})" if item["peer"] else item["subject"] for item in waited
    ]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    told = f": waited for {', '.join(names[:3])}{more}" if names else ""
    return f"the deadline passed while {status}{told}"
