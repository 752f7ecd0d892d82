"""Where conversations are cached, told between processes through Redis: one message a second at most."""

import asyncio
import logging
import time

import msgspec
import redis.asyncio

from gateway.away import AWAY
from gateway.routing.sessions import Place, Sessions

logger = logging.getLogger(__name__)

CHANNEL = "turnpike:sessions"
EACH_S = 1.0
RETRY_S = 1.0
News = list[tuple[bytes, Place]]

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(News).decode


async def tell(sessions: Sessions, server: redis.asyncio.Redis) -> None:
    """For as long as the process runs. What cannot be told is lost: another process then asks the cheapest again."""
    while True:
        await asyncio.sleep(EACH_S)
        sessions.forget_old(time.monotonic())
        news = sessions.news()
        if news:
            try:
                await server.publish(CHANNEL, encode(news))
            except AWAY as error:
                logger.warning("conversations could not be told to other processes: %s", error)


async def listen(sessions: Sessions, server: redis.asyncio.Redis) -> None:
    while True:
        try:
            async with server.pubsub(ignore_subscribe_messages=True) as channel:
                await channel.subscribe(CHANNEL)
                async for message in channel.listen():
                    hear(sessions, message["data"])
        except AWAY as error:
            logger.warning("not listening to other processes: %s", error)
        await asyncio.sleep(RETRY_S)


def hear(sessions: Sessions, data: bytes) -> None:
    try:
        news = decode(data)
    except msgspec.DecodeError as error:
        # A process of another release.
        logger.warning("unreadable news of conversations: %s", error)
        return
    now = time.monotonic()
    for name, place in news:
        sessions.learn(name, place, now)
