"""The conversation of one call, written once for every kind of I/O: build, sign, send, retry.

A call is a generator: it yields what it needs and continues with the reply. The order of the steps
is the order of the statements, and a test reads like the protocol:

    >>> import smruntime_core as sm
    >>> class Noon: time = monotonic = staticmethod(lambda: 1.8e9)
    >>> runtime = sm.Runtime(sm.Config(region="eu-west-1"), clock=Noon, random=lambda: 0.5)
    >>> flow = runtime.call(sm.InvokeEndpoint(endpoint_name="churn", body=b"1,2,3"))
    >>> flow.send(None)
    GetCredentials()
    >>> flow.send(sm.Credentials("AKID", "secret")).request.url
    'https://runtime.sagemaker.eu-west-1.amazonaws.com/endpoints/churn/invocations'
    >>> flow.send(sm.Response(503))
    Sleep(seconds=0.025)

What happens after a failure is one list, read from the top (`_recovery`).

What outlasts a call:

    state               where it is kept                  changed by
    settings            `Runtime.config`, `.options`      nothing: `with_options` returns a copy
    retry quota         `Runtime.tokens`                  each retry and each success
    clock correction    `Runtime.skew`                    a refusal that a wrong clock explains
    credentials         the IO (`credentials.Cache`)      a refresh
    signing keys        `Credentials.signing_keys`        the first signature for a day and scope
    bucket region       `ObjectReader` of one job         a refusal by S3 of a signed request
    idle connections    the IO (its pool)                 each exchange
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final, Self, TypeAlias, TypeVar, Unpack, cast

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
from ._retries import NoLock, RetryPolicy, RetryQuota, limit_pause
from ._signed_request import SignedRequest
from ._user_agent import user_agent

if TYPE_CHECKING:
    from ..protocol._response_parser import ResponseParser
    from ._stream import Stream

OutputT = TypeVar("OutputT", bound=Output)
ResultT = TypeVar("ResultT", bound="Output | Stream[Output]")
OperationT = TypeVar("OperationT", bound=Operation[Output])
Exchange: TypeAlias = Callable[[OperationT, SignedRequest, CallTracker, bool], Flow[ResultT]]

# Tokens that a success returns if its last attempt cost none; otherwise it returns that cost.
FIRST_TRY_REWARD: Final = 1


class Runtime:
    """One service as one client sees it: its URL, credentials, limits and retries.

    Time and chance are parameters: `clock` (such as the module `time`) and `random` (which returns
    a number in [0, 1)). Threads may share a runtime if `lock` is a `threading.Lock()`. `observe` is
    called with every `Notice`; it must not block. `app_id` and, at the end, `user_agent_extra` are
    added to the User-Agent header. `longest_pause` limits the seconds of each wait before another
    attempt, whatever the policy. Raises `ConstructionError` if `config` contradicts itself.
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
        user_agent_extra: str | None = None,
        longest_pause: float | None = None,
    ) -> None:
        self.config: Config = config
        self.options: Options = Options(retries=retries, timeouts=config.timeouts)
        self.tokens: RetryQuota = RetryQuota(retries.capacity, lock or NoLock())
        self.skew: ClockSkew = ClockSkew()
        self.longest_pause: float | None = longest_pause
        # of every call, unless a function chooses it
        self._endpoint_url = config.url if config.endpoint_resolver is None else None
        self._signing_scope = config.scope
        self._clock = clock
        self._random = random
        self._observe = observe
        self._user_agent = ("user-agent", user_agent(app_id, user_agent_extra))
        self._invocation_prefix = _uuid_prefix(random)

    def with_options(self, **changes: Unpack[OptionChanges]) -> Self:
        """Return a copy with other `Options`, which shares retry tokens and clock correction."""
        import copy  # most programs change no option, and start sooner without it

        changed_copy = copy.copy(self)
        changed_copy.options = apply_changes(self.options, changes)
        return changed_copy

    def call(self, operation: Operation[OutputT]) -> Flow[OutputT]:
        """Return the flow of one call, which returns the output.

        It raises the failure of the last attempt. Outputs and errors list every attempt in
        `metadata.attempts`. No pause exceeds the timeout.
        """
        return self._run_attempts(operation, self._exchange_whole)

    def stream(self, operation: StreamingOperation[OutputT]) -> Flow[Stream[OutputT]]:
        """Return the flow of one call up to the head of its response, which returns a stream.

        It raises like `call`. Nothing is retried once the response has begun.
        """
        return self._run_attempts(operation, self._open_stream)

    def _run_attempts(
        self, operation: OperationT, exchange: Exchange[OperationT, ResultT]
    ) -> Flow[ResultT]:
        """Build a request, then sign and `exchange` it until success or a final failure."""
        request = self._build_request(operation)
        body: object = request.body
        if isinstance(body, Source):
            request = request.with_body((yield from Measure(body)))
        payload_hash = hash_payload(request.body)
        tracker = self._track_call(operation, request)
        recovery = Recovery(self.options, self.skew, send_once=operation.send_once)
        failure: SmRuntimeError | None = None
        token_reward: float = FIRST_TRY_REWARD
        try:
            while True:
                try:
                    credentials = yield from GetCredentials(tracker.left(), recovery.rejected)
                except SmRuntimeError as error:
                    tracker.end(error)
                    raise
                if failure is not None and credentials == recovery.rejected:
                    tracker.end()
                    raise failure  # the IO has no other credentials than those that were refused
                signed_request = self._sign_attempt(
                    operation, request, credentials, payload_hash, tracker
                )
                try:
                    call_result = yield from exchange(
                        operation, signed_request, tracker, recovery.fresh
                    )
                except (DispatchFailure, ServiceError, ResponseError) as error:
                    failure = error
                except SmRuntimeError as error:
                    # of the request, such as a file that became shorter
                    tracker.note_failure(error)
                    tracker.end()
                    raise
                else:
                    self.tokens.give(token_reward)
                    _notify_success(tracker, call_result)
                    return call_result
                received = self._clock.time()
                failed_attempt = FailedAttempt(
                    failure,
                    credentials,
                    signed_request.signed_at,
                    received,
                    signed_request.correction,
                    tracker.seconds,
                )
                if isinstance(failure, ServiceError) and failure.status == 403:
                    self._explain_refusal(failure, signed_request, credentials)
                cost = yield from self._wait_for_retry(failed_attempt, recovery, tracker)
                token_reward = cost or FIRST_TRY_REWARD
        except GeneratorExit:
            tracker.cancel()
            raise

    def _build_request(self, operation: Operation[Output]) -> Request:
        """Return the request that every attempt signs."""
        request = operation.request(self._endpoint_url or self._resolve_endpoint(operation))
        extra_headers = self.options.extra_headers
        return _with_headers(request, extra_headers, operation) if extra_headers else request

    def _resolve_endpoint(self, operation: Operation[Output]) -> str:
        endpoint_name: str = getattr(operation, "endpoint_name", "")
        return self.config.url_for(type(operation).__name__, endpoint_name)

    def _track_call(self, operation: Operation[Output], request: Request) -> CallTracker:
        invocation = f"{self._invocation_prefix}{int(self._random() * 9e11) + 10**11}"
        return CallTracker(
            self._observe,
            operation,
            request,
            invocation,
            self._clock,
            self.options.timeouts.total,
            self._signing_scope.region,
        )

    def _sign_attempt(
        self,
        operation: Operation[Output],
        request: Request,
        credentials: Credentials,
        payload_hash: str,
        tracker: CallTracker,
    ) -> SignedRequest:
        """Return the request of one attempt.

        The headers that number the attempt are not signed, since a proxy may change them. A
        `signing_host` is signed but not sent: the proxy writes it into the request.
        """
        before_signing = self.options.before_signing
        if before_signing is not None:
            from ._hooks import change_request  # few calls have a hook

            try:
                changed_request = change_request(before_signing, request, operation)
                if changed_request.body is not request.body:
                    payload_hash = hash_payload(changed_request.body)
            except BaseException as error:
                tracker.end(error)
                raise
            request = changed_request
        signing_host = self.config.signing_host
        unsigned_request = request
        if signing_host is not None:
            unsigned_request = request.replace(headers=(*request.headers, ("host", signing_host)))
        attempt_number, attempt_limit = tracker.start_attempt(self.options.retries.max_attempts)

        def sign_at(signing_time: float) -> Request:
            seconds_left = tracker.left()
            signature = sign(
                unsigned_request,
                credentials,
                self._signing_scope,
                now=signing_time,
                payload_hash=payload_hash,
            )
            time_to_live = (
                ""
                if seconds_left is None
                else f"ttl={format_timestamp(signing_time + seconds_left)}; "
            )
            invocation_header = "amz-sdk-invocation-id", tracker.invocation
            attempt_header = (
                "amz-sdk-request",
                f"{time_to_live}attempt={attempt_number}; max={attempt_limit}",
            )
            headers = (
                *request.headers,
                *signature.headers,
                self._user_agent,
                invocation_header,
                attempt_header,
            )
            return Request(request.method, request.url, headers, request.body)

        return SignedRequest(self._clock, self.skew, sign_at)

    def _explain_refusal(
        self, refusal: ServiceError, signed_request: SignedRequest, credentials: Credentials
    ) -> None:
        """Compare what was signed with what `refusal` quotes."""
        from ._refusals import explain_refusal  # only a refusal pays for it

        explain_refusal(
            refusal,
            signed_request.request,
            credentials,
            self._signing_scope,
            now=signed_request.signed_at + signed_request.correction,
            signing_host=self.config.signing_host,
            extra_headers=self.options.extra_headers,
        )

    def _exchange_whole(
        self,
        operation: Operation[OutputT],
        signed_request: SignedRequest,
        tracker: CallTracker,
        fresh: bool,
    ) -> Flow[OutputT]:
        """Send the request and return the output in the whole response."""
        options = self.options
        response = yield from Send(
            signed_request.request,
            tracker.left(),
            options.timeouts,
            fresh,
            tracker.notify,
            options.progress,
            signed_request.renew,
            options.max_body,
        )
        return operation.parse(response, attempts=tracker.attempts_with(response))

    def _open_stream(
        self,
        operation: StreamingOperation[OutputT],
        signed_request: SignedRequest,
        tracker: CallTracker,
        fresh: bool,
    ) -> Flow[Stream[OutputT]]:
        """Send the request and return the stream that the head of the response begins."""
        from ..protocol._response_parser import ResponseParser  # only streams pay for these two
        from ._stream import Stream, first_event

        timeouts = self.options.timeouts
        opened_response = yield from Open(
            signed_request.request,
            tracker.left(),
            timeouts,
            fresh,
            tracker.notify,
            self.options.progress,
            signed_request.renew,
        )
        parser, response_head = (
            ResponseParser(operation),
            Response(opened_response.status, opened_response.headers),
        )
        try:
            parser.receive_head(response_head, attempts=tracker.attempts_with(response_head))
            if not 200 <= opened_response.status < 300:
                yield from _receive_error_body(parser, opened_response.body, tracker, timeouts)
            output = cast("OutputT", first_event(parser).output)
        except BaseException:
            opened_response.body.abort()
            raise
        max_body = self.options.max_body
        return Stream(output, opened_response.body, parser, tracker, timeouts, max_body)

    def _wait_for_retry(
        self, failed_attempt: FailedAttempt, recovery: Recovery, tracker: CallTracker
    ) -> Flow[float]:
        """Wait until the next attempt and return the retry tokens that it costs.

        Raises the failure of `failed_attempt` if there is no other attempt.
        """
        failure = failed_attempt.failure
        if isinstance(failure, DispatchFailure):
            failure.metadata = Metadata(status=failure.status)
            from ._failure_hints import add_setting  # only a failure pays for it

            add_setting(failure, tracker, self.options.timeouts)
        tracker.note_failure(failure)
        try:
            decision = recovery.decide_after(failed_attempt, self.tokens.tokens, self._random())
        except BaseException:  # of `RetryPolicy.classify`
            tracker.end()
            raise
        if decision is not None and decision.delay is not None:
            decision = decision.replace(delay=limit_pause(decision.delay, self.longest_pause))
        if (
            decision is None
            or tracker.passed_in(decision.delay or 0.0)
            or not self.tokens.take(decision.cost)
        ):
            tracker.end()
            raise failure
        tracker.note_pause(decision)
        if decision.delay is not None:
            yield from Sleep(decision.delay)
        return decision.cost


def _notify_success(tracker: CallTracker, call_result: Output | Stream[Output]) -> None:
    """Notify the observer; if that raises, close the stream, which is not returned."""
    try:
        tracker.note_success(call_result.metadata.attempts)
    except BaseException:
        if not isinstance(call_result, Output):
            call_result.close()
        raise


def _with_headers(
    request: Request, extra_headers: Headers, operation: Operation[Output]
) -> Request:
    """Return `request` with extra headers; raise `ConstructionError` for one that is a member."""
    member_names = operation._table.members_by_header
    conflicting_names = [name for name, _ in extra_headers if name.lower() in member_names]
    if conflicting_names:
        header_name = conflicting_names[0]
        member_hint = (
            f"pass {member_names[header_name.lower()]}= instead of the header {header_name}"
        )
        raise ConstructionError("extra_headers", f"headers that no member sets: {member_hint}")
    return request.replace(headers=request.headers + extra_headers)


def _uuid_prefix(draw: Callable[[], float]) -> str:
    """Return a random UUID (RFC 9562 section 5.4) without its last twelve digits."""
    random_digits = f"{int(draw() * 2**40):010x}{int(draw() * 2**40):010x}"
    variant_digit = "89ab"[int(random_digits[15], 16) & 3]
    first_group, second_group, third_group = (
        random_digits[:8],
        random_digits[8:12],
        random_digits[12:15],
    )
    return f"{first_group}-{second_group}-4{third_group}-{variant_digit}{random_digits[16:19]}-"


def _receive_error_body(
    parser: ResponseParser, body: ResponseBody, deadline: Deadline, timeouts: Timeouts
) -> Flow[None]:
    """Receive the body of an error, up to `MAX_ERROR_BODY` bytes or until it breaks off."""
    received_size, is_truncated = 0, False
    while received_size <= MAX_ERROR_BODY:
        try:
            received_data = yield from Receive(body, deadline.left(), timeouts)
        except DispatchFailure:
            is_truncated = True
            break
        if not received_data:
            break
        received_size += len(received_data)
        parser.receive_data(received_data)
    parser.receive_eof(truncated=is_truncated)
