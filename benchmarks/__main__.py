"""`python -m benchmarks NAME`: runs a benchmark and prints its figures, one JSON object a line; `list` names them."""

import sys
from importlib import import_module

BENCHMARKS = {
    "overlay": "connections and streams against raw trio TCP",
    "ring": "what a ring adds to a round trip, and what a relay can carry",
    "floods": "a good peer's echo while others flood the node, against quiet",
    "screening": "F1 and false refusals of the classifier on texts that it was not trained on, and its speed",
    "ledger": "settlements taken by a log, against bare Ed25519 verifications",
}


def main() -> int:
    """Runs what the command line names."""
    names = sys.argv[1:] or ["list"]
    if names == ["list"]:
        for name, about in BENCHMARKS.items():
            print(f"{name:10} {about}")
        return 0
    if names == ["all"]:
        names = list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"there is no benchmark {unknown[0]!r}; 'python -m benchmarks list' names them", file=sys.stderr)
        return 2
    for name in names:
        for figure in import_module(f"benchmarks.{name}").figures():
            print(figure.line(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
