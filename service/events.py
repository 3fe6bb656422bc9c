"""The events port: what happened, told to those who wait for it, after the commit; nothing is kept."""

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Any, Protocol

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.retry import Retry
from sqlalchemy.orm import Session

from service.db import on_commit

Event = dict[str, Any]
Stream = AsyncIterator[Event]

PREFIX = "accrue:"
RECONNECT_SECONDS = 0.5
PING_SECONDS = 10.0

logger = logging.getLogger(__name__)


class Events(Protocol):
    def publish(self, channel: str, event: Event) -> None:
        """Tell every subscriber of ``channel``, in any process."""

    def subscribe(self, channel: str) -> AbstractAsyncContextManager[Stream]:
        """From its start on, the events of ``channel`` are in the stream that this yields."""


class LocalEvents:
    """Events within one process; ``publish`` may be called from any thread."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[_Mailbox]] = defaultdict(set)

    def publish(self, channel: str, event: Event) -> None:
        for mailbox in tuple(self._waiting.get(channel, ())):
            mailbox.put(event)

    @asynccontextmanager
    async def subscribe(self, channel: str) -> AsyncIterator[Stream]:
        mailbox = _Mailbox()
        self._waiting[channel].add(mailbox)
        try:
            yield mailbox.stream()
        finally:
            self._waiting[channel].discard(mailbox)
            if not self._waiting[channel]:
                del self._waiting[channel]

    def end_streams(self) -> None:
        """End every stream that is open now: its reader has to look at the rows and ask again."""
        for mailboxes in tuple(self._waiting.values()):
            for mailbox in tuple(mailboxes):
                mailbox.put(None)


class _Mailbox:
    """The events that one subscriber has not read yet; filled from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue = asyncio.Queue[Event | None]()

    def put(self, event: Event | None) -> None:
        with suppress(RuntimeError):  # that loop has ended, and its subscriber with it
            self._loop.call_soon_threadsafe(self._queue.put_nowait, event)

    async def stream(self) -> Stream:
        while (event := await self._queue.get()) is not None:
            yield event


class RedisEvents:
    """Events between processes over Redis or Valkey: one listening connection for all subscribers.

    The process listens to every channel of ours, so that subscribing costs no round trip. When
    that connection breaks, events may have been missed: the open streams end.
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

    def end_streams(self) -> None:
        self._local.end_streams()

    async def close(self) -> None:
        self.end_streams()
        if self._listener is not None:
            self._listener.cancel()
            with suppress(asyncio.CancelledError):
                await self._listener
        self._sender.close()

    async def _listen(self) -> None:
        # Without retries of its own: redis-py would reconnect and say nothing of what was missed.
        never = AsyncRetry(NoBackoff(), 0)
        async with redis.asyncio.Redis.from_url(self._url, retry=never) as client:
            while True:
                try:
                    await self._relay(client)
                except (redis.RedisError, OSError) as error:
                    logger.warning("events.disconnected: %s", error)
                self._listening.clear()
                self.end_streams()
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _relay(self, client: redis.asyncio.Redis) -> None:
        async with client.pubsub() as pubsub:
            await pubsub.psubscribe(PREFIX + "*")
            quiet = 0
            while quiet < 2:  # the answer to our ping counts: silence means that nobody is there
                message = await pubsub.get_message(timeout=PING_SECONDS)
                if message is None:
                    quiet += 1
                    await pubsub.ping()
                    continue
                quiet = 0
                if message["type"] == "psubscribe":
                    self._listening.set()
                elif message["type"] == "pmessage":
                    channel = message["channel"].decode().removeprefix(PREFIX)
                    self._local.publish(channel, json.loads(message["data"]))


def project_channel(project_id: int) -> str:
    """The channel of what happens in a project."""
    return f"project:{project_id}"


def announce(session: Session, events: Events, project_id: int, state: str, **which: int) -> None:
    """Tell those who look at the project, after the commit, that annotations of it are in another state now.

    ``which`` says which ones, by the ids of what they have in common, never who or what: whoever may know
    more reads it.
    """
    event = {"kind": state, **which}
    on_commit(session, partial(events.publish, project_channel(project_id), event))


def redis_py_url(url: str) -> str:
    """The same address as redis-py spells it: Celery's ``redis+socket://`` is its ``unix://``."""
    return url.replace("redis+socket://", "unix://", 1)
