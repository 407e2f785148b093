"""The skills of the builtin pool: what can be asked, how it is asked, and how a good reply sounds.

A `Skill` draws cases ("France" -> "Paris") and words them. Its templates see the case's slots, plus
`{an}` ("an owl" for x = "owl") and `{an_answer}`. Every template in `replies` ends with the answer,
so a reply can be checked by its last words. `asks` and `facts` are worded differently from `prompts`:
only the pretraining corpus uses them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tacos.data.builtin import words as w

Case = Mapping[str, str]
Draw = Callable[[random.Random], Case]


@dataclass(frozen=True)
class Skill:
    """One kind of question.

    tier: 1 (one step, known fact) to 3 (two steps).
    cases: all cases of a closed skill; empty when `draw` makes them.
    """

    name: str
    tier: int
    prompts: tuple[str, ...]
    asks: tuple[str, ...]
    replies: tuple[str, ...]
    facts: tuple[str, ...]
    cases: tuple[Case, ...] = ()
    draw: Draw | None = None

    def case(self, rng: random.Random) -> Case:
        return self.draw(rng) if self.draw else rng.choice(self.cases)

    def wrong(self, case: Case, rng: random.Random) -> str:
        """A plausible wrong answer: the right one of another case."""
        for _ in range(50):
            answer = self.case(rng)["answer"]
            if answer != case["answer"]:
                return answer
        raise ValueError(f"skill {self.name!r} has a single answer")


def fill(template: str, case: Case) -> str:
    """The template with the case's slots in place."""
    x, answer = case.get("x", ""), case["answer"]
    return template.format(**case, an=article(x), an_answer=article(answer))


def article(word: str) -> str:
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"


def table(rows: Sequence[Sequence[str]], answer: int = 1, x: int = 0) -> tuple[Case, ...]:
    """One case per row, from two of its columns; a repeated x keeps its first row."""
    cases = {row[x]: {"x": row[x], "answer": row[answer]} for row in reversed(rows)}
    return tuple(reversed(cases.values()))


def join(words: Sequence[str]) -> str:
    return ", ".join(words)


def two_numbers(low: int, high: int, answer: Callable[[int, int], object], distinct: bool = False) -> Draw:
    def draw(rng: random.Random) -> Case:
        a, b = rng.sample(range(low, high), 2) if distinct else (rng.randrange(low, high) for _ in range(2))
        return {"a": str(a), "b": str(b), "x": f"{a} {b}", "answer": str(answer(a, b))}

    return draw


def subtraction(rng: random.Random) -> Case:
    b, rest = rng.randrange(1, 10), rng.randrange(1, 10)
    return {"a": str(b + rest), "b": str(b), "x": f"{b + rest} {b}", "answer": str(rest)}


def parity(rng: random.Random) -> Case:
    n = rng.randrange(2, 51)
    return {"x": str(n), "answer": "odd" if n % 2 else "even"}


def listing(low: int, high: int, answer: Callable[[list[str]], str]) -> Draw:
    """A list of `low` to `high` different nouns."""

    def draw(rng: random.Random) -> Case:
        items = rng.sample(w.NOUNS, rng.randint(low, high))
        return {"x": join(items), "answer": answer(items)}

    return draw


def review(rng: random.Random) -> Case:
    good = rng.random() < 0.5
    one, two = rng.sample(w.PRAISE if good else w.BLAME, 2)
    text = f"The {rng.choice(w.REVIEWED)} was {one} and {two}."
    return {"x": text, "answer": "positive" if good else "negative"}


def double_sum(rng: random.Random) -> Case:
    a, b = rng.randrange(1, 7), rng.randrange(1, 7)
    return {"a": str(a), "b": str(b), "x": f"{a} {b}", "sum": str(a + b), "answer": str(2 * (a + b))}


def capital_continent() -> tuple[Case, ...]:
    return tuple({"x": city, "country": name, "answer": land} for name, city, land, _ in w.COUNTRIES)


def parent_sound() -> tuple[Case, ...]:
    return tuple({"x": baby, "animal": name, "answer": sound} for name, sound, baby, _ in w.ANIMALS)


def turned(items: Sequence[str], by: int) -> tuple[Case, ...]:
    return tuple({"x": item, "answer": items[(i + by) % len(items)]} for i, item in enumerate(items))


# Most frequent in the pool first: a draw by chance is full of the head and thin in the tail.
SKILLS: tuple[Skill, ...] = (
    Skill(
        "add",
        1,
        (
            "What is {a} plus {b}?",
            "Add {a} and {b}.",
            "Work out the sum of {a} and {b}.",
            "How much do {a} and {b} make together?",
            "Calculate {a} + {b}.",
        ),
        (
            "{a} + {b} = ?",
            "The total of {a} and {b}?",
            "What do you get when you add {b} to {a}?",
            "Tell me the sum: {a} plus {b}.",
        ),
        (
            "{a} plus {b} is {answer}.",
            "The sum of {a} and {b} is {answer}.",
            "When you add {a} and {b}, the total comes to {answer}.",
        ),
        ("{a} + {b} = {answer}.", "Put {a} and {b} together and you get {answer}."),
        draw=two_numbers(1, 10, lambda a, b: a + b),
    ),
    Skill(
        "capital",
        1,
        (
            "What is the capital of {x}?",
            "Which city is the capital of {x}?",
            "Name the capital city of {x}.",
            "Tell me the capital of {x}.",
            "In which city does the government of {x} sit?",
        ),
        (
            "Capital of {x}?",
            "The main city of {x}?",
            "What is the name of the capital in {x}?",
            "I forgot the capital city of {x}, can you tell me?",
        ),
        (
            "The capital of {x} is {answer}.",
            "The government of {x} sits in its capital city, {answer}.",
            "Every country has a capital, and the capital of {x} is {answer}.",
        ),
        ("{answer} is the capital of {x}.", "The train to the capital of {x} stops in {answer}."),
        table(w.COUNTRIES),
    ),
    Skill(
        "antonym",
        1,
        (
            "What is the opposite of {x}?",
            "Give an antonym of the word {x}.",
            "Which word means the opposite of {x}?",
            "Tell me a word that is the contrary of {x}.",
            "Find the antonym for {x}.",
        ),
        (
            "Not {x}, but?",
            "{x} versus what?",
            "Which word is the opposite of the word {x}?",
            "Can you name an antonym for {x}?",
        ),
        (
            "The opposite of {x} is {answer}.",
            "An antonym of {x} is {answer}.",
            "If something is not {x} at all, we use the opposite word, {answer}.",
        ),
        ("{x} and {answer} are opposites.", "It was not {x}, it was {answer}."),
        table(w.ANTONYMS),
    ),
    Skill(
        "first_word",
        1,
        (
            "What is the first word in this list: {x}?",
            "Which item comes first: {x}?",
            "Give me the first item of the list {x}.",
            "Read the list {x} and name its first entry.",
            "The list is {x}. How does it start?",
        ),
        (
            "{x}: the first?",
            "Start of {x}?",
            "Here is a list: {x}. What is the first word?",
            "Look at the items {x}. Which is the first?",
        ),
        (
            "The first word is {answer}.",
            "The list starts with {answer}.",
            "Reading from the left, the first item is {answer}.",
        ),
        ("The list {x} starts with {answer}.", "In {x}, the first item is {answer}."),
        draw=listing(3, 4, lambda items: items[0]),
    ),
    Skill(
        "plural",
        1,
        (
            "What is the plural of {x}?",
            "Write the plural form of {x}.",
            "How do you say more than one {x}?",
            "Give the plural of the noun {x}.",
            "One {x}, but two of what?",
        ),
        (
            "{x}, many?",
            "Several of {x}?",
            "What is the plural form of the noun {x}?",
            "How do we write the plural of {x}?",
        ),
        (
            "The plural of {x} is {answer}.",
            "One {x}, two {answer}.",
            "When there is more than one {x}, the noun becomes {answer}.",
        ),
        ("She saw one {x} and then many {answer}.", "{x} in the plural is {answer}."),
        table(w.PLURALS),
    ),
    Skill(
        "spanish",
        1,
        (
            "How do you say {x} in Spanish?",
            "Translate the word {x} into Spanish.",
            "What is the Spanish word for {x}?",
            "Give the Spanish translation of {x}.",
            "What would a person in Madrid call {x}?",
        ),
        (
            "{x}, in Spanish?",
            "English {x}, Spanish what?",
            "What is {x} in Spanish?",
            "Can you translate {x} into Spanish for me?",
        ),
        (
            "The Spanish word for {x} is {answer}.",
            "In Spanish, {x} is {answer}.",
            "A Spanish speaker would translate {x} as {answer}.",
        ),
        ("In Spain people say {answer} and mean {x}.", "{x} in Spanish is {answer}."),
        table(w.SPANISH),
    ),
    Skill(
        "larger",
        1,
        (
            "Which number is larger, {a} or {b}?",
            "Which is greater: {a} or {b}?",
            "Pick the bigger number: {a} or {b}.",
            "Compare {a} and {b}. Which one is the larger number?",
            "Of {a} and {b}, name the greater one.",
        ),
        (
            "Max of {a} and {b}?",
            "{a} or {b}, the bigger?",
            "Is {a} or {b} the larger number?",
            "Which of {a} and {b} is the bigger number?",
        ),
        (
            "The larger number is {answer}.",
            "The greater of {a} and {b} is {answer}.",
            "Comparing {a} with {b}, the bigger one is {answer}.",
        ),
        ("Between {a} and {b}, the larger is {answer}.", "Of {a} and {b}, the bigger number is {answer}."),
        draw=two_numbers(1, 31, max, distinct=True),
    ),
    Skill(
        "past_tense",
        1,
        (
            "What is the past tense of {x}?",
            "Put the verb {x} into the past tense.",
            "Today I {x}. What is the form for yesterday?",
            "Give the simple past of the verb {x}.",
            "How do you write {x} in the past?",
        ),
        (
            "{x}, yesterday?",
            "Past of {x}?",
            "What does the verb {x} become in the past?",
            "Tell me the past tense of the verb {x}.",
        ),
        (
            "The past tense of {x} is {answer}.",
            "Today we {x}, yesterday we {answer}.",
            "The verb {x} changes its form in the past and becomes {answer}.",
        ),
        ("They {x} now and they {answer} before.", "{x} in the past is {answer}."),
        table(w.PASTS),
    ),
    Skill(
        "category",
        1,
        (
            "What kind of thing is {an}?",
            "Which category does {x} belong to?",
            "Name the group that {x} belongs to.",
            "What type of thing is the word {x} a name for?",
            "Classify this item: {x}.",
        ),
        (
            "{x} is a sort of?",
            "Group of {x}?",
            "What kind of a thing is {x}?",
            "To which category does the word {x} belong?",
        ),
        (
            "{x} is a kind of {answer}.",
            "The word {x} names {an_answer}.",
            "This item, {x}, belongs to a group of things, and its category is {answer}.",
        ),
        (
            "{an} is {an_answer}.",
            "Among the things called {answer} there is {x}, so its category is {answer}.",
        ),
        table(w.CATEGORIES),
    ),
    Skill(
        "even_odd",
        2,
        (
            "Is {x} even or odd?",
            "Tell me whether the number {x} is odd or even.",
            "Is the number {x} even?",
            "Say if {x} is an even or an odd number.",
            "Can {x} be split into two equal whole numbers, so is it even or odd?",
        ),
        (
            "Parity of {x}?",
            "{x}: even, odd?",
            "Is the number {x} an odd or an even one?",
            "Do we call {x} odd or even?",
        ),
        (
            "The number {x} is {answer}.",
            "{x} is {answer}.",
            "Looking at its last digit, the number {x} is {answer}.",
        ),
        ("Counting on, we reach {x}, which is {answer}.", "The parity of {x} is {answer}."),
        draw=parity,
    ),
    Skill(
        "colour",
        1,
        (
            "What colour are {x}?",
            "Which colour do {x} usually have?",
            "Name the typical colour of {x}.",
            "If you paint a picture of {x}, which colour do you take?",
            "Tell me the colour of {x}.",
        ),
        ("{x}: colour?", "Paint for {x}?", "What is the colour of {x}?", "Which colour would you paint {x}?"),
        (
            "The colour of {x} is {answer}.",
            "If you look at {x}, the colour you see is {answer}.",
            "Most people would say that the usual colour of {x} is {answer}.",
        ),
        ("The typical colour of {x} is {answer}.", "As for {x}, their colour is {answer}."),
        table(w.COLOURS),
    ),
    Skill(
        "last_word",
        1,
        (
            "What is the last word in this list: {x}?",
            "Which item comes last: {x}?",
            "Give me the final item of the list {x}.",
            "Read the list {x} and name its last entry.",
            "The list is {x}. How does it end?",
        ),
        (
            "{x}: the last?",
            "End of {x}?",
            "Here is a list: {x}. What is the last word?",
            "Look at the items {x}. Which is the last?",
        ),
        (
            "The last word is {answer}.",
            "The list ends with {answer}.",
            "Reading to the right end, the last item is {answer}.",
        ),
        ("The list {x} ends with {answer}.", "In {x}, the last item is {answer}."),
        draw=listing(3, 4, lambda items: items[-1]),
    ),
    Skill(
        "synonym",
        1,
        (
            "Give a synonym of {x}.",
            "Which word means the same as {x}?",
            "Find another word for {x}.",
            "What is a synonym for the word {x}?",
            "Replace {x} by a word with the same meaning.",
        ),
        (
            "{x}, in other words?",
            "Same as {x}?",
            "What is another word for {x}?",
            "Can you name a synonym of the word {x}?",
        ),
        (
            "A synonym of {x} is {answer}.",
            "Another word for {x} is {answer}.",
            "A word that means the same as {x} is {answer}.",
        ),
        ("{x} means {answer}.", "Instead of {x}, we can also say {answer}."),
        table(w.SYNONYMS),
    ),
    Skill(
        "multiply",
        2,
        (
            "What is {a} times {b}?",
            "Multiply {a} by {b}.",
            "Calculate the product of {a} and {b}.",
            "How much is {a} multiplied by {b}?",
            "There are {a} rows of {b} seats. How many seats are there?",
        ),
        (
            "{a} x {b} = ?",
            "Product, {a} and {b}?",
            "What do you get if you multiply {a} with {b}?",
            "Tell me the product: {a} times {b}.",
        ),
        (
            "{a} times {b} is {answer}.",
            "The product of {a} and {b} is {answer}.",
            "If you multiply {a} by {b}, the result is {answer}.",
        ),
        ("{a} x {b} = {answer}.", "In the times table, {a} by {b} gives {answer}."),
        draw=two_numbers(2, 10, lambda a, b: a * b),
    ),
    Skill(
        "animal_sound",
        1,
        (
            "What sound does {an} make?",
            "Which noise does {an} make?",
            "How does {an} sound?",
            "Name the sound of {an}.",
            "What do you hear when {an} calls?",
        ),
        (
            "{x} says?",
            "Noise of the {x}?",
            "What is the sound of {an}?",
            "Which noise do you hear from {an}?",
        ),
        (
            "The sound of {an} is a {answer}.",
            "When {an} calls, you hear a {answer}.",
            "On a quiet day the noise that comes from {an} is a {answer}.",
        ),
        ("The {x} gave a loud {answer}.", "The noise of the {x} is called a {answer}."),
        table(w.ANIMALS, 1),
    ),
    Skill(
        "continent",
        1,
        (
            "On which continent is {x}?",
            "Which continent does {x} belong to?",
            "In what part of the world is {x}?",
            "Name the continent where {x} lies.",
            "You travel to {x}. Which continent do you visit?",
        ),
        (
            "{x}: continent?",
            "Part of the world of {x}?",
            "What continent is {x} on?",
            "In which part of the world does {x} lie?",
        ),
        (
            "{x} is a country in {answer}.",
            "The continent of {x} is {answer}.",
            "If you look at a map of the world, you find {x} in {answer}.",
        ),
        ("On the map, {x} lies in {answer}.", "The land of {x} is part of {answer}."),
        table(w.COUNTRIES, 2),
    ),
    Skill(
        "number_words",
        2,
        (
            "Write the number {x} in words.",
            "How do you spell the number {x}?",
            "Say {x} in words.",
            "Write out {x} as a word.",
            "On a cheque, how would you write {x} in letters?",
        ),
        (
            "{x}, spelled?",
            "Letters for {x}?",
            "How is {x} written in words?",
            "Can you write the number {x} as a word?",
        ),
        (
            "In words, {x} is {answer}.",
            "The number {x} is written {answer}.",
            "If we write the figure {x} with letters, we get {answer}.",
        ),
        ("{x} is read aloud as {answer}.", "The figure {x} means {answer}."),
        tuple({"x": str(n), "answer": w.number_words(n)} for n in range(1, 51)),
    ),
    Skill(
        "comparative",
        1,
        (
            "What is the comparative of {x}?",
            "Give the comparative form of the adjective {x}.",
            "This one is {x}, but that one is even more so. Which form do we use?",
            "Compare with the adjective {x}: which form?",
            "Turn the adjective {x} into its comparative.",
        ),
        (
            "{x}, and more?",
            "More than {x}?",
            "Which form of {x} do we use to compare?",
            "What is the comparative form of {x}?",
        ),
        (
            "The comparative of {x} is {answer}.",
            "This one is {x}, but that one is {answer}.",
            "To compare two things, the adjective {x} becomes {answer}.",
        ),
        ("My brother is {x}, but my sister is {answer}.", "The comparative form of {x} is {answer}."),
        table(w.COMPARATIVES),
    ),
    Skill(
        "subtract",
        2,
        (
            "What is {a} minus {b}?",
            "Subtract {b} from {a}.",
            "Calculate {a} - {b}.",
            "What is left if you take {b} away from {a}?",
            "Find the difference between {a} and {b}.",
        ),
        (
            "{a} - {b} = ?",
            "{a} less {b}?",
            "What do you get when you take {b} from {a}?",
            "Tell me the difference: {a} minus {b}.",
        ),
        (
            "{a} minus {b} is {answer}.",
            "The difference between {a} and {b} is {answer}.",
            "If you take {b} away from {a}, what remains is {answer}.",
        ),
        ("{a} - {b} = {answer}.", "From {a} take {b} and you keep {answer}."),
        draw=subtraction,
    ),
    Skill(
        "sentiment",
        2,
        (
            "Is this review positive or negative? {x}",
            "What is the sentiment of this sentence: {x}",
            "Read the review and say if the writer is positive or negative. {x}",
            "Label the mood of this text: {x}",
            "Did the guest like it? Say positive or negative. {x}",
        ),
        (
            "{x} Mood?",
            "{x} Good or bad?",
            "What is the mood of the review? {x}",
            "{x} Is the writer positive or negative?",
        ),
        (
            "The sentiment is {answer}.",
            "This review is {answer}.",
            "Judging by the adjectives, the opinion of the writer is {answer}.",
        ),
        ("{x} That is {answer}.", "{x} The opinion is {answer}."),
        draw=review,
    ),
    Skill(
        "baby_animal",
        1,
        (
            "What do you call a baby {x}?",
            "What is the name for a young {x}?",
            "Name the young of {an}.",
            "What is the word for the child of {an}?",
            "Which word do we use for a newborn {x}?",
        ),
        (
            "Little {x}?",
            "Young {x}, called?",
            "What is a baby {x} called?",
            "What name do we give to the young of {an}?",
        ),
        (
            "A baby {x} is called a {answer}.",
            "The young of {an} is a {answer}.",
            "When {an} has a little one, its name is {answer}.",
        ),
        ("The {x} has a little {answer}.", "A young {x} is known as a {answer}."),
        table(w.ANIMALS, 2),
    ),
    Skill(
        "workplace",
        1,
        (
            "Where does {an} work?",
            "What is the usual workplace of {an}?",
            "In which place do you find {an} at work?",
            "Name the place where {an} does the job.",
            "Where would you go to meet {an}?",
        ),
        (
            "{x}, where?",
            "Place for {an}?",
            "At which place does {an} work?",
            "Where do you find {an} at work?",
        ),
        (
            "The workplace of {an} is the {answer}.",
            "{an} works in a place called the {answer}.",
            "If you want to meet {an} at work, go to the {answer}.",
        ),
        ("Every morning the {x} goes to the {answer}.", "The {x} was at work in the {answer}."),
        table(w.JOBS, 1),
    ),
    Skill(
        "count_items",
        2,
        (
            "How many items are in this list: {x}?",
            "Count the words: {x}.",
            "Count how many things are listed: {x}.",
            "The list is {x}. What is the number of entries?",
            "How long is the list {x}?",
        ),
        (
            "{x}: how many?",
            "Length of {x}?",
            "Here is a list: {x}. How many words are there?",
            "How many things do you count: {x}?",
        ),
        (
            "The number of items is {answer}.",
            "The list has a length of {answer}.",
            "Counting one item after the other, the total is {answer}.",
        ),
        ("In {x} the number of items is {answer}.", "The list {x} has a length of {answer}."),
        draw=listing(2, 6, lambda items: str(len(items))),
    ),
    Skill(
        "language",
        1,
        (
            "Which language do people speak in {x}?",
            "What is the main language of {x}?",
            "You move to {x}. Which language should you learn?",
            "Name the language spoken in {x}.",
            "What do the people of {x} speak?",
        ),
        (
            "{x}: language?",
            "Spoken in {x}?",
            "What language do the people of {x} speak?",
            "Which language is spoken in {x}?",
        ),
        (
            "The main language of {x} is {answer}.",
            "People in {x} speak {answer}.",
            "Someone who wants to live in {x} should learn {answer}.",
        ),
        ("In the streets of {x} you hear {answer}.", "The newspapers of {x} are printed in {answer}."),
        table(w.COUNTRIES, 3),
    ),
    Skill(
        "roman",
        2,
        (
            "Write {x} in Roman numerals.",
            "What is {x} as a Roman numeral?",
            "How did the Romans write {x}?",
            "Convert the number {x} to Roman numerals.",
            "Give the Roman numeral for {x}.",
        ),
        (
            "{x}, Roman?",
            "Numeral of {x}?",
            "How is {x} written in Roman numerals?",
            "Can you give {x} as a Roman numeral?",
        ),
        (
            "The Roman numeral for {x} is {answer}.",
            "In Roman numerals, {x} is {answer}.",
            "On an old Roman stone, the number {x} would be carved as {answer}.",
        ),
        ("The Romans wrote {x} as {answer}.", "{x} on a Roman clock is {answer}."),
        tuple({"x": str(n), "answer": w.roman(n)} for n in range(1, 21)),
    ),
    Skill(
        "home",
        1,
        (
            "Where does {an} live?",
            "What is the home of {an} called?",
            "Where does {an} sleep?",
            "Name the home of {an}.",
            "In what kind of place do you find {an}?",
        ),
        (
            "{x}, home?",
            "Shelter of {an}?",
            "In which place does {an} live?",
            "What do we call the home of {an}?",
        ),
        (
            "The home of {an} is the {answer}.",
            "{an} lives in a {answer}.",
            "At the end of the day you find {an} in its {answer}.",
        ),
        ("At night the {x} rests in the {answer}.", "The {x} has its home in the {answer}."),
        table(w.ANIMALS, 3),
    ),
    Skill(
        "material",
        1,
        (
            "What are {x} made of?",
            "Which material are {x} made from?",
            "Name the usual material of {x}.",
            "What do people need to make {x}?",
            "From what stuff are {x} made?",
        ),
        ("{x}, of what?", "Stuff in {x}?", "From which material are {x} made?", "What are most {x} made of?"),
        (
            "The usual material for {x} is {answer}.",
            "Most {x} are made of {answer}.",
            "Workers who make {x} start from a material called {answer}.",
        ),
        ("In the factory, {x} are made from {answer}.", "The best {x} are of {answer}."),
        table(w.MATERIALS),
    ),
    Skill(
        "tool",
        1,
        (
            "Which tool does {an} use?",
            "What does {an} hold at work?",
            "Name a typical tool of {an}.",
            "What thing does {an} need for the job?",
            "Which object belongs to the work of {an}?",
        ),
        (
            "{x}, with what?",
            "Tool of {an}?",
            "What tool does {an} need at work?",
            "Which tool is typical of {an}?",
        ),
        (
            "A typical tool of {an} is the {answer}.",
            "For the job, {an} needs a {answer}.",
            "If you watch {an} at work, you will soon see the {answer}.",
        ),
        ("The {x} picked up the {answer}.", "The {x} works with a {answer}."),
        table(w.JOBS, 2),
    ),
    Skill(
        "day_after",
        1,
        (
            "Which day comes after {x}?",
            "What is the day after {x}?",
            "If today is {x}, what day is tomorrow?",
            "Name the day that follows {x}.",
            "It is {x}. Which day will it be tomorrow?",
        ),
        (
            "{x}, next day?",
            "{x} and then?",
            "What day follows {x}?",
            "It is {x} today. What day is it tomorrow?",
        ),
        (
            "The day after {x} is {answer}.",
            "After {x} comes {answer}.",
            "If it is {x} today, then tomorrow will be {answer}.",
        ),
        ("{x} is followed by {answer}.", "First it is {x}, then it is {answer}."),
        turned(w.DAYS, 1),
    ),
    Skill(
        "month_before",
        1,
        (
            "Which month comes before {x}?",
            "What is the month before {x}?",
            "If it is {x} now, what was last month?",
            "Name the month that comes just before {x}.",
            "It is {x}. Which month has just ended?",
        ),
        (
            "{x}, a month ago?",
            "Ahead of {x}?",
            "What month comes just before {x}?",
            "It is {x} now. What was the last month?",
        ),
        (
            "The month before {x} is {answer}.",
            "Just before {x} comes {answer}.",
            "If it is {x} now, then last month was {answer}.",
        ),
        ("{x} is the month that follows {answer}.", "When {x} begins, we leave {answer}."),
        turned(w.MONTHS, -1),
    ),
    Skill(
        "capital_continent",
        3,
        (
            "{x} is the capital of a country. On which continent is that country?",
            "Which continent has the country whose capital is {x}?",
            "Find the country with the capital {x} and name its continent.",
            "You land in the capital city {x}. Which continent are you on?",
        ),
        (
            "Continent around {x}?",
            "City {x}, which part of the world?",
            "On what continent do you find the capital {x}?",
            "The capital of a country is {x}. Which continent is it on?",
        ),
        (
            "{x} is the capital of {country}, and {country} is a country in {answer}.",
            "The country with this capital is {country}, and the continent of {country} is {answer}.",
            "The city of {x} belongs to {country}, so the continent is {answer}.",
        ),
        (
            "{x} is a city of {country}, a country in {answer}.",
            "From {x} in {country} you can travel through {answer}.",
        ),
        capital_continent(),
    ),
    Skill(
        "parent_sound",
        3,
        (
            "What sound does the parent of a {x} make?",
            "A {x} grows up. Which sound does the adult animal make?",
            "Name the noise of the animal whose young is a {x}.",
            "The mother of a {x} calls. What do you hear?",
        ),
        (
            "{x}, grown up, says?",
            "Sound of an adult {x}?",
            "What noise does the mother of a {x} make?",
            "When a {x} is an adult animal, what is its sound?",
        ),
        (
            "A {x} is a young {animal}, and the sound of the {animal} is a {answer}.",
            "The parent of a {x} is the {animal}, which makes a {answer}.",
            "A {x} grows up to be the animal called {animal}, and its noise is a {answer}.",
        ),
        (
            "The {x} follows the {animal}, who gives a {answer}.",
            "Near the {x} stood the {animal} with its {answer}.",
        ),
        parent_sound(),
    ),
    Skill(
        "double_sum",
        3,
        (
            "Add {a} and {b}, then double the result.",
            "What is two times the sum of {a} and {b}?",
            "Take {a} plus {b} and multiply it by 2. What do you get?",
            "Find the sum of {a} and {b} and say what twice that number is.",
        ),
        (
            "2 x ({a} + {b}) = ?",
            "{a} and {b}, twice?",
            "What is the sum of {a} and {b}, doubled?",
            "Add {a} to {b} and multiply by two. What is the result?",
        ),
        (
            "{a} plus {b} is {sum}, and twice {sum} is {answer}.",
            "The sum of {a} and {b} is {sum}. Doubled, this is {answer}.",
            "First we add {a} and {b} to get {sum}, then we double it to get {answer}.",
        ),
        ("{a} + {b} = {sum}, twice {sum} = {answer}.", "The double of {a} and {b}, or {sum}, is {answer}."),
        draw=double_sum,
    ),
)
