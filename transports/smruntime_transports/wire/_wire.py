"""One exchange, from waiting for a connection to the last byte, for sync and async sockets alike.

The methods of `Wire` are flows: they yield the small effects of `_waiting`, which each IO answers
in its own way.

    send(effect)  =  run(wire.exchange(effect), io)
                     or  await run_async(wire.exchange(effect), io)

    pool ──> connection, idle or new ──> pump <──> exchange ──> response
      ^                                                             │
      └── release: kept if both messages ended where they must, else closed

A slot of the pool and its connection belong to one call. Errors, cancellations and interrupts all
leave through the same `finally`, which releases the slot; `_pool` explains why it does so twice.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from smruntime_core import DispatchFailure, Response
from smruntime_core.effects import Flow, Open, Receive, Send, StreamingResponse
from smruntime_core.http1 import Exchange

from ..connect._connector import Connector
from ..nonblocking._connection import READ, Connection, Route
from ..nonblocking._retry import not_sent
from ..nonblocking._time_limits import TimeLimits
from ..nonblocking._waiting import Wait, WaitTurn
from ._pool import DEFAULT_MAX_CONNECTIONS, Pool, Slot
from ._public_address import require_public_address
from ._pump import AGAIN, pump
from ._streamed_body import StreamedBody
from ._upload_progress import UploadProgress, upload_progress
from ._wire_settings import WireSettings, conceal_proxy, load_engine, make_connector


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
        conceal_proxy(settings)
        self._clock = clock
        self._engine = load_engine(settings.get("engine", "native"))
        max_connections = settings.get("max_connections", DEFAULT_MAX_CONNECTIONS)
        self._pool = pool or Pool(clock, max_connections)
        self._connector = connector or make_connector(clock, settings)

    def exchange(self, effect: Send) -> Flow[Response]:
        """Send a request and receive the whole response.

        Raises `DispatchFailure`, or `ConstructionError` for a request that HTTP cannot carry.
        """
        exchange = Exchange(effect.request, self._engine, effect.max_body)
        slot = Slot()
        try:
            try:
                yield from self._converse(effect, exchange, slot, effect.direct, effect.public)
                slot.reusable = exchange.reusable()
                return exchange.response()
            finally:
                self._pool.release(slot)
        finally:
            if slot.route_connections is not None:  # an interrupt ended the first release
                self._pool.release(slot)

    def open(self, effect: Open, slot: Slot | None = None) -> Flow[StreamingResponse]:
        """Send a request and receive the head of its response; raises like `exchange`.

        The body of the response releases the slot. A caller that passes its own `slot` can release
        it too, if an interrupt comes after this has returned.
        """
        exchange = Exchange(effect.request, self._engine)
        exchange.until = "head"
        slot = slot or Slot()
        try:
            connection, progress = yield from self._converse(effect, exchange, slot)
            response_head = exchange.head
            # a mistake of ours
            assert response_head is not None, "the pump stopped early"  # noqa: S101
            # the body of an error is read as a whole
            exchange.until = "piece" if response_head.status < 300 else "end"
            body = StreamedBody(self._pool, slot, connection, exchange, progress)
            return StreamingResponse(response_head.status, response_head.headers, body)
        except BaseException:
            self._pool.release(slot)
            raise

    def receive(self, effect: Receive) -> Flow[bytes]:
        """Return the next piece of an open body, b"" at its end; raises `DispatchFailure`."""
        body = effect.body
        # a caller's mistake
        assert isinstance(body, StreamedBody), "opened by this IO"  # noqa: S101
        try:
            try:
                if not body.begin_read():
                    return b""
                body_piece = yield from self._receive_piece(body, effect)
                body.has_more = bool(body_piece)
                return body_piece
            finally:
                body.end_read()
        finally:
            body.end_read()  # does something only if an interrupt ended the first one

    def release(self, slot: Slot) -> None:
        """End the use of `slot` and of its connection; may be called again."""
        self._pool.release(slot)

    def trust(self, ca_bundle: str | None) -> None:
        """Trust the certificates in `ca_bundle` from now on, unless the caller chose others."""
        self._connector.trust(ca_bundle)

    def close(self) -> None:
        """Close every idle connection; those in use are closed after their calls."""
        self._pool.close()

    def _converse(
        self,
        effect: Send | Open,
        exchange: Exchange,
        slot: Slot,
        direct: bool = False,
        public: bool = False,
    ) -> Flow[tuple[Connection, UploadProgress | None]]:
        """Take a connection for `slot`, send the request and receive what `exchange` is to."""
        time_limits = TimeLimits(self._clock, effect.timeout, effect.phases)
        progress = upload_progress(exchange, effect)
        route = self._connector.route(exchange.origin, direct)
        self._pool.acquire(slot, route)
        has_waited = not slot.called
        if has_waited:
            yield from self._wait_for_slot(slot, time_limits)
        connection = self._pool.take(slot, effect.fresh)
        exchange.reused = connection is not None
        if connection is None:
            connection = yield from self._connect(slot, route, exchange, direct, time_limits)
        if effect.renew is not None and (has_waited or not exchange.reused):
            renewed_request = effect.renew()  # signatures are valid for five minutes only
            if renewed_request is not effect.request:
                exchange.renew(renewed_request)
        if public and route[2] is None:
            require_public_address(connection)
        yield from self._transfer(connection, exchange, time_limits, progress, 0)
        return connection, progress

    def _wait_for_slot(self, slot: Slot, time_limits: TimeLimits) -> Flow[None]:
        pool_limit = time_limits.phases.pool
        yield from WaitTurn(slot, time_limits.countdown(pool_limit)())
        if not slot.called:
            limit_text = _limit_text(time_limits, pool_limit)
            remedy = "raise max_connections= or make fewer calls at once"
            raise not_sent("timeout", "pool", f"no connection became free {limit_text}: {remedy}")

    def _connect(
        self, slot: Slot, route: Route, exchange: Exchange, direct: bool, time_limits: TimeLimits
    ) -> Flow[Connection]:
        try:
            slot.connection = yield from self._connector.connect(route, time_limits)
        except DispatchFailure as failure:
            if not (direct or self._connector.proxies.exist):
                from ..connect._unused_variables import advise  # only a failure costs it

                advise(failure, exchange.origin, os.environ)
            raise
        return slot.connection

    def _receive_piece(self, body: StreamedBody, effect: Receive) -> Flow[bytes]:
        exchange = body.exchange
        time_limits = TimeLimits(self._clock, effect.timeout, effect.phases)
        if time_limits.is_over():
            raise exchange.failure("timeout", f"the body was not read to its end {_CALL_TIMEOUT}")
        if exchange.needs_data():
            progress = body.upload_progress if exchange.bytes_to_supply else None
            yield from self._transfer(body.connection, exchange, time_limits, progress, READ)
        body_piece = exchange.take()
        body.slot.reusable = not body_piece and exchange.reusable()
        return body_piece

    def _transfer(
        self,
        connection: Connection,
        exchange: Exchange,
        time_limits: TimeLimits,
        progress: UploadProgress | None,
        ready_for: int,
    ) -> Flow[None]:
        """Send and receive until `exchange` has what it is to receive, or time is up."""
        if time_limits.is_over() and not exchange.bytes_sent:
            raise exchange.failure("timeout", f"the request was not sent {_CALL_TIMEOUT}")
        try:
            while waiting_for := pump(exchange, connection, ready_for):
                if progress is not None:
                    waiting_for = yield from progress.supply_next(waiting_for)
                poll_only, seconds = waiting_for & AGAIN, time_limits.seconds_to_wait(exchange)
                ready_for = 0
                if seconds != 0:  # the reply is no failure to raise; `yield from` costs a call 1 %
                    wait = Wait(connection, waiting_for ^ poll_only, 0.0 if poll_only else seconds)
                    ready_for = poll_only | (yield wait)  # type: ignore[operator]
                if not ready_for:
                    exchange.fail("timeout", _describe_timeout(exchange, time_limits))
                    break
        except DispatchFailure as failure:
            failure.silence = time_limits.silence
            raise
        if progress is not None:
            progress.report()


_CALL_TIMEOUT = "before the time of the whole call was over"


def _describe_timeout(exchange: Exchange, time_limits: TimeLimits) -> str:
    """Return what did not happen in time."""
    timeouts = time_limits.phases
    if exchange.phase == "head":
        limit_text = _limit_text(time_limits, timeouts.response)
        came = "no byte of the response" if not exchange.bytes_received else "no whole head"
        return f"{came} {limit_text}; the model may have run"
    limit_text = _limit_text(time_limits, timeouts.idle)
    if exchange.phase == "send":
        return f"the server accepted no more of the request {limit_text}"
    return f"the response stalled: nothing more of its body came {limit_text}"


def _limit_text(time_limits: TimeLimits, seconds: float | None) -> str:
    """Return the limit that was reached: `seconds` of a phase, or that of the whole call."""
    if seconds is None or time_limits.is_over():
        return _CALL_TIMEOUT
    return f"within {seconds:g} s"
