"""The unmodified `openai` package over a real swarm: what goes in comes back, and what it names reached nobody.

One swarm of scripted hosts for the whole file, and the command `peernet gateway` before it, each a process of its own.
The hosts say every prompt again. All that reaches them, every cell and every byte on the peers' sockets is recorded.
"""

import asyncio
import http.client
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
import trio
from attrs import frozen
from openai.types.chat import ChatCompletionMessageParam

from inference.models import DEFAULT_MODEL
from peernet.cli.local_swarm import LocalSwarm, SwarmPlan, running_swarm
from tests.swarm.scripted_peer import Script
from tests.swarm.support import (
    ROOT,
    Running,
    client_of,
    environment,
    in_background,
    model_folder,
    next_network,
    run,
    running,
    wait_for,
)

pytestmark = [pytest.mark.swarm, pytest.mark.usefixtures("forked")]

NAME, EMAIL, OTHER = "Maria Kowalska", "maria.kowalska@example.org", "James Whitfield"
PARTS = ("Maria", "Kowalska", "kowalska@", "Whitfield")
"""Parts of what is planted, which must reach nobody."""
TWO_TASKS = (
    f"1. Write a thank-you note to {NAME} ({EMAIL}) for the lunch in spring.\n"
    "2. Explain why drinking enough water every day is good for your health."
)
PLACEHOLDER = re.compile(r"\bPERSON_[A-Z]\d+\b")


@frozen
class Served:
    """A swarm with a gateway before it."""

    swarm: LocalSwarm
    gateway: Running
    base_url: str
    record: Path
    home: Path
    armed: Path

    @property
    def authority(self) -> str:
        return self.base_url.split("/")[2]

    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.base_url, api_key="none", max_retries=0)

    def entries(self) -> list[tuple[str, dict[str, Any]]]:
        """What the engines were given and how it ended, each with its process."""
        return [
            (path.stem, json.loads(line))
            for path in sorted(self.record.glob("engine-*.jsonl"))
            for line in path.read_text("utf-8").splitlines()
        ]

    def calls(self, last_part: str) -> list[tuple[str, dict[str, Any]]]:
        """The generations whose last message holds `last_part`, in each process's order."""
        return [(pid, e) for pid, e in self.entries() if "messages" in e and last_part in e["messages"][-1][1]]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """In a thread of its own, since the tests are what a program would be: it does not know of trio."""
    model_folder()
    before = dict(os.environ)
    try:
        with in_background(_serving(tmp_path_factory.mktemp("gateway"))) as served:
            yield served
    finally:
        os.environ.clear()
        os.environ.update(before)
    # It served to the end, said nothing but that it is ready, and ended in good order.
    assert served.gateway.err == ""
    assert served.gateway.out.count("\n") == 1


@asynccontextmanager
async def _serving(folder: Path) -> AsyncIterator[Served]:
    record, home, armed = folder / "record", folder / "gateway", folder / "armed"
    record.mkdir()
    plan = SwarmPlan(
        folder=folder / "swarm",
        models=model_folder(),
        model=DEFAULT_MODEL,
        hosts=2,
        relays=6,
        network=next_network(),
        command=(sys.executable, "-m", "tests.swarm.recorded_script"),
    )
    plan.folder.mkdir()
    script = Script(armed=str(armed), stall_after=6)
    os.environ.update(environment(script.environment) | {"PEERNET_TEST_RECORD": str(record)})
    async with running_swarm(plan) as swarm:
        words = ("--network", swarm.network_file, "--models", plan.models, "--home", home)
        options = ("--listen", "127.0.0.1:0", "--json", "--supervised")
        # Both hosts are there from the first request on.
        async with client_of(swarm):
            pass
        async with running("gateway", *words, *options) as gateway:
            ready = json.loads(await gateway.line(0))
            yield Served(swarm, gateway, ready["base_url"], record, home, armed)
            await gateway.close_stdin()
            assert (await gateway.end()).code == 0


def everything_recorded(served: Served) -> bytes:
    captured = b"".join(path.read_bytes() for path in served.record.iterdir())
    assert len(captured) > 100_000
    return captured


def asked(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


# --- what goes in and what comes back --------------------------------------------------------------------------------


def test_a_planted_name_comes_back_and_reached_nobody(served: Served) -> None:
    with served.client() as client:
        raw = client.chat.completions.with_raw_response.create(
            model=DEFAULT_MODEL, messages=asked(TWO_TASKS), user="Maria Kowalska", stop=[OTHER], seed=42
        )
    completion = raw.parse()
    answer = completion.choices[0].message.content or ""
    assert NAME in answer
    assert EMAIL in answer
    assert "drinking enough water" in answer
    assert completion.choices[0].finish_reason == "stop"
    captured = everything_recorded(served).lower()
    for planted in (NAME, EMAIL, *PARTS):
        assert planted.lower().encode() not in captured
    # Two hosts, neither with the other's part, and nothing that ties the two together.
    (note_host, note), (water_host, water) = *served.calls("thank-you"), *served.calls("water")
    assert note_host != water_host
    assert PLACEHOLDER.search(note["messages"][-1][1])
    assert "water" not in json.dumps(note)
    assert note["seed"] != water["seed"]
    assert note["seed"] != 42
    assert PLACEHOLDER.fullmatch(note["stop"][0])
    assert note["stop"] != water["stop"]
    # What it cost is what was metered, and the receipt says who saw what.
    assert completion.usage is not None
    receipt = exposure(served, raw.headers["x-peernet-exposure"])
    assert receipt["id"] == completion.id
    fragments = receipt["fragments"]
    assert completion.usage.prompt_tokens == sum(fragment["prompt_tokens"] for fragment in fragments)
    assert completion.usage.completion_tokens == sum(fragment["completion_tokens"] for fragment in fragments)
    assert len({fragment["host"] for fragment in fragments}) == 2
    assert receipt["state"] == "answered"
    assert 0 < receipt["exposure"]["largest_share"] < 1
    assert all(part not in json.dumps(receipt) for part in (*PARTS, "water", "lunch"))
    assert "hosts=2" in raw.headers["x-peernet-exposure-summary"]


def exposure(served: Served, identity: str) -> dict[str, Any]:
    connection = http.client.HTTPConnection(served.authority, timeout=10)
    try:
        connection.request("GET", f"/v1/exposure/{identity}")
        receipt: dict[str, Any] = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return receipt


def test_a_stream_is_the_answer_in_pieces(served: Served) -> None:
    with served.client() as client:
        whole = client.chat.completions.create(model=DEFAULT_MODEL, messages=asked(TWO_TASKS))
        chunks = list(
            client.chat.completions.create(
                model=DEFAULT_MODEL, messages=asked(TWO_TASKS), stream=True, stream_options={"include_usage": True}
            )
        )
    *pieces, finish, usage = chunks
    assert "".join(chunk.choices[0].delta.content or "" for chunk in pieces) == whole.choices[0].message.content
    assert pieces[0].choices[0].delta.role == "assistant"
    assert len(pieces) > 2
    assert finish.choices[0].finish_reason == "stop"
    assert usage.choices == []
    assert usage.usage is not None
    assert usage.usage.total_tokens == usage.usage.prompt_tokens + usage.usage.completion_tokens > 0
    assert len({chunk.id for chunk in chunks}) == 1
    assert exposure(served, chunks[0].id)["state"] == "answered"


def test_the_asynchronous_client(served: Served) -> None:
    async def use() -> None:
        async with openai.AsyncOpenAI(base_url=served.base_url, api_key="none", max_retries=0) as client:
            assert [model.id async for model in client.models.list()] == [DEFAULT_MODEL]
            assert (await client.models.retrieve(DEFAULT_MODEL)).owned_by == "peernet"
            prompt = asked(f"Write a poem for {NAME}.")
            whole, stream = await asyncio.gather(
                client.chat.completions.create(model=DEFAULT_MODEL, messages=prompt),
                client.chat.completions.create(model=DEFAULT_MODEL, messages=prompt, stream=True),
            )
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
        assert whole.choices[0].message.content == "".join(pieces) == f"Write a poem for {NAME}."

    asyncio.run(use())


def test_how_an_answer_is_sampled_reaches_the_host(served: Served) -> None:
    with served.client() as client:
        completion = client.chat.completions.create(
            model=DEFAULT_MODEL, messages=asked("Say who painted the ceiling of a chapel."), max_tokens=5,
            temperature=0.7, top_p=0.5,
        )  # fmt: skip
        stopped = client.chat.completions.create(
            model=DEFAULT_MODEL, messages=asked("Say one two three four."), stop=" three"
        )
    assert completion.choices[0].finish_reason == "length"
    ((_, call),) = served.calls("ceiling")
    assert (call["max_tokens"], call["temperature_thousandths"], call["top_p_thousandths"]) == (5, 700, 500)
    assert stopped.choices[0].message.content == "Say one two"


# --- conversations ---------------------------------------------------------------------------------------------------


def test_a_conversation_stays_with_its_host_and_its_pseudonyms(served: Served) -> None:
    messages: list[ChatCompletionMessageParam] = [{"role": "system", "content": "Answer in one sentence."}]
    questions = [f"Who is {NAME}?", f"Where does {NAME} live in autumn?", "Is that far away?"]
    with served.client() as client:
        for question in questions:
            messages.append({"role": "user", "content": question})
            answer = client.chat.completions.create(model=DEFAULT_MODEL, messages=messages)
            assert answer.choices[0].message.content == question
            # As programs do it: the message as it came, with its empty fields.
            messages.append(answer.choices[0].message)  # type: ignore[arg-type]
        again = client.chat.completions.create(model=DEFAULT_MODEL, messages=messages[:-1])
        assert again.choices[0].message.content == questions[-1]
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(
                model=DEFAULT_MODEL, messages=[*messages[:-2], *asked("How do I build a pipe bomb at home?")]
            )
        assert refused.value.code == "content_filter"
        # By this client, and not by a host that it reached.
        assert "the prompt is refused" in refused.value.message
    turns = [*served.calls("Who is"), *served.calls("in autumn"), *served.calls("far away")]
    assert len(turns) == 4
    assert len({pid for pid, _ in turns}) == 1
    assert len({placeholder for _, turn in turns for placeholder in PLACEHOLDER.findall(json.dumps(turn))}) == 1
    assert [len(turn["messages"]) for _, turn in turns] == [2, 4, 6, 6]
    assert turns[2][1]["messages"] == turns[3][1]["messages"]


def test_a_conversation_held_elsewhere_is_taken_up_and_all_of_it_is_masked(served: Served) -> None:
    messages: list[ChatCompletionMessageParam] = [
        {"role": "user", "content": f"My colleague {OTHER} keeps bees on a roof."},
        {"role": "assistant", "content": f"How nice for {OTHER}!"},
        {"role": "user", "content": f"What should {OTHER} do in winter?"},
    ]
    with served.client() as client:
        completion = client.chat.completions.create(model=DEFAULT_MODEL, messages=messages)
    assert completion.choices[0].message.content == f"What should {OTHER} do in winter?"
    ((_, call),) = served.calls("in winter")
    assert [role for role, _ in call["messages"]] == ["user", "assistant", "user"]
    assert len(set(PLACEHOLDER.findall(json.dumps(call)))) == 1
    assert OTHER.encode() not in everything_recorded(served)


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_errors_are_the_packages_own(served: Served) -> None:
    with served.client() as client:
        create = client.chat.completions.create
        with pytest.raises(openai.NotFoundError) as unknown:
            create(model="gpt-5", messages=asked("Hello?"))
        assert unknown.value.code == "model_not_found"
        with pytest.raises(openai.BadRequestError) as tools:
            tool: Any = {"type": "function", "function": {"name": "f", "parameters": {}}}
            create(model=DEFAULT_MODEL, messages=asked("Hello?"), tools=[tool])
        assert (tools.value.param, tools.value.code) == ("tools", "unsupported_parameter")
        for stream in (False, True):
            with pytest.raises(openai.BadRequestError) as long:
                create(model=DEFAULT_MODEL, messages=asked("one word more " * 1000), stream=stream)
            assert long.value.code == "context_length_exceeded"
            with pytest.raises(openai.BadRequestError) as refused:
                create(model=DEFAULT_MODEL, messages=asked("How do I build a pipe bomb at home?"), stream=stream)
            assert refused.value.code == "content_filter"
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("gpt-5")


def test_a_host_stops_when_the_reader_leaves(served: Served) -> None:
    served.armed.touch()
    prompt = f"Say slowly what {NAME} would say of the long winter evenings in the mountains."
    with served.client() as client:
        stream = client.chat.completions.create(model=DEFAULT_MODEL, messages=asked(prompt), stream=True)
        # The host has stalled by now: no more comes, and nothing but the reader's leaving ends the generation.
        first = next(chunk for chunk in stream if chunk.choices[0].delta.content)
        assert not [e for _, e in served.entries() if "mountains" in e.get("last", "")]
        stream.close()
        trio.run(wait_for, lambda: [e for _, e in served.entries() if "mountains" in e.get("last", "")])
    (end,) = [entry for _, entry in served.entries() if "mountains" in entry.get("last", "")]
    assert end["ended"] == "left"
    trio.run(wait_for, lambda: exposure(served, first.id)["state"] == "broken_off")


def test_a_page_of_a_stranger_is_refused(served: Served) -> None:
    connection = http.client.HTTPConnection(served.authority, timeout=10)
    try:
        for headers in ({"Host": "stranger.example.com"}, {"Origin": "https://stranger.example.com"}):
            connection.request("GET", "/v1/models", headers=headers)
            response = connection.getresponse()
            assert response.status == 403
            assert DEFAULT_MODEL not in response.read().decode()
    finally:
        connection.close()


def test_no_file_of_the_gateway_holds_a_word(served: Served) -> None:
    files = [path for path in served.home.rglob("*") if path.is_file()]
    assert files
    for path in files:
        content = path.read_bytes()
        assert not [part for part in (*PARTS, "water", "mountains") if part.encode() in content]


# --- the command and the library -------------------------------------------------------------------------------------


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        done = await run("gateway", "--home", tmp_path, "--listen", place)
    assert f"cannot listen on {place}: Address already in use" in done.complaint
    assert "--listen" in done.complaint
    assert done.code == 1


def test_the_readmes_program_for_openais_api_runs_as_it_is_written(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = (ROOT / "README.md").read_text()
    (program,) = [block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "openai" in block]
    monkeypatch.setenv("OPENAI_BASE_URL", served.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    names: dict[str, Any] = {}
    exec(program, names)
    names["client"].close()
    assert capsys.readouterr().out == "Write a short greeting to John Smith."


def test_the_example_runs_as_it_is_written(served: Served, tmp_path: Path) -> None:
    source = (ROOT / "examples" / "ask.py").read_text()
    assert source in (ROOT / "README.md").read_text()
    (tmp_path / "config" / "peernet").mkdir(parents=True)
    (tmp_path / "config" / "peernet" / "config.toml").write_bytes(served.swarm.network_file.read_bytes())
    (tmp_path / "data" / "peernet").mkdir(parents=True)
    (tmp_path / "data" / "peernet" / "models").symlink_to(served.swarm.plan.models)
    folders = {f"XDG_{name.upper()}_HOME": str(tmp_path / name) for name in ("config", "data", "state")}
    command = [sys.executable, ROOT / "examples" / "ask.py"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=40, env=environment(folders))
    assert done.returncode == 0, done.stderr
    assert "Write a short greeting to John Smith." in done.stdout
    assert "of the words reached one host" in done.stdout
    assert "John" not in json.dumps([call for _, call in served.calls("short greeting")])
    assert b"John Smith" not in everything_recorded(served)
