"""Asks Presidio for what it finds, in a Python that has Presidio and nothing of nearfar: see ``bench.privacy_peers``.

Its pattern recognisers alone, as they are on by default, for it would fetch a model for names from the network. No text
leaves this program: what would ask the network for public suffixes is given the list that comes with it.
"""

# mypy: ignore-errors
# Presidio is in another Python.

from __future__ import annotations

import json
import sys
import time
from importlib import metadata

import tldextract
from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
from presidio_analyzer.nlp_engine import NlpEngineProvider

THRESHOLD = 0.4


def main() -> None:
    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    named = {"nlp_engine_name": "no_op", "models": [{"lang_code": "en", "model_name": "none"}]}
    engine = NlpEngineProvider(nlp_configuration=named).create_engine()
    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"], nlp_engine=engine)
    analyzer = AnalyzerEngine(nlp_engine=engine, registry=registry, supported_languages=["en"])
    analyzer.analyze(text="Warm up: a@example.com", language="en")
    texts = json.load(sys.stdin)
    found = []
    began = time.process_time()
    for text in texts:
        results = analyzer.analyze(text=text, language="en", score_threshold=THRESHOLD)
        found.append([(each.start, each.end, each.entity_type) for each in results])
    seconds = time.process_time() - began
    version = metadata.version("presidio-analyzer")
    json.dump({"found": found, "seconds": seconds, "version": version}, sys.stdout)


if __name__ == "__main__":
    main()
