"""Asks LiteLLM's content filter for what it finds, in a Python that has LiteLLM: see ``bench.privacy_peers``.

All its ready-made patterns for personal data, payment, credentials and networks. Each is tried on the text as it came;
the filter itself tries each on what the ones before it left, so it finds this much or less.
"""

# mypy: ignore-errors
# LiteLLM is in another Python.

from __future__ import annotations

import json
import os
import sys
import time
from importlib import metadata
from pathlib import Path

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # otherwise it fetches the price list

from litellm.proxy.guardrails.guardrail_hooks import litellm_content_filter as package
from litellm.proxy.guardrails.guardrail_hooks.litellm_content_filter.content_filter import ContentFilterGuardrail
from litellm.types.guardrails import ContentFilterPattern

CATEGORIES = ("PII", "Payment", "Credential", "Network")


def main() -> None:
    listed = json.loads((Path(package.__file__).parent / "patterns.json").read_text())["patterns"]
    names = [row["name"] for row in listed if any(word in row["category"] for word in CATEGORIES)]
    chosen = [ContentFilterPattern(pattern_type="prebuilt", pattern_name=name, action="MASK") for name in names]
    guardrail = ContentFilterGuardrail(guardrail_name="bench", patterns=chosen)
    mask = guardrail._filter_single_text  # noqa: SLF001 - what is public hides where something was found
    spans_of = guardrail._find_pattern_spans  # noqa: SLF001 - the same
    mask("Warm up: a@example.com")
    texts = json.load(sys.stdin)
    found = []
    for text in texts:
        spans = []
        for entry in guardrail.compiled_patterns:
            spans += [(a, b, entry["pattern_name"]) for a, b in spans_of(text, entry)]
        found.append(spans)
    began = time.process_time()
    for text in texts:
        mask(text)
    seconds = time.process_time() - began
    json.dump({"found": found, "seconds": seconds, "version": metadata.version("litellm")}, sys.stdout)


if __name__ == "__main__":
    main()
