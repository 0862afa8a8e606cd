"""Every error there is, by whose fault it is.

    SmRuntimeError
    ├── ConstructionError (ValueError)     the caller's: it never left the process; names the member and the rule
    ├── CredentialsError                   the set-up's: each source that was tried and what it said
    ├── DispatchFailure                    the network's: `kind`, `phase`, and `delivery`: may the model have run?
    ├── ResponseError                      the server's: an answer that nobody can read
    │   └── StreamError                        inside a stream: a bad frame, a wrong checksum
    │       ├── SignatureMismatch                  a signed piece that nobody with the secret has signed (`signing`)
    │       └── TruncatedStream                    it ended in the middle of something
    └── ServiceError                       the service's or the model's: `code`, `message`, `status`
        ├── ModelError                     424  the container answered with an error of its own
        ├── ModelNotReadyException         429  the model is still loading
        ├── ValidationError                400  the service refused the request
        ├── InternalFailure                500
        ├── ServiceUnavailable             503
        ├── InternalDependencyException    530
        ├── ModelStreamError               inside a stream: the model failed, `error_code` says how
        └── InternalStreamFailure          inside a stream: the service failed
                                           (any other code stays a plain `ServiceError` that bears it)

An error knows what it can: `metadata` holds the request id, status, headers and attempts, as an output's does. `str()` of
any of them is one printable line, whatever the server sent: control characters and lone surrogates come out escaped.
All of them can be pickled, and none holds a secret of the caller's.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self, TypeAlias, cast

from ..metadata import NO_METADATA, Metadata

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
    "escape_unprintable",
]

Kind: TypeAlias = Literal[
    "refused", "timeout", "reset", "closed", "tls", "protocol", "too_large", "truncated"
]
Phase: TypeAlias = Literal["pool", "resolve", "connect", "proxy", "tls", "send", "head", "body"]
Delivery: TypeAlias = Literal["not_sent", "maybe_sent", "answered"]

THROTTLING_CODES = frozenset(
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
TRANSIENT_CODES = frozenset(("RequestTimeout", "RequestTimeoutException"))
TRANSIENT_STATUSES = frozenset((500, 502, 503, 504))


def escape_unprintable(text: str) -> str:
    """`text` fit for one line of a log: everything but escape_unprintable characters escaped."""
    return (
        text
        if text.isprintable()
        else "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    )


class SmRuntimeError(Exception):
    """Root of every error this package raises on purpose."""

    metadata: Metadata = NO_METADATA

    def about(self, metadata: Metadata) -> Self:
        """The same error, now knowing which call it is about."""
        self.metadata = metadata
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (type(self), self.args), self.__dict__


def _restore(kind: type[SmRuntimeError], args: tuple[object, ...]) -> SmRuntimeError:
    """Unpickle without `__init__`, whose keyword arguments live in the state."""
    return kind.__new__(kind, *args)


class ConstructionError(SmRuntimeError, ValueError):
    """A value was refused where it was given, before anything was signed or sent.

    `member` is the argument's name, `rule` what it must be.
    """

    def __init__(self, member: str, rule: str, found: str = "") -> None:
        super().__init__(f"{member}: {found + '; ' if found else ''}must be {rule}")
        self.member = member
        self.rule = rule


class CredentialsError(SmRuntimeError):
    """No credentials could be had, or the ones given cannot sign.

    `tried` are the sources that were looked at, in order, each with what it said.
    """

    def __init__(self, message: str, *, tried: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(escape_unprintable(message))
        self.tried = tried


class DispatchFailure(SmRuntimeError):
    """The exchange with the server failed.

    `kind` says what happened, `phase` during what. `delivery` is what a caller who pays for an invocation must know:
    `"not_sent"` (no byte of the request left), `"maybe_sent"` (the model may have run), `"answered"` (an answer had begun).
    `reused` is true if the connection had served before; `bytes_sent` and `bytes_received` count this exchange;
    `status` is set if a final head had arrived. `silence` is how many seconds after the last byte of the request it happened, None
    if the request had not been sent whole or nobody looked. `hint` is what to do about it, where
    the transport knows a likely cause. One of kind `"timeout"` is also a builtin `TimeoutError`.
    """

    silence: float | None = None
    hint: str | None = None

    # Unpickling gives the message alone, so `kind` may be lacking here.
    def __new__(cls, *args: object, kind: Kind | None = None, **_: object) -> Self:
        made = (
            cast("type[Self]", DispatchTimeout)
            if kind == "timeout" and cls is DispatchFailure
            else cls
        )
        return super(DispatchFailure, made).__new__(made, *args)

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
        super().__init__(
            text := escape_unprintable(
                f"{message} ({kind} in phase {phase}, {delivery.replace('_', ' ')})"
            )
        )
        self.args = (text,)  # an OSError, which a timeout is too, has set them before this
        self.kind: Kind = kind
        self.phase: Phase = phase
        self.delivery: Delivery = delivery
        self.reused = reused
        self.bytes_sent = bytes_sent
        self.bytes_received = bytes_received
        self.status = status

    def __str__(self) -> str:
        text = Exception.__str__(self)  # a timeout is an OSError too, whose own speaks of an errno
        return f"{text}; {escape_unprintable(self.hint)}" if self.hint else text


class DispatchTimeout(DispatchFailure, TimeoutError):
    """A `DispatchFailure` of kind `"timeout"`."""


class ResponseError(SmRuntimeError):
    """The server sent a complete answer that does not say what it must."""


class StreamError(ResponseError):
    """Bytes of a stream break the rules of its format."""


class SignatureMismatch(StreamError):
    """A piece of a body or an event does not bear the signature that it must; a server answers 403."""


class TruncatedStream(StreamError):
    """A stream ended in the middle of something; what came before it was whole and has been delivered."""


class ServiceError(SmRuntimeError):
    """The service answered with an error.

    `code` is the error's name, or the status as text if the answer bore none. `message` is safe to print,
    `message_raw` what was sent. `body` is the raw answer, cut at 1 MiB if `truncated`. `error_code`
    is a finer code that some errors have in their body. Where a proxy answered with an HTML page,
    `str()` shows its title.
    """

    default_code: ClassVar[str] = ""
    default_status: ClassVar[int] = 400
    # What else the JSON body of this error holds: attribute, wire name, type.
    members: ClassVar[tuple[tuple[str, str, type], ...]] = ()
    error_code: str | None = None

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
        self.status = self.default_status if status is None else status
        self.code = code or self.default_code or str(self.status)
        self.body = body
        self.truncated = truncated
        self.metadata = metadata

    @property
    def message(self) -> str:
        """The service's explanation, with whatever is not printable escaped."""
        return escape_unprintable(self.message_raw)

    @property
    def throttling(self) -> bool:
        """The service asks to slow down."""
        return self.code in THROTTLING_CODES or self.status == 429

    @property
    def retryable(self) -> bool:
        """The same request may succeed a little later."""
        return self.throttling or self.code in TRANSIENT_CODES or self.status in TRANSIENT_STATUSES

    @property
    def hint(self) -> str | None:
        """What to do about it, where the cause is known."""
        from ._hints import hint_for  # used only when an error is shown

        said = self.message_raw[:2048] or self._page or ""
        return hint_for(f"{self.code} {self.status} {self.error_code or ''} {said}")

    @property
    def _page(self) -> str | None:
        """What to say of a body that is an HTML page, None for others."""
        from ._hints import page_text

        title = page_text(self.body)
        if title is None:
            return None
        return f"an HTML page instead of an error{f': {title}' if title else ''}"

    def __str__(self) -> str:
        request_id = self.metadata.request_id
        identity = f" [request id {escape_unprintable(request_id)}]" if request_id else ""
        advice = f" ({hint})" if (hint := self.hint) else ""
        message = self.message or escape_unprintable(self._page or "no message")
        return f"{escape_unprintable(self.code)} ({self.status}): {message}{advice}{identity}"


class ModelError(ServiceError):
    """The model's container answered with an error, or did not answer.

    `original_status_code` and `original_message` are the container's. Where the service tells them
    in its message only, they are taken from there, and so is the name of the `container`. A status
    of 0 means that there was no answer: the container was too slow, or died. `error_code` says more
    of the kind, as `INTERNAL_FAILURE_FROM_MODEL`.
    """

    default_code = "ModelError"
    default_status = 424
    members = (
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
        """Take from the message what the answer did not say by itself."""
        from ._hints import relayed

        found = relayed(self.message_raw[: 64 * 1024])
        if found is None:
            return
        status, self.container, message = found
        if self.original_status_code is None:
            self.original_status_code = status
        self.original_message = self.original_message or message

    def json(self) -> object:
        """The container's words read as JSON; raises `ValueError` if they are none."""
        import json

        try:
            return cast("object", json.loads(self.original_message or ""))
        except RecursionError:
            raise ValueError("nested too deep") from None


class ModelNotReadyException(ServiceError):
    """The model is not loaded yet; the service suggests trying again."""

    default_code = "ModelNotReadyException"
    default_status = 429


class ValidationError(ServiceError):
    """The service refused the request; `error_code` can be `TARGET_MODEL_HEADER_MISSING`."""

    default_code = "ValidationError"
    default_status = 400
    members = (("error_code", "ErrorCode", str),)


class InternalFailure(ServiceError):
    """The service failed."""

    default_code = "InternalFailure"
    default_status = 500


class ServiceUnavailable(ServiceError):
    """The service is overloaded or down."""

    default_code = "ServiceUnavailable"
    default_status = 503


class InternalDependencyException(ServiceError):
    """Something that the service depends on failed."""

    default_code = "InternalDependencyException"
    default_status = 530


class ModelStreamError(ServiceError):
    """The model failed while its answer was streamed; `error_code` is the service's word for how."""

    default_code = "ModelStreamError"
    default_status = 400
    members = (("error_code", "ErrorCode", str),)


class InternalStreamFailure(ServiceError):
    """The service failed while an answer was streamed."""

    default_code = "InternalStreamFailure"
    default_status = 500
