"""llama.cpp in a process of its own: a crash of it is a restart and not the node's end.

The parent (`inference.embedded`) speaks length-prefixed msgpack over standard input and output:

    Load                 ->  Loaded | LoadFailed, once, first
    Generate, Cancel     ->  Text..., then Finished | Failed, once a generation
    Probe                ->  Status

Rules:

1. The end of standard input is the parent's end, and this process ends at once.
2. Prompts come as token ids, in the parent's own counting; texts go out, and nothing else of either: file descriptor 1
   is the null device before llama.cpp is loaded, so that its prints cannot mix with the protocol, standard error is
   the null device by the parent, no traceback is printed, and no core file is written.
3. llama.cpp's server listens on a loopback port whether we like it or not. Every request there needs a random key
   and a random path, and the pages that show slots, properties and its chat are off.
4. A generation is a thread that sits in llama.cpp's call; the callback between two batches is where it can be
   cancelled. Batches are small, so that this takes half a second at most while a prompt is read.
5. Prompts are not kept for the next request, unless the parent asks for it: one stranger's time to the first token
   would tell what another one asked.

Private: nothing but `inference.embedded` may know these messages.
"""

import array
import ctypes
import os
import resource
import secrets
import sys
import threading
from typing import Any, Final

from attrs import field, frozen

from peernet.core.wire import FrameReader, MessageSet, frame

MAX_FRAME_SIZE: Final = 1 << 20
READ_SIZE: Final = 1 << 16
BATCH_TOKENS: Final = 64  # measured: no slower than 512 on a CPU, and eight times quicker to cancel
EXIT_BUG: Final = 70
PR_SET_DUMPABLE: Final = 4


@frozen
class Load:
    path: str
    threads: int
    parallel: int
    context_tokens: int
    keep_prompts: bool


@frozen
class Loaded:
    pass


@frozen
class LoadFailed:
    pass


@frozen
class Generate:
    ident: int
    prompt: bytes = field(repr=False)  # token ids, little-endian, 4 bytes each
    max_tokens: int
    temperature_thousandths: int
    top_p_thousandths: int
    seed: int | None
    stop: tuple[str, ...] = field(repr=False)


@frozen
class Cancel:
    ident: int


@frozen
class Text:
    ident: int
    text: str = field(repr=False)


@frozen
class Finished:
    ident: int
    reason: str  # llama.cpp's: stop or length
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


@frozen
class Failed:
    ident: int
    kind: str  # llama.cpp's error type, or `cancelled`: a short word, never a message, which may quote
    tokens: int
    limit: int


@frozen
class Probe:
    ident: int


@frozen
class Status:
    ident: int
    generating: int
    steps: int


MESSAGES: Final = MessageSet(
    {
        1: Load,
        2: Loaded,
        3: LoadFailed,
        4: Generate,
        5: Cancel,
        6: Text,
        7: Finished,
        8: Failed,
        9: Probe,
        10: Status,
    }
)


def pack_tokens(tokens: list[int]) -> bytes:
    packed = array.array("I", tokens)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def _unpack_tokens(data: bytes) -> list[int]:
    packed = array.array("I", data)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tolist()


class _Output:
    """Frames to the parent, from several threads."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def send(self, message: object) -> None:
        data = memoryview(frame(MESSAGES.encode(message)))
        with self._lock:
            while data:
                data = data[os.write(self._descriptor, data) :]


class _Generation:
    """One request, in its own thread."""

    def __init__(self, server: Any, request: Generate, output: _Output, keep_prompts: bool) -> None:
        self._server = server
        self._request = request
        self._output = output
        self._keep_prompts = keep_prompts
        self._outcome: Finished | Failed = Failed(request.ident, "server_error", 0, 0)
        self._reason = "stop"
        self.cancelled = False

    def run(self) -> None:
        self._server.handle_completions(self._body(), self._take)
        self._output.send(Failed(self._request.ident, "cancelled", 0, 0) if self.cancelled else self._outcome)

    def _body(self) -> dict[str, object]:
        request = self._request
        return {
            "prompt": _unpack_tokens(request.prompt),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature_thousandths / 1000,
            "top_p": request.top_p_thousandths / 1000,
            # llama.cpp's own additions to the sampling are off: the parameters say all there is.
            "top_k": 0,
            "min_p": 0.0,
            "repeat_penalty": 1.0,
            "seed": -1 if request.seed is None else request.seed,
            "stop": list(request.stop),
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_progress": True,  # calls back between the batches of the prompt, so that it can be cancelled
            "cache_prompt": self._keep_prompts,
        }

    def _take(self, chunk: dict[str, Any]) -> bool:
        """One chunk of the stream; True ends the generation."""
        if self.cancelled:
            return True
        ident = self._request.ident
        if error := chunk.get("error"):
            tokens, limit = error.get("n_prompt_tokens", 0), error.get("n_ctx", 0)
            self._outcome = Failed(ident, str(error.get("type", "server_error")), tokens, limit)
            return False
        for choice in chunk.get("choices", ()):
            if choice["text"]:
                self._output.send(Text(ident, choice["text"]))
            if choice["finish_reason"] is not None:
                self._reason = choice["finish_reason"]
        if usage := chunk.get("usage"):
            cached = usage["prompt_tokens_details"]["cached_tokens"]
            self._outcome = Finished(ident, self._reason, usage["prompt_tokens"], usage["completion_tokens"], cached)
        return False


class _Worker:
    def __init__(self, output: _Output) -> None:
        self._output = output
        self._server: Any = None
        self._keep_prompts = False
        self._generations: dict[int, _Generation] = {}

    def handle(self, message: object) -> None:
        match message:
            case Load():
                self._load(message)
            case Generate():
                generation = _Generation(self._server, message, self._output, self._keep_prompts)
                self._generations[message.ident] = generation
                threading.Thread(target=self._run, args=(message.ident, generation), daemon=True).start()
            case Cancel(ident):
                # One that has just ended is no longer known, and that is well.
                if (generation_or_none := self._generations.get(ident)) is not None:
                    generation_or_none.cancelled = True
            case Probe(ident):
                # Waits for llama.cpp's next batch, so not in this thread, which must see the parent's end.
                threading.Thread(target=self._report, args=(ident,), daemon=True).start()

    def _run(self, ident: int, generation: _Generation) -> None:
        generation.run()
        del self._generations[ident]

    def _report(self, ident: int) -> None:
        counts = dict(
            line.split(" ") for line in self._server.handle_metrics().splitlines() if line.startswith("llamacpp:")
        )
        busy = int(counts["llamacpp:requests_processing"]) + int(counts["llamacpp:requests_deferred"])
        self._output.send(Status(ident, busy, int(counts["llamacpp:n_decode_total"])))

    def _load(self, message: Load) -> None:
        import xllamacpp

        parameters = xllamacpp.CommonParams()
        parameters.model.path = message.path
        parameters.n_ctx = message.context_tokens * message.parallel  # llama.cpp divides it among the slots
        parameters.n_parallel = message.parallel
        parameters.n_batch = parameters.n_ubatch = BATCH_TOKENS
        parameters.cpuparams.n_threads = message.threads
        parameters.cpuparams_batch.n_threads = message.threads
        parameters.n_threads_http = 1
        parameters.fit_params = False  # a context smaller than the offer's would be a silent lie
        parameters.warmup = False
        parameters.verbosity = 0
        parameters.api_keys = [secrets.token_hex(32)]
        parameters.api_prefix = "/" + secrets.token_hex(16)
        parameters.model_alias = {"model"}  # else the path of the file
        parameters.ui = False
        parameters.endpoint_slots = parameters.endpoint_props = False
        parameters.endpoint_metrics = True  # `handle_metrics` needs it
        parameters.cache_prompt = message.keep_prompts
        parameters.cache_ram_mib = 0
        parameters.cache_idle_slots = False
        parameters.n_ctx_checkpoints = 0
        self._keep_prompts = message.keep_prompts
        try:
            self._server = xllamacpp.Server(parameters)
        except RuntimeError:
            self._output.send(LoadFailed())
        else:
            self._output.send(Loaded())


def _leave_no_core() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # A limit of 0 does not bind a core file that is piped to a program; this does, and it keeps debuggers out.
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def _take_descriptors() -> tuple[int, int]:
    """Our own copies of standard input and output; the null device in their places."""
    mine = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return mine


def _end(*_: object) -> None:
    # An exception's text might quote what it failed on, and the interpreter's own end would wait for our threads.
    os._exit(EXIT_BUG)


def main() -> None:
    sys.excepthook = _end
    threading.excepthook = _end
    _leave_no_core()
    incoming, outgoing = _take_descriptors()
    worker = _Worker(_Output(outgoing))
    reader = FrameReader(MAX_FRAME_SIZE)
    while data := os.read(incoming, READ_SIZE):
        reader.feed(data)
        while (message := reader.next()) is not None:
            worker.handle(MESSAGES.decode(message))
    os._exit(0)


if __name__ == "__main__":
    main()
