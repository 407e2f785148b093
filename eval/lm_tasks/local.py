"""What a model in this process says to lm-eval's requests, as token ids: how likely a continuation is, and replies.

    context [1, 5, 9], said [4, 2]    ->   log p(4 | 1 5 9) + log p(2 | 1 5 9 4), and whether both are the likeliest

A pair that is longer than the model's context loses its oldest tokens, and its last one is never read, only foretold.
So several continuations of one context that differ in their last token, such as the letters of a multiple-choice
question, take one pass together.

Replies are greedy, or drawn from a seed of their own (`tacos.llm.backends.sampling`), and end at the model's end token
or behind a stop string. As in lm-eval, and other than in the rest of tacos, the model's own generation settings, such
as a repetition penalty, hold where a task says nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tacos.errors import TacosError
from tacos.llm.backends.sampling import RowSampler
from tacos.llm.backends.transformers import pad_left
from tacos.llm.base import Sampling
from tacos.models.batches import last_logits, run_batches
from tacos.models.local import LocalModel

if TYPE_CHECKING:
    import torch

LOOK_BACK = 2
"""Tokens that a stop string is looked for in beyond its bytes: a decoder may trim the space before the first."""


class TokenPair(NamedTuple):
    """What is read, and what is said behind it: token ids, at least one each."""

    context: list[int]
    said: list[int]

    def cut(self, longest: int) -> TokenPair:
        """Its last tokens, of which the model reads `longest`. Raises: TacosError where `said` alone is longer."""
        if not self.said or len(self.said) > longest:
            raise TacosError(
                f"a continuation has {len(self.said)} tokens, and between 1 and {longest} can be foretold: leave the "
                "task out, or set max_length to the model's context"
            )
        return TokenPair(self.context[-(longest + 1 - len(self.said)) :], self.said)


class Foretold(NamedTuple):
    """logprob: natural log of the probability of all that is said. greedy: whether it is what the model would say."""

    logprob: float
    greedy: bool


def foretold(
    lm: LocalModel, pairs: Sequence[TokenPair], budget: int, what: str
) -> Iterator[tuple[int, Foretold]]:
    """(place of the pair, how likely what is said is), batch by batch. budget: tokens of a batch."""
    groups: dict[tuple[tuple[int, ...], int], list[int]] = defaultdict(list)
    for i, pair in enumerate(pairs):
        groups[tuple([*pair.context, *pair.said[:-1]]), len(pair.said)].append(i)
    rows = list(groups)

    def forward(batch: list[int]) -> list[list[tuple[int, Foretold]]]:
        made = last_logits(lm, [rows[i][0] for i in batch], [rows[i][1] for i in batch])
        return [
            [(place, _weighed(logits, pairs[place].said)) for place in groups[rows[i]]]
            for i, logits in zip(batch, made, strict=True)
        ]

    for _, members in run_batches(lm, [len(ids) for ids, _ in rows], budget, what, forward):
        yield from members


def _weighed(logits: torch.Tensor, said: Sequence[int]) -> Foretold:
    """logits: (len(said), vocabulary) float32."""
    import torch

    wanted = torch.tensor(said, device=logits.device)
    own = torch.log_softmax(logits, dim=-1).gather(1, wanted[:, None]).double().sum()
    return Foretold(float(own), bool((logits.argmax(dim=-1) == wanted).all()))


@dataclass(frozen=True)
class Writing:
    """How replies are written. limit: tokens. until: strings that end one, and are no part of it. ends: tokens that
    end one. sampling: None is greedy. options: what else `generate` of transformers is told."""

    limit: int
    until: tuple[str, ...]
    ends: tuple[int, ...]
    sampling: Sampling | None
    options: Mapping[str, Any]


def replies(
    lm: LocalModel,
    prompts: Sequence[list[int]],
    seeds: Sequence[int],
    how: Writing,
    budget: int,
    size: int,
    what: str,
) -> Iterator[tuple[int, str]]:
    """(place of the prompt, its reply up to the first stop string), batch by batch.

    seeds: one per prompt, used by sampling. size: prompts of a batch.
    """

    def forward(batch: list[int]) -> list[str]:
        ids = _written(lm, [prompts[i] for i in batch], [seeds[i] for i in batch], how)
        lm.count(sum(map(len, ids)))
        return [_before(str(lm.tokenizer.decode(row, skip_special_tokens=True)), how.until) for row in ids]

    yield from run_batches(lm, [len(prompt) for prompt in prompts], budget, what, forward, most=size)


def _written(
    lm: LocalModel, prompts: Sequence[list[int]], seeds: Sequence[int], how: Writing
) -> list[list[int]]:
    """The tokens of each reply, without an end token and what stands behind it."""
    from transformers import LogitsProcessorList, StoppingCriteriaList

    ids, mask = pad_left(prompts, lm.pad)
    length, model = ids.shape[1], lm.model
    made: Any = model
    drawn, stops = LogitsProcessorList(), StoppingCriteriaList()
    if how.sampling:
        drawn.append(RowSampler(seeds, length, how.limit, how.sampling))
    if how.until:
        stops.append(StopStrings(lm.tokenizer, how.until, length))
    output = made.generate(
        input_ids=ids.to(lm.device),
        attention_mask=mask.to(lm.device),
        max_new_tokens=how.limit,
        do_sample=False,
        eos_token_id=list(how.ends) or None,
        pad_token_id=lm.pad,
        logits_processor=drawn,
        stopping_criteria=stops,
        **how.options,
    )
    return [_ended(row, how.ends) for row in output[:, length:].tolist()]


def _ended(tokens: list[int], ends: Sequence[int]) -> list[int]:
    return tokens[: next((at for at, token in enumerate(tokens) if token in ends), None)]


def _before(text: str, until: Sequence[str]) -> str:
    """The text up to a stop string, one string after the other, as lm-eval cuts it."""
    for stop in until:
        text = text.split(stop)[0]
    return text


class StopStrings:
    """Tells `generate` which rows have said a stop string; each is then padded while the others go on.

    start: tokens before the first generated one. Tokens are bytes at the least, so a string that a step has completed
    stands in as many of the last tokens as it has bytes.
    """

    def __init__(self, tokenizer: Any, until: Sequence[str], start: int):
        self.tokenizer = tokenizer
        self.until = until
        self.start = start
        self.tail = max(len(stop.encode()) for stop in until) + LOOK_BACK

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """(n_rows,) bool."""
        import torch

        tails = input_ids[:, self.start :][:, -self.tail :]
        texts = self.tokenizer.batch_decode(tails)
        said = [any(stop in text for stop in self.until) for text in texts]
        return torch.tensor(said, device=input_ids.device)
