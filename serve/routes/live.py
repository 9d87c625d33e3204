"""`/v1/live`: alerts, windows and posts as they come, over Server-Sent Events and over a WebSocket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Header, Path, Query, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from serve.routes.gate import Caller
from serve.routes.params import Values
from serve.routes.problems import Problem
from serve.routes.wiring import DeskOf
from streamwatch.desk.desk import Desk
from streamwatch.desk.live import CHANNELS, Channel, Feed, FellBehind, Subscription, Told, Wanted
from streamwatch.desk.live_reader import KEYS, LiveReader
from streamwatch.desk.positions import read_position
from streamwatch.errors import BadRecord

router = APIRouter(tags=["live"])
sockets = APIRouter()

BEAT_S = 15.0
LOOK_EVERY_S = 1.0
READY_WAIT_S = 10.0
RETRY_MS = 2_000
EVENT_NAMES: dict[Channel, str] = {"alerts": "alert", "windows": "window", "posts": "posts"}
TRY_LATER = 1013
POLICY_VIOLATION = 1008
STREAM: dict[str, Any] = {
    "content": {
        "text/event-stream": {
            "schema": {"type": "string"},
            "example": 'id: 0-120\nevent: alert\ndata: {"schema":"alert.v1","fingerprint":"8c1f0a63d27be954"}\n\n',
        }
    },
    "description": "Events `alert` (alert.v1), `window` (window.v1) or `posts` (a list of posts), until the client "
    "goes. `cut` says that the client was too slow, `signed-out` that its token has ended.",
}


class LiveParams(BaseModel):
    """Of each key that is named, an item must have one of the values. Each channel has its own keys."""

    model_config = ConfigDict(extra="forbid")

    monitor: Values = Field(default_factory=list, description="alerts, windows")
    group: Values = Field(default_factory=list, description="alerts, windows")
    severity: Values = Field(default_factory=list, description="alerts")
    status: Values = Field(default_factory=list, description="alerts")
    fingerprint: Values = Field(default_factory=list, description="alerts")
    incident: Values = Field(default_factory=list, description="alerts")
    entity: Values = Field(default_factory=list, description="posts")
    topic: Values = Field(default_factory=list, description="posts")
    intent: Values = Field(default_factory=list, description="posts")
    source: Values = Field(default_factory=list, description="posts")
    lang: Values = Field(default_factory=list, description="posts")
    sentiment: Values = Field(default_factory=list, description="posts")
    last_event_id: str | None = Field(None, max_length=10_000, description="As the header `Last-Event-ID`.")


class Subscribe(msgspec.Struct, forbid_unknown_fields=True):
    """What a WebSocket's client sends to get a channel."""

    subscribe: Literal["alerts", "windows", "posts"]
    filters: dict[str, list[str]] = msgspec.field(default_factory=dict)
    last_event_id: str | None = None


@router.get("/v1/live/{channel}", response_class=StreamingResponse, responses={200: STREAM}, summary="What comes, live")
async def live(
    desk: DeskOf,
    caller: Caller,
    channel: Annotated[Channel, Path()],
    params: Annotated[LiveParams, Query()],
    last_event_id: Annotated[str | None, Header(max_length=10_000)] = None,
) -> StreamingResponse:
    """Send what comes on a channel as Server-Sent Events.

    A client that comes back with the last id it saw (a browser sends it by itself) misses nothing and gets nothing
    twice; without one it begins with what comes next. A beat every 15 s keeps the id of a quiet client fresh.
    """
    wanted = {name: values for name, values in params.model_dump().items() if values and name != "last_event_id"}
    reader = _reader(desk)
    subscription = await _subscribe(reader, channel, wanted, last_event_id or params.last_event_id)
    events = _events(desk, reader, channel, subscription, caller.token_id)
    return StreamingResponse(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def _reader(desk: Desk) -> LiveReader:
    if desk.live is None:
        message = "this desk has no connection to Kafka, so nothing is live; `streamwatch run` serves one that has"
        raise Problem(503, message)
    return desk.live


async def _subscribe(reader: LiveReader, channel: Channel, wanted: Wanted, last: str | None) -> Subscription:
    """Return a subscription to a channel.

    Raises:
        Problem: A key is not one of the channel's, the last id is none of ours, or the stream is not there yet.
    """
    unknown = sorted(wanted.keys() - set(KEYS[channel]))
    if unknown:
        message = f"query.{unknown[0]}: found on {channel}, which can be chosen by {', '.join(KEYS[channel])}"
        raise Problem(422, message)
    try:
        position = read_position(last) if last else None
    except BadRecord as error:
        raise Problem(422, str(error)) from error
    feed = reader.feeds[channel]
    await _wait_until_ready(feed)
    return Subscription(feed, wanted, position)


async def _wait_until_ready(feed: Feed) -> None:
    deadline = time.monotonic() + READY_WAIT_S
    while not feed.ready:
        if time.monotonic() > deadline:
            message = "the stream cannot be read yet: the broker does not answer"
            raise Problem(503, message, headers={"Retry-After": "5"})
        await asyncio.sleep(0.05)


async def _events(
    desk: Desk, reader: LiveReader, channel: Channel, subscription: Subscription, token_id: str
) -> AsyncIterator[bytes]:
    """Yield what comes as the lines of an event stream."""
    yield f"retry: {RETRY_MS}\nid: {subscription.position}\n: hello\n\n".encode()
    beaten = time.monotonic()
    while not reader.stopping:
        try:
            told = await subscription.take(LOOK_EVERY_S)
        except FellBehind as error:
            yield _event("cut", subscription.position, msgspec.json.encode({"reason": str(error)}))
            return
        if told:
            yield b"".join(_lines(channel, one) for one in told)
        if time.monotonic() - beaten >= BEAT_S:
            beaten = time.monotonic()
            if desk.tokens.by_id(token_id) is None:
                yield _event("signed-out", subscription.position, b"{}")
                return
            yield f"id: {subscription.position}\n: beat\n\n".encode()


def _lines(channel: Channel, told: Told) -> bytes:
    if channel == "posts":
        return _event(EVENT_NAMES[channel], told.position, b"[" + b",".join(told.items) + b"]")
    return b"".join(_event(EVENT_NAMES[channel], told.position, item) for item in told.items)


def _event(name: str, position: str, data: bytes) -> bytes:
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (position.encode(), name.encode(), data)


@sockets.websocket("/v1/live")
async def live_socket(socket: WebSocket, desk: DeskOf, caller: Caller) -> None:
    """Send what comes on the channels that the client subscribes to.

    It sends `{"subscribe": "alerts", "filters": {"severity": ["page"]}, "last_event_id": null}` and gets
    `{"channel": "alerts", "id": "0-120", "items": [...]}`; `error` says what is wrong with what it sent.
    """
    await socket.accept()
    sends = asyncio.Lock()
    tasks: dict[Channel, asyncio.Task[None]] = {}
    try:
        async for text in socket.iter_text():
            try:
                asked, subscription = await _asked(desk, text)
            except Problem as problem:
                await _send(socket, sends, {"error": problem.detail})
                continue
            if before := tasks.pop(asked.subscribe, None):
                before.cancel()
            pump = _pump(socket, sends, desk, subscription, asked.subscribe, caller.token_id)
            tasks[asked.subscribe] = asyncio.create_task(pump)
    finally:
        for task in tasks.values():
            task.cancel()


async def _asked(desk: Desk, text: str) -> tuple[Subscribe, Subscription]:
    try:
        asked = msgspec.json.decode(text, type=Subscribe)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        message = f'found {text[:80]!r}, expected {{"subscribe": one of {", ".join(CHANNELS)}}}: {error}'
        raise Problem(422, message) from error
    return asked, await _subscribe(_reader(desk), asked.subscribe, asked.filters, asked.last_event_id)


async def _pump(
    socket: WebSocket, sends: asyncio.Lock, desk: Desk, subscription: Subscription, channel: Channel, token_id: str
) -> None:
    """Send what comes on one channel until the client goes, is too slow, or its token ends."""
    looked = time.monotonic()
    while not _reader(desk).stopping:
        try:
            told = await subscription.take(LOOK_EVERY_S)
        except FellBehind as error:
            await _send(socket, sends, {"channel": channel, "cut": str(error), "id": subscription.position})
            await socket.close(TRY_LATER)
            return
        for one in told:
            items = [msgspec.Raw(item) for item in one.items]
            await _send(socket, sends, {"channel": channel, "id": one.position, "items": items})
        if time.monotonic() - looked >= BEAT_S:
            looked = time.monotonic()
            if desk.tokens.by_id(token_id) is None:
                await socket.close(POLICY_VIOLATION)
                return
            await _send(socket, sends, {"channel": channel, "id": subscription.position, "items": []})


async def _send(socket: WebSocket, sends: asyncio.Lock, message: Mapping[str, object]) -> None:
    async with sends:
        try:
            await socket.send_text(msgspec.json.encode(message).decode())
        except (WebSocketDisconnect, RuntimeError) as error:  # the client has gone
            raise asyncio.CancelledError from error
