"""Which engine a host runs: from its options and its table of the configuration to an `Engine`.

A setting that the chosen engine would pass over is an error. The key for a server comes from the environment or from a
file, so that neither a list of processes nor a configuration shows it.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from peernet.node.config import ENGINES

if TYPE_CHECKING:
    from inference.engine import Engine
    from peernet.node.config import HostConfig

__all__ = ["add_engine", "make_engine", "options_of_engine"]

_SINGLE: Final = ("engine", "engine_url", "engine_key_file", "engine_model", "engine_python")
_SETTINGS_OF_ENGINES: Final = {
    "model_file": ("embedded",),
    "engine_url": ("openai",),
    "engine_key_file": ("openai",),
    "engine_model": ("openai", "vllm"),
    "engine_python": ("vllm",),
    "engine_args": ("vllm",),
}


def add_engine(parser: argparse.ArgumentParser) -> None:
    """The options about what computes."""
    group = parser.add_argument_group("engine")
    about = "default: embedded, or openai with --engine-url"
    group.add_argument("--engine", metavar="NAME", choices=ENGINES, help=f"{', '.join(ENGINES)}; {about}")
    about = "any OpenAI-compatible server, such as http://127.0.0.1:11434/v1; its key is in PEERNET_ENGINE_KEY"
    group.add_argument("--engine-url", metavar="URL", help=about)
    group.add_argument("--engine-key-file", metavar="FILE", help="a file with that key, instead")
    about = "the model's name on that server; with vllm, a folder in Hugging Face's format"
    group.add_argument("--engine-model", metavar="NAME", help=about)
    group.add_argument("--engine-python", metavar="PYTHON", help="the interpreter of vLLM's environment")
    about = "a further argument for vLLM (repeatable), as in --engine-arg=--tensor-parallel-size=2"
    group.add_argument("--engine-arg", action="append", dest="engine_args", metavar="WORD", help=about)


def options_of_engine(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The same options again, for a host that a command starts."""
    words = [f"--{name.replace('_', '-')}={value}" for name in _SINGLE if (value := getattr(arguments, name))]
    return (*words, *(f"--engine-arg={word}" for word in arguments.engine_args or ()))


def make_engine(config: "HostConfig", models: Path) -> "Engine":
    """The engine that the configuration describes, not yet loaded; raises `UserError`."""
    from inference.models import read_installed
    from peernet.core.errors import UserError

    name = config.engine or ("openai" if config.engine_url else "embedded")
    _check_engine(config, name)
    if name == "embedded":
        from inference.embedded import EmbeddedEngine

        weights = config.model_file or read_installed(models / config.model).path
        return EmbeddedEngine(
            Path(weights), threads=config.threads, parallel=config.parallel, context_tokens=config.context_tokens
        )
    if not (models / config.model).exists():
        raise UserError(
            f"no model {config.model!r} is installed in {models}: `peernet model add {config.model}` says how its "
            "tokens are counted"
        )
    model = read_installed(models / config.model)
    if name == "vllm":
        from inference.vllm import VllmEngine

        return VllmEngine(
            model,
            python=Path(config.engine_python) if config.engine_python else None,
            folder=Path(config.engine_model) if config.engine_model else None,
            threads=config.threads,
            parallel=config.parallel,
            context_tokens=config.context_tokens,
            arguments=config.engine_args,
        )
    from inference.openai_server import Endpoint, OpenAIEngine

    endpoint = Endpoint.of_url(config.engine_url, _engine_key(config))
    return OpenAIEngine(
        endpoint,
        model,
        served=config.engine_model,
        parallel=config.parallel,
        context_tokens=config.context_tokens,
    )


def _check_engine(config: "HostConfig", name: str) -> None:
    """A setting that this engine would pass over is an error, and not a silent default."""
    from peernet.core.errors import UserError

    for setting, engines in _SETTINGS_OF_ENGINES.items():
        if getattr(config, setting) and name not in engines:
            raise UserError(f"{setting} is for the engine {' or '.join(engines)}, and {name} was chosen with --engine")
    if name == "openai" and not config.engine_url:
        raise UserError("say where the server is: --engine-url http://127.0.0.1:11434/v1, for example")


def _engine_key(config: "HostConfig") -> str:
    """The key for a server, from where neither a list of processes nor a configuration shows it."""
    from peernet.core.errors import UserError

    if not config.engine_key_file:
        return os.environ.get("PEERNET_ENGINE_KEY", "")
    try:
        return Path(config.engine_key_file).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the key file {config.engine_key_file} cannot be read: {type(error).__name__}") from None
