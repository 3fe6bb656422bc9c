"""Waiting for an event on the event loop, without a connection and without a transaction."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any


async def wait_until(
    stream: AsyncIterator[dict[str, Any]], done: Callable[[dict[str, Any]], bool], seconds: float
) -> None:
    """Return at the first event that is ``done``, or after ``seconds``; the rows say which."""
    try:
        async with asyncio.timeout(seconds):
            async for event in stream:
                if done(event):
                    return
    except TimeoutError:
        return
