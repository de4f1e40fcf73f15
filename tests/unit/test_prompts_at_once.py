"""Prompts that come to a host at the same moment: none waits for the others' to be worked on."""

from collections.abc import Sequence
from typing import Any

import pytest
import trio

from inference.engine import Message, Parameters
from inference.scripted import ScriptedEngine
from peernet.host.service import HostService
from tests.exchange_in_memory import Client, fund_here, hosts_of

PROMPTS = 2  # as many as the host has slots


async def test_the_engine_has_each_prompt_before_the_next_is_screened(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
):
    """Its voucher came with it, and is read with it."""
    fund_here(monkeypatch)
    order: list[str] = []
    screen = HostService._screen

    async def screened(service: HostService, messages: Sequence[Message], *rest: Any) -> None:
        await screen(service, messages, *rest)
        order.append("screened")

    monkeypatch.setattr(HostService, "_screen", screened)
    engine = ScriptedEngine(lambda _: "an answer", seconds_per_token=0.02)
    generate = engine.generate

    def generated(*arguments: Any) -> Any:
        order.append("the engine has it")
        return generate(*arguments)

    monkeypatch.setattr(engine, "generate", generated)
    async with hosts_of(engine) as (_, hosts), trio.open_nursery() as nursery, trio.open_nursery() as asking:
        for _ in range(PROMPTS):
            client = Client(hosts, nursery, Parameters(max_tokens=10, temperature_thousandths=0))
            asking.start_soon(client.ask, hosts[0])
    assert order == ["screened", "the engine has it"] * PROMPTS
