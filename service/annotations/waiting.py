"""Waiting for an event on the event loop, without a connection and without a transaction."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any


async def wait_until(
    stream: AsyncIterator[dict[str, Any]], done: Callable[[dict[str, Any]], bool], seconds: float
) -> dict[str, Any] | None:
    """The first event that is ``done``; None after ``seconds``, or when events may have been missed."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for event in stream:
                if done(event):
                    return event
    return None
