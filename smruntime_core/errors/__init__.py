"""Every error of the package, grouped by its cause.

    SmRuntimeError
    ├── ConstructionError (ValueError)     an argument or setting is wrong; nothing was sent
    ├── CredentialsError                   no usable credentials; `tried` lists each source's answer
    ├── DispatchFailure                    the exchange failed; `delivery`: may the model have run?
    │   └── DispatchTimeout (TimeoutError)     a `DispatchFailure` of kind "timeout"
    ├── ResponseError                      the server's answer cannot be read
    │   └── StreamError                        inside a stream: a bad frame, a wrong checksum
    │       ├── SignatureMismatch                  a signed chunk or event has a wrong signature
    │       └── TruncatedStream                    the stream ended before it was complete
    └── ServiceError                       the service or the model answered with an error
        ├── ModelError                     424  the model's container answered with an error
        ├── ModelNotReadyException         429  the model is still loading
        ├── ValidationError                400  the service refused the request
        ├── InternalFailure                500
        ├── ServiceUnavailable             503
        ├── InternalDependencyException    530
        ├── ModelStreamError               inside a stream: the model failed; see `error_code`
        └── InternalStreamFailure          inside a stream: the service failed
                                           (any other code is a plain `ServiceError`)

`metadata` holds the request id, status, headers and attempts, as that of an output does. `str()`
returns one printable line: control characters and lone surrogates are escaped. Only a refused
signature (403) has further lines, which are indented. Every error can be pickled, and none holds a
secret of the caller's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar, Final, Literal, Self, TypeAlias, cast

from ..metadata import NO_METADATA, Metadata
from ._text import escape_unprintable

if TYPE_CHECKING:
    from ..signing import Explanation

__all__ = [
    "ConstructionError",
    "CredentialsError",
    "Delivery",
    "DispatchFailure",
    "DispatchTimeout",
    "InternalDependencyException",
    "InternalFailure",
    "InternalStreamFailure",
    "Kind",
    "ModelError",
    "ModelNotReadyException",
    "ModelStreamError",
    "Phase",
    "ResponseError",
    "ServiceError",
    "ServiceUnavailable",
    "SignatureMismatch",
    "SmRuntimeError",
    "StreamError",
    "TruncatedStream",
    "ValidationError",
    "describe_unexpected",
    "escape_unprintable",
    "html_table",
]

Kind: TypeAlias = Literal[
    "refused", "timeout", "reset", "closed", "tls", "protocol", "too_large", "truncated"
]
Phase: TypeAlias = Literal["pool", "resolve", "connect", "proxy", "tls", "send", "head", "body"]
Delivery: TypeAlias = Literal["not_sent", "maybe_sent", "answered"]

THROTTLING_CODES: Final[frozenset[str]] = frozenset(
    (
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "ModelNotReadyException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    )
)
TRANSIENT_CODES: Final[frozenset[str]] = frozenset(("RequestTimeout", "RequestTimeoutException"))
TRANSIENT_STATUSES: Final[frozenset[int]] = frozenset((500, 502, 503, 504))


def describe_unexpected(given: Iterable[str], known: Collection[str]) -> str | None:
    """Return the message about those arguments of `given` that are not `known`, None if all are.

    It names the arguments that were probably meant, or the remedy.
    """
    unknown = [name for name in given if name not in known]
    if not unknown:
        return None
    from ._suggestions import suggest  # needed only for a refusal

    return suggest(unknown, known)


def html_table(title: str, rows: Mapping[str, object]) -> str:
    """Return a table for `_repr_html_`: all text is escaped, values of None are left out."""
    from ._html import render_table

    return render_table(title, rows)


def metadata_rows(metadata: Metadata) -> dict[str, object]:
    """Return what a table shows of a call."""
    attempts = metadata.attempts
    seconds = sum(attempt.seconds + attempt.waited for attempt in attempts)
    return {
        "request id": metadata.request_id,
        "attempts": f"{len(attempts)}, {seconds:.3f} s" if attempts else None,
    }


class SmRuntimeError(Exception):
    """The root of every error that this package raises on purpose."""

    metadata: Metadata = NO_METADATA

    def about(self, metadata: Metadata) -> Self:
        """Set the metadata of the call that failed, and return this error."""
        self.metadata = metadata
        return self

    def _rows(self) -> dict[str, object]:
        """Return what a table shows of the error itself."""
        return {"message": str(self)}

    def _repr_html_(self) -> str:
        return html_table(type(self).__name__, {**self._rows(), **metadata_rows(self.metadata)})

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (type(self), self.args), self.__dict__


def _restore(error_class: type[SmRuntimeError], arguments: tuple[object, ...]) -> SmRuntimeError:
    """Unpickle an error without `__init__`; its attributes are restored from the state."""
    return error_class.__new__(error_class, *arguments)


class ConstructionError(SmRuntimeError, ValueError):
    """An argument or a setting that is refused before anything is signed or sent.

    `member` names the argument, setting or file, `rule` completes "must be …", and `found` says
    what is wrong without quoting a value that may be secret. The text is
    "member: found; must be rule" unless `message` gives the whole text.
    """

    def __init__(
        self, member: str, rule: str, found: str = "", *, message: str | None = None
    ) -> None:
        default = f"{member}: {found}; must be {rule}" if found else f"{member}: must be {rule}"
        super().__init__(escape_unprintable(default if message is None else message))
        self.member = member
        self.rule = rule


class CredentialsError(SmRuntimeError):
    """No source has credentials, or the credentials cannot sign.

    `tried` lists the sources that were asked, in order, each with its answer.
    """

    def __init__(self, message: str, *, tried: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(escape_unprintable(message))
        self.tried = tried


class DispatchFailure(SmRuntimeError):
    """An exchange with the server that failed.

    - `kind`: what happened; `phase`: during which step of the exchange.
    - `delivery`: whether the invocation may be billed. "not_sent": no byte of the request left;
      "maybe_sent": the model may have run; "answered": a response had begun.
    - `reused`: whether the connection had served an earlier request.
    - `bytes_sent`, `bytes_received`: counts for this exchange.
    - `status`: the response's status if its final head had arrived.
    - `silence`: seconds between the last byte of the request and the failure; None if the request
      was not sent completely or the time was not measured.
    - `hint`: a remedy, where the transport knows a likely cause.

    A failure of kind "timeout" is also a builtin `TimeoutError`.
    """

    silence: float | None = None
    hint: str | None = None

    def __new__(cls, *args: object, kind: Kind | None = None, **_: object) -> Self:
        """Create a `DispatchTimeout` for kind "timeout"; pickle passes the message alone."""
        error_class = (
            cast("type[Self]", DispatchTimeout)
            if kind == "timeout" and cls is DispatchFailure
            else cls
        )
        return super(DispatchFailure, error_class).__new__(error_class, *args)

    def __init__(  # pyright: ignore[reportInconsistentConstructor]  # see above
        self,
        message: str,
        *,
        kind: Kind,
        phase: Phase,
        delivery: Delivery,
        reused: bool = False,
        bytes_sent: int = 0,
        bytes_received: int = 0,
        status: int | None = None,
    ) -> None:
        text = f"{message} ({kind} in phase {phase}, {delivery.replace('_', ' ')})"
        super().__init__(escape_unprintable(text))
        self.args: tuple[object, ...] = (escape_unprintable(text),)  # OSError.__new__ has set them
        self.kind: Kind = kind
        self.phase: Phase = phase
        self.delivery: Delivery = delivery
        self.reused = reused
        self.bytes_sent = bytes_sent
        self.bytes_received = bytes_received
        self.status = status

    def _rows(self) -> dict[str, object]:
        return {
            "message": Exception.__str__(self),
            "hint": self.hint,
            "status": self.status,
            "sent": f"{self.bytes_sent} bytes",
            "received": f"{self.bytes_received} bytes",
        }

    def add_hint(self, remedy: str) -> None:
        """Add a remedy to those that `hint` has."""
        self.hint = f"{self.hint}; {remedy}" if self.hint else remedy

    def __str__(self) -> str:
        message = Exception.__str__(self)  # a timeout's OSError.__str__ would show an errno
        return f"{message}; {escape_unprintable(self.hint)}" if self.hint else message


class DispatchTimeout(DispatchFailure, TimeoutError):
    """A `DispatchFailure` of kind "timeout"."""


class ResponseError(SmRuntimeError):
    """A complete answer of the server that cannot be read."""


class StreamError(ResponseError):
    """Bytes in a stream that break the rules of its format."""


class SignatureMismatch(StreamError):
    """A missing or wrong signature of a chunk or an event; a server answers 403."""


class TruncatedStream(StreamError):
    """A stream that ended before it was complete; the events before the end were delivered."""


class ServiceError(SmRuntimeError):
    """An error that the service answered with.

    - `code`: the error's name, or the status as text if the answer names none.
    - `message`: the explanation, safe to print; `message_raw`: as it was sent.
    - `body`: the raw answer, cut at 1 MiB if `truncated`.
    - `error_code`: a finer code that some errors have in their body.

    If a proxy answered with an HTML page, `str()` shows the page's title. If the service refused
    the signature, further lines, each indented, show what differs; see `explain`.
    """

    default_code: ClassVar[str] = ""
    default_status: ClassVar[int] = 400
    # Further members of this error's JSON body: attribute, wire name, type.
    members: ClassVar[tuple[tuple[str, str, type], ...]] = ()
    error_code: str | None = None
    explanation: Explanation | None = None

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        status: int | None = None,
        body: bytes = b"",
        truncated: bool = False,
        metadata: Metadata = NO_METADATA,
    ) -> None:
        super().__init__(message)
        self.message_raw = message
        self.status: int = self.default_status if status is None else status
        self.code: str = code or self.default_code or str(self.status)
        self.body = body
        self.truncated = truncated
        self.metadata = metadata

    @property
    def message(self) -> str:
        """The service's explanation, with unprintable characters escaped."""
        return escape_unprintable(self.message_raw)

    @property
    def throttling(self) -> bool:
        """Whether the service asks the caller to slow down."""
        return self.code in THROTTLING_CODES or self.status == 429

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed a little later."""
        return self.throttling or self.code in TRANSIENT_CODES or self.status in TRANSIENT_STATUSES

    @property
    def hint(self) -> str | None:
        """The remedy, where the cause is known."""
        from ._hints import hint_for  # needed only when an error is shown

        explanation = self.message_raw[:2048] or self._page_summary or ""
        return hint_for(f"{self.code} {self.status} {self.error_code or ''} {explanation}")

    def explain(self) -> Explanation | None:
        """Return what was signed, compared with what the service quotes in a refused signature.

        None if the error is another one, or was not raised by a call of `Runtime` or a client.
        """
        return self.explanation

    def __repr__(self) -> str:
        """Show everything but the texts, which may quote a body."""
        variant, content_type = self._origin()
        shown = {
            "code": self.code,
            "variant": variant,
            "content_type": content_type,
            "request_id": self.metadata.request_id,
        }
        members = "".join(f", {name}={value!r}" for name, value in shown.items() if value)
        sizes = f"message=<{len(self.message_raw)} characters>, body=<{len(self.body)} bytes>"
        return f"{type(self).__name__}({self.status}{members}, {sizes})"

    def _origin(self) -> tuple[str | None, str | None]:
        """Return the variant that answered and the content type."""
        named = {name.lower(): value for name, value in self.metadata.headers}
        return named.get("x-amzn-invoked-production-variant"), named.get("content-type")

    def _rows(self) -> dict[str, object]:
        variant, content_type = self._origin()
        message, *details = self._message_lines()
        return {
            "status": self.status,
            "code": self.code,
            "message": message,
            "hint": self.hint,
            "signature": "\n".join(details) or None,
            "variant": variant,
            "content type": content_type,
            "body": f"{len(self.body)} bytes",
        }

    @property
    def _page_summary(self) -> str | None:
        """The summary of a body that is an HTML page, None for other bodies."""
        from ._hints import page_text

        title = page_text(self.body)
        if title is None:
            return None
        return f"an HTML page instead of an error{f': {title}' if title else ''}"

    def __str__(self) -> str:
        request_id = self.metadata.request_id
        identity = f" [request id {escape_unprintable(request_id)}]" if request_id else ""
        advice = f" ({hint})" if (hint := self.hint) else ""
        message, *lines = self._message_lines()
        details = "".join(f"\n    {line}" for line in lines)
        code = escape_unprintable(self.code)
        return f"{code} ({self.status}): {message}{advice}{identity}{details}"

    def _message_lines(self) -> list[str]:
        """Return the printable message, and what differs in a refused signature as further lines.

        Values that may be secret are left out of a request that the message quotes.
        """
        if self.status != 403 or "\n" not in self.message_raw:
            return [self.message or escape_unprintable(self._page_summary or "no message")]
        from ._hints import refusal_lines

        verdict = self.explanation.verdict if self.explanation else ""
        return refusal_lines(self.message_raw, verdict)


class ModelError(ServiceError):
    """An error of the model's container, or its failure to answer.

    `original_status_code` and `original_message` are the container's; a status of 0 means that the
    container gave no answer: it was too slow, or it died. `container` is its name. Where the answer
    has these only inside the service's message, they are read from there. `error_code` names the
    kind of failure, for instance `INTERNAL_FAILURE_FROM_MODEL`.
    """

    default_code = "ModelError"
    default_status = 424
    members: ClassVar[tuple[tuple[str, str, type], ...]] = (
        ("original_status_code", "OriginalStatusCode", int),
        ("original_message", "OriginalMessage", str),
        ("log_stream_arn", "LogStreamArn", str),
        ("error_code", "ErrorCode", str),
    )
    original_status_code: int | None = None
    original_message: str | None = None
    log_stream_arn: str | None = None
    container: str | None = None

    def read_message(self) -> None:
        """Set the members that are missing in the JSON from the text of the service's message."""
        from ._hints import parse_relayed_error

        relayed_error = parse_relayed_error(self.message_raw[: 64 * 1024])
        if relayed_error is None:
            return
        status, self.container, message = relayed_error
        if self.original_status_code is None:
            self.original_status_code = status
        self.original_message = self.original_message or message

    def json(self) -> object:
        """Parse `original_message` as JSON; raise `ValueError` if it is not JSON."""
        import json

        try:
            return cast("object", json.loads(self.original_message or ""))
        except RecursionError:
            raise ValueError("original_message: the JSON is nested too deeply to parse") from None


class ModelNotReadyException(ServiceError):
    """A refusal because the model is not loaded yet; the service suggests trying again."""

    default_code = "ModelNotReadyException"
    default_status = 429


class ValidationError(ServiceError):
    """A request that the service refused; `error_code` can be `TARGET_MODEL_HEADER_MISSING`."""

    default_code = "ValidationError"
    default_status = 400
    members: ClassVar[tuple[tuple[str, str, type], ...]] = (("error_code", "ErrorCode", str),)


class InternalFailure(ServiceError):
    """A failure of the service."""

    default_code = "InternalFailure"
    default_status = 500


class ServiceUnavailable(ServiceError):
    """A refusal because the service is overloaded or down."""

    default_code = "ServiceUnavailable"
    default_status = 503


class InternalDependencyException(ServiceError):
    """A failure of something that the service depends on."""

    default_code = "InternalDependencyException"
    default_status = 530


class ModelStreamError(ServiceError):
    """A failure of the model while its answer was streamed; `error_code` says how it failed."""

    default_code = "ModelStreamError"
    default_status = 400
    members: ClassVar[tuple[tuple[str, str, type], ...]] = (("error_code", "ErrorCode", str),)


class InternalStreamFailure(ServiceError):
    """A failure of the service while an answer was streamed."""

    default_code = "InternalStreamFailure"
    default_status = 500
