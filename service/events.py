"""The events port: what happened, told to those who wait for it, after the commit; nothing is kept."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Protocol

import redis
import redis.asyncio
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

Event = dict[str, Any]
Stream = AsyncIterator[Event]

PREFIX = "accrue:"
RECONNECT_SECONDS = 0.5


class Events(Protocol):
    def publish(self, channel: str, event: Event) -> None:
        """Tell every subscriber of ``channel``, in any process."""

    def subscribe(self, channel: str) -> AbstractAsyncContextManager[Stream]:
        """From its start on, the events of ``channel`` are in the stream that this yields."""


class LocalEvents:
    """Events within one process; ``publish`` may be called from any thread."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[tuple[asyncio.AbstractEventLoop, asyncio.Queue[Event]]]]
        self._waiting = defaultdict(set)

    def publish(self, channel: str, event: Event) -> None:
        for loop, queue in tuple(self._waiting.get(channel, ())):
            with suppress(RuntimeError):  # that loop has ended, and its subscriber with it
                loop.call_soon_threadsafe(queue.put_nowait, event)

    @asynccontextmanager
    async def subscribe(self, channel: str) -> AsyncIterator[Stream]:
        entry = (asyncio.get_running_loop(), asyncio.Queue[Event]())
        self._waiting[channel].add(entry)
        try:
            yield _drain(entry[1])
        finally:
            self._waiting[channel].discard(entry)
            if not self._waiting[channel]:
                del self._waiting[channel]


class RedisEvents:
    """Events between processes over Redis or Valkey: one listening connection for all subscribers.

    The process listens to every channel of ours, so that subscribing costs no round trip.
    """

    def __init__(self, redis_url: str) -> None:
        self._url = redis_py_url(redis_url)
        self._sender = redis.Redis.from_url(
            self._url,
            health_check_interval=10,
            socket_connect_timeout=2,
            retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), 2),
        )
        self._local = LocalEvents()
        self._listener: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()

    def publish(self, channel: str, event: Event) -> None:
        self._sender.publish(PREFIX + channel, json.dumps(event))

    @asynccontextmanager
    async def subscribe(self, channel: str) -> AsyncIterator[Stream]:
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen())
        # A broker that is away delays nobody: who waits for an event asks the database as well.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._listening.wait(), timeout=2)
        async with self._local.subscribe(channel) as stream:
            yield stream

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            with suppress(asyncio.CancelledError):
                await self._listener
        self._sender.close()

    async def _listen(self) -> None:
        while True:
            try:
                connecting = redis.asyncio.Redis.from_url(self._url, health_check_interval=10)
                async with connecting as client:
                    await self._relay(client)
            except (redis.RedisError, OSError):
                self._listening.clear()
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _relay(self, client: redis.asyncio.Redis) -> None:
        async with client.pubsub(ignore_subscribe_messages=False) as pubsub:
            await pubsub.psubscribe(PREFIX + "*")
            async for message in pubsub.listen():
                if message["type"] == "psubscribe":
                    self._listening.set()
                elif message["type"] == "pmessage":
                    channel = message["channel"].decode().removeprefix(PREFIX)
                    self._local.publish(channel, json.loads(message["data"]))


async def _drain(queue: asyncio.Queue[Event]) -> Stream:
    while True:
        yield await queue.get()


def redis_py_url(url: str) -> str:
    """The same address as redis-py spells it: Celery's ``redis+socket://`` is its ``unix://``."""
    return url.replace("redis+socket://", "unix://", 1)
