"""Effects: what a flow asks an IO to do.

A flow is a generator that yields effects and is sent the replies, so the logic of a conversation is
written once for sync and async code. `run` and `run_async` drive flows; a transport is an IO, an
object with one method for each effect (`Effect.method`).

    response = yield from Send(request, timeout=3.0)      # inside a flow: a typed reply
    effect = flow.send(None)                              # outside: the first effect
    effect = flow.send(reply)                             # the next; StopIteration holds the result

    ╔══════════════════════════════════════════════════════════════╗
    ║  Answer every effect with exactly one reply, in order.       ║
    ╚══════════════════════════════════════════════════════════════╝

A failure is a reply too: the IO raises the `SmRuntimeError` that the effect names, the loop sends
it in, and the flow raises it at its `yield`. Any other exception closes the flow and propagates. A
flow that is being closed cannot yield, so releasing is not an effect: a flow that raises owns
nothing, a flow that returns hands its open body to its caller, and `ResponseBody.abort()` never
waits.

Times are seconds left, never points in time, because each event loop has its own clock. None means
no limit. For `Send`, `Open` and `Receive` two kinds of limits apply; the sooner one counts:

| limit             | starts with                        | bounds                               |
|-------------------|------------------------------------|--------------------------------------|
| `timeout`         | the effect                         | the whole effect                     |
| `phases.pool`     | the wait for a free connection     | that wait                            |
| `phases.connect`  | name resolution                    | DNS, TCP, proxy and TLS together     |
| `phases.idle`     | each byte of a body, in or out     | the pause until the next byte        |
| `phases.response` | the last byte of the request       | the wait until the head is complete  |

A body that `Send` receives must also arrive at a byte per second after its first `phases.idle`
seconds, or a slow server could keep a call for ever. `phases.total` is not for the IO: the flow
subtracts the time used so far and passes the rest as `timeout`.

An HTTP library with a timeout for connecting and one for reading gets the shorter of `timeout` and
`phases.connect`, and the shorter of `timeout` and `phases.response`; once the head is there, that
of `Receive.timeout` and `phases.idle`. `docs/your-own-transport.md` shows such an IO.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import ClassVar, Generic, TypeAlias, TypeVar

from .errors import SmRuntimeError
from .values._bodies import BinaryFile, Seekable, Sendable, Source, Upload
from .values._credentials import Credentials
from .values._http import Request, Response, ResponseBody, StreamingResponse
from .values._record import Record, field
from .values._redacted import NeverPickled
from .values._timeouts import Timeouts

__all__ = [
    "Ask",
    "BinaryFile",
    "Effect",
    "Fetch",
    "FileContents",
    "Flow",
    "GetCredentials",
    "Measure",
    "Open",
    "ProcessResult",
    "Progress",
    "ReadFile",
    "Receive",
    "ResponseBody",
    "RunProcess",
    "Seekable",
    "Send",
    "Sendable",
    "Sleep",
    "Source",
    "StreamingResponse",
    "Supply",
    "Upload",
    "WriteFile",
]

ResultT = TypeVar("ResultT")
ReplyT_co = TypeVar("ReplyT_co", covariant=True)


class Effect(Record, Generic[ReplyT_co]):
    """A request to the IO: its method called `method` does the work and returns a `ReplyT_co`.

    `feature` names what needs the effect, for the error about an IO without that method.
    """

    method: ClassVar[str]
    feature: ClassVar[str] = "this call"

    def __iter__(self) -> Generator[Effect[object], object, ReplyT_co]:
        reply = yield self
        if isinstance(reply, SmRuntimeError):
            raise reply
        return reply  # type: ignore[return-value]  # the IO promises the type; `cast` costs a call


Flow: TypeAlias = Generator[Effect[object], object, ResultT]
Progress: TypeAlias = Callable[[int, int], object]
"""A callable that is called with the numbers of bytes sent and received so far."""


class GetCredentials(Effect[Credentials]):
    """Return the credentials to sign with, refreshing them if they expire soon.

    It may take `timeout` seconds. `rejected` are the credentials that the service refused: return
    others if there are any, else the same. Raise `CredentialsError` if there are none.
    """

    method = "credentials"
    feature = "signing"

    timeout: float | None = None
    rejected: Credentials | None = None


class Outgoing(Effect[ReplyT_co]):
    """One attempt to send a signed request; the base of `Send` and `Open`.

    Send `request` exactly as it is: the same URL and headers, except for headers that frame the
    body; never follow a redirect or send the request twice.

    `timeout` and `phases` limit it as the table of `smruntime_core.effects` says. With `fresh`, use
    a new connection, not one from the pool. Call `notify()` when the first byte of the response
    arrives, and `progress(sent, received)` when bytes have moved, if they are given and the IO can
    tell. If `renew` is given and the request had to wait for a connection, send what `renew()`
    returns instead, the same request with a new signature.

    Raise `DispatchFailure` with the kind, phase and delivery of what went wrong (`"timeout"` for a
    limit that was exceeded). Report `delivery="not_sent"` only if no byte can have left. An HTTP
    status of any kind is a reply, not a failure.
    """

    request: Request
    timeout: float | None = None
    phases: Timeouts = field(default=Timeouts())
    fresh: bool = False
    notify: Callable[[], None] | None = field(default=None, compare=False)
    progress: Progress | None = field(default=None, compare=False)
    renew: Callable[[], Request] | None = field(default=None, compare=False)


class Send(Outgoing[Response]):
    """Send a request and return the whole response, its body included.

    An IO that has `open` and `receive` answers it by the flow `streaming.receive_whole`.

    Raise `DispatchFailure` of the kind `"too_large"` when a successful body has more than
    `max_body` bytes; of an error's body (status 300 or more), read 1 MiB at most and set
    `truncated`. With `direct`, use no proxy. With `public`, connect to public addresses only (not
    loopback, link-local or private), unless a proxy resolves the name.
    """

    method = "send"
    feature = "every call"

    max_body: int | None = field(default=None, compare=False)
    direct: bool = False
    public: bool = False


class Open(Outgoing[StreamingResponse]):
    """Send a request and return as soon as the response's head is complete, its body unread.

    Its body is then read with `Receive`. `timeout` and `phases.response` end with the head.
    """

    method = "open"
    feature = "a streamed answer"


class Receive(Effect[bytes]):
    """Return the next bytes of an open `body` as soon as any arrive; `b""` when it is complete.

    `timeout` limits this effect alone: it is what is left of the call, anew for each `Receive`.
    `phases.idle` limits the wait for bytes, so the shorter one is the timeout of one read. Raise
    `DispatchFailure` when a limit is exceeded, or when the body is cut short or its framing is
    wrong; then the connection is closed.
    """

    method = "receive"
    feature = "a streamed answer"

    body: ResponseBody
    timeout: float | None = None
    phases: Timeouts = field(default=Timeouts())


class Measure(Effect[Sendable]):
    """Measure a body that is a file or an iterator: return what to send, with length and SHA-256.

    Return an `Upload` of a file that can seek; read anything else and return its bytes. Operations
    with a body of bytes never yield this effect. Raise `ConstructionError` if the source cannot be
    read or gives anything but bytes.
    """

    method = "measure"
    feature = "a body that is a file or an iterator"

    source: Source


class Supply(Effect[bytes]):
    """Return the `size` bytes of `upload` that begin at `offset`.

    An exchange yields it while it sends an `Upload`. Raise `ConstructionError` if the file has
    become shorter.
    """

    method = "supply"
    feature = "a body that is a file"

    upload: Upload
    offset: int
    size: int


class Sleep(Effect[None]):
    """Wait for `seconds` without blocking other tasks."""

    method = "sleep"
    feature = "waiting between attempts"

    seconds: float


MAX_FILE = 1024 * 1024
MAX_PRINTED = 64 * 1024


class FileContents(NeverPickled, bytes):
    """The bytes of a file; its repr shows only their number, as tracebacks may show locals."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"

    __str__ = __repr__


class ReadFile(Effect["FileContents | None"]):
    """Return the contents of the file at `path`; None if there is no such file.

    Of a longer file, return the first `max_bytes` + 1 bytes, which tells the flow that the file is
    too long. Raise `ConstructionError` if it cannot be read.
    """

    method = "read_file"
    feature = "the settings and profiles in files"

    path: str
    max_bytes: int = MAX_FILE


class WriteFile(Effect[None]):
    """Replace the file at `path` with `data`, atomically and with mode 0600.

    Raise `ConstructionError` if it cannot be written.
    """

    method = "write_file"
    feature = "caching credentials in files"

    path: str
    data: bytes


class ProcessResult(NeverPickled, Record):
    """The exit `status` of a process and its standard output, cut as `RunProcess` says."""

    status: int
    output: bytes


class RunProcess(Effect[ProcessResult]):
    """Run a program without a shell and return its exit status and output.

    Its standard input is empty, its standard error is discarded. Kill it after `seconds` and raise
    `CredentialsError`, as for a program that cannot be started. Kill it when it prints more than
    `max_bytes`, and return the first `max_bytes` + 1, so the flow notices that there were too many.
    """

    method = "run_process"
    feature = "credential_process"

    arguments: tuple[str, ...] = field(secret=True)
    seconds: float = 30.0
    max_bytes: int = MAX_PRINTED


class Ask(Effect[object]):
    """Call a function of the user's with `arguments` and return its result.

    A sync IO may block in it; an async IO awaits a result that is awaitable. Raise
    `CredentialsError` from any exception that the function raises.
    """

    method = "ask"
    feature = "credentials from a callable"

    function: Callable[..., object]
    arguments: tuple[object, ...] = ()


class Fetch(Effect["bytes | None"]):
    """Return the object at `location`, an s3:// or https:// URL; None if it does not exist yet."""

    method = "fetch"
    feature = "fetching an answer in your own way"

    location: str
