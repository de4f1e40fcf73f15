"""How several processes of tests (`pytest -n 2`) share them.

Rules:

1. A file's tests run in one process, so that what its fixtures made is made once.
2. Swarms are one file in this sense: their processes have deadlines, and two swarms at a time would miss some.
3. The swarms begin first. Then come the files in the order in which they were collected; whoever has nothing left
   takes the next.
"""

from typing import Any, Final

from xdist.scheduler import LoadFileScheduling

__all__ = ["SWARMS", "OneWithSwarms"]

SWARMS: Final = "tests/swarm/"
"""How their names begin."""


class OneWithSwarms(LoadFileScheduling):
    """Shares out files, and all swarms as one."""

    def __init__(self, config: Any, log: Any = None) -> None:
        super().__init__(config, log)
        # Else the file with the most tests would come first.
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return SWARMS if nodeid.startswith(SWARMS) else super()._split_scope(nodeid)
