"""A process that asks until its cap: spender.py ENDPOINT CACHE FIRST COUNT CONCURRENCY CAP MAX_TOKENS."""

from __future__ import annotations

import sys
from pathlib import Path

from tacos.errors import SpendCapError
from tacos.llm.base import Sampling
from tacos.llm.client import complete
from tests.llm.helpers import ask, client

if __name__ == "__main__":
    endpoint, cache = sys.argv[1:3]
    first, count, concurrency, cap, max_tokens = map(int, sys.argv[3:])
    requests = [
        ask(f"question {i}", sampling=Sampling(max_tokens=max_tokens)) for i in range(first, first + count)
    ]
    llm = client(endpoint, Path(cache), concurrency=concurrency, max_tokens_total=cap)
    try:
        complete(llm, requests)
    except SpendCapError as error:
        print(error)
