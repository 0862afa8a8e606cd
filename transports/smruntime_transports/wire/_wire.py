"""One exchange, from waiting for a connection to the last byte, for sync and async sockets alike.

The methods of `Wire` are flows: they yield the small effects of `_waits`, which each IO answers in
its own way.

    send(effect)  =  run(wire.exchange(effect), io)     or     await run_async(wire.exchange(effect), io)

    pool ──> connection, idle or new ──> pump <──> exchange ──> response
      ^                                                             │
      └── release: kept if both messages ended where they must, else closed

A slot of the pool and its connection belong to one call. Errors, cancellations and interrupts all
leave through the same `finally`, which releases the slot; `_pool` explains why it does so twice.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict
from weakref import ref

from smruntime_core import ConstructionError, DispatchFailure, Response
from smruntime_core.effects import Flow, Open, Receive, Send, StreamingResponse
from smruntime_core.errors import Phase
from smruntime_core.http1 import Engine, Exchange
from smruntime_core.values import check_flag

from ..connect._connector import Connector
from ..connect._proxies import Proxies, Proxy
from ..nonblocking._connection import READ, Connection, Option, Route, options_of
from ..nonblocking._retry import not_sent
from ..nonblocking._time_limits import TimeLimits
from ..nonblocking._waiting import Wait, WaitTurn
from ._pool import MOST, Pool, Slot
from ._pump import AGAIN, pump
from ._upload_progress import Beside, beside

if TYPE_CHECKING:
    import ssl

    from ..connect._tls import TLS

EngineName: TypeAlias = Literal["native", "h11"]


class WireSettings(TypedDict, total=False):
    """The settings of every client over a wire.

    `engine` chooses the reader of responses ("native", or "h11" with the extra of that name). `tls`
    is a `TLS` or an `ssl.SSLContext` (default: the system's certificates). `max_connections` limits
    the connections to one host; further calls wait. `proxy` is the URL of a proxy; `trust_env` allows
    to look for one in the environment, as `_proxy` says. `socket_options` are set on every socket
    after ours (no delay, and TCP keep-alive after a minute of silence).
    """

    engine: EngineName
    tls: ssl.SSLContext | TLS | None
    max_connections: int
    proxy: str | Proxy | None
    trust_env: bool
    socket_options: Sequence[Option]


class Wire:
    """The connections of a client, and the flows of a request over one of them.

    Raises `ConstructionError` for settings that cannot work.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        settings: WireSettings | None = None,
        connector: Connector | None = None,
        pool: Pool | None = None,
    ) -> None:
        settings = settings or {}
        conceal(settings)
        self._clock = clock
        self._engine = load_engine(settings.get("engine", "native"))
        self._pool = pool or Pool(clock, settings.get("max_connections", MOST))
        self._connector = connector or connector_of(clock, settings)

    def exchange(self, effect: Send) -> Flow[Response]:
        """Send a request and receive the whole response.

        Raises `DispatchFailure`, or `ConstructionError` for a request that HTTP cannot carry.
        """
        exchange = Exchange(effect.request, self._engine, effect.max_body)
        limits = TimeLimits(self._clock, effect.timeout, effect.phases)
        slot, route = Slot(), self._connector.route(exchange.origin, effect.direct)
        try:
            try:
                self._pool.acquire(slot, route)
                connection = self._pool.take(slot, effect.fresh) if slot.called else None
                if connection is None:
                    connection = yield from self._connection(slot, route, exchange, effect, limits)
                else:
                    exchange.reused = True
                yield from self._converse(connection, exchange, limits, beside(exchange, effect), 0)
                slot.reusable = exchange.reusable()
                return exchange.response()
            finally:
                self._pool.release(slot)
        finally:
            if slot.shared is not None:
                self._pool.release(slot)  # completes a release that an interrupt cut short

    def open(self, effect: Open) -> Flow[StreamingResponse]:
        """Send a request and receive the head of its response; raises like `exchange`."""
        exchange = Exchange(effect.request, self._engine)
        exchange.until = "head"
        limits = TimeLimits(self._clock, effect.timeout, effect.phases)
        aside = beside(exchange, effect)
        slot, route = Slot(), self._connector.route(exchange.origin, False)
        try:
            try:
                self._pool.acquire(slot, route)
                connection = self._pool.take(slot, effect.fresh) if slot.called else None
                if connection is None:
                    connection = yield from self._connection(slot, route, exchange, effect, limits)
                else:
                    exchange.reused = True
                yield from self._converse(connection, exchange, limits, aside, 0)
                head = exchange.head
                assert head is not None, "the pump stopped early"  # noqa: S101 - our mistake, not a peer's
                # the body of an error is read as a whole
                exchange.until = "piece" if head.status < 300 else "end"
                body = OpenBody(self._pool, slot, connection, exchange, aside)
                return StreamingResponse(
                    head.status, head.headers, body
                )  # the slot is now the body's
            except BaseException:
                self._pool.release(slot)
                raise
        except BaseException:
            self._pool.release(slot)  # completes a release that an interrupt cut short
            raise

    def receive(self, effect: Receive) -> Flow[bytes]:
        """Return the next piece of an open body, b"" at its end; raises `DispatchFailure`."""
        body = effect.body
        assert isinstance(body, OpenBody), "opened by this IO"  # noqa: S101 - a mistake of the caller's
        try:
            try:
                if not body.begin():
                    return b""
                data = yield from self._piece(body, effect)
                body.more = bool(data)
                return data
            finally:
                body.end()
        finally:
            body.end()  # completes an end that an interrupt cut short

    def _piece(self, body: OpenBody, effect: Receive) -> Flow[bytes]:
        exchange = body.exchange
        limits = TimeLimits(self._clock, effect.timeout, effect.phases)
        if limits.over():
            raise exchange.failure("timeout", "the time for the whole call is over")
        if exchange.needs_data():
            aside = body.aside if exchange.bytes_to_supply else None
            yield from self._converse(body.connection, exchange, limits, aside, READ)
        data = exchange.take()
        body.slot.reusable = not data and exchange.reusable()
        return data

    def _connection(
        self, slot: Slot, route: Route, exchange: Exchange, effect: Send | Open, limits: TimeLimits
    ) -> Flow[Connection]:
        """Wait until `slot` is granted; return an idle connection or a new one."""
        if not slot.called:
            yield from self._turn(slot, limits)
            if connection := self._pool.take(slot, effect.fresh):
                exchange.reused = True
                return connection
        try:
            slot.connection = yield from self._connector.connect(route, limits)
        except DispatchFailure as failure:
            direct = isinstance(effect, Send) and effect.direct
            if not (direct or self._connector.proxies):
                from ..connect._unused_variables import advise  # only a failure costs it

                advise(failure, exchange.origin, os.environ)
            raise
        return slot.connection

    def _turn(self, slot: Slot, limits: TimeLimits) -> Flow[None]:
        longest = limits.phases.pool
        yield from WaitTurn(slot, limits.left(limits.end(longest)))
        if not slot.called:
            waited = f"no connection became free in time (timeouts.pool={longest})"
            remedy = "raise max_connections or make fewer calls at once"
            raise not_sent("timeout", "pool", f"{waited}: {remedy}")

    def _converse(
        self,
        connection: Connection,
        exchange: Exchange,
        limits: TimeLimits,
        aside: Beside | None,
        ready: int,
    ) -> Flow[None]:
        if limits.last is not None and limits.over() and not exchange.bytes_sent:
            raise exchange.failure("timeout", "no time is left to send the request")
        try:
            while mask := pump(exchange, connection, ready):
                if aside is not None:
                    mask = yield from aside.between(mask)
                again, seconds = mask & AGAIN, limits.patience(exchange)
                ready = 0
                if seconds != 0:  # no `yield from`: the reply is a number, never a failure to raise
                    seconds = 0.0 if again else seconds
                    ready = again | (yield Wait(connection, mask ^ again, seconds))  # type: ignore[operator]
                if not ready:
                    exchange.fail("timeout", _LATE[exchange.phase])
                    break
        except DispatchFailure as failure:
            failure.silence = limits.silence
            raise
        if aside is not None:
            aside.tell()

    def trust(self, ca_bundle: str | None) -> None:
        """Trust the certificates in `ca_bundle` from now on, unless the caller chose others."""
        self._connector.trust(ca_bundle)

    def close(self) -> None:
        """Close every idle connection; those in use are closed after their calls."""
        self._pool.close()


class OpenBody:
    """The body of a response that is being read, with its connection.

    One task or thread reads; any may abort. While another one reads, `abort` only shuts the
    connection down: the reader wakes up and releases the slot. (If `abort` closed the socket, the
    reader could wait on another one that got the same number.) A forgotten body releases its slot.
    """

    more = False  # after a read: there may be more to read
    _reading = _over = False

    def __init__(
        self,
        pool: Pool,
        slot: Slot,
        connection: Connection,
        exchange: Exchange,
        aside: Beside | None,
    ) -> None:
        self.slot = slot
        self.connection = connection
        self.exchange = exchange
        self.aside = aside
        self._pool = pool
        self._lock = (
            threading.RLock()
        )  # reentrant: the garbage collector may close a flow that reads
        # no `__del__`, which would run after every stream, and swallow an interrupt
        slot.finalizer = ref(self, lambda _: pool.release(slot))

    def begin(self) -> bool:
        """Begin to read, until `end`; return False if the body is over."""
        self.more = False
        with self._lock:
            self._reading = not self._over
            return self._reading

    def end(self) -> None:
        """End the read; unless there is `more`, the body is over. May be called twice."""
        with self._lock:
            if self._over:  # aborted during the read
                self.slot.reusable = False
            self._over = self._over or not self.more
            self._reading = False
        if self._over:
            self._release()

    def abort(self) -> None:
        """Read no more. The connection is closed unless the body was read to its end."""
        with self._lock:
            self._over = True
            if self._reading:
                self.connection.hang_up()
                return
        self._release()

    def _release(self) -> None:
        self._pool.release(self.slot)
        self.slot.finalizer = None


_LATE: dict[Phase, str] = {
    "send": "the server takes no more of the request (timeouts.idle)",
    "head": "no response in time (timeouts.response); the model may have run",
    "body": "the response stalled (timeouts.idle)",
}


def conceal(settings: WireSettings) -> None:
    """Replace the URL of a proxy, which may hold a password; raises `ConstructionError`."""
    if settings.get("proxy") is not None:
        settings["proxy"] = Proxy.of(settings.pop("proxy"))


def proxies_of(settings: WireSettings) -> Proxies:
    """Return the proxies that `settings` allow, after `conceal`."""
    proxy = settings.get("proxy")
    trusting = check_flag("trust_env", settings.get("trust_env", False))
    try:
        return Proxies(None if proxy is None else Proxy.of(proxy), os.environ if trusting else None)
    except ConstructionError as refusal:
        raise refusal.with_traceback(None) from None  # there, locals hold the environment


def connector_of(
    clock: Callable[[], float], settings: WireSettings, make: Callable[..., Connector] = Connector
) -> Connector:
    """Return the connector that `settings`, after `conceal`, describe."""
    options = options_of(settings.get("socket_options", ()))
    return make(clock, settings.get("tls"), proxies_of(settings), options=options)


def load_engine(name: EngineName) -> Engine | None:
    """Return the reader of bodies called `name`; None is our own."""
    if name == "native":
        return None
    if name != "h11":
        raise ConstructionError("engine", '"native" or "h11"')
    from ._h11_engine import h11_engine

    return h11_engine
