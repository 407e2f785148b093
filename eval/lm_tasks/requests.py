"""How a task wants replies: lm-eval's `generation_kwargs`, read once for models in this process and behind a server.

{"until": ["\\n\\n"], "max_gen_toks": 1280, "do_sample": false, "temperature": 0.0}
-> Wanted(limit=1280, until=("\\n\\n",), sampling=None, options={})
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tacos.errors import ConfigError
from tacos.llm.base import Sampling
from tacos.store.fingerprint import canonical

SAMPLED_BY = ("top_k", "min_p", "typical_p")
"""Ways to draw that nothing here knows; without effect on a greedy reply."""


class Wanted(NamedTuple):
    """limit: tokens. until: stop strings. sampling: None is greedy. options: what else the task sets."""

    limit: int
    until: tuple[str, ...]
    sampling: Sampling | None
    options: dict[str, Any]


def wanted(kwargs: Mapping[str, Any], limit: int) -> Wanted:
    """limit: tokens where the task does not say.

    Raises: ConfigError for a way to draw that is not known here, or stop strings that are none.
    """
    from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs

    given: dict[str, Any] = dict(normalize_gen_kwargs(dict(kwargs), default_max_gen_toks=limit))
    until = handle_stop_sequences(given.pop("until", None), eos=None)
    if not all(isinstance(stop, str) for stop in until):
        raise ConfigError(f"generation_kwargs.until {until!r} holds what is no text")
    temperature, drawn = float(given.pop("temperature", 0.0)), bool(given.pop("do_sample", False))
    top_p, most = given.pop("top_p", 1.0), int(given.pop("max_gen_toks"))
    others = [name for name in SAMPLED_BY if given.pop(name, None) not in (None, 0, 1.0)]
    if drawn and temperature > 0 and others:
        raise ConfigError(
            f"the task draws replies by {', '.join(others)}, which tacos does not: set gen_kwargs to temperature and "
            "top_p, or to do_sample: false"
        )
    sampling = Sampling(temperature=temperature, top_p=top_p, max_tokens=most)
    stops = tuple(stop for stop in until if stop)
    return Wanted(most, stops, sampling if drawn and temperature > 0 else None, given)


def answered(
    requests: Sequence[Any], limit: int, replies: Callable[[Sequence[str], Wanted], Sequence[str]]
) -> list[str]:
    """A reply to each of lm-eval's requests. replies: to contexts that want to be answered in one way."""
    found: dict[int, str] = {}
    for how, places in together(requests, limit):
        found |= zip(places, replies([requests[i].args[0] for i in places], how), strict=True)
    return [found[place] for place in range(len(requests))]


def together(requests: Sequence[Any], limit: int) -> list[tuple[Wanted, list[int]]]:
    """Requests of one way to reply, by their place. requests: instances of lm-eval's with (context, kwargs)."""
    found: dict[str, tuple[Wanted, list[int]]] = {}
    for place, request in enumerate(requests):
        kwargs = request.args[1]
        found.setdefault(canonical(kwargs), (wanted(kwargs, limit), []))[1].append(place)
    return list(found.values())


def repeats(texts: Sequence[str]) -> list[int]:
    """How often each text came before: drawn replies to one prompt are told apart by it."""
    seen: Counter[str] = Counter()
    numbers = []
    for text in texts:
        numbers.append(seen[text])
        seen[text] += 1
    return numbers
