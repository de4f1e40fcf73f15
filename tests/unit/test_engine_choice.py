"""A host's options and its table say which engine it runs; what an engine would pass over is an error."""

import argparse
from pathlib import Path

import pytest

from inference import models
from inference.embedded import EmbeddedEngine
from inference.openai_server import OpenAIEngine
from inference.vllm import VllmEngine
from peernet.cli.engines import add_engine, make_engine, options_of_engine
from peernet.core.errors import UserError
from peernet.node.config import HostConfig, load_table
from tests.model_files import write_tiny_tokenizer

URL = "http://127.0.0.1:11434/v1"


@pytest.fixture
def folder(tmp_path) -> Path:
    write_tiny_tokenizer(tmp_path)
    models.add("strong", tmp_path, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"model_file": "a.gguf"}, EmbeddedEngine),
        ({"engine": "embedded", "model_file": "a.gguf"}, EmbeddedEngine),
        ({"engine": "openai", "engine_url": URL}, OpenAIEngine),
        ({"engine_url": URL, "engine_model": "llama3.2"}, OpenAIEngine),
        ({"engine": "vllm", "engine_model": "a", "engine_python": "b", "engine_args": ("--c",)}, VllmEngine),
    ],
)
def test_the_engine_is_the_one_that_was_chosen(folder, settings, kind):
    assert type(make_engine(HostConfig(model="strong", **settings), folder)) is kind


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"engine": "openai"}, "say where the server is"),
        ({"engine": "embedded", "engine_url": URL}, "engine_url is for the engine openai, and embedded was chosen"),
        ({"engine": "vllm", "engine_url": URL}, "engine_url is for the engine openai"),
        ({"engine_python": "p"}, "engine_python is for the engine vllm, and embedded"),
        ({"engine_url": URL, "engine_args": ("x",)}, "engine_args is for the engine vllm, and openai"),
        ({"engine_url": URL, "model_file": "x"}, "model_file is for the engine embedded"),
        ({"engine_url": URL, "model": "absent"}, "`peernet model add absent`"),
        ({"engine_url": "http://10.0.0.1/v1"}, "unencrypted"),
        ({"engine_url": URL, "engine_key_file": "/nowhere"}, "/nowhere cannot be read"),
        ({}, "only the tokenizer is installed.*--engine-url"),
    ],
)
def test_what_does_not_fit_is_said(folder, settings, words):
    with pytest.raises(UserError, match=words):
        make_engine(HostConfig(**{"model": "strong", **settings}), folder)


def test_a_key_comes_from_a_file_or_the_environment(folder, monkeypatch):
    def key_of(**settings: str) -> str:
        return make_engine(HostConfig(model="strong", engine_url=URL, **settings), folder)._endpoint.key

    monkeypatch.setenv("PEERNET_ENGINE_KEY", "of-the-environment")
    assert key_of() == "of-the-environment"
    (folder / "key").write_text("of-a-file\n")
    assert key_of(engine_key_file=str(folder / "key")) == "of-a-file"
    monkeypatch.delenv("PEERNET_ENGINE_KEY")
    assert key_of() == ""


def test_a_host_that_the_demo_starts_gets_the_same_options(tmp_path):
    def parse(words: list[str]) -> argparse.Namespace:
        parser = argparse.ArgumentParser()
        add_engine(parser)
        return parser.parse_args(words)

    words = ["--engine=vllm", "--engine-python=p", "--engine-arg=--a=1", "--engine-arg=-b"]
    assert list(options_of_engine(parse(words))) == words
    assert options_of_engine(parse([])) == ()
    config = load_table(tmp_path / "config.toml", "host", HostConfig, vars(parse(words)))
    assert config == HostConfig(engine="vllm", engine_python="p", engine_args=("--a=1", "-b"))
