"""The conversation: credentials, sign, send, perhaps wait and again, written once for every kind of I/O.

Its state is the program counter, so an illegal order cannot be written, and a test reads like the protocol:

    >>> import smruntime_core as sm
    >>> class Noon: time = monotonic = staticmethod(lambda: 1.8e9)
    >>> runtime = sm.Runtime(sm.Config(region="eu-west-1"), clock=Noon, random=lambda: 0.5)
    >>> flow = runtime.call(sm.InvokeEndpoint(endpoint_name="churn", body=b"1,2,3"))
    >>> flow.send(None)
    GetCredentials()
    >>> flow.send(sm.Credentials("AKID", "secret")).request
    Request(POST https://runtime.sagemaker.eu-west-1.amazonaws.com/endpoints/churn/invocations, <5 headers>, <5 bytes>)
    >>> flow.send(sm.Response(503))
    Sleep(seconds=0.025)

What happens after a failure is one list, read from the top: a connection that was dead already, a clock that is off, credentials
that have expired (each mended once, for nothing), a model that is coming up, and then the retry policy.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Self, TypeAlias, TypeVar, Unpack, cast

from ..config._endpoints import Config
from ..effects import Flow, GetCredentials, Measure, Open, Receive, Send, Sleep
from ..errors import ConstructionError, DispatchFailure, ResponseError, ServiceError, SmRuntimeError
from ..metadata import Metadata
from ..protocol._bindings import Output
from ..protocol._operations import Operation, Streaming
from ..signing import hash_payload, sign
from ..values._bodies import Source
from ..values._dates import stamp
from ..values._messages import MAX_ERROR_BODY, Credentials, Headers, Request, Response, ResponseBody, StreamingResponse, Timeouts
from ._call_tracker import Observer, Watch
from ._clock_skew import Skew
from ._deadline import Clock, Deadline
from ._options import Changes, Options, changed
from ._recovery import Again, Failed, Recovery, outcome
from ._retries import NoLock, RetryPolicy, TokenBucket
from ._user_agent import user_agent

if TYPE_CHECKING:
    from ..protocol._response_parser import ResponseParser
    from ._stream import Stream

OutputT = TypeVar("OutputT", bound=Output)
Asking: TypeAlias = "Callable[[Request, float | None, bool, Watch], Send | Open]"

FIRST_TRY_REWARD = 1


class Runtime:
    """One service as one client sees it: where it is, how to sign for it, how patient to be.

    Time and chance are handed in: `clock` (the module `time` will do) and `random` (a number in [0, 1) at each call).
    Calls that run in parallel threads share it safely if `lock` is a `threading.Lock()`. `observe` is told what happens
    (`Notice`); it must not wait. `app_id` goes into the User-Agent field. Credentials that are `at_hand` are not asked for: it returns
    them, or None if getting them takes an effect. Raises `ConstructionError` if `config` contradicts itself.
    """

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock,
        random: Callable[[], float],
        retries: RetryPolicy = RetryPolicy(),
        lock: AbstractContextManager[object] | None = None,
        observe: Observer | None = None,
        app_id: str | None = None,
        at_hand: Callable[[], Credentials | None] = lambda: None,
    ) -> None:
        self.config = config
        self.options = Options(retries=retries)
        self.tokens = TokenBucket(retries.capacity, lock or NoLock())
        self.skew = Skew()
        self._url = config.url
        self._scope = config.scope
        self._clock = clock
        self._random = random
        self._at_hand = at_hand
        self._observe = observe
        self._user_agent = ("user-agent", user_agent(app_id))
        self._id = _uuid_beginning(random)

    def with_options(self, **changes: Unpack[Changes]) -> Self:
        """The same service with other patience (see `Options`); tokens and clock correction stay shared."""
        made = copy.copy(self)
        try:
            made.options = changed(self.options, changes)
        except ConstructionError as refusal:
            del changes  # what a traceback with locals would show
            raise refusal.with_traceback(None) from None
        return made

    def call(self, operation: Operation[OutputT]) -> Flow[OutputT]:
        """The flow of one call: it returns the output, or raises what the last attempt came to.

        Outputs and errors list every attempt in `metadata.attempts`. Nothing is waited for past the timeout.
        """
        # A `Send` brings a `Response`, and that an output: a call of `cast` would say so to checkers, and cost every call.
        return self._attempts(operation, self._send)  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    def stream(self, operation: Streaming[OutputT]) -> Flow[Stream[OutputT]]:
        """The flow of one call up to the head of its answer: it returns what is still to come, or raises like `call`.

        Once the answer has begun, nothing is tried again.
        """
        flow: Flow[OutputT | Stream[OutputT]] = self._attempts(operation, self._open)
        return cast("Flow[Stream[OutputT]]", flow)

    def _send(self, request: Request, left: float | None, fresh: bool, watch: Watch) -> Send:
        options = self.options
        return Send(request, left, self.config.timeouts, fresh, watch.notify, options.progress, options.max_body)

    def _open(self, request: Request, left: float | None, fresh: bool, watch: Watch) -> Open:
        return Open(request, left, self.config.timeouts, fresh, watch.notify, self.options.progress)

    def _begun(self, operation: Operation[OutputT], opened: StreamingResponse, watch: Watch) -> Flow[Stream[OutputT]]:
        """What a streamed answer is, once its head is there."""
        from ..protocol._response_parser import ResponseParser  # only streams pay for it
        from ._stream import Stream, started

        timeouts = self.config.timeouts
        parser = ResponseParser(cast("Streaming[OutputT]", operation))
        try:
            parser.receive_head(Response(opened.status, opened.headers))
            if not 200 <= opened.status < 300:
                yield from _read_error(parser, opened.body, watch, timeouts)
            head = started(parser)
        except BaseException:
            opened.body.abort()
            raise
        return Stream(cast("OutputT", head.output), opened.body, parser, watch, timeouts, watch.piece)

    def _attempts(self, operation: Operation[OutputT], asking: Asking) -> Flow[OutputT | Stream[OutputT]]:
        """Sign, and ask for what `asking` makes of it, until that succeeds or is given up."""
        clock, options = self._clock, self.options
        request = operation.request(self._url)
        if options.extra_headers:
            request = _with_fields(request, options.extra_headers, operation)
        if isinstance(request.__dict__["body"], Source):  # to a type checker it is none
            request = request.bearing((yield from Measure(request.__dict__["body"])))
        payload_hash = hash_payload(request.body)
        limit = self.config.timeouts.total if options.timeout is None else options.timeout
        watch = Watch(self._observe, operation, request, f"{self._id}{int(self._random() * 9e11) + 10**11}", clock, limit)
        recovery: Recovery | None = None
        failure: SmRuntimeError | None = None
        waited = spent = 0.0
        while True:
            credentials = self._at_hand() if recovery is None else None
            if credentials is None:
                try:
                    credentials = yield from GetCredentials(watch.left(), None if recovery is None else recovery.rejected)
                except SmRuntimeError as error:
                    raise watch.ended(error) from None
                if failure is not None and recovery is not None and credentials == recovery.rejected:
                    raise watch.ended(failure)  # nobody has any others
            sent, left = clock.time(), watch.left()
            ready = self._signed(request, credentials, payload_hash, sent, left, watch)
            try:
                # What `yield from` would do, less a generator: most calls come by here once and nowhere else.
                reply = yield asking(ready, left, recovery is not None and recovery.fresh, watch)
                if isinstance(reply, Response):
                    result: OutputT | Stream[OutputT] = operation.parse(reply)
                elif isinstance(reply, SmRuntimeError):
                    raise reply
                else:
                    result = yield from self._begun(operation, cast("StreamingResponse", reply), watch)
            except (DispatchFailure, ServiceError, ResponseError) as error:
                failure = error
            else:
                self.tokens.give(spent or FIRST_TRY_REWARD)
                watch.succeeded(result, waited)
                return result

            recovery = recovery or Recovery(options, self.skew, once=operation.once)
            again = self._again(Failed(failure, credentials, sent, clock.time(), watch.seconds), recovery, watch, waited)
            waited, spent = again.delay or 0.0, again.cost
            if again.delay is not None:
                watch.waiting(again)
                yield from Sleep(again.delay)

    def _again(self, failed: Failed, recovery: Recovery, watch: Watch, waited: float) -> Again:
        """What comes after an attempt that `failed`; raises the failure if nothing does."""
        failure = failed.failure
        if isinstance(failure, DispatchFailure):
            failure.metadata = Metadata(status=failure.status)
        watch.attempt(outcome(failure), failure.metadata, waited)
        failure.metadata = failure.metadata.but(attempts=watch.attempts)
        again = recovery.after(failed, self.tokens.tokens, self._random())
        if again is None or watch.passed_in(again.delay or 0.0) or not self.tokens.take(again.cost):
            raise watch.ended(failure)
        return again

    def _signed(
        self, request: Request, credentials: Credentials, payload_hash: str, sent: float, left: float | None, watch: Watch
    ) -> Request:
        """The request of one attempt: signed, and saying who calls and for which time (a proxy may change that, so it is not signed)."""
        now = sent + self.skew.seconds
        signed = sign(request, credentials, self._scope, now=now, payload_hash=payload_hash)
        number, most = watch.started(self.options.retries.max_attempts)
        ttl = "" if left is None else f"ttl={stamp(now + left)}; "
        called, time = ("amz-sdk-invocation-id", watch.invocation), ("amz-sdk-request", f"{ttl}attempt={number}; max={most}")
        return request.signed((*signed.headers, self._user_agent, called, time))


def _with_fields(request: Request, extra: Headers, operation: Operation[Output]) -> Request:
    """The request with the caller's extra fields; raises `ConstructionError` for one that is a member."""
    known = {wire_name.lower(): name for name, wire_name in operation.wire_names.items()}
    names = [name for name, _ in extra if name.lower() in known]
    if names:
        del extra  # what a traceback with locals would show
        raise ConstructionError("extra_headers", f"names that are no members: pass {known[names[0].lower()]}= instead of {names[0]}")
    return request.but(headers=request.headers + extra)


def _uuid_beginning(draw: Callable[[], float]) -> str:
    """A random UUID (RFC 9562 section 5.4) but for its last twelve digits, which each call has its own of."""
    digits = f"{int(draw() * 2**40):010x}{int(draw() * 2**40):010x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[12:15]}-{'89ab'[int(digits[15], 16) & 3]}{digits[16:19]}-"


def _read_error(parser: ResponseParser, body: ResponseBody, deadline: Deadline, phases: Timeouts) -> Flow[None]:
    """The body of an error, as far as it comes and is not too long; what is cut still makes an error."""
    received, truncated = 0, False
    while received <= MAX_ERROR_BODY:
        try:
            data = yield from Receive(body, deadline.left(), phases)
        except DispatchFailure:
            truncated = True
            break
        if not data:
            break
        received += len(data)
        parser.receive_data(data)
    parser.receive_eof(truncated=truncated)
