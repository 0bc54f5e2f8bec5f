"""Optional engines behind the Detector protocol: Presidio, GLiNER, token classifiers, a language model near by.

Each is handed a model that lies on this machine; nothing is downloaded. Whatever goes wrong with one becomes a
GuardError. They are imported when they are made, and the room knows neither their weights nor who asks.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from nearfar.core.errors import GuardError
from nearfar.privacy.findings import Detector, Finding
from nearfar.privacy.normal import Normal

PIECE, OVERLAP = 3000, 200
"""Characters that a model reads at once, and how many of them it reads again with the next piece."""

LABELS: Mapping[str, str] = {
    label: kind
    for kind, labels in {
        "person": "person per private_person name first_name last_name patient doctor",
        "address": "address private_address location loc gpe street_address",
        "email": "email email_address private_email",
        "phone": "phone phone_number private_phone telephone_number",
        "url": "url private_url",
        "birth_date": "date_of_birth birth_date private_date dob",
        "bank_account": "account_number bank_account us_bank_number",
        "secret": "secret password api_key",
        "card": "credit_card card_number",
        "iban": "iban iban_code",
        "ip": "ip ip_address",
        "us.ssn": "us_ssn ssn",
        "passport": "passport passport_number us_passport",
        "medical_record": "medical_record_number mrn",
    }.items()
    for label in labels.split()
}
"""What engines call things (lower case, words joined) → kind. What is not here is passed over, and counted nowhere."""


class _Entity(msgspec.Struct, frozen=True):
    """What a language model is asked to answer: a list of these."""

    text: str
    label: str = "person"


class Spans:
    """An engine that answers a text with (start, end, label, score); long texts are read in pieces that overlap."""

    def __init__(self, name: str, version: str, ask: Callable[[str], Iterable[tuple[int, int, str, float]]]) -> None:
        self.name = name
        self.version = version
        self._ask = ask

    def scan(self, text: Normal) -> list[Finding]:
        """Findings of the engine by our kinds, each place once. Raises GuardError for whatever goes wrong."""
        found: dict[tuple[int, int, str], Finding] = {}
        for at, piece in pieces(text.text):
            try:
                answers = [(int(a), int(b), str(label), float(score)) for a, b, label, score in self._ask(piece)]
            except GuardError:
                raise
            except Exception as error:  # engines raise anything; all of it means that the text was not looked at
                raise GuardError(f"The detector {self.name} failed: {type(error).__name__}.") from error
            for start, end, label, score in answers:
                if not (0 <= start < end <= len(piece) and 0 <= score <= 1):
                    raise GuardError(f"The detector {self.name} answered with a place outside the text.")
                kind = kind_of(label)
                if kind is not None:
                    place = (at + start, at + end, kind)
                    found[place] = Finding(*place, round(score, 3), self.name)
        return sorted(found.values())


def presidio(analyzer: Any, *, language: str = "en", threshold: float = 0.4) -> Spans:
    """Presidio's ``AnalyzerEngine``, made by the caller with an NLP engine that lies on this machine.

    Make it quiet first: its e-mail recogniser asks the network for public suffixes on first use (2.2.366).
    """

    def ask(text: str) -> Iterator[tuple[int, int, str, float]]:
        for each in analyzer.analyze(text=text, language=language, score_threshold=threshold):
            yield each.start, each.end, each.entity_type, each.score

    return Spans("presidio", f"{language} {threshold}", ask)


def presidio_here(model: str = "", *, language: str = "en", threshold: float = 0.4) -> Spans:
    """Presidio with the spaCy model in the folder ``model``; without one, its pattern recognisers alone.

    It is kept quiet: no model is fetched, and public suffixes come from the list that is installed (2.2.366).
    Raises GuardError if the library or the model is missing.
    """
    library, extract = _library("presidio", "presidio_analyzer"), _library("presidio", "tldextract")
    provider = _library("presidio", "presidio_analyzer.nlp_engine").NlpEngineProvider

    def load() -> Any:
        extract.extract = extract.TLDExtract(suffix_list_urls=(), cache_dir=None)
        named = {"lang_code": language, "model_name": model or "none"}
        given = {"nlp_engine_name": "spacy" if model else "no_op", "models": [named]}
        engine = provider(nlp_configuration=given).create_engine()
        registry = library.RecognizerRegistry(supported_languages=[language])
        registry.load_predefined_recognizers(languages=[language], nlp_engine=engine)
        return library.AnalyzerEngine(nlp_engine=engine, registry=registry, supported_languages=[language])

    analyzer = _loaded("presidio", Path(model) if model else Path("/"), load)
    made = presidio(analyzer, language=language, threshold=threshold)
    made.version = f"{Path(model).name} {made.version}".strip()
    return made


def gliner(folder: Path, *, labels: Sequence[str] = ("person", "address"), threshold: float = 0.5) -> Spans:
    """A GLiNER model in ``folder``. Raises GuardError if the library or the model is missing."""
    library = _library("gliner", "gliner")
    model = _loaded("gliner", folder, lambda: library.GLiNER.from_pretrained(str(folder), local_files_only=True))

    def ask(text: str) -> Iterator[tuple[int, int, str, float]]:
        for each in model.predict_entities(text, list(labels), threshold=threshold):
            yield each["start"], each["end"], each["label"], each["score"]

    return Spans("gliner", f"{folder.name} {','.join(labels)} {threshold}", ask)


def classifier(folder: Path, *, threshold: float = 0.5) -> Spans:
    """A token classifier of transformers in ``folder``, such as OpenAI's privacy-filter or one tuned from it."""
    library = _library("classifier", "transformers")
    pipeline = _loaded(
        "classifier",
        folder,
        lambda: library.pipeline("token-classification", model=str(folder), aggregation_strategy="simple"),
    )

    def ask(text: str) -> Iterator[tuple[int, int, str, float]]:
        for each in pipeline(text):
            if each["score"] >= threshold:
                yield each["start"], each["end"], each["entity_group"], min(1.0, float(each["score"]))

    return Spans("classifier", f"{folder.name} {threshold}", ask)


PROMPT = """List every name of a person and every postal address in the text between the marks, exactly as written.
Answer with JSON alone: [{"text": "...", "label": "person"}, {"text": "...", "label": "address"}] or [].
<<<
%s
>>>"""


def language_model(name: str, ask: Callable[[str], str], *, score: float = 0.7) -> Spans:
    """A model near by: ``ask`` sends a prompt and returns its answer. What is no JSON list is a failure, not "nothing".

    What it lists and the text does not hold is passed over: models make up, and a place is needed.
    """

    def spans(text: str) -> Iterator[tuple[int, int, str, float]]:
        answer = ask(PROMPT % text)
        begin, end = answer.find("["), answer.rfind("]")
        entities = msgspec.json.decode(answer[begin : end + 1], type=list[_Entity])
        for each in entities:
            for match in re.finditer(re.escape(each.text.strip()), text) if each.text.strip() else ():
                yield match.start(), match.end(), each.label, score

    return Spans("language-model", f"{name} {score}", spans)


class Later:
    """An engine made when it is first asked, in the thread that asks. One that cannot be made fails every scan."""

    def __init__(self, name: str, version: str, make: Callable[[], Detector]) -> None:
        self.name = name
        self.version = version
        self.trouble = ""
        """Why it cannot be made; empty while nobody has found out."""
        self._make = make
        self._engine: Detector | None = None
        self._lock = threading.Lock()

    def scan(self, text: Normal) -> list[Finding]:
        """What the engine finds. Raises GuardError for whatever goes wrong."""
        return self._made().scan(text)

    def _made(self) -> Detector:
        with self._lock:
            if self.trouble:
                raise GuardError(self.trouble)
            if self._engine is None:
                try:
                    self._engine = self._make()
                except GuardError as error:
                    self.trouble = error.text
                    raise
                except Exception as error:  # engines raise anything; all of it means that there is no detector
                    self.trouble = f"The detector {self.name} could not be made: {type(error).__name__}."
                    raise GuardError(self.trouble) from error
            return self._engine


ENGINES = ("presidio", "gliner", "classifier")
"""What ``later`` can make."""


def later(
    name: str,
    engine: str,
    *,
    model: str = "",
    labels: Sequence[str] = (),
    threshold: float = 0.5,
    language: str = "en",
) -> Later:
    """The engine of an owner's configuration: ``name`` is its name there, ``model`` the folder of its model."""

    def make() -> Detector:
        if engine == "presidio":
            return presidio_here(model, language=language, threshold=threshold)
        if engine == "gliner":
            return gliner(Path(model), **({"labels": tuple(labels)} if labels else {}), threshold=threshold)
        return classifier(Path(model), threshold=threshold)

    return Later(name, f"{engine} {Path(model).name} {','.join(labels)} {threshold} {language}", make)


class Together:
    """Several detectors at once, each with the same deadline: all of them answer, or the scan fails.

    A detector that hangs cannot be stopped; until it comes back it is not asked again, and every scan fails at once.
    """

    name = "together"

    def __init__(self, detectors: Sequence[Detector], deadline_s: float) -> None:
        self._detectors = tuple(detectors)
        self._deadline_s = deadline_s
        self._hanging: dict[str, threading.Thread] = {}
        self.version = "; ".join(f"{each.name} {each.version}" for each in detectors)

    def scan(self, text: Normal) -> list[Finding]:
        """What all of them find. Raises GuardError if one fails or does not answer in time."""
        for name, thread in list(self._hanging.items()):
            if thread.is_alive():
                raise GuardError(f"The detector {name} still hangs in an earlier text.")
            self._hanging.pop(name, None)
        runs = [_Run(each, text) for each in self._detectors]
        end = time.monotonic() + self._deadline_s
        found: list[Finding] = []
        for run in runs:
            if not run.done.wait(max(0.0, end - time.monotonic())):
                self._hanging[run.detector.name] = run.thread
                raise GuardError(f"The detector {run.detector.name} gave no answer in {self._deadline_s:g} s.")
            found += run.result()
        return found


class _Run:
    """One detector in a thread of its own; it dies with the process, whatever it does."""

    def __init__(self, detector: Detector, text: Normal) -> None:
        self.detector = detector
        self.done = threading.Event()
        self._text = text
        self._found: list[Finding] = []
        self._error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name=f"detector-{detector.name}", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._found = self.detector.scan(self._text)
        except BaseException as error:  # noqa: BLE001 - handed to the one who waits
            self._error = error
        finally:
            self.done.set()

    def result(self) -> list[Finding]:
        if isinstance(self._error, GuardError):
            raise self._error
        if self._error is not None:
            what = type(self._error).__name__
            raise GuardError(f"The detector {self.detector.name} failed: {what}.") from self._error
        return self._found


def kind_of(label: str) -> str | None:
    """Our kind for an engine's label, also with the marks of token classifiers (B-PER); None for what is not ours."""
    plain = re.sub("[ -]", "_", re.sub("^[BIES]-", "", label)).lower()
    return LABELS.get(plain)


def pieces(text: str) -> Iterator[tuple[int, str]]:
    """(where it begins, piece): pieces of at most PIECE characters, each with the end of the one before."""
    at = 0
    while True:
        yield at, text[at : at + PIECE]
        if at + PIECE >= len(text):
            return
        at += PIECE - OVERLAP


def _library(name: str, module: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise GuardError(f"The detector {name} needs {module}, which is not installed.") from error


def _loaded(name: str, folder: Path, load: Callable[[], Any]) -> Any:
    if not folder.is_dir():
        raise GuardError(f"The detector {name} has no model: {folder} is no folder.")
    try:
        return load()
    except Exception as error:  # model loaders raise anything; all of it means that there is no detector
        raise GuardError(f"The detector {name} could not load {folder.name}: {type(error).__name__}.") from error
