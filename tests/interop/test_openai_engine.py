"""The engine on an OpenAI-compatible server, against llama.cpp's own server over HTTP."""

import os
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest

from inference import models
from inference.engine import COUNTED, PREFIX, Engine, EngineCrashed, ModelUnusable, Parameters
from inference.models import NO_DIGEST, InstalledModel, read_installed
from inference.openai_server import Endpoint, OpenAIEngine
from tests import llama_server
from tests.engine_contract import PATIENCE_S, QUESTION, answer, run_contract
from tests.model_files import pulled_model, write_tiny_tokenizer

KEY = os.urandom(16).hex()
CONTEXT = 512


def start_llama() -> tuple[subprocess.Popen, str]:
    """The server's process, and its API's URL."""
    pytest.importorskip("xllamacpp")
    process = subprocess.Popen(
        [sys.executable, llama_server.__file__, str(pulled_model()), str(CONTEXT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "LLAMA_KEY": KEY},
        text=True,
    )
    return process, process.stdout.readline().strip() + "/v1"


@pytest.fixture(scope="module")
def llama():
    process, url = start_llama()
    yield url
    process.communicate(timeout=PATIENCE_S)


@asynccontextmanager
async def loaded(url: str, model: InstalledModel | None = None, key: str = KEY, **options):
    installed = model or read_installed(pulled_model().parent)
    engine = OpenAIEngine(
        Endpoint.of_url(url, key), installed, **{"context_tokens": CONTEXT, "parallel": 2, **options}
    )
    try:
        await engine.load()
        yield engine
    finally:
        await engine.aclose()


async def test_the_openai_engine_keeps_the_contract_where_the_server_takes_our_tokens(llama):
    async with loaded(llama) as engine:
        port: Engine = engine
        assert engine.models()[0].capabilities == {PREFIX, COUNTED}
        await run_contract(port)


async def test_the_openai_engine_keeps_the_contract_where_the_server_counts_otherwise(llama, tmp_path):
    # The same model, counted with a tokenizer that is not its own.
    write_tiny_tokenizer(tmp_path)
    async with loaded(llama, models.add("someones", tmp_path, tmp_path)) as engine:
        (info,) = engine.models()
        assert info.capabilities == set()
        assert (info.name, info.digest.hex(), info.quantisation) == ("someones", NO_DIGEST, "unknown")
        await run_contract(engine)


async def test_a_wrong_key_is_said_and_not_shown(llama):
    with pytest.raises(ModelUnusable, match=r"refused the key.*PEERNET_ENGINE_KEY") as caught:
        async with loaded(llama, key="another-key"):
            pass
    assert "another-key" not in str(caught.value)


async def test_a_model_that_is_not_there_is_said_with_those_that_are(llama):
    with pytest.raises(ModelUnusable, match=r"no model 'large'; it has: 'model'.*--engine-model"):
        async with loaded(llama, served="large"):
            pass


async def test_the_context_is_what_server_and_tokenizer_allow(llama):
    async with loaded(llama, context_tokens=100_000) as engine:
        assert engine.models()[0].context_tokens == CONTEXT


async def test_a_server_that_ends_is_a_crash_and_not_the_hosts_end():
    process, url = start_llama()
    async with loaded(url) as engine:
        async with engine.generate(QUESTION, Parameters(max_tokens=400)) as generation:
            await generation.__anext__()
            process.kill()
            process.wait()
            with pytest.raises(EngineCrashed):
                async for _ in generation:
                    pass
        assert not (await engine.health()).ready
        with pytest.raises(EngineCrashed, match="no server answers"):
            await answer(engine, QUESTION)
    process.communicate()
    with pytest.raises(ModelUnusable, match=r"no server answers.*start the server"):
        async with loaded(url):
            pass


def test_the_key_is_shown_nowhere():
    endpoint = Endpoint.of_url("https://example.org/v1", KEY)
    assert KEY not in f"{endpoint} {endpoint!r} {endpoint.root!r}"
