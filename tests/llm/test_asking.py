"""Asking with the user's own words: files, places, system text, and what of it is identity."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tacos.errors import ConfigError
from tacos.grouping.tagging import TaggingSettings, tag_request
from tacos.llm.asking import Asking
from tacos.llm.settings import LLMSettings
from tacos.scoring.comparative import Comparative
from tacos.types import make_sample
from tests.scoring.compared import compare_request

LLM = LLMSettings(model="m")
PAIR = make_sample("Add 2 and 2.", "4"), make_sample("Name a fruit. {instruction} <Response 1>", "A $pear")
KNOWN = ("prompt", "response")


def own(tmp_path: Path, text: str, name: str = "p.txt") -> str:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return str(tmp_path / name)


def test_a_file_with_dollar_fields(tmp_path: Path) -> None:
    asking = Asking(prompt=own(tmp_path, "Rate, for $$5:\n$prompt\n$response"), system="Be brief.")
    asking.check(KNOWN, "score")
    request = asking.request(prompt="Why $x?", response="Because.")
    assert [m.role for m in request.messages] == ["system", "user"]
    assert request.messages[1].content == "Rate, for $5:\nWhy $x?\nBecause."
    assert request.json_schema is None


def test_places_of_another_kind_are_mapped_and_filled_once(tmp_path: Path) -> None:
    text = (
        "[Instruction 1]<Instruction 1>\n[Response 1]<Response 1>\n[2]<Instruction 2> / <Response 2> for $10"
    )
    places = {
        "<Instruction 1>": "prompt_1",
        "<Response 1>": "response_1",
        "<Instruction 2>": "prompt_2",
        "<Response 2>": "response_2",
    }
    said = (
        compare_request(*PAIR, settings=Comparative(prompt=own(tmp_path, text), fields=places))
        .messages[0]
        .content
    )
    assert said == (
        "[Instruction 1]Add 2 and 2.\n[Response 1]4\n[2]Name a fruit. {instruction} <Response 1> / A $pear for $10"
    )


@pytest.mark.parametrize(
    ("text", "fields", "message"),
    [
        ("Rate $promt", {}, r"score\.prompt: \$promt is filled by nothing \(known: \$prompt, \$response\)"),
        ("Rate it", {}, r"score\.prompt has no place for \$prompt or \$response: write it where it belongs"),
        ("Rate {x}", {"{x}": "promt"}, r"'\{x\}' asks for 'promt': did you mean 'prompt'"),
        ("Rate {x}", {"{y}": "prompt"}, r"'\{y\}' of score\.fields does not occur in the file"),
        ("Costs $ 5 $prompt", {}, r"write a dollar sign as \$\$"),
    ],
)
def test_a_prompt_that_cannot_be_filled(
    text: str, fields: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        Asking(prompt=own(tmp_path, text), fields=fields).check(KNOWN, "score")


def test_a_prompt_that_is_not_there() -> None:
    with pytest.raises(
        ConfigError, match=r"'compar' is neither a packaged prompt nor a readable file.*'compare'"
    ):
        Asking(prompt="compar").check(KNOWN, "score")


def test_words_are_identity_and_their_file_is_not(tmp_path: Path) -> None:
    one, same, other = (
        Asking(prompt=own(tmp_path, text, name), system=own(tmp_path, "Be kind.", f"s-{name}")).asked(LLM)
        for name, text in (("a.txt", "$prompt"), ("b.txt", "$prompt"), ("c.txt", "! $prompt"))
    )
    assert one == same != other
    assert one["system"] == "Be kind."
    assert Asking(prompt="tag", reask=0).asked(LLM) != Asking(prompt="tag", reask=1).asked(LLM)


def assets() -> Path:
    folder = Path(os.environ.get("TACOS_ASSETS", Path(__file__).parents[3] / "shared" / "assets")) / "prompts"
    if not folder.is_dir():
        pytest.skip("no released prompts at hand")
    return folder


def test_the_released_tagging_prompt_is_filled() -> None:
    path = assets() / "tacos_tag_tag_pro.txt"
    settings = TaggingSettings(prompt=str(path), fields={"{instruction}": "prompt"}, text="instruction")
    settings.check(("prompt",), "group.tagging")
    said = tag_request(PAIR[0], settings).messages[0].content
    assert "[begin]\nAdd 2 and 2.\n[end]" in said and "{instruction}" not in said


@pytest.mark.parametrize("name", ["tacos_score_myprompt_pair.txt", "tacos_score_ALIGNMENT_rank_score.txt"])
def test_the_released_comparing_prompts_are_filled(name: str) -> None:
    places = {
        f"<{what} {i}>": f"{field}_{i}"
        for what, field in (("Instruction", "prompt"), ("Response", "response"))
        for i in (1, 2)
    }
    settings = Comparative(prompt=str(assets() / name), fields=places)
    settings.check(("prompt_1", "response_1", "prompt_2", "response_2", "low", "high"), "score")
    said = compare_request(*PAIR, settings=settings).messages[0].content
    assert "Add 2 and 2." in said and "A $pear" in said and "<Instruction 1>" not in said


def test_a_request_names_its_words_wherever_they_stand(tmp_path: Path) -> None:
    same = [tmp_path / name for name in ("one.txt", "two.txt")]
    for path in same:
        path.write_text("Rate $prompt")
    (tmp_path / "other.txt").write_text("Judge $prompt")
    named = [Asking(prompt=str(path)).request(prompt="x").prompt for path in (*same, tmp_path / "other.txt")]
    assert named[0] == named[1] != named[2] and str(tmp_path) not in named[0]


def test_a_system_text_longer_than_a_file_name_is_a_text() -> None:
    text = "You grade answers with care. " * 20
    assert Asking(prompt="judge_pair", system=text).system_text == text


def test_a_prompt_file_that_was_edited_is_another_prompt(tmp_path: Path) -> None:
    asking = Asking(prompt=own(tmp_path, "Rate $prompt"))
    first = asking.prompt_name
    own(tmp_path, "Rate it: $prompt")
    assert asking.request(prompt="x", response="").messages[0].content == "Rate it: x"
    assert asking.prompt_name != first
