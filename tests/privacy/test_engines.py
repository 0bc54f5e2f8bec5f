"""Optional engines, against fakes that speak as their documentation says: none of their weights can be had here."""

from __future__ import annotations

import sys
import threading
import types
from pathlib import Path
from typing import Any

import pytest

from nearfar.core.errors import GuardError
from nearfar.privacy import engines
from nearfar.privacy.engines import Spans, Together
from nearfar.privacy.findings import Finding
from nearfar.privacy.normal import Normal
from nearfar.privacy.scan import Scanner

TEXT = Normal.of("Ask Mei Lin about it")
MEI = Finding(4, 11, "person", 0.9, "fake")


class FakeAnalyzer:
    """Fake of presidio_analyzer.AnalyzerEngine.analyze: results with start, end, entity_type and score."""

    def analyze(self, text: str, language: str, score_threshold: float) -> list[Any]:
        assert (language, score_threshold) == ("en", 0.4)
        at = text.index("Mei")
        return [
            types.SimpleNamespace(start=at, end=at + 7, entity_type="PERSON", score=0.85),
            types.SimpleNamespace(start=0, end=3, entity_type="NRP", score=0.85),
        ]


def fake_gliner() -> Any:
    """Fake of the module gliner: GLiNER.from_pretrained(...).predict_entities(text, labels, threshold=...)."""

    class GLiNER:
        @classmethod
        def from_pretrained(cls, folder: str, *, local_files_only: bool) -> GLiNER:
            assert local_files_only
            if "broken" in folder:
                raise OSError
            return cls()

        def predict_entities(self, text: str, labels: list[str], threshold: float) -> list[dict[str, Any]]:
            assert labels == ["person", "address"]
            assert threshold == 0.5
            at = text.index("Mei")
            return [{"start": at, "end": at + 7, "label": "person", "score": 0.91, "text": "Mei Lin"}]

    return types.SimpleNamespace(GLiNER=GLiNER)


def fake_transformers() -> Any:
    """Fake of transformers.pipeline("token-classification", aggregation_strategy="simple")."""

    def pipeline(task: str, *, model: str, aggregation_strategy: str) -> Any:
        assert (task, aggregation_strategy, bool(model)) == ("token-classification", "simple", True)
        return lambda text: [
            {"start": text.index("Mei"), "end": text.index("Mei") + 7, "entity_group": "private_person", "score": 0.99},
            {"start": 0, "end": 3, "entity_group": "private_person", "score": 0.2},
        ]

    return types.SimpleNamespace(pipeline=pipeline)


def test_presidio() -> None:
    assert engines.presidio(FakeAnalyzer()).scan(TEXT) == [Finding(4, 11, "person", 0.85, "presidio")]


def test_gliner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "gliner", fake_gliner())
    assert engines.gliner(tmp_path).scan(TEXT) == [Finding(4, 11, "person", 0.91, "gliner")]
    (tmp_path / "broken").mkdir()
    with pytest.raises(GuardError, match="could not load"):
        engines.gliner(tmp_path / "broken")


def test_a_token_classifier(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "transformers", fake_transformers())
    assert engines.classifier(tmp_path).scan(TEXT) == [Finding(4, 11, "person", 0.99, "classifier")]


@pytest.mark.parametrize("make", [engines.gliner, engines.classifier])
def test_a_missing_library_or_model(make: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module in ("gliner", "transformers"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(GuardError, match="not installed"):
        make(tmp_path)
    monkeypatch.setitem(sys.modules, "gliner", fake_gliner())
    monkeypatch.setitem(sys.modules, "transformers", fake_transformers())
    with pytest.raises(GuardError, match="no folder"):
        make(tmp_path / "nowhere")


def test_a_language_model() -> None:
    asked = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return 'Sure: [{"text": "Mei Lin", "label": "person"}, {"text": "Nobody"}, {"text": " "}]'

    detector = engines.language_model("tiny", ask)
    assert detector.scan(TEXT) == [Finding(4, 11, "person", 0.7, "language-model")]
    assert "Ask Mei Lin about it" in asked[0]


@pytest.mark.parametrize("answer", ["", "I cannot do that.", "[{]", '[{"name": "Mei"}]', '{"text": "Mei"}', "[1]"])
def test_a_model_that_does_not_answer_the_question_is_a_failure(answer: str) -> None:
    with pytest.raises(GuardError, match="language-model failed"):
        engines.language_model("tiny", lambda _: answer).scan(TEXT)


@pytest.mark.parametrize(
    "span", [(0, 99, "person", 0.9), (-1, 2, "person", 0.9), (3, 3, "person", 0.9), (0, 2, "person", 7.0)]
)
def test_garbage_is_a_failure(span: tuple[int, int, str, float]) -> None:
    with pytest.raises(GuardError):
        Spans("fake", "1", lambda _: [span]).scan(TEXT)


def test_long_texts_are_read_in_pieces_that_overlap() -> None:
    text = "x" * (engines.PIECE - 4) + " Mei Lin " + "y" * engines.PIECE
    parts = list(engines.pieces(text))
    assert len(parts) == 3
    assert all(text.startswith(part, at) for at, part in parts)

    def ask(piece: str) -> list[tuple[int, int, str, float]]:
        at = piece.find("Mei Lin")
        return [(at, at + 7, "PER", 0.9)] if at >= 0 else []

    (found,) = Spans("fake", "1", ask).scan(Normal.of(text))
    assert text[found.start : found.end] == "Mei Lin"


@pytest.mark.parametrize(
    ("label", "kind"), [("B-PER", "person"), ("EMAIL_ADDRESS", "email"), ("phone number", "phone"), ("NRP", None)]
)
def test_labels(label: str, kind: str | None) -> None:
    assert engines.kind_of(label) == kind


def test_together_they_all_answer() -> None:
    one = Spans("one", "1", lambda _: [(4, 11, "person", 0.9)])
    two = Spans("two", "2", lambda _: [(0, 3, "address", 0.6)])
    together = Together([one, two], deadline_s=30)
    assert {each.kind for each in together.scan(TEXT)} == {"person", "address"}
    assert together.version == "one 1; two 2"
    assert [each.kind for each in Scanner((), [together]).scan("Ask Mei Lin about it").findings] == [
        "address",
        "person",
    ]


def test_one_that_fails_fails_all() -> None:
    def broken(text: str) -> list[tuple[int, int, str, float]]:
        raise MemoryError(text)

    together = Together([Spans("one", "1", lambda _: []), Spans("two", "1", broken)], deadline_s=30)
    with pytest.raises(GuardError, match="two failed: MemoryError"):
        together.scan(TEXT)


def test_one_that_hangs_fails_the_scan_and_is_not_asked_again_until_it_is_back() -> None:
    release = threading.Event()
    asked = []

    def hangs(text: str) -> list[tuple[int, int, str, float]]:
        asked.append(text)
        release.wait()
        return []

    together = Together([Spans("slow", "1", hangs)], deadline_s=0.02)
    with pytest.raises(GuardError, match="no answer in"):
        together.scan(TEXT)
    with pytest.raises(GuardError, match="still hangs"):
        together.scan(TEXT)
    assert len(asked) == 1
    release.set()
    for thread in threading.enumerate():
        if thread.name == "detector-slow":
            thread.join()
    assert Together([Spans("slow", "1", hangs)], deadline_s=30).scan(TEXT) == []


def test_an_engine_is_made_when_it_is_first_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "gliner", fake_gliner())
    found = engines.later("names", "gliner", model=str(tmp_path))
    assert found.version == f"gliner {tmp_path.name}  0.5 en"
    assert [each.kind for each in found.scan(TEXT)] == ["person"]
    monkeypatch.setitem(sys.modules, "gliner", None)
    assert found.scan(TEXT), "it is made once"


@pytest.mark.parametrize("engine", engines.ENGINES)
def test_one_that_cannot_be_made_fails_every_scan_and_says_why(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("gliner", "transformers", "presidio_analyzer"):
        monkeypatch.setitem(sys.modules, module, None)
    found = engines.later("own", engine, model="/nowhere")
    for _ in range(2):
        with pytest.raises(GuardError, match="not installed"):
            found.scan(TEXT)
    assert "not installed" in found.trouble
    broken = engines.Later("own", "1", lambda: 1 / 0)  # type: ignore[arg-type, return-value]  # fails as makers may
    with pytest.raises(GuardError, match="ZeroDivisionError"):
        Scanner(detectors=(Together([broken], 5.0),)).scan("Mei")


def fake_presidio(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Fake of presidio_analyzer 2.2 and of the library that would ask the network: what they were made with."""
    made: dict[str, Any] = {}

    class Provider:
        def __init__(self, nlp_configuration: dict[str, Any]) -> None:
            made["nlp"] = nlp_configuration

        def create_engine(self) -> str:
            if made["nlp"]["models"][0]["model_name"].endswith("broken"):
                raise OSError
            return "engine"

    class Registry:
        def __init__(self, supported_languages: list[str]) -> None:
            made["languages"] = supported_languages

        def load_predefined_recognizers(self, languages: list[str], nlp_engine: str) -> None:
            assert (languages, nlp_engine) == (made["languages"], "engine")

    def analyzer(**given: Any) -> FakeAnalyzer:
        assert given["nlp_engine"] == "engine"
        return FakeAnalyzer()

    extract = types.SimpleNamespace(TLDExtract=lambda **given: made.setdefault("suffixes", given), extract=None)
    modules = {
        "presidio_analyzer": types.SimpleNamespace(RecognizerRegistry=Registry, AnalyzerEngine=analyzer),
        "presidio_analyzer.nlp_engine": types.SimpleNamespace(NlpEngineProvider=Provider),
        "tldextract": extract,
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return made


def test_presidio_is_made_without_asking_the_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = fake_presidio(monkeypatch)
    assert [each.kind for each in engines.later("p", "presidio", threshold=0.4).scan(TEXT)] == ["person"]
    assert made["nlp"]["nlp_engine_name"] == "no_op"
    assert made["suffixes"] == {"suffix_list_urls": (), "cache_dir": None}
    engines.presidio_here(str(tmp_path))
    assert made["nlp"] == {
        "nlp_engine_name": "spacy",
        "models": [{"lang_code": "en", "model_name": str(tmp_path)}],
    }
    for folder in (tmp_path / "absent", tmp_path / "broken"):
        if folder.name == "broken":
            folder.mkdir()
        with pytest.raises(GuardError):
            engines.presidio_here(str(folder))
