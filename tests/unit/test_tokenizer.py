import json
import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.engine import Message, ModelUnusable, Unsupported
from inference.models import derive_tokenizer
from inference.tokenizer import (
    CONFIG_FILE,
    TOKENIZER_FILE,
    IncrementalCounter,
    Tokenizer,
    _cut_pattern,
    digest_of_files,
)
from tests.model_files import pulled_model, write_tiny_weights

PIECES = st.sampled_from([
    "the", " the", "'", "s", "'re", "r", "e", "ll", "l", "a", "c", "d", "cd", "A,", " ", "  ", "\n", "\n\n", "\t",
    "1", "2", "12", ".", "..", ",", "!", "?", ":", ";", ") ", "(", "<", "|", "<|", ">", "_",
    "<|im_end|>", "<|im_", "end|>", "<repo", "_name>",
    "日本", "語", "。", "ー", "・", "é", "e\u0301", "\u0301", "🙂", "\u00a0", "\u3000", "\u200b", "½", "٣",
])  # fmt: skip
TEXTS = st.lists(PIECES | st.text(st.characters(exclude_categories=["Cs"]), max_size=4), max_size=25)
CONVERSATION = (Message("user", "the cd"), Message("assistant", "12"))


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory):
    return install(tmp_path_factory.mktemp("tiny"))


def install(folder, **weights):
    write_tiny_weights(folder / "tiny.gguf", **weights)
    for name, data in zip((TOKENIZER_FILE, CONFIG_FILE), derive_tokenizer(folder / "tiny.gguf"), strict=True):
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def tiny(tiny_folder):
    return Tokenizer.load(tiny_folder)


@pytest.fixture(scope="module")
def real():
    return Tokenizer.load(pulled_model().parent)


def test_texts_become_bytes_and_merges(tiny):
    def tokens(text):
        return [tiny._encoder.id_to_token(number) for number in tiny.encode_text(text)]

    assert tokens("the cd") == ["the", "Ġ", "cd"]
    assert tokens("12 the") == ["1", "2", "Ġthe"]  # digits stand alone, whatever the merges say
    assert tokens("é") == ["Ã", "©"]
    assert tokens("we'll") == ["w", "e", "'ll"]
    assert tokens("<|im_end|>x") == ["<|im_end|>", "x"]
    assert tiny.count_text("") == 0


def test_a_conversation_ends_where_the_answer_begins(tiny):
    rendered = "<|im_start|>user\nthe cd<|im_end|>\n<|im_start|>assistant\n12<|im_end|>\n<|im_start|>assistant\n"
    assert tiny.render(CONVERSATION) == rendered
    assert tiny.count_messages(CONVERSATION) == tiny.count_text(rendered)
    assert tiny.context_tokens == 512


def test_a_prefix_adds_its_own_tokens(tiny):
    # Two line feeds are one token, but not across the border between frame and answer.
    frame = tiny.encode_messages(CONVERSATION)
    assert tiny.encode_messages(CONVERSATION, "\n") == frame + tiny.encode_text("\n")
    assert tiny.encode_messages(CONVERSATION, "\n") != tiny.encode_text(tiny.render(CONVERSATION) + "\n")


def feed_all(counter: IncrementalCounter, tokenizer: Tokenizer, deltas: list[str]) -> None:
    text = ""
    for delta in deltas:
        text += delta
        assert counter.feed(delta) == tokenizer.count_text(text)


@given(deltas=TEXTS)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_counting_by_pieces_is_counting_the_whole(tiny, deltas):
    feed_all(tiny.incremental(), tiny, deltas)


@given(deltas=TEXTS)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_counting_by_pieces_is_counting_the_whole_with_the_real_one(real, deltas):
    feed_all(real.incremental(), real, deltas)


@given(
    numbers=st.lists(st.integers(0, 49_151), max_size=40),
    cuts=st.lists(st.integers(0, 200), max_size=30).map(sorted),
)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_the_model_says_is_counted_alike_wherever_it_is_cut(real, numbers, cuts):
    text = real._encoder.decode(numbers, skip_special_tokens=False)
    feed_all(real.incremental(), real, [text[low:high] for low, high in pairwise([0, *cuts, len(text)])])


def test_counting_by_pieces_looks_at_the_tail_only(tiny):
    counter = tiny.incremental()
    for _ in range(300):
        for delta in (" the", " cd", ",", "日本", "。"):
            counter.feed(delta)
            assert len(counter._tail) < 10
    assert counter.total == tiny.count_text(" the cd,日本。" * 300)


# Other tokenizers part texts at other places, or nowhere: a word with the mark before it, for one.
@pytest.mark.parametrize("pattern", [r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|\s+", None])
@given(deltas=TEXTS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_counting_by_pieces_assumes_nothing_of_a_tokenizer_that_we_do_not_know(tiny_folder, pattern, deltas):
    stored = json.loads((tiny_folder / TOKENIZER_FILE).read_bytes())
    split = {"type": "Split", "invert": False, "behavior": "Isolated", "pattern": {"Regex": pattern}}
    bytes_only = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    stored["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [*([split] if pattern else []), bytes_only]}
    # A merge over the border where a known tokenizer may be cut.
    stored["model"]["vocab"]["e,"] = len(stored["model"]["vocab"])
    stored["model"]["merges"].append(["e", ","])
    tokenizer = Tokenizer(json.dumps(stored).encode(), (tiny_folder / CONFIG_FILE).read_bytes())
    assert tokenizer.last_cut("the, the, the.") == 0
    feed_all(tokenizer.incremental(), tokenizer, ["the", ", the", *deltas])


def test_no_cut_within_a_special_token(tiny):
    assert [match.start() for match in _cut_pattern(["<a,b>"]).finditer("<a,b> c.")] == [5, 7]
    assert [match.start() for match in _cut_pattern(["<a b>"]).finditer("<a,b> c.")] == []
    assert tiny.last_cut("a b<|im_end|>") == 1
    counter = tiny.incremental()
    assert [counter.feed(delta) for delta in ("<|im", "_end", "|>")] == [4, 8, 1]


def test_the_digest_is_of_both_files(tiny_folder, tiny):
    files = [(tiny_folder / name).read_bytes() for name in (TOKENIZER_FILE, CONFIG_FILE)]
    assert tiny.digest == digest_of_files(*files)
    assert (
        len({tiny.digest, digest_of_files(files[0], files[1] + b" "), digest_of_files(files[0] + b" ", files[1])}) == 3
    )


def test_a_template_runs_in_a_sandbox(tmp_path):
    folder = install(tmp_path, template="{{ messages.__class__.__mro__[1].__subclasses__() }}")
    with pytest.raises(Unsupported):
        Tokenizer.load(folder).render(CONVERSATION)


def test_a_refusal_does_not_quote_the_conversation(tmp_path):
    folder = install(tmp_path, template="{{ raise_exception('bad: ' + messages[0]['content']) }}")
    with pytest.raises(Unsupported) as caught:
        Tokenizer.load(folder).count_messages(CONVERSATION)
    assert "cd" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("name", [TOKENIZER_FILE, CONFIG_FILE])
@pytest.mark.parametrize(
    "data", [None, b"", b"{}", b"[]", b"\xff", b'{"chat_template": "{% if", "model_max_length": 1}']
)
def test_missing_or_damaged_files_are_named(tmp_path, tiny_folder, name, data):
    for file in (TOKENIZER_FILE, CONFIG_FILE):
        (tmp_path / file).write_bytes((tiny_folder / file).read_bytes())
    (tmp_path / name).unlink()
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(ModelUnusable, match="peernet model pull"):
        Tokenizer.load(tmp_path)


def test_importing_it_is_light():
    code = (
        "import sys, inference.tokenizer, inference.models, inference.embedded\n"
        "print(*({'numpy', 'gguf', 'xllamacpp', 'tokenizers', 'jinja2'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
