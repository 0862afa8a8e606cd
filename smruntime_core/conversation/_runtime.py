"""The conversation of one call, written once for every kind of I/O: build, sign, send, retry.

Its state is the program counter, so an illegal order cannot be written, and a test reads like the
protocol:

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

What happens after a failure is one list, read from the top (`_recovery`): a connection that was
dead already, a clock that is off, credentials that have expired (each repaired once, for free), a
model that is coming up, and then the retry policy.

What outlasts a call:

    state               where it lives                           changed by
    settings            `Runtime.config`, `.options`             nothing: `with_options` returns a copy
    retry quota         `Runtime.tokens`                         each retry and each success
    clock correction    `Runtime.skew`                           a refusal that a wrong clock explains
    credentials         the IO (`credentials.Cache`)             a renewal
    signing keys        the slot of their `Credentials`          `signing`: the keys of some days, the current second's stamp
    bucket region       `ObjectReader` of one waiting job        an answer of S3
    idle connections    the IO (its pool)                        each exchange
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
from ..protocol._operations import Operation, StreamingOperation
from ..signing import hash_payload, sign
from ..values._bodies import Source
from ..values._credentials import Credentials
from ..values._dates import format_timestamp
from ..values._http import MAX_ERROR_BODY, Headers, Request, Response, ResponseBody
from ..values._timeouts import Timeouts
from ._call_tracker import CallTracker, Observer
from ._clock_skew import ClockSkew
from ._deadline import Clock, Deadline
from ._options import OptionChanges, Options, apply_changes
from ._recovery import FailedAttempt, Recovery
from ._retries import NoLock, RetryPolicy, RetryQuota
from ._user_agent import user_agent

if TYPE_CHECKING:
    from ..protocol._response_parser import ResponseParser
    from ._stream import Stream

OutputT = TypeVar("OutputT", bound=Output)
ResultT = TypeVar("ResultT", bound="Output | Stream[Output]")
OperationT = TypeVar("OperationT", bound=Operation[Output])
Exchange: TypeAlias = Callable[[OperationT, Request, CallTracker, bool], Flow[ResultT]]

FIRST_TRY_REWARD = 1


class Runtime:
    """One service as one client sees it: where it is, how to sign for it, how long to wait, how
    often to retry.

    Time and chance are parameters: `clock` (the module `time` will do) and `random` (a number in
    [0, 1) at each call). Calls that run in parallel threads share a runtime safely if `lock` is a
    `threading.Lock()`. `observe` is called with every `Notice`; it must not wait. `app_id` goes
    into the User-Agent field. Raises `ConstructionError` if `config` contradicts itself.
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
    ) -> None:
        self.config = config
        self.options = Options(retries=retries)
        self.tokens = RetryQuota(retries.capacity, lock or NoLock())
        self.skew = ClockSkew()
        self._url = config.url
        self._scope = config.scope
        self._clock = clock
        self._random = random
        self._observe = observe
        self._user_agent = ("user-agent", user_agent(app_id))
        self._id = _uuid_beginning(random)

    def with_options(self, **changes: Unpack[OptionChanges]) -> Self:
        """Return the same service with other `Options`, sharing retry tokens and clock correction."""
        made = copy.copy(self)
        made.options = apply_changes(self.options, changes)
        return made

    def call(self, operation: Operation[OutputT]) -> Flow[OutputT]:
        """Return the flow of one call: it returns the output, or raises the failure of the last
        attempt.

        Outputs and errors list every attempt in `metadata.attempts`. No pause outlasts the timeout.
        """
        return self._attempts(operation, self._exchange)

    def stream(self, operation: StreamingOperation[OutputT]) -> Flow[Stream[OutputT]]:
        """Return the flow of one call up to the head of its answer: it returns the rest as a
        stream, or raises like `call`.

        Nothing is retried once the answer has begun.
        """
        return self._attempts(operation, self._open)

    def _attempts(
        self, operation: OperationT, exchange: Exchange[OperationT, ResultT]
    ) -> Flow[ResultT]:
        """Build, then sign and exchange until that succeeds or the failure is final."""
        request = self._build(operation)
        body: object = request.body
        if isinstance(body, Source):
            request = request.with_body((yield from Measure(body)))
        payload_hash = hash_payload(request.body)
        tracker = self._track(operation, request)
        recovery = Recovery(self.options, self.skew, send_once=operation.send_once)
        failure: SmRuntimeError | None = None
        reward: float = FIRST_TRY_REWARD
        while True:
            try:
                credentials = yield from GetCredentials(tracker.left(), recovery.rejected)
            except SmRuntimeError as error:
                tracker.end(error)
                raise
            if failure is not None and credentials == recovery.rejected:
                tracker.end()
                raise failure  # there are no other credentials
            sent = self._clock.time()
            signed = self._sign(request, credentials, payload_hash, sent, tracker)
            try:
                result = yield from exchange(operation, signed, tracker, recovery.fresh)
            except (DispatchFailure, ServiceError, ResponseError) as error:
                failure = error
            else:
                self.tokens.give(reward)
                _notify_success(tracker, result)
                return result
            failed = FailedAttempt(failure, credentials, sent, self._clock.time(), tracker.seconds)
            reward = (yield from self._recover(failed, recovery, tracker)) or FIRST_TRY_REWARD

    def _build(self, operation: Operation[Output]) -> Request:
        """Return the request that every attempt signs."""
        request = operation.request(self._url)
        extra = self.options.extra_headers
        return _with_fields(request, extra, operation) if extra else request

    def _track(self, operation: Operation[Output], request: Request) -> CallTracker:
        invocation = f"{self._id}{int(self._random() * 9e11) + 10**11}"
        timeout = self.options.timeout
        limit = self.config.timeouts.total if timeout is None else timeout
        return CallTracker(self._observe, operation, request, invocation, self._clock, limit)

    def _sign(
        self,
        request: Request,
        credentials: Credentials,
        payload_hash: str,
        sent: float,
        tracker: CallTracker,
    ) -> Request:
        """Return the request of one attempt.

        The fields that say which attempt it is are not signed: a proxy may change them.
        """
        now, left = sent + self.skew.seconds, tracker.left()
        signed = sign(request, credentials, self._scope, now=now, payload_hash=payload_hash)
        number, limit = tracker.start_attempt(self.options.retries.max_attempts)
        ttl = "" if left is None else f"ttl={format_timestamp(now + left)}; "
        called, attempt = (
            ("amz-sdk-invocation-id", tracker.invocation),
            ("amz-sdk-request", f"{ttl}attempt={number}; max={limit}"),
        )
        headers = (*request.headers, *signed.headers, self._user_agent, called, attempt)
        return Request(request.method, request.url, headers, request.body)

    def _exchange(
        self, operation: Operation[OutputT], request: Request, tracker: CallTracker, fresh: bool
    ) -> Flow[OutputT]:
        """Send, and parse the whole answer."""
        options = self.options
        timeouts, left = self.config.timeouts, tracker.left()
        response = yield from Send(
            request, left, timeouts, fresh, tracker.notify, options.progress, options.max_body
        )
        return operation.parse(response, attempts=tracker.answered(response))

    def _open(
        self,
        operation: StreamingOperation[OutputT],
        request: Request,
        tracker: CallTracker,
        fresh: bool,
    ) -> Flow[Stream[OutputT]]:
        """Send, and parse the head of the answer."""
        from ..protocol._response_parser import ResponseParser  # only streams pay for these two
        from ._stream import Stream, started

        timeouts = self.config.timeouts
        opened = yield from Open(
            request, tracker.left(), timeouts, fresh, tracker.notify, self.options.progress
        )
        parser, head = ResponseParser(operation), Response(opened.status, opened.headers)
        try:
            parser.receive_head(head, attempts=tracker.answered(head))
            if not 200 <= opened.status < 300:
                yield from _read_error(parser, opened.body, tracker, timeouts)
            output = cast("OutputT", started(parser).output)
        except BaseException:
            opened.body.abort()
            raise
        return Stream(output, opened.body, parser, tracker, timeouts, tracker.piece)

    def _recover(
        self, failed: FailedAttempt, recovery: Recovery, tracker: CallTracker
    ) -> Flow[float]:
        """Wait until the next attempt and return the retry tokens that it costs.

        Raises the failure if there is no other attempt.
        """
        failure = failed.failure
        if isinstance(failure, DispatchFailure):
            failure.metadata = Metadata(status=failure.status)
        tracker.failed(failure)
        again = recovery.after(failed, self.tokens.tokens, self._random())
        if (
            again is None
            or tracker.passed_in(again.delay or 0.0)
            or not self.tokens.take(again.cost)
        ):
            tracker.end()
            raise failure
        tracker.wait(again)
        if again.delay is not None:
            yield from Sleep(again.delay)
        return again.cost


def _notify_success(tracker: CallTracker, result: Output | Stream[Output]) -> None:
    """Notify the observer; if that raises, close the stream, which no caller gets."""
    try:
        tracker.succeeded(result.metadata.attempts)
    except BaseException:
        if not isinstance(result, Output):
            result.close()
        raise


def _with_fields(request: Request, extra: Headers, operation: Operation[Output]) -> Request:
    """The request with the caller's extra fields; raises `ConstructionError` for one that is a member."""
    known = {wire_name.lower(): name for name, wire_name in operation._table.header_names.items()}
    names = [name for name, _ in extra if name.lower() in known]
    if names:
        raise ConstructionError(
            "extra_headers",
            f"names that are no members: pass {known[names[0].lower()]}= instead of {names[0]}",
        )
    return request.replace(headers=request.headers + extra)


def _uuid_beginning(draw: Callable[[], float]) -> str:
    """A random UUID (RFC 9562 section 5.4) but for its last twelve digits, which each call has its own of."""
    digits = f"{int(draw() * 2**40):010x}{int(draw() * 2**40):010x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[12:15]}-{'89ab'[int(digits[15], 16) & 3]}{digits[16:19]}-"


def _read_error(
    parser: ResponseParser, body: ResponseBody, deadline: Deadline, phases: Timeouts
) -> Flow[None]:
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
