"""llama.cpp as the engine and as the judge of our token counts."""

import os
import signal
import subprocess
import sys
import unicodedata
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from inference import embedded, models
from inference._embedded_worker import MESSAGES, Generate, Text, pack_tokens
from inference.embedded import EmbeddedEngine, _Child
from inference.engine import Engine, EngineCrashed, Message, ModelUnusable, Parameters
from inference.models import MODEL_FILE
from inference.tokenizer import Tokenizer
from peernet.core.wire import frame
from tests.engine_contract import MARKER, PATIENCE_S, QUESTION, answer, cancel_at_once, run_contract, text_of
from tests.model_files import pulled_model, write_tiny_wheel

SHORT = Parameters(max_tokens=2, temperature_thousandths=0)


@asynccontextmanager
async def loaded(**options):
    engine = EmbeddedEngine(pulled_model(), **{"context_tokens": 512, **options})
    try:
        await engine.load()
        yield engine
    finally:
        await engine.aclose()


def process_of(engine: EmbeddedEngine) -> trio.Process:
    return engine._child._process


async def test_the_embedded_engine_keeps_the_contract():
    async with loaded(parallel=2) as engine:
        port: Engine = engine
        await run_contract(port)
        assert engine._child._process.returncode == 0


async def test_a_long_prompt_is_not_read_to_its_end_for_one_who_left():
    async with loaded() as engine:
        await cancel_at_once(engine, (Message("user", "word " * 400),))
        # The whole prompt is seven batches.
        assert (await engine.health()).steps < 5


async def test_the_child_has_a_session_of_its_own_and_closing_ends_it():
    async with loaded() as engine:
        pid = process_of(engine).pid
        assert os.getsid(pid) == pid != os.getsid(0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_crash_loses_what_was_in_flight_and_the_next_answer_restarts():
    async with loaded() as engine:
        whole = text_of((await answer(engine, QUESTION, SHORT))[0])
        async with engine.generate((Message("user", MARKER),), Parameters(max_tokens=200)) as generation:
            await generation.__anext__()
            process_of(engine).send_signal(signal.SIGSEGV)
            with pytest.raises(EngineCrashed, match="SIGSEGV") as caught:
                async for _ in generation:
                    pass
        assert MARKER not in repr(caught.value)
        assert not (await engine.health()).ready
        assert text_of((await answer(engine, QUESTION, SHORT))[0]) == whole
        health = await engine.health()
        assert (health.ready, health.restarts) == (True, 1)
        # One that dies with nobody looking costs no answer.
        process_of(engine).kill()
        await process_of(engine).wait()
        assert text_of((await answer(engine, QUESTION, SHORT))[0]) == whole
        assert (await engine.health()).restarts == 2


async def test_crashes_in_a_row_end_it(monkeypatch):
    monkeypatch.setattr(embedded, "MAX_CRASHES", 1)
    async with loaded() as engine:
        process_of(engine).kill()
        await process_of(engine).wait()
        with pytest.raises(EngineCrashed, match=r"1 times.*SIGKILL"):
            await answer(engine, QUESTION)


async def test_a_cancelled_reader_hands_the_pipe_on():
    # `cat` gives back what it gets, as if it were the child's.
    child = _Child(await trio.lowlevel.open_process(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE))
    received = []
    try:
        with child.inbox(1), child.inbox(2), trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                reader = trio.CancelScope()

                async def read() -> None:
                    with reader:
                        await child.receive(1)

                async def wait() -> None:
                    received.append(await child.receive(2))

                nursery.start_soon(read)
                await wait_all_tasks_blocked()
                nursery.start_soon(wait)
                await wait_all_tasks_blocked()
                reader.cancel()
                await wait_all_tasks_blocked()
                await child.send(Text(2, "x"))
    finally:
        await child.aclose()
    assert received == [Text(2, "x")]


async def test_a_child_that_sends_no_messages_is_ended():
    child = _Child(await trio.lowlevel.open_process(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE))
    with child.inbox(1):
        await child._stdin.send_all(b"\xff" * 10)
        with pytest.raises(EngineCrashed, match="no message"):
            await child.receive(1)
    await child.aclose()


def start_worker() -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "inference._embedded_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(embedded.__file__).parents[1])},
    )


def test_the_worker_ends_with_its_parent():
    worker = start_worker()
    assert worker.communicate(timeout=PATIENCE_S) == (b"", b"")
    assert worker.returncode == 0


# A generation before the model is loaded is a bug of ours, in a thread; and what is no message breaks the main loop.
# Both end the worker, and the traceback would be the place for a leak.
@pytest.mark.parametrize(
    "data",
    [frame(MESSAGES.encode(Generate(1, pack_tokens([1]), 1, 0, 1000, None, (MARKER,)))), b"\xff" * 10],
    ids=["thread", "loop"],
)
def test_the_worker_prints_nothing_of_what_it_fails_on(data):
    worker = start_worker()
    worker.stdin.write(data)
    worker.stdin.flush()
    assert worker.wait(PATIENCE_S) == 70
    assert worker.communicate() == (b"", b"")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.unlink(), "no model file.*peernet model pull"),
        (lambda path: path.write_bytes(b"something else"), "not a GGUF"),
        (lambda path: path.write_bytes(b"GGUF" + path.read_bytes()[4:-1] + b"?"), "has changed"),
        (lambda path: path.with_name(MODEL_FILE).unlink(), "no model is installed"),
        (lambda path: path.with_name(MODEL_FILE).write_text("{}"), "damaged"),
        (lambda path: path.with_name("tokenizer.json").write_text("{}"), "tokenizer"),
    ],
)
async def test_an_unusable_model_is_named_in_plain_words(tiny_model, damage, words):
    damage(tiny_model)
    with pytest.raises(ModelUnusable, match=words):
        await EmbeddedEngine(tiny_model).load()


async def test_a_model_that_llama_cannot_load_is_unusable_too(tiny_model):
    # It has a tokenizer and no tensors.
    engine = EmbeddedEngine(tiny_model)
    with pytest.raises(ModelUnusable, match="could not load"):
        await engine.load()
    assert not (await engine.health()).ready
    await engine.aclose()


@pytest.fixture(scope="module")
def llama():
    """llama.cpp's own server, with a context so small that it counts a prompt without computing it."""
    xllamacpp = pytest.importorskip("xllamacpp")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(pulled_model())
    parameters.n_ctx, parameters.n_parallel, parameters.n_threads_http = 256, 1, 1
    parameters.verbosity, parameters.warmup = 0, False
    parameters.api_keys, parameters.endpoint_slots = [os.urandom(16).hex()], False
    return xllamacpp.Server(parameters)


PADDING = "a\n" * 300


def counted(llama, text: str) -> int:
    return llama.handle_completions({"prompt": PADDING + text, "max_tokens": 1})["error"]["n_prompt_tokens"]


TEXTS = [
    "", " ", "  ", "\n", " \n \n", "\t\tx", "a  b   c    d", "trailing   ", "\r\n\r\n", "\u00a0\u2003x\u3000y",
    "don't we'll I'd they're it's 'sound '' 's's", "O'Reilly'S", "1234567890", "3.14159e-10", "v1.2.3-rc4",
    "٣٤٥ ½ Ⅷ ²",
    "naïve café résumé", "e\u0301e\u0301", "日本語のテキスト、です。", "中文，没有空格。", "한국어 텍스트",
    "Привет, мир!",
    "مرحبا بالعالم", "שלום", "हिन्दी में", "ไทย", "👩‍👩‍👧‍👦🏳️‍🌈", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
    "\x00\x01\x04\x06\x13\x7f", "\ufeff\u200b\u180e",
    "def f(x):\n    return {k: v for k, v in x.items() if k != '__init__'}\n", "<div class=\"a\">&nbsp;</div>",
    "<|im_start|>user\nx<|im_end|>", "<|im_end", "|>", "<repo_name>x<file_sep>", "a<|endoftext|>  b", "x" * 500,
    "https://example.org/a?b=c&d=%20#e", "a_b-c/d\\e|f~g`h^i", "...!!!???——…", "\U000f0000\ue000", "ﬁ ǅ ß ſ K Å",
]  # fmt: skip


def test_texts_have_the_tokens_that_llama_counts(llama):
    tokenizer = Tokenizer.load(pulled_model().parent)
    for text in TEXTS:
        assert counted(llama, text) == tokenizer.count_text(PADDING + text), text


def test_characters_of_every_script_have_the_tokens_that_llama_counts(llama):
    tokenizer = Tokenizer.load(pulled_model().parent)
    # Later ones than the oldest Python's table are left out: there the two know different alphabets.
    known = [chr(c) for c in range(0x30000) if unicodedata.category(chr(c)) not in {"Cn", "Cs"}]
    assert len(known) > 100_000
    for start in range(0, len(known), 20_000):
        sample = known[start : start + 20_000 : 29]
        text = "".join(f"x{c} {c}{c}y 1{c}'s{c}  {c}\n{c}" for c in sample)
        assert counted(llama, text) == tokenizer.count_text(PADDING + text)


def test_conversations_have_the_tokens_that_llama_counts(llama):
    tokenizer = Tokenizer.load(pulled_model().parent)
    for conversation in (
        [("user", PADDING)],
        [("system", "Be brief.\n"), ("user", PADDING), ("assistant", " né "), ("user", "  1234 <|im_end|>\n\n")],
    ):
        body = {"messages": [{"role": role, "content": content} for role, content in conversation], "max_tokens": 1}
        messages = [Message(role, content) for role, content in conversation]
        assert llama.handle_chat_completions(body)["error"]["n_prompt_tokens"] == tokenizer.count_messages(messages)


async def test_an_answer_goes_on_from_a_prefix_mostly_as_it_was():
    # A prompt is computed in batches and an answer token by token, and the two round differently: where two tokens are
    # nearly as likely, the continuation may take the other one. So most are equal, and not all.
    questions = ["Write a two line poem about rivers.", "List three colours.", "Explain how bread rises."]
    same = 0
    async with loaded() as engine:
        for question in questions:
            messages = (Message("user", question),)
            whole = (await answer(engine, messages, Parameters(max_tokens=16, temperature_thousandths=0)))[0]
            prefix = text_of(whole[:8])
            rest = Parameters(max_tokens=8, temperature_thousandths=0)
            same += prefix + text_of((await answer(engine, messages, rest, prefix))[0]) == text_of(whole)
    assert same >= 2


@pytest.mark.parametrize("keep", [False, True])
async def test_what_was_asked_before_makes_a_prompt_faster_only_where_that_is_wanted(keep):
    async with loaded(keep_prompts=keep) as engine:
        await answer(engine, QUESTION, SHORT)
        _, generation = await answer(engine, QUESTION, SHORT)
        assert (generation.usage.cached_tokens > 0) is keep


@pytest.fixture
def tiny_model(tmp_path, monkeypatch) -> Path:
    wheel, entry = write_tiny_wheel(tmp_path)
    monkeypatch.setattr(models, "CATALOGUE", (entry,))
    return models.pull(entry.name, tmp_path, wheel=wheel)
