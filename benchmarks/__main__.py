"""`python -m benchmarks NAME`: runs a benchmark and prints its figures, one JSON object a line; `list` names them."""

import sys
from importlib import import_module

from peernet.core.errors import UserError

BENCHMARKS = {
    "overlay": "connections and streams against raw trio TCP",
    "ring": "what a ring adds to a round trip, and what a relay can carry",
    "ring-stages": "CPU time of an exchange over a ring: by stage to its first token, and a token by the length",
    "failover": "a stall noticed, the answer continued, a cancel at the engine, over real rings",
    "floods": "a good peer's echo while others flood the node, against quiet",
    "growth": "time of detection by the length of one line, 1 KB to 1 MB, for lines made to be slow",
    "screening": "F1 and false refusals of the classifier on texts that it was not trained on, and its speed",
    "credits": "blind signatures and checks, against OpenSSL alone",
    "ledger": "settlements taken by a log, against bare Ed25519 verifications",
    "collusion": "how often colluders link client and host, or get fragments together, against arithmetic",
    "detect": "identifiers found in labelled texts, and how fast; options: see its module",
    "linkability": "whether two hosts or two middles can tell that two rings are of one request, for each profile",
    "exposure": "labelled prompts split over hosts: who is sent what share, and whether the answers come together",
    "service": "dashboards of the portal with 100,000 accounts, and what a purge of a million rows holds up",
    "restoration": "answers with placeholders, cut at every offset, against what they mean",
}


def main() -> int:
    """Runs what the command line names."""
    first_option = next((place for place, word in enumerate(sys.argv) if word.startswith("-")), len(sys.argv))
    names, options = sys.argv[1:first_option] or ["list"], sys.argv[first_option:]
    if names == ["list"]:
        for name, about in BENCHMARKS.items():
            print(f"{name:12} {about}")
        return 0
    if names == ["all"]:
        names = list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"there is no benchmark {unknown[0]!r}; 'python -m benchmarks list' names them", file=sys.stderr)
        return 2
    if options and names != ["detect"]:
        print("only the benchmark 'detect' has options", file=sys.stderr)
        return 2
    try:
        for name in names:
            module = import_module(f"benchmarks.{name.replace('-', '_')}")
            for figure in module.figures(options) if options else module.figures():
                print(figure.line(), flush=True)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
