"""`python -m tests.swarm.scripted_adversary demo --attack ...`: the demo, with curious hosts that answer by a script.

The adversaries are the demo's own, but for the engine under the hosts, which is `scripted_peer`'s.
"""

import sys

import peernet.cli.attack.stage
import peernet.cli.host
import peernet.cli.main
from peernet.cli.adversaries import curious_host
from tests.swarm.forking import forking
from tests.swarm.scripted_peer import load_scripted


def main() -> int:
    """Runs the demo, or one of its hosts."""
    if sys.argv[1] == "host":
        assert callable(peernet.cli.host._load_engine)
        peernet.cli.host._load_engine = load_scripted
        return curious_host.main(sys.argv[1:])
    assert peernet.cli.attack.stage.CURIOUS_HOST
    peernet.cli.attack.stage.CURIOUS_HOST = (sys.executable, "-m", "tests.swarm.scripted_adversary")  # type: ignore[misc]
    with forking():
        return peernet.cli.main.main()


if __name__ == "__main__":
    sys.exit(main())
