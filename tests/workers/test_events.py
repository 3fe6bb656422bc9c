"""One contract for events, whichever way they travel."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import redis

from service.events import Events, LocalEvents, RedisEvents, Stream, redis_py_url

Scene = Callable[[LocalEvents | RedisEvents], Awaitable[None]]


@pytest.fixture(params=["local", "redis"])
def play(request: pytest.FixtureRequest) -> Callable[[Scene], None]:
    """Plays a scene with events of either kind, on an event loop of its own."""

    async def over_redis(scene: Scene) -> None:
        events = RedisEvents(request.getfixturevalue("valkey"))
        try:
            await scene(events)
        finally:
            await events.close()

    def run(scene: Scene) -> None:
        asyncio.run(scene(LocalEvents()) if request.param == "local" else over_redis(scene))

    return run


async def _next(stream: Stream) -> dict[str, object]:
    async with asyncio.timeout(60):
        return await anext(stream)


def test_what_is_published_after_subscribing_arrives_in_order(
    play: Callable[[Scene], None],
) -> None:
    async def scene(events: Events) -> None:
        async with events.subscribe("annotation:1") as stream:
            for n in range(3):
                events.publish("annotation:1", {"n": n})
            assert [await _next(stream) for _ in range(3)] == [{"n": 0}, {"n": 1}, {"n": 2}]

    play(scene)


def test_everybody_who_listens_to_a_channel_is_told(play: Callable[[Scene], None]) -> None:
    async def scene(events: Events) -> None:
        async with events.subscribe("a") as one, events.subscribe("a") as other:
            events.publish("a", {"n": 1})
            assert await _next(one) == await _next(other) == {"n": 1}

    play(scene)


def test_other_channels_are_not_heard(play: Callable[[Scene], None]) -> None:
    async def scene(events: Events) -> None:
        async with events.subscribe("annotation:1") as stream:
            events.publish("annotation:11", {"n": 11})
            events.publish("annotation:1", {"n": 1})
            assert await _next(stream) == {"n": 1}

    play(scene)


def test_an_event_from_another_thread_arrives(play: Callable[[Scene], None]) -> None:
    async def scene(events: Events) -> None:
        async with events.subscribe("a") as stream:
            await asyncio.to_thread(events.publish, "a", {"n": 1})
            assert await _next(stream) == {"n": 1}

    play(scene)


def test_streams_can_be_ended_so_that_nobody_waits_for_them(
    play: Callable[[Scene], None],
) -> None:
    async def scene(events: LocalEvents | RedisEvents) -> None:
        async with events.subscribe("a") as stream:
            events.end_streams()
            with pytest.raises(StopAsyncIteration):
                await _next(stream)

    play(scene)


def test_a_stream_that_may_have_missed_events_ends_and_the_next_one_hears_again(
    valkey: str,
) -> None:
    async def scene() -> None:
        events = RedisEvents(valkey)
        async with events.subscribe("a") as stream:
            with redis.Redis.from_url(redis_py_url(valkey)) as server:
                server.client_kill_filter(_type="pubsub")
            with pytest.raises(StopAsyncIteration):
                await _next(stream)
        async with events.subscribe("a") as stream:
            events.publish("a", {"n": 1})
            assert await _next(stream) == {"n": 1}
        await events.close()

    asyncio.run(scene())


def test_without_a_broker_subscribing_waits_a_little_and_publishing_fails_at_once() -> None:
    async def scene() -> None:
        events = RedisEvents("redis+socket:///nowhere/valkey.sock")
        async with asyncio.timeout(60), events.subscribe("a"):
            with pytest.raises(redis.ConnectionError):
                events.publish("a", {"n": 1})
        await events.close()

    asyncio.run(scene())
