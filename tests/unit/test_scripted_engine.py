import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.engine import Engine, EngineCrashed, Health, Message, Parameters
from inference.scripted import ScriptedEngine, echo
from peernet.core.errors import LocalProtocolError
from tests.engine_contract import answer, run_contract, text_of

ASK = (Message("user", "one two three four five"),)


async def test_the_scripted_engine_keeps_the_contract():
    engine: Engine = ScriptedEngine(lambda messages: "Over  the river\nstand " * 200, context_tokens=600)
    await engine.load()
    await run_contract(engine)


@given(deltas=st.lists(st.text("abé \n\t1,日", max_size=9), max_size=12))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_counting_by_pieces_is_counting_the_whole(loaded, deltas):
    counter, text = loaded.answer_counter(), ""
    for delta in deltas:
        text += delta
        assert counter.feed(delta) == loaded.count_text_tokens(text)


@pytest.fixture(scope="module")
def loaded():
    engine = ScriptedEngine()
    trio.run(engine.load)
    return engine


async def test_it_echoes_and_stops():
    engine = ScriptedEngine()
    await engine.load()
    deltas, generation = await answer(engine, ASK)
    assert text_of(deltas) == echo(ASK) == "one two three four five"
    assert deltas[-1].finish_reason == "stop"
    assert generation.usage.completion_tokens == engine.count_text_tokens(echo(ASK)) == 5


async def test_it_answers_only_when_loaded():
    with pytest.raises(LocalProtocolError):
        ScriptedEngine().models()
    assert not (await ScriptedEngine().health()).ready


async def test_a_crash_hits_all_in_flight_and_the_next_one_restarts():
    engine = ScriptedEngine(crash_after=2)
    await engine.load()
    async with engine.generate(ASK, Parameters()) as other:
        await other.__anext__()
        async with engine.generate(ASK, Parameters()) as generation:
            assert [(await generation.__anext__()).text for _ in range(2)] == ["one", " two"]
            with pytest.raises(EngineCrashed):
                await generation.__anext__()
        with pytest.raises(EngineCrashed):
            await other.__anext__()
    assert await engine.health() == Health(ready=False, generating=0, restarts=0, steps=0)
    assert text_of((await answer(engine, ASK))[0]) == echo(ASK)
    assert await engine.health() == Health(ready=True, generating=0, restarts=1, steps=6)


async def test_a_stall_lasts_until_it_is_left_or_the_engine_closed(autojump_clock):
    engine = ScriptedEngine(stall_after=1)
    await engine.load()
    with trio.move_on_after(1000) as scope:
        await answer(engine, ASK)
    assert scope.cancelled_caught
    assert (await engine.health()).generating == 0


async def test_tokens_take_the_time_that_the_script_says(autojump_clock):
    engine = ScriptedEngine(seconds_per_token=0.5)
    await engine.load()
    start = trio.current_time()
    await answer(engine, ASK)
    assert trio.current_time() - start == pytest.approx(3.0)


def test_no_text_in_reprs():
    assert "two" not in repr(ASK)
    assert "two" not in repr(Parameters(stop=("two",)))


@pytest.mark.parametrize(
    "change",
    [
        {"max_tokens": 0},
        {"temperature_thousandths": 2001},
        {"top_p_thousandths": 0},
        {"seed": -1},
        {"seed": 1 << 32},
        {"stop": ("",)},
        {"stop": ("a\ud800",)},
        {"stop": ("x",) * 17},
    ],
)
def test_parameters_have_ranges(change):
    with pytest.raises(ValueError, match=r"max_tokens|thousandths|seed|stop"):
        Parameters(**change)


@pytest.mark.parametrize(("role", "content"), [("user", "secret \udc80"), ("secret\nuser", "x")])
def test_what_is_no_message_is_refused_without_quoting_it(role, content):
    with pytest.raises(ValueError, match=r"role|surrogate") as caught:
        Message(role, content)
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None
