"""`login`: 50 attempts to log in each second from 50 addresses, and how long others wait for a page meanwhile.

One password hash takes a fifth of a second of a core: without a bound, 50 a second would need ten cores. What is beyond
the bound is answered 429 with the seconds to wait, so that somebody who looks at a page hardly notices.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from bench.result import Result
from bench.site import BenchSite

T = TypeVar("T")
ADDRESSES = 50
ATTEMPTS_PER_S = 50
SECONDS = 15
PAGES_PER_S = 8
PAGE = "/"
# The status page's p95 at most doubles.
BAR = 2.0
TOO_MANY, SERVER_FAULT = 429, 500


def run() -> list[Result]:
    """Measure one site: pages alone, then with the attempts."""
    with tempfile.TemporaryDirectory(prefix="dms-bench-login-") as folder, BenchSite(Path(folder)) as site:
        return asyncio.run(_measure(site))


async def _measure(site: BenchSite) -> list[Result]:
    async with httpx.AsyncClient(base_url=site.url, trust_env=False, timeout=30) as viewer:
        await _log_in(viewer, site)
        await _pages(viewer, 3)  # templates and connections are warm
        alone = await _pages(viewer, SECONDS)
        attempts = asyncio.create_task(_attempts(site))
        crowded = await _pages(viewer, SECONDS)
        answers = await attempts
    faults = sum(count for (status, _), count in answers.items() if status >= SERVER_FAULT)
    hasty = sum(count for (status, wait), count in answers.items() if status == TOO_MANY and not wait)
    if faults or hasty:
        raise AssertionError(f"{faults} attempts failed, {hasty} were not told how long to wait: {answers}")
    refused = sum(count for (status, _), count in answers.items() if status == TOO_MANY)
    tried = sum(answers.values())
    ours, floor = _p95(crowded), _p95(alone)
    return [
        Result("login_page_p95", ours, floor, "ms", BAR, ours <= BAR * floor, bar_on="ratio"),
        # How many were hashed is what the bound lets through; every one was answered.
        Result(
            "login_attempts_answered",
            tried,
            float(ADDRESSES * SECONDS),
            "attempts",
            float(ATTEMPTS_PER_S * SECONDS),
            tried >= ATTEMPTS_PER_S * SECONDS,
        ),
        Result("login_attempts_told_to_wait", refused, float(tried), "attempts", 1.0, refused >= 1),
    ]


async def _log_in(viewer: httpx.AsyncClient, site: BenchSite) -> None:
    link = urlsplit(site.cli("user", "login-link").split()[-1])
    form = await viewer.get(link.path)
    answer = await viewer.post(link.path, data={"csrfmiddlewaretoken": _csrf(form.text)})
    if answer.status_code not in {200, 302}:
        raise AssertionError(f"the login link was answered {answer.status_code}")


async def _pages(viewer: httpx.AsyncClient, seconds: float) -> list[float]:
    """Open the page so often a second, whether or not the one before has come; return milliseconds of each."""

    async def one() -> float:
        began = time.perf_counter()
        answer = await viewer.get(PAGE)
        if answer.status_code != 200:
            raise AssertionError(f"{PAGE} was answered {answer.status_code}")
        return (time.perf_counter() - began) * 1000

    return await _at_rate([one] * int(PAGES_PER_S * seconds), PAGES_PER_S)


async def _attempts(site: BenchSite) -> Counter[tuple[int, str]]:
    """Offer attempts from all addresses; count status and Retry-After of the answers."""
    port = urlsplit(site.url).port
    clients = [
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            transport=httpx.AsyncHTTPTransport(local_address=f"127.0.0.{number + 2}"),
            trust_env=False,
            timeout=60,
        )
        for number in range(ADDRESSES)
    ]

    proofs: dict[httpx.AsyncClient, str] = {}

    async def one(number: int) -> tuple[int, str]:
        client = clients[number % ADDRESSES]
        if client not in proofs:
            proofs[client] = _csrf((await client.get("/login/")).text)
        form = {
            "csrfmiddlewaretoken": proofs[client],
            "username": f"somebody-{number}",
            "password": "not the password",
        }
        answer = await client.post("/login/", data=form)
        return answer.status_code, answer.headers.get("Retry-After", "")

    try:
        works = [partial(one, number) for number in range(ATTEMPTS_PER_S * SECONDS)]
        return Counter(await _at_rate(works, ATTEMPTS_PER_S))
    finally:
        for client in clients:
            await client.aclose()


async def _at_rate(works: Sequence[Callable[[], Coroutine[Any, Any, T]]], per_s: float) -> list[T]:
    """Begin one after the other at a steady rate; return what all of them returned."""
    began, tasks = time.perf_counter(), []
    for number, work in enumerate(works):
        await asyncio.sleep(max(0.0, began + number / per_s - time.perf_counter()))
        tasks.append(asyncio.create_task(work()))
    return await asyncio.gather(*tasks)


def _csrf(page: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    if found is None:
        raise AssertionError("the page has no form")
    return found.group(1)


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]
