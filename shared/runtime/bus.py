"""
NATS: typed publishing, durable consuming, questions and answers. The only file that imports nats.

Facts with a reader that must not miss them lie in JetStream, one stream for each subject, kept until each of its
readers has acknowledged them (interest retention). All durable consumers are created by whoever connects first, so a
fact published before its reader has started is kept too.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.js import api
from nats.js.errors import APIError, BadRequestError, NotFoundError

from shared import subjects
from shared.errors import ConfigError, Malformed, Unavailable
from shared.subjects import Request, Subject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

M = TypeVar("M")
R = TypeVar("R")

RETRY_S: Final = 0.5
ACK_WAIT_S: Final = 30
PUBLISH_TIMEOUT_S: Final = 5.0
GONE: Final = (NatsError, APIError, OSError, TimeoutError, asyncio.TimeoutError)
"""What nats raises when the server is away or not yet ready."""


class Delivery(Generic[M]):
    """
    A message out of JetStream, to be acknowledged once its effects are safe.
    """

    def __init__(self, message: M, raw: Msg) -> None:
        self.message: Final = message
        self._raw: Final = raw

    @property
    def published_ns(self) -> int:
        """
        Return when JetStream stored it, in unix nanoseconds.
        """
        return int(self._raw.metadata.timestamp.timestamp() * 1e9)

    async def done(self) -> None:
        """
        Acknowledge: it need not be delivered again; a lost acknowledgement only means one more delivery.
        """
        with contextlib.suppress(*GONE):
            await self._raw.ack()

    async def working(self) -> None:
        """
        Ask for more time before it is delivered again.
        """
        with contextlib.suppress(*GONE):
            await self._raw.in_progress()


class Bus:
    """
    One connection to NATS, which comes back by itself; until NATS is reached for the first time, nothing leaves.
    """

    def __init__(self, client: Client | None = None) -> None:
        self._reached: Final = asyncio.Event()
        self._wanted: list[tuple[str, Callable[[Msg], Awaitable[None]]]] = []
        self.malformed = 0
        """Messages that were not what their subject promises: dropped and counted."""
        if client is not None:
            self._attach(client)

    def _attach(self, client: Client) -> None:
        self._client = client
        self._jetstream: JetStreamContext = client.jetstream(timeout=PUBLISH_TIMEOUT_S)
        self._reached.set()

    async def reach(
        self, url: str, *, name: str, user: str = "", password: str = "", waiting: Callable[[str], None] | None = None
    ) -> None:
        """
        Connect, for as long as it takes; what was subscribed to before is heard from then on.

        Raises:
            ConfigError: NATS refuses the credentials, or has no JetStream.
        """
        found = await connect(url, name=name, user=user, password=password, waiting=waiting)
        self._attach(found._client)
        while self._wanted:
            await self._subscribe(*self._wanted.pop(0))

    @property
    def reached(self) -> bool:
        """
        Return whether there ever was a connection.
        """
        return self._reached.is_set()

    @property
    def connected(self) -> bool:
        """
        Return whether the connection stands now.
        """
        return self.reached and self._client.is_connected

    @property
    def max_payload_bytes(self) -> int:
        """
        Return the most that one message may hold.
        """
        return self._client.max_payload

    async def publish(self, subject: Subject[M], message: M, *, key: str = "") -> None:
        """
        Store *message* in JetStream; a second one with the same *key* within two minutes is dropped by the server.

        Raises:
            Unavailable: NATS is away or refuses because the stream is full; the message may or may not be stored.
        """
        headers = {"Nats-Msg-Id": key} if key else None
        self._must_be_reached()
        try:
            await self._jetstream.publish(
                subject.name, subject.encode(message), timeout=PUBLISH_TIMEOUT_S, headers=headers
            )
        except GONE as error:
            raise Unavailable(f"NATS did not store {subject.name}: {_words(error)}") from error

    async def publish_surely(self, subject: Subject[M], message: M, *, key: str) -> None:
        """
        Store *message* in JetStream, trying again for as long as that fails; *key* keeps it from being there twice.
        """
        while True:
            with contextlib.suppress(Unavailable):
                await self.publish(subject, message, key=key)
                return
            await asyncio.sleep(RETRY_S)

    async def emit(self, subject: Subject[M], message: M) -> bool:
        """
        Send *message* to whoever listens now; return whether it left.
        """
        if not self.connected:
            return False
        try:
            await self._client.publish(subject.name, subject.encode(message))
        except GONE:
            return False
        return True

    async def listen(self, subject: Subject[M], handle: Callable[[M], Awaitable[None]]) -> None:
        """
        Call *handle* with each message on *subject* from now on.
        """

        async def received(raw: Msg) -> None:
            try:
                message = subject.decode(raw.data)
            except Malformed:
                self.malformed += 1
                return
            await handle(message)

        await self._subscribe(subject.name, received)

    async def _subscribe(self, name: str, received: Callable[[Msg], Awaitable[None]]) -> None:
        if self.reached:
            await self._client.subscribe(name, cb=received, pending_msgs_limit=10_000)
        else:
            self._wanted.append((name, received))

    def _must_be_reached(self) -> None:
        if not self.reached:
            raise Unavailable("NATS was not reached yet: see /readyz")

    async def consume(self, subject: Subject[M], service: str, *, most: int = 64) -> AsyncIterator[Delivery[M]]:
        """
        Yield the messages that *service* has not yet acknowledged, oldest first, until this connection is closed.
        """
        await self._reached.wait()
        while True:
            try:
                subscription = await self._jetstream.pull_subscribe_bind(durable=service, stream=subject.stream)
                while True:
                    for raw in await _fetch(subscription, most):
                        try:
                            message = subject.decode(raw.data)
                        except Malformed:
                            self.malformed += 1
                            await raw.term()
                            continue
                        yield Delivery(message, raw)
            except NotFoundError:
                await self.prepare()
            except GONE:
                if self._client.is_closed:  # nats turns a cancellation into this error once it is closed
                    return
                await asyncio.sleep(RETRY_S)

    async def pending(self, subject: Subject[M], service: str) -> int:
        """
        Return how many messages *service* has not acknowledged.

        NATS notices only later that a message it has stored is pending: so places in the stream are compared too.

        Raises:
            Unavailable: NATS does not answer.
        """
        self._must_be_reached()
        try:
            state = (await self._jetstream.stream_info(subject.stream)).state
            information = await self._jetstream.consumer_info(subject.stream, service)
        except GONE as error:
            raise Unavailable(f"NATS does not tell about {subject.stream}: {error}") from error
        delivered = information.delivered.stream_seq if information.delivered else 0
        undelivered = max(information.num_pending or 0, state.last_seq - delivered if state.messages else 0)
        return undelivered + (information.num_ack_pending or 0)

    async def ask(self, request: Request[M, R], message: M, *, timeout_s: float = 5.0) -> R:
        """
        Return the answer to *message*.

        Raises:
            Unavailable: nobody answers in time.
        """
        self._must_be_reached()
        try:
            raw = await self._client.request(request.name, request.ask.encode(message), timeout=timeout_s)
        except NoRespondersError as error:
            raise Unavailable(f"nobody answers {request.name}: is the service that owns it running?") from error
        except GONE as error:
            raise Unavailable(f"no answer to {request.name} within {timeout_s:g} s") from error
        return request.answer.decode(raw.data)

    async def serve(self, request: Request[M, R], handle: Callable[[M], Awaitable[R]]) -> None:
        """
        Answer each *request* with what *handle* returns.
        """

        async def received(raw: Msg) -> None:
            try:
                message = request.ask.decode(raw.data)
            except Malformed:
                self.malformed += 1
                return
            with contextlib.suppress(*GONE):
                await raw.respond(request.answer.encode(await handle(message)))

        await self._subscribe(request.name, received)

    async def prepare(self) -> None:
        """
        Create the streams and durable consumers that are not there yet; what is there is kept.
        """
        for subject in subjects.SUBJECTS:
            if not subject.kept_for:
                continue
            await self._ensure_stream(subject)
            for service in subject.kept_for:
                await self._ensure_consumer(subject, service)

    async def _ensure_stream(self, subject: Subject[object]) -> None:
        wanted = api.StreamConfig(
            name=subject.stream,
            subjects=[subject.name],
            retention=api.RetentionPolicy.INTEREST,
            storage=api.StorageType.FILE,
            max_bytes=subject.limit_bytes,
            discard=api.DiscardPolicy.NEW if subject.refuse_when_full else api.DiscardPolicy.OLD,
            duplicate_window=120,
        )
        try:
            await self._jetstream.stream_info(subject.stream)
        except NotFoundError:
            with contextlib.suppress(BadRequestError):  # another service was quicker
                await self._jetstream.add_stream(wanted)

    async def _ensure_consumer(self, subject: Subject[object], service: str) -> None:
        try:
            await self._jetstream.consumer_info(subject.stream, service)
        except NotFoundError:
            await self._jetstream.add_consumer(
                subject.stream,
                api.ConsumerConfig(
                    durable_name=service,
                    ack_policy=api.AckPolicy.EXPLICIT,
                    ack_wait=ACK_WAIT_S,
                    max_ack_pending=20_000,
                    max_deliver=-1,
                ),
            )

    async def close(self) -> None:
        """
        Say goodbye.
        """
        if self.reached:
            with contextlib.suppress(*GONE):
                await self._client.close()


async def _fetch(subscription: JetStreamContext.PullSubscription, most: int) -> list[Msg]:
    try:
        return await subscription.fetch(most, timeout=2)
    except TimeoutError:
        return []


async def connect(
    url: str, *, name: str, user: str = "", password: str = "", waiting: Callable[[str], None] | None = None
) -> Bus:
    """
    Return a connection to NATS with all streams in place, waiting for as long as it is away.

    Raises:
        ConfigError: NATS refuses the credentials, or has no JetStream.
    """
    told = False
    while True:
        client = Client()
        try:
            await client.connect(
                url,
                name=name,
                user=user or None,
                password=password or None,
                max_reconnect_attempts=1,
                reconnect_time_wait=1,
                connect_timeout=2,
                ping_interval=5,
                max_outstanding_pings=2,
                allow_reconnect=False,  # a first try that fails is told, not repeated in silence
                error_cb=_quiet,
            )
            client.options.update(allow_reconnect=True, max_reconnect_attempts=-1)
            bus = Bus(client)
            await bus.prepare()
        except GONE as error:
            await client.close()
            if "authorization" in str(error).lower():
                raise ConfigError(
                    f"NATS at {url} refuses the credentials: set MESHLENS_NATS_USER and _PASSWORD"
                ) from error
            if not told and waiting is not None:
                waiting(f"NATS with JetStream at {url} ({_words(error)})")
                told = True
            await asyncio.sleep(RETRY_S)
        else:
            if told and waiting is not None:
                waiting("")
            return bus


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


async def _quiet(_error: Exception) -> None:
    """
    Leave the telling to `Bus.connected`: nats would print a trace for every try.
    """
