"""spaCy without its command line.

`import spacy` imports `spacy.cli` for one function, `spacy.info`: typer, rich, weasel and an HTTP client, which are a
quarter of the time that a client takes to load its detector. While spaCy is imported here, a stand-in holds that
place; it is taken away after that, so `spacy.cli` can be imported as ever, and `spacy.info` does so when it is called.
"""

import sys
from types import ModuleType
from typing import Any

__all__ = ["import_spacy"]

_COMMAND_LINE = "spacy.cli"
_INFO = "spacy.cli.info"


def import_spacy() -> Any:
    """The module `spacy`; raises `ImportError` where it is not installed."""
    if "spacy" not in sys.modules and _COMMAND_LINE not in sys.modules:
        command_line, info = ModuleType(_COMMAND_LINE), ModuleType(_INFO)
        info.info = _info  # type: ignore[attr-defined]
        stand_ins = {_COMMAND_LINE: command_line, _INFO: info}
        sys.modules.update(stand_ins)
        try:
            import spacy
        except ImportError:
            pass  # another release may want more of it; without spaCy, the plain import below says so
        finally:
            for name, module in stand_ins.items():
                if sys.modules.get(name) is module:
                    del sys.modules[name]
    import spacy

    return spacy


def _info(*arguments: Any, **options: Any) -> Any:
    from spacy.cli.info import info

    return info(*arguments, **options)
