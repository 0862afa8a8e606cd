"""One exchange from the queue of the pool to the last byte, written once for blocking and asynchronous sockets.

It is a flow like the conversation above it, only its effects are smaller (`_waits`). An IO answers them beside `credentials`, `send`
and `sleep`, and the same two loops drive it:

    send(effect)  =  run(wire.exchange(effect), io)        or        await run_async(wire.exchange(effect), io)

    pool ──> connection, kept or new ──> pump <──> exchange ──> response
      ^                                                             │
      └── give back: kept if both messages ended where they must, else dropped, which never waits

A place in the pool and a connection belong to one call until it leaves; an error, a cancellation that closes the generator and
`KeyboardInterrupt` leave through the same `finally`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict

from smruntime_core import ConstructionError, DispatchFailure, Flow, Open, Receive, Response, Send, StreamingResponse
from smruntime_core.errors import Phase
from smruntime_core.http1 import Engine, Exchange
from smruntime_core.values._rules import flag

from ..connect._connector import Connector
from ..connect._proxies import Proxies, Proxy
from ..nonblocking._connection import READ, Connection, Option, options_of
from ..nonblocking._retry import not_sent
from ..nonblocking._waiting import Turn, Wait
from ._pool import MOST, Origin, Pool
from ._pump import AGAIN, pump
from ._time_limits import Limits
from ._upload_progress import Beside, beside

if TYPE_CHECKING:
    import ssl

    from ..connect._tls import TLS

EngineName: TypeAlias = Literal["native", "h11"]


class WireSettings(TypedDict, total=False):
    """What every client over a wire takes besides.

    `engine` chooses who reads responses ("native", or "h11" with the extra of that name). `tls` is a `TLS` or an `ssl.SSLContext`
    (default: the system's certificates). `max_connections` is how many there may be to one host: who comes then waits in line.
    `proxy` is the URL of a proxy to go through; `trust_env` allows to look for one in the environment, as `_proxy` says.
    `socket_options` are set on every socket after ours: no delay, and TCP keep-alive after a minute of silence.
    """

    engine: EngineName
    tls: ssl.SSLContext | TLS | None
    max_connections: int
    proxy: str | Proxy | None
    trust_env: bool
    socket_options: Sequence[Option]


class Wire:
    """The connections of a client and how a request travels on one. Raises `ConstructionError` for settings that cannot work."""

    def __init__(self, clock: Callable[[], float], settings: WireSettings | None = None) -> None:
        settings = settings or {}
        conceal(settings)
        self._clock = clock
        self._engine = load_engine(settings.get("engine", "native"))
        self._pool = Pool(clock, settings.get("max_connections", MOST))
        options = options_of(settings.get("socket_options", ()))
        self._connector = Connector(clock, settings.get("tls"), proxies_of(settings), options=options)

    def exchange(self, effect: Send) -> Flow[Response]:
        """Send and receive; raises `DispatchFailure`, or `ConstructionError` for a request that HTTP cannot carry."""
        exchange = Exchange(effect.request, self._engine, effect.max_body)
        limits = Limits(self._clock, effect.timeout, effect.phases)
        connection = None if effect.fresh else self._pool.take(exchange.origin)
        if connection is None:
            connection = yield from self._connection(exchange, effect, limits)
        else:
            exchange.reused = True
        keep = False
        try:
            yield from self._converse(connection, exchange, limits, beside(exchange, effect), 0)
            keep = exchange.reusable()
            return exchange.response()
        finally:
            self._pool.give_back(exchange.origin, connection, keep)

    def open(self, effect: Open) -> Flow[StreamingResponse]:
        """Send, and receive no more than the head; raises like `exchange`."""
        exchange = Exchange(effect.request, self._engine)
        exchange.until = "head"
        limits = Limits(self._clock, effect.timeout, effect.phases)
        aside = beside(exchange, effect)
        connection = None if effect.fresh else self._pool.take(exchange.origin)
        if connection is None:
            connection = yield from self._connection(exchange, effect, limits)
        else:
            exchange.reused = True
        body = OpenBody(self._pool, exchange, connection, aside)
        try:
            yield from self._converse(body.connection, exchange, limits, aside, 0)
            head = exchange.head
            assert head is not None, "the pump stops before its time"  # noqa: S101 - a mistake of ours, not a peer's
        except BaseException:
            body.abort()
            raise
        exchange.until = "piece" if head.status < 300 else "end"  # nobody reads an error while it comes, and it may drip
        return StreamingResponse(head.status, head.headers, body)

    def receive(self, effect: Receive) -> Flow[bytes]:
        """The next piece of an open body; its connection is put back with the last one. Raises `DispatchFailure`."""
        body = effect.body
        assert isinstance(body, OpenBody), "a body that this IO opened"  # noqa: S101 - a mistake of the caller's
        if not body.begin():
            return b""
        exchange, whole = body.exchange, False
        try:
            limits = Limits(self._clock, effect.timeout, effect.phases)
            if limits.over():
                raise exchange.failure("timeout", "the time for the whole call is over")
            if exchange.hungry():
                aside = body.aside if exchange.owed else None
                yield from self._converse(body.connection, exchange, limits, aside, READ)
            data = exchange.take()
            whole = True
        finally:
            body.pause()
            if not whole:
                body.abort()
        if not data:
            body.end(exchange.reusable())
        return data

    def _connection(self, exchange: Exchange, effect: Send | Open, limits: Limits) -> Flow[Connection]:
        """A new one, or after standing in line one that came free. Whoever gets one must give it back."""
        pool, origin = self._pool, exchange.origin
        place = pool.enter(origin)
        settled = False
        try:
            if place is not None:
                yield from Turn(place, limits.left(limits.end(limits.phases.pool)))
                if not place.called:
                    raise not_sent("timeout", "pool", "every connection was in use for too long")
                if place.connection is not None:
                    if not effect.fresh and place.connection.usable(self._clock()):
                        exchange.reused = settled = True
                        return place.connection
                    place.connection.drop()
                    place.connection = None  # but its place is ours
            try:
                connection = yield from self._connect(exchange, effect, limits)
            except DispatchFailure as failure:
                self._advise(failure, exchange.origin, effect)
                raise
            settled = True
            return connection
        finally:
            if not settled:
                pool.leave(origin) if place is None else pool.give_up(origin, place)

    def _advise(self, failure: DispatchFailure, origin: Origin, effect: Send | Open) -> None:
        """Name a proxy or certificates that the environment has and this wire does not use."""
        if not (direct(effect) or self._connector.proxies):
            from .._unread import advise

            advise(failure, origin, os.environ)

    def _connect(self, exchange: Exchange, effect: Send | Open, limits: Limits) -> Flow[Connection]:
        """A new connection; the place in the pool is there."""
        return self._connector.connect(exchange.origin, limits, direct=direct(effect))

    def _converse(self, connection: Connection, exchange: Exchange, limits: Limits, aside: Beside | None, ready: int) -> Flow[None]:
        if limits.last is not None and limits.over() and not exchange.bytes_sent:
            raise exchange.failure("timeout", "no time is left to send the request")
        try:
            while mask := pump(exchange, connection, ready):
                if aside is not None:
                    mask = yield from aside.between(mask)
                again, seconds = mask & AGAIN, limits.patience(exchange)
                ready = 0
                if seconds != 0:  # no `yield from`: what a wait comes to is a number, and never a failure to be raised
                    ready = again | (yield Wait(connection, mask ^ again, 0.0 if again else seconds))  # type: ignore[operator]  # a number
                if not ready:
                    exchange.fail("timeout", _LATE[exchange.phase])
                    break
        except DispatchFailure as failure:
            failure.silence = limits.silence
            raise
        if aside is not None:
            aside.tell()

    def trust(self, ca_bundle: str | None) -> None:
        """Certificates for connections to come, unless a context of the caller's was given."""
        self._connector.trust(ca_bundle)

    def close(self) -> None:
        """Drop every idle connection; those in use are dropped when they are done."""
        self._pool.close()


class OpenBody:
    """A body that is being read, and the connection that it comes by, until it is over.

    Any thread or task may end it. Who is waiting for its next piece then is woken by the connection's end and closes it, for nobody else
    may: the number of a closed socket is soon another's. Whoever forgets a body has ended it.
    """

    def __init__(self, pool: Pool, exchange: Exchange, connection: Connection, aside: Beside | None) -> None:
        self.exchange = exchange
        self.connection = connection
        self.aside = aside
        self._pool = pool
        self._over = self._busy = False
        self._lock = threading.Lock()

    def begin(self) -> bool:
        """Somebody reads, until `pause`; False if it is over."""
        with self._lock:
            self._busy = not self._over
            return self._busy

    def pause(self) -> None:
        """Nobody reads now."""
        with self._lock:
            self._busy = False
            orphan = self._over
        if orphan:
            self._pool.give_back(self.exchange.origin, self.connection, False)

    def end(self, keep: bool) -> None:
        """Nothing more is read; the connection may serve again if `keep` says so."""
        with self._lock:
            if self._over:
                return
            self._over = True
            if self._busy:
                self.connection.hang_up()
                return
        self._pool.give_back(self.exchange.origin, self.connection, keep)

    def abort(self) -> None:
        """Close the connection, for what is left of the body would be the next answer's beginning."""
        self.end(False)

    __del__ = abort


_LATE: dict[Phase, str] = {
    "send": "the server does not take the request",
    "head": "no answer in time",
    "body": "the answer stalled",
}


def direct(effect: Send | Open) -> bool:
    """No proxy may see it."""
    return isinstance(effect, Send) and effect.direct


def conceal(settings: WireSettings) -> None:
    """Put a `Proxy` in the place of its URL, which may bear a password; raises `ConstructionError` if it is none."""
    if settings.get("proxy") is not None:
        settings["proxy"] = Proxy.of(settings.pop("proxy"))


def proxies_of(settings: WireSettings) -> Proxies:
    """The proxies that `settings`, concealed, allow."""
    proxy = settings.get("proxy")
    trusting = flag("trust_env", settings.get("trust_env", False))
    try:
        return Proxies(None if proxy is None else Proxy.of(proxy), os.environ if trusting else None)
    except ConstructionError as refusal:
        raise refusal.with_traceback(None) from None  # there, locals hold the environment


def load_engine(name: EngineName) -> Engine | None:
    """The reader of bodies that `name` stands for; None is our own."""
    if name == "native":
        return None
    if name != "h11":
        raise ConstructionError("engine", '"native" or "h11"')
    from ._h11_engine import h11_engine

    return h11_engine
