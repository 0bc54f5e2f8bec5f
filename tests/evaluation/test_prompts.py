"""Files of prompts: what is read, and what is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from nearfar.evaluation.prompts import BadPrompts, Message, mapping, read
from nearfar.evaluation.scores import how, right


def file(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_prompt_with_everything(tmp_path: Path) -> None:
    path = file(
        tmp_path,
        '{"id": "a", "prompt": "How many?", "answer": 5, "answer_type": "number", "task": "sums",'
        ' "system": "Be brief."}',
        "",
        '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hi."},'
        ' {"role": "user", "content": "Name one."}], "answer": ["Taipei", "臺北"], "tests": ["assert 1", "assert 2"]}',
    )
    first, second = read(path).prompts
    assert first.messages == (Message(role="system", content="Be brief."), Message(role="user", content="How many?"))
    assert (first.id, first.answers, first.answer_type, first.task) == ("a", ("5",), "number", "sums")
    assert (first.text, second.text) == ("How many?", "Hi\n\nName one.")
    assert (second.id, second.answers, second.tests) == ("3", ("Taipei", "臺北"), "assert 1\nassert 2")


def test_what_is_not_used_is_told(tmp_path: Path) -> None:
    assert read(file(tmp_path, '{"prompt": "x", "level": 3, "answer": true}')).unused == ["level"]


def test_other_names(tmp_path: Path) -> None:
    path = file(tmp_path, '{"question": "x", "solution": "y", "prompt": 3}')
    read_ = read(path, mapping("prompt=question, answer=solution"))
    assert (read_.prompts[0].text, read_.prompts[0].answers, read_.unused) == ("x", ("y",), ["prompt"])
    with pytest.raises(BadPrompts, match="Line 1: there is no 'text'") as caught:
        read(path, mapping("prompt=text"))
    assert "question, solution" in caught.value.hint


def test_only_the_first_ones_are_read(tmp_path: Path) -> None:
    path = file(tmp_path, '{"prompt": "x"}', '{"prompt": "y"}', "not read")
    assert [item.text for item in read(path, limit=2).prompts] == ["x", "y"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[1]", "Line 2: Expected `object`"),
        ('{"prompt": "x"', "Line 2: Input data was truncated"),
        ('{"prompt": 1}', "Line 2: Expected `str | null`, got `int` - at `$.prompt`"),
        ('{"prompt": "x", "messages": []}', "Line 2: either prompt or messages"),
        ('{"id": "x"}', "Line 2: either prompt or messages"),
        ('{"prompt": " "}', "Line 2: the last message must be a user's"),
        ('{"messages": []}', "Line 2: the last message must be a user's"),
        ('{"messages": [{"role": "assistant", "content": "x"}]}', "Line 2: the last message must be a user's"),
        ('{"messages": [{"role": "tool", "content": "x"}]}', "Line 2: Invalid enum value"),
        ('{"prompt": "x", "answer": ""}', "Line 2: an answer is empty"),
        ('{"prompt": "x", "answer_type": "prose"}', "Line 2: Invalid enum value"),
        ('{"id": "1", "prompt": "x"}', "Line 2: id '1' was used in line 1"),
        ("[" * 100_000, "Line 2: "),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(BadPrompts) as caught:
        read(file(tmp_path, '{"prompt": "first"}', line))
    assert said in caught.value.message
    assert caught.value.line == 2


def test_a_file_without_prompts_or_none_at_all(tmp_path: Path) -> None:
    with pytest.raises(BadPrompts, match="holds no prompts"):
        read(file(tmp_path, ""))
    with pytest.raises(BadPrompts, match="No such file"):
        read(tmp_path / "none.jsonl")
    path = tmp_path / "latin.jsonl"
    path.write_bytes(b'{"prompt": "caf\xe9"}\n')
    with pytest.raises(BadPrompts, match="Line 1"):
        read(path)


@pytest.mark.parametrize("text", ["prompt", "prompt=", "question=prompt"])
def test_a_mapping_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is"):
        mapping(text)


@pytest.mark.parametrize("language", ["en", "zh-Hant"])
def test_the_example_of_the_documentation(language: str) -> None:
    found = read(Path(__file__).parents[2] / "docs" / "examples" / f"prompts-{language}.jsonl")
    assert found.unused == []
    ways = [how(item, "auto", judge=True) for item in found.prompts]
    assert ways == ["number"] * 3 + ["choice"] * 2 + ["exact"] * 3 + ["code", "judge"]
    # Each right answer is right.
    for item, way in zip(found.prompts, ways, strict=True):
        assert way in {"code", "judge"} or all(right(answer, item, way) for answer in item.answers if way)
