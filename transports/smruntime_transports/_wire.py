"""One exchange from the first look at the pool to the last byte, written once for blocking and asynchronous sockets.

It is a flow like the conversation above it, only its effects are smaller: wait until a socket is ready, look up a name. An
IO answers them (`wait`, `resolve`) beside `credentials`, `send` and `sleep`, and the same two loops drive it:

    send(effect)  =  run(wire.exchange(effect), io)        or        await run_async(wire.exchange(effect), io)

A connection belongs to one call from checkout until it is put back. It is put back only if both messages ended where they
must; in every other case (an error, a cancellation that closes the generator, `KeyboardInterrupt`) `finally` drops it,
which never waits.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, TypeAlias

from smruntime_core import ConstructionError, DispatchFailure, Effect, Flow, Open, Receive, Response, Send, StreamingResponse, Timeouts
from smruntime_core._effects import Progress
from smruntime_core._errors import Kind, Phase
from smruntime_core._http1 import Engine, Exchange
from smruntime_core._url import host_and_port

from ._pump import READ, WRITE, pump

MAX_IDLE = 45.0  # seconds: load balancers close at 60 and some NATs forget without a word
MAX_AGE = 600.0
MAX_KEPT = 100  # idle connections to one origin
SLOWEST = 1.0  # bytes a second, over a body that has had its idle time for grace

Origin: TypeAlias = "tuple[str, str]"  # scheme and authority
Address: TypeAlias = "tuple[socket.AddressFamily, tuple[object, ...]]"
EngineName: TypeAlias = Literal["native", "h11"]


class Wait(Effect[int]):
    """Until `sock` is ready for what `mask` says; the reply is what it is ready for, 0 if `seconds` passed first."""

    method = "wait"

    connection: Connection
    mask: int
    seconds: float | None


class Resolve(Effect["list[Address]"]):
    """The addresses of a host name, empty if it has none or `seconds` passed first."""

    method = "resolve"

    host: str
    port: int
    seconds: float | None


class Connection:
    """A socket and what decides whether it may serve again."""

    def __init__(self, sock: socket.socket, born: float) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.born = self.idle_since = born
        self.pid = os.getpid()
        self._poll: select.poll | None = None
        self._registered = 0

    def secured(self, sock: ssl.SSLSocket) -> None:
        """From now on through TLS, on the same descriptor."""
        self.sock = sock

    def poll(self, mask: int, seconds: float | None) -> int:
        """Block until ready; what for, or 0 after `seconds`."""
        if self._poll is None:
            self._poll = select.poll()
        if self._registered != mask:
            self._poll.register(self.sock, mask)
            self._registered = mask
        found = self._poll.poll(None if seconds is None else int(seconds * 1000 + 0.999))
        return (found[0][1] & mask or mask) if found else 0  # an error or a hang-up shows itself when used

    def usable(self, now: float) -> bool:
        """Ours (a forked child has a copy), young, and silent: bytes or an end that nobody asked for mean that the peer is done."""
        young = now - self.idle_since <= MAX_IDLE and now - self.born <= MAX_AGE
        return young and self.pid == os.getpid() and not self.poll(READ, 0.0)

    def drop(self) -> None:
        """Close without ceremony; never waits. In a forked child the parent's socket is only let go of."""
        if self.pid == os.getpid():
            self.sock.close()
        else:  # no farewell of TLS on what is the parent's
            with suppress(OSError):
                os.close(self.sock.detach())


class Wire:
    """The connections of a client and how a request travels on one."""

    def __init__(self, clock: Callable[[], float], *, engine: EngineName = "native", tls: ssl.SSLContext | None = None) -> None:
        self._clock = clock
        self._engine = load_engine(engine)
        self._tls = tls
        self._ca_bundle: str | None = None
        self._closed = False
        self._idle: dict[Origin, deque[Connection]] = {}

    def exchange(self, effect: Send) -> Flow[Response]:
        """Send and receive; raises `DispatchFailure`, or `ConstructionError` for a request that HTTP cannot carry."""
        exchange = Exchange(effect.request, engine=self._engine)
        exchange.max_body = effect.max_body
        limits = Limits(self._clock, effect.timeout, effect.phases)
        limits.notify, limits.progress = effect.notify, effect.progress
        connection = self._kept(exchange, effect) or (yield from self._connection(exchange, effect, limits))
        keep = False
        try:
            yield from self._converse(connection, exchange, limits, 0)
            keep = exchange.reusable
            return exchange.response
        finally:
            self._settle(exchange, connection, keep)

    def open(self, effect: Open) -> Flow[StreamingResponse]:
        """Send, and receive no more than the head; raises like `exchange`."""
        exchange = Exchange(effect.request, engine=self._engine)
        exchange.until = "head"
        limits = Limits(self._clock, effect.timeout, effect.phases)
        limits.notify, limits.progress = effect.notify, effect.progress
        connection = self._kept(exchange, effect) or (yield from self._connection(exchange, effect, limits))
        body = OpenBody(exchange, connection)
        try:
            yield from self._converse(connection, exchange, limits, 0)
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
        if body.connection is None:
            return b""
        exchange, whole = body.exchange, False
        try:
            limits = Limits(self._clock, effect.timeout, effect.phases)
            if limits.over:
                raise exchange.failure("timeout", "the time for the whole call is over")
            if exchange.hungry:
                yield from self._converse(body.connection, exchange, limits, READ)
            data = exchange.take()
            whole = True
        finally:
            if not whole:
                body.abort()
        if not data:
            connection, body.connection = body.connection, None
            self._settle(exchange, connection, exchange.reusable)
        return data

    def _kept(self, exchange: Exchange, effect: Send | Open) -> Connection | None:
        """A connection that has served and may serve again."""
        self._closed = False  # a call made after close() opens new ones
        kept = None if effect.fresh else self._checkout(exchange.origin)
        exchange.reused = kept is not None
        return kept

    def _connection(self, exchange: Exchange, effect: Send | Open, limits: Limits) -> Flow[Connection]:
        """A new one."""
        del effect
        return self._connect(exchange.origin, limits)

    def _converse(self, connection: Connection, exchange: Exchange, limits: Limits, ready: int) -> Flow[None]:
        notify, progress = limits.notify, limits.progress
        if limits.over and not exchange.bytes_sent:
            raise exchange.failure("timeout", "no time is left to send the request")
        try:
            while mask := pump(exchange, connection.sock, ready):
                if progress is not None:
                    progress(exchange.bytes_sent, exchange.bytes_received)
                if notify is not None and exchange.bytes_received:
                    notify()
                    notify = None
                patience = limits.patience(exchange)
                ready = 0 if patience == 0 else (yield from Wait(connection, mask, patience))
                if not ready:
                    return exchange.fail("timeout", _LATE[exchange.phase])
        except DispatchFailure as failure:
            failure.silence = limits.silence
            raise
        if notify is not None and exchange.bytes_received:
            notify()
        if progress is not None:
            progress(exchange.bytes_sent, exchange.bytes_received)
        return None

    def _settle(self, exchange: Exchange, connection: Connection, keep: bool) -> None:
        if keep:
            self._checkin(exchange.origin, connection)
        else:
            connection.drop()

    def _connect(self, origin: Origin, limits: Limits) -> Flow[Connection]:
        scheme, authority = origin
        host, port = host_and_port(scheme, authority)
        end = limits.end(limits.phases.connect)
        addresses = yield from Resolve(host, port, limits.left(end))
        if not addresses:
            kind: Kind = "timeout" if limits.left(end) == 0 else "refused"
            raise not_sent(kind, "resolve", f"no address found for {host}")
        failure = not_sent("timeout", "connect", f"no time left to connect to {host}")
        for index, (family, address) in enumerate(addresses):
            left = limits.left(end)
            share = limits.end(None if left is None else left / (len(addresses) - index))
            connection, settled = None, False
            try:
                connection = Connection(_new_socket(family), self._clock())
                yield from self._open(connection, address, limits, share)
                if scheme == "https":
                    yield from self._handshake(connection, host, limits, end)
                settled = True
                return connection
            except DispatchFailure as error:
                failure = error
                if error.phase != "connect":
                    break
            finally:
                if connection is not None and not settled:
                    connection.drop()
        raise failure

    def _open(self, connection: Connection, address: tuple[object, ...], limits: Limits, end: float | None) -> Flow[None]:
        sock = connection.sock
        tune(sock)
        try:
            sock.connect(address)
        except BlockingIOError:
            if not (yield from Wait(connection, WRITE, limits.left(end))):
                raise not_sent("timeout", "connect", f"no connection to {address[0]}:{address[1]} in time") from None
            if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise not_sent("refused", "connect", f"{address[0]}:{address[1]}: {os.strerror(code)}") from None
        except OSError as error:
            raise not_sent("refused", "connect", f"{address[0]}:{address[1]}: {error.strerror or error}") from None

    def _handshake(self, connection: Connection, host: str, limits: Limits, end: float | None) -> Flow[None]:
        if self._tls is None:
            self._tls = default_tls(self._ca_bundle)
        try:
            connection.sock.getpeername()  # or `wrap_socket` would find out, and lose the socket without closing it
            wrapped = self._tls.wrap_socket(
                connection.sock, server_hostname=host, do_handshake_on_connect=False, suppress_ragged_eofs=False
            )
        except OSError as error:  # the peer has left already
            raise not_sent("reset", "tls", f"TLS handshake with {host} broke: {error.strerror or error}") from None
        connection.secured(wrapped)
        while True:
            try:
                wrapped.do_handshake()
                return
            except ssl.SSLWantReadError:
                mask = READ
            except ssl.SSLWantWriteError:
                mask = WRITE
            except ssl.SSLError as error:
                raise not_sent("tls", "tls", f"TLS handshake with {host} failed: {error.reason or error}") from None
            except OSError as error:
                raise not_sent("reset", "tls", f"TLS handshake with {host} broke: {error.strerror or error}") from None
            if not (yield from Wait(connection, mask, limits.left(end))):
                raise not_sent("timeout", "tls", f"TLS handshake with {host} took too long")

    def _checkout(self, origin: Origin) -> Connection | None:
        """The connection that has been idle for longest and may still serve; the others are dropped on the way."""
        idle = self._idle.get(origin)
        while idle:
            try:
                connection = idle.popleft()
            except IndexError:  # another thread was faster
                return None
            if connection.usable(self._clock()):
                return connection
            connection.drop()
        return None

    def _checkin(self, origin: Origin, connection: Connection) -> None:
        idle = self._idle.setdefault(origin, deque())
        if self._closed or len(idle) >= MAX_KEPT:
            connection.drop()
        else:
            connection.idle_since = self._clock()
            idle.append(connection)

    def trust(self, ca_bundle: str | None) -> None:
        """Certificates for connections to come, unless a context of the caller's was given."""
        self._ca_bundle = ca_bundle

    def close(self) -> None:
        """Drop every idle connection; those in use are dropped when they are done."""
        self._closed = True
        for idle in list(self._idle.values()):
            with suppress(IndexError):  # another thread was faster
                while True:
                    idle.popleft().drop()


class OpenBody:
    """A body that is being read, and the connection that it comes by; None once that has been given back."""

    def __init__(self, exchange: Exchange, connection: Connection) -> None:
        self.exchange = exchange
        self.connection: Connection | None = connection

    def abort(self) -> None:
        """Close the connection, for what is left of the body would be the next answer's beginning."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.drop()


class Limits:
    """One deadline for the exchange and caps for its parts, as moments of this transport's own clock."""

    notify: Callable[[], None] | None = None
    progress: Progress | None = None
    _phase: Phase | None = None
    _phase_begun = 0.0
    _moved = 0
    _moved_before = 0
    _end: float | None = None
    _sent: float | None = None

    def __init__(self, clock: Callable[[], float], timeout: float | None, phases: Timeouts) -> None:
        self._clock = clock
        self._last = None if timeout is None else clock() + timeout
        self.phases = phases

    def end(self, cap: float | None) -> float | None:
        """The moment `cap` seconds from now, or the end of the whole if that is sooner; None if neither is limited."""
        if cap is None:
            return self._last
        end = self._clock() + cap
        return end if self._last is None else min(end, self._last)

    def left(self, end: float | None) -> float | None:
        """Seconds until `end`, 0 if it has passed; None if there is no limit."""
        return None if end is None else max(0.0, end - self._clock())

    @property
    def over(self) -> bool:
        """The deadline of the whole has passed."""
        return self._last is not None and self._clock() >= self._last

    @property
    def silence(self) -> float | None:
        """Seconds since the request was sent whole, as far as this was seen; None if it was not."""
        return None if self._sent is None else self._clock() - self._sent

    def patience(self, exchange: Exchange) -> float | None:
        """Seconds to wait for `exchange` to move.

        The head has to be there in time, however it drips. A body may pause for so long, and has to come at a byte a second
        on the average besides, or a drip would keep a caller for ever; a stream may come as slowly as the model thinks.
        """
        phase, moved = exchange.phase, exchange.bytes_sent + exchange.bytes_received
        if phase == self._phase and (moved == self._moved or phase == "head"):
            return self.left(self._end)
        if phase != self._phase:
            self._phase, self._phase_begun, self._moved_before = phase, self._clock(), moved
            if phase == "head":
                self._sent = self._phase_begun
        self._moved = moved
        cap = self.phases.response if phase == "head" else self.phases.idle
        self._end = self.end(cap)
        if phase == "head" or cap is None or exchange.until != "end":
            return cap if self._last is None else self.left(self._end)
        slowest = self._phase_begun + cap + (moved - self._moved_before) / SLOWEST
        self._end = slowest if self._end is None else min(self._end, slowest)
        return self.left(self._end)


# After a minute of silence ask the peer every ten seconds whether it is there: a load balancer that dropped a connection says nothing.
KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPALIVE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 5}  # the second is macOS's name of the first


def _new_socket(family: socket.AddressFamily) -> socket.socket:
    try:
        return socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:  # no such family here, or too many open files
        raise not_sent("refused", "connect", f"no socket: {error.strerror or error}") from None


def tune(sock: socket.socket) -> None:
    """No waiting for a fuller packet, and a dead peer is noticed."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        option = getattr(socket, name, None)  # not every system has all of them
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


_LATE: dict[Phase, str] = {
    "send": "the server does not take the request",
    "head": "no answer in time",
    "body": "the answer stalled",
}


def not_sent(kind: Kind, phase: Phase, message: str) -> DispatchFailure:
    """A failure before the first byte of the request."""
    return DispatchFailure(message, kind=kind, phase=phase, delivery="not_sent")


def default_tls(ca_bundle: str | None = None) -> ssl.SSLContext:
    """The certificate authorities in the file `ca_bundle`, or the system's; TLS 1.2 or later.

    Made late: it costs 16 ms and plain http needs none. Raises `ConstructionError` if the file is not what it should be.
    """
    try:
        context = ssl.create_default_context(cafile=ca_bundle)
    except (OSError, ssl.SSLError):
        raise ConstructionError("ca_bundle", "a readable file of certificates in PEM", f"{ca_bundle} is not") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def load_engine(name: EngineName) -> Engine | None:
    """The reader of bodies that `name` stands for; None is our own."""
    if name == "native":
        return None
    if name != "h11":
        raise ConstructionError("engine", '"native" or "h11"')
    from ._h11 import h11_engine

    return h11_engine
