"""What goes wrong in the builtin pool: eight ways to spoil a good reply, each at a known share.

A defect gets the skill, the case and the clean reply, and returns a spoiled one. Some are plain to
see (boilerplate), some need the question (off_topic) and some need the fact (wrong). Padded and
looping replies are long, so length is a poor guide to quality.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from tacos.data.builtin.skills import SKILLS, Case, Skill, fill

Spoil = Callable[[Skill, Case, str, random.Random], str]

EMPTY = (
    "That is a very good question and there are many ways to look at it",
    "Thank you for asking, I am always glad to be of service",
    "It depends on a number of things that I cannot go into here",
    "There are several opinions about this topic and all of them have merit",
    "I hope that this message finds you well",
    "As everyone knows, this is an important subject in our modern world",
    "Please feel free to ask me anything else at any time",
    "I would need more details before I could say anything about that",
    "This is a fascinating matter which people have discussed for a long time",
    "Do not hesitate to look for more information in a good library",
    "Many experts agree that topics like this one deserve our full attention",
    "I am sorry, but I am not sure what you would like to know",
)
FILLER = (
    "It is worth noting that questions of this kind come up again and again in daily life",
    "In other words, there is a lot that could be said here, and some of it may be useful to you",
    "At the end of the day, what matters most is that we keep an open mind and stay curious",
    "Needless to say, every situation is different, and your own experience may vary from this",
    "With that being said, let us take a moment to think about the bigger picture as well",
    "All things considered, it is fair to say that this has been an interesting thing to think about",
    "Having looked at it from many sides, I would like to stress once more how useful learning can be",
    "Of course there is much more to be said, and I would be happy to go on if you want me to",
)


def truncated(skill: Skill, case: Case, reply: str, rng: random.Random) -> str:
    """Cut before the answer, with no full stop."""
    words = reply[: reply.rindex(case["answer"])].split()
    return " ".join(words[: rng.randint(max(1, len(words) // 2), len(words))]).rstrip(",:")


def wrong(skill: Skill, case: Case, reply: str, rng: random.Random) -> str:
    """A sound sentence with the answer of another case."""
    head, _, tail = reply.rpartition(case["answer"])
    return head + skill.wrong(case, rng) + tail


def off_topic(skill: Skill, case: Case, reply: str, rng: random.Random) -> str:
    """A good answer to a question nobody asked."""
    other = rng.choice([s for s in SKILLS if s.name != skill.name])
    return sentence(fill(rng.choice(other.replies), other.case(rng)))


def boilerplate(skill: Skill, case: Case, reply: str, rng: random.Random) -> str:
    """Polite and empty."""
    return ". ".join(rng.sample(EMPTY, rng.randint(1, 2))) + "."


def repetition(skill: Skill, case: Case, reply: str, rng: random.Random) -> str:
    """Caught in a loop before it gets to the answer."""
    start = truncated(skill, case, reply, random.Random(0)) or reply
    return " ".join([start] * rng.randint(3, 7))


def wrong_format(skill: Skill, case: Case, reply: str, rng: random.Random) -> str:
    """The right answer in markup or code that nobody asked for."""
    forms = (
        '<p class="out">{0}</p>',
        "return [{0!r}] # done",
        "| output | {0} | ok |",
        "set result = {0}; exit",
        "output: {0} (status: ok)",
    )
    return rng.choice(forms).format(case["answer"])


def padded(skill: Skill, case: Case, reply: str, rng: random.Random) -> str:
    """The answer, often wrong, buried in words that say nothing."""
    core = wrong(skill, case, reply, rng) if rng.random() < 0.5 else reply
    before, *after = rng.sample(FILLER, rng.randint(2, 4))
    return " ".join([before + ".", core, *(text + "." for text in after)])


def echo(skill: Skill, case: Case, reply: str, rng: random.Random) -> str:
    """Says the question again in place of answering it."""
    return f"You ask me this: {fill(rng.choice(skill.prompts), case)} So that is what you would like to know."


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


DEFECTS: Mapping[str, tuple[float, Spoil]] = {
    "wrong": (0.20, wrong),
    "off_topic": (0.16, off_topic),
    "truncated": (0.14, truncated),
    "boilerplate": (0.13, boilerplate),
    "padded": (0.13, padded),
    "repetition": (0.09, repetition),
    "wrong_format": (0.09, wrong_format),
    "echo": (0.06, echo),
}
