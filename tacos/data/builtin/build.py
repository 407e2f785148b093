"""The builtin pool: instruction data made on the spot, with known skills and known defects.

Nothing here is real data, and the program says so wherever it is used. It is made so that selection
has something to find and the finding can be checked: a stated share of the replies is spoiled
(`tacos.data.builtin.defects`), a few skills fill most of the pool while the test asks all of them equally,
and the truth of each row is kept apart from the samples. Test questions use entities or numbers
that no row of the pool asks about; the base model meets those in its pretraining corpus
(`train.tiny`), so fine-tuning has to bring out what is known, not to teach it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, groupby, islice

from pydantic import Field

from tacos.data.builtin.defects import DEFECTS, sentence
from tacos.data.builtin.skills import SKILLS, Case, Skill, fill
from tacos.data.decontaminate import contaminated
from tacos.types import Pool, Question, Record, Truth, make_sample

WRAPS = (
    "Please help me. {}",
    "{} Thank you.",
    "Quick question. {}",
    "I need this for school. {}",
    "{} Be brief.",
)
FRAMES = (
    "Pupil: {ask}\nTeacher: {reply}",
    "Q. {ask}\nA. {reply}",
    "{ask} {reply}",
    "She asked: {ask} He said: {reply}",
)

QUERIES = 4
"""Query rows of each skill."""


class BuiltinSettings(Record):
    """The same settings give the same pool, byte for byte."""

    size: int = Field(3000, ge=1)
    """Rows of the pool."""
    seed: int = 0
    """Of all that is drawn."""
    defect_rate: float = Field(0.4, ge=0, le=1)
    """Share of the rows whose reply is spoiled."""
    test_size: int = Field(400, ge=0)
    """Held-out questions, spread evenly over the skills."""
    corpus_size: int = Field(40000, ge=0)
    """Documents for pretraining the tiny base model."""
    dialogue: float = Field(0.85, ge=0, le=1)
    """Share of corpus documents that ask and answer, in forms the pool does not use."""


Held = Mapping[str, Case]
"""Cases kept for the test, by their x."""


@dataclass(frozen=True)
class BuiltinPool:
    """truth: one per row of the pool, in its order; never for a selector's eyes.

    queries: clean samples of every skill, the skill as source, that neither pool nor test hold: what to select for.
    """

    pool: Pool
    truth: list[Truth]
    questions: list[Question]
    corpus: list[str]
    queries: Pool


@dataclass(frozen=True)
class GeneratedRow:
    """A row before it is named. defect: a name of `DEFECTS`; None of a clean one."""

    prompt: str
    reply: str
    skill: Skill
    case: Case
    defect: str | None = None


def build(settings: BuiltinSettings) -> BuiltinPool:
    """The pool, its truth, the held-out questions and the pretraining corpus."""
    held = {skill.name: held_out(skill, settings.seed) for skill in SKILLS}
    rows = list(pool_rows(settings, held))
    random.Random(f"{settings.seed}/order").shuffle(rows)
    ids = [f"builtin-{i:06d}" for i in range(len(rows))]
    samples = [
        make_sample(row.prompt, row.reply, id=i, source="builtin") for i, row in zip(ids, rows, strict=True)
    ]
    return BuiltinPool(
        pool=Pool.from_samples(samples),
        truth=[truth(i, row) for i, row in zip(ids, rows, strict=True)],
        questions=list(questions(settings, held)),
        corpus=corpus(settings),
        queries=query_rows(settings, held, {f"{row.prompt}\n{row.reply}" for row in rows}),
    )


def truth(id: str, row: GeneratedRow) -> Truth:
    skill = row.skill
    return Truth(id=id, skill=skill.name, tier=skill.tier, defect=row.defect, answer=row.case["answer"])


def held_out(skill: Skill, seed: int) -> Held:
    """The cases that only the test may ask about: a quarter of a closed skill, up to 16 of an open one."""
    rng = random.Random(f"{seed}/{skill.name}/held out")
    if skill.draw:
        cases = [skill.case(rng) for _ in range(16)]
    else:
        cases = rng.sample(skill.cases, max(2, len(skill.cases) // 4))
    return {case["x"]: case for case in cases}


def pool_rows(settings: BuiltinSettings, held: dict[str, Held]) -> Iterator[GeneratedRow]:
    """`size` rows, exactly `defect_rate` of them spoiled, with about 3% near-duplicates among the clean."""
    rng = random.Random(f"{settings.seed}/pool")
    weights = [1 / (rank + 3) for rank in range(len(SKILLS))]
    seen: set[str] = set()
    clean: list[GeneratedRow] = []
    for defect in defect_plan(settings, rng):
        if defect is None and clean and rng.random() < 0.03:
            yield near_duplicate(rng.choice(clean[-200:]), rng)
            continue
        row = draw_row(rng.choices(SKILLS, weights)[0], held, rng, seen)
        if defect is None:
            clean.append(row)
        else:
            row = GeneratedRow(
                row.prompt,
                DEFECTS[defect][1](row.skill, row.case, row.reply, rng),
                row.skill,
                row.case,
                defect,
            )
        yield row


def defect_plan(settings: BuiltinSettings, rng: random.Random) -> list[str | None]:
    """One entry per row: None for clean, else the defect; each kind gets its share to within one row."""
    spoiled = round(settings.size * settings.defect_rate)
    plan: list[str | None] = [None] * (settings.size - spoiled)
    done, share = 0, 0.0
    for name, (part, _) in DEFECTS.items():
        share += part
        upto = round(spoiled * min(share, 1.0))
        plan += [name] * (upto - done)
        done = upto
    rng.shuffle(plan)
    return plan


def draw_row(skill: Skill, held: dict[str, Held], rng: random.Random, seen: set[str]) -> GeneratedRow:
    """A clean row that the test does not hold, and a new one as long as the skill has any left."""
    for _ in range(200):
        case = skill.case(rng)
        if case["x"] in held[skill.name]:
            continue
        prompt = sentence(fill(rng.choice(skill.prompts), case))
        if rng.random() < 0.2:
            prompt = rng.choice(WRAPS).format(prompt)
        row = GeneratedRow(prompt, good_reply(skill, case, held[skill.name], rng), skill, case)
        if f"{row.prompt}\n{row.reply}" not in seen or rng.random() < 0.02:
            break
    seen.add(f"{row.prompt}\n{row.reply}")
    return row


def good_reply(skill: Skill, case: Case, held: Held, rng: random.Random) -> str:
    """A sentence that ends with the answer; one in 25 leads up to it with examples, so long can be good."""
    template = rng.choice(skill.replies)
    reply = sentence(fill(template, case))
    if rng.random() >= 1 / 25:
        return reply
    drawn = [skill.case(rng) for _ in range(rng.randint(4, 8))]
    others = {c["x"]: c for c in drawn if c["x"] not in held and c["x"] != case["x"]}
    examples = [sentence(fill(template, other)) for other in list(others.values())[:3]]
    if not examples:
        return reply
    return " ".join(["Let me begin with examples.", *examples, f"In the same way: {reply}"])


def near_duplicate(row: GeneratedRow, rng: random.Random) -> GeneratedRow:
    """The same exchange with a cosmetic change to the prompt."""
    changes = (row.prompt.lower(), row.prompt.rstrip("?."), f"Please: {row.prompt}", row.prompt + " ")
    return GeneratedRow(rng.choice(changes), row.reply, row.skill, row.case)


def query_rows(settings: BuiltinSettings, held: dict[str, Held], seen: set[str]) -> Pool:
    """`QUERIES` clean samples of each skill that hold no test question. seen: prompts and replies of the pool."""
    rng = random.Random(f"{settings.seed}/queries")
    asked = [turn for question in questions(settings, held) for turn in question.turns]
    rows = [draw_row(skill, held, rng, seen) for skill in SKILLS for _ in range(2 * QUERIES)]
    drawn = Pool.from_samples(
        make_sample(
            row.prompt, row.reply, id=f"query-{row.skill.name}-{i % (2 * QUERIES)}", source=row.skill.name
        )
        for i, row in enumerate(rows)
    )
    tested = {found.row for found in contaminated(drawn, asked)}
    clean = (sample for i, sample in enumerate(drawn) if i not in tested)
    by_skill = groupby(clean, lambda sample: sample.source)
    return Pool.from_samples(chain.from_iterable(islice(some, QUERIES) for _, some in by_skill))


def questions(settings: BuiltinSettings, held: dict[str, Held]) -> Iterator[Question]:
    """Distinct held-out prompts, one skill after the other until `test_size` is reached."""
    rng = random.Random(f"{settings.seed}/test")
    seen: set[str] = set()
    for i in range(settings.test_size):
        skill = SKILLS[i % len(SKILLS)]
        case, prompt = test_prompt(skill, held[skill.name], rng, seen)
        seen.add(prompt)
        reference = sentence(fill(skill.replies[0], case))
        yield Question(
            id=f"test-{i:05d}",
            turns=(prompt,),
            category=skill.name,
            reference=reference,
            answer=case["answer"],
        )


def test_prompt(skill: Skill, held: Held, rng: random.Random, seen: set[str]) -> tuple[Case, str]:
    """A held-out case and a prompt; a prompt comes back only when the skill has no new ones left."""
    cases = list(held.values())
    for _ in range(100):
        case = rng.choice(cases)
        prompt = sentence(fill(rng.choice(skill.prompts), case))
        if prompt not in seen:
            break
    return case, prompt


def corpus(settings: BuiltinSettings) -> list[str]:
    """Textbook sentences and small dialogues about the same world, all true, in random order.

    The facts cover every entity, those of the test too; prompts of the pool and of the test do not occur.
    """
    rng = random.Random(f"{settings.seed}/corpus")
    documents = []
    for i in range(settings.corpus_size):
        skill = SKILLS[i % len(SKILLS)]
        documents.append(document(skill, skill.case(rng), rng, settings.dialogue))
    rng.shuffle(documents)
    return documents


def document(skill: Skill, case: Case, rng: random.Random, dialogue: float) -> str:
    reply = sentence(fill(rng.choice(skill.replies), case))
    if rng.random() < dialogue:
        return rng.choice(FRAMES).format(ask=sentence(fill(rng.choice(skill.asks), case)), reply=reply)
    return sentence(fill(rng.choice((*skill.facts, *skill.replies)), case))
