"""Expert pairs: escapes decoded alike on both sides, broken rows counted, the released files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.data.expert_pairs import clean_escaped, read_expert_pairs
from tacos.errors import PoolError

HEADER = "src,pos,neg\n"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (r"one\ntwo\n\n\nthree", "one\ntwo\nthree"),
        (r"don\u2019t say \"no\"", 'don\'t say "no"'),
        ("don\u2019t say \u201cno\u201d", 'don\'t say "no"'),
        ("a\u00a0b \t c\r\nd", "a b c\nd"),
        ("zero\u200bwidth", "zerowidth"),
        (r"\ud83d\ude00", "\U0001f600"),
        (r"half \ud83d", "half \ufffd"),
        (r"$\\frac{1}{2}$", r"$\frac{1}{2}$"),
        (r"$\frac{1}{2} \approx \sqrt{2}$", r"$\frac{1}{2} \approx \sqrt{2}$"),
        (r"a path C:\\new", r"a path C:\new"),
        ("cafe\u0301", "café"),
        ("  \n ", ""),
        ("a \n \n b", "a\nb"),
    ],
)
def test_clean_escaped(text, clean):
    assert clean_escaped(text) == clean


@given(st.text())
def test_whatever_comes_can_be_encoded_and_has_single_white_space(text):
    clean = clean_escaped(text)
    clean.encode("utf-8")
    assert clean == clean.strip() and "  " not in clean and "\n\n" not in clean


def test_reads_cleans_and_names_pairs(tmp_path):
    path = tmp_path / "few.csv"
    path.write_text(
        HEADER
        + "Instruction: Name a hot drink. ,Response: Tea is hot.,Response: Tea\n"
        + '"Instruction: Spell it. Input: a \\""tea\\"" ",'
        + '"Response: It\u2019s\n\nT, E, A","Response: It\\u2019s\\nT, E, A"\n',
        encoding="utf-8",
    )
    read = read_expert_pairs(path)
    first, second = read.pairs
    assert (first.id, first.instruction, first.input) == ("few-0", "Name a hot drink.", "")
    assert (first.revised, first.original, first.identical) == ("Tea is hot.", "Tea", False)
    assert second.prompt == 'Spell it.\n\na "tea"'
    assert second.revised == second.original == "It's\nT, E, A" and read.identical == 1
    assert read.bad == []


def test_bad_rows_are_counted_with_their_line(tmp_path):
    path = tmp_path / "few.csv"
    path.write_text(HEADER + "Instruction: a,Response: b,Response: c\n" + "Instruction: a,Response: \n")
    with path.open("a") as handle:
        handle.write("Instruction: a,Response: ,Response: c\na,b,c,d\nInstruction: z,Response: y")
    read = read_expert_pairs(path)
    assert [(bad.line, bad.reason) for bad in read.bad] == [
        (3, "cut short: no neg"),
        (4, "empty revision"),
        (5, "more fields than columns"),
        (6, "cut short: no neg"),
    ]
    assert len(read.pairs) == 1


def triples(*rows: tuple[str, object], end: str = "") -> str:
    return "src,score\n" + "".join(f'"{text}",{score}\n' for text, score in rows) + end


OLD, NEW = "Instruction: Name tea. Response: Tea", "Instruction: Name a tea. Response: Try Assam."


def test_each_side_of_two_triples_has_its_own_instruction_and_input(tmp_path):
    path = tmp_path / "few.csv"
    old = r'Instruction: Spell it. Input: a \""tea\"" Response: T\nE, Input: A'
    new = "Instruction: Spell\nthis word. Input: tea Response: T\n\nE A"
    path.write_text(triples((OLD, 0), (NEW, 1), (old, "0.0"), (new, "1.0"), (OLD, 0), (OLD + " ", 1)))
    first, second, third = read_expert_pairs(path).pairs
    assert (first.id, first.prompt, first.original_prompt) == ("few-0", "Name a tea.", "Name tea.")
    assert (first.revised, first.original) == ("Try Assam.", "Tea")
    assert (second.instruction, second.input) == ("Spell\nthis word.", "tea")
    assert (second.original_instruction, second.original_input) == ("Spell it.", 'a "tea"')
    assert (second.revised, second.original) == ("T\nE A", "T\nE, Input: A")
    assert (first.identical, third.identical) == (False, True)


def test_the_same_response_below_another_instruction_is_not_identical(tmp_path):
    path = tmp_path / "few.csv"
    path.write_text(triples((OLD, 0), ("Instruction: Name a tea. Response: Tea", 1)))
    assert read_expert_pairs(path).identical == 0


def test_triples_that_cannot_be_read_are_counted_with_their_line(tmp_path):
    path = tmp_path / "few.csv"
    torn = [("Name tea.\nTea", 0), (NEW, 1), (OLD, 0), ("Instruction: Name a tea. Response:", 1)]
    path.write_text(triples((OLD, 0), (NEW, 1), *torn, end=f"{OLD},0,extra\n{NEW},1\n"))
    read = read_expert_pairs(path)
    assert len(read.pairs) == 1
    assert [(bad.line, bad.reason) for bad in read.bad] == [
        (6, "'Name tea.\\nTea' is not 'Instruction:' ... 'Response:'"),
        (8, "empty revision"),
        (10, "more fields than columns"),
    ]


def test_a_triple_that_was_cut_off_before_its_text_is_counted(tmp_path):
    path = tmp_path / "few.csv"
    path.write_text(f"score,src\n0,{OLD}\n1,{NEW}\n0,{OLD}\n1\n")
    read = read_expert_pairs(path)
    assert (len(read.pairs), [bad.line for bad in read.bad]) == (1, [5])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(OLD, 0), (NEW, 1), (OLD, 0)], "line 4: score 0 where an original"),
        ([(NEW, 1), (OLD, 0)], r"line 2: score 1, 0 where an original \(0\) and its revision \(1\)"),
        ([(OLD, 0), (NEW, 1), (OLD, 0), (NEW, 0.7)], "line 4: score 0, 0.7 where"),
        ([(OLD, 0), (NEW, "")], "line 2: score 0, missing where .* the file was cut short"),
    ],
)
def test_triples_out_of_step_are_refused_with_their_line(tmp_path, rows, message):
    path = tmp_path / "few.csv"
    path.write_text(triples(*rows))
    with pytest.raises(PoolError, match=message):
        read_expert_pairs(path)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", HEADER, HEADER + "x,y\n"])
def test_a_file_without_a_pair_is_named(tmp_path, text):
    path = tmp_path / "none.csv"
    path.write_text(text)
    with pytest.raises(PoolError, match=r"none\.csv"):
        read_expert_pairs(path)
    with pytest.raises(PoolError, match="cannot read"):
        read_expert_pairs(tmp_path / "absent.csv")


@pytest.mark.parametrize(("name", "rows", "longer"), [("train", 2031, 0.802), ("valid", 254, 0.833)])
def test_released_pairs(shared, name, rows, longer):
    read = read_expert_pairs(shared / f"data/expert_pairs/{name}.csv")
    assert len(read.pairs) == rows
    assert [bad.reason for bad in read.bad] == (["empty revision"] if name == "train" else [])
    for pair in read.pairs:
        for text in (pair.prompt, pair.original):
            assert not any(mark in text for mark in ("\\u", "\\n", '\\"', "\u2019"))
    assert all(pair.prompt == pair.original_prompt for pair in read.pairs)
    gaps = [len(pair.revised) - len(pair.original) for pair in read.pairs]
    points = [1.0 if gap > 0 else 0.5 if gap == 0 else 0.0 for gap in gaps]
    assert sum(points) / rows == pytest.approx(longer, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "rows", "identical", "same"), [("train", 2031, 36, 1501), ("valid", 254, 5, 177)]
)
def test_released_triples(shared, name, rows, identical, same):
    read = read_expert_pairs(shared / f"data/expert_pairs/score_{name}.csv")
    assert (len(read.pairs), read.identical) == (rows, identical)
    assert [(bad.line, bad.reason) for bad in read.bad] == (
        [(1180, "empty revision")] if name == "train" else []
    )
    assert sum(pair.prompt == pair.original_prompt for pair in read.pairs) == same
