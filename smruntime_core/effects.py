"""What a conversation may need done: the effects.

A flow is a generator that yields effects and is sent replies:

    response = yield from Send(request, timeout=3.0)      # inside a flow, typed: a Response
    effect = flow.send(None)                              # outside: what to do first
    effect = flow.send(reply)                             # and next, until StopIteration bears the result

    ╔══════════════════════════════════════════════════════════════╗
    ║  Answer every effect with exactly one reply, in order.       ║
    ╚══════════════════════════════════════════════════════════════╝

A failure is a reply too: send the `SmRuntimeError` in, and the flow raises it inside itself, where `try/except` around a retry
loop is ordinary Python. A flow that is being closed can ask for nothing, so release is never an effect: a flow that raises
owns nothing, a flow that returns hands what it has to its caller. (A body that was opened is let go of by `abort()`, which never
waits and so has no colour.)

Time left travels in seconds, never as a moment: every event loop has its own clock.
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

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)


class Effect(Record, Generic[R_co]):
    """Something to be done outside, by the method of an IO called `method`; the reply is an `R_co`."""

    method: ClassVar[str]
    feature: ClassVar[str] = (
        "this call"  # what needs it, for the error about an IO without the method
    )

    def __iter__(self) -> Generator[Effect[object], object, R_co]:
        reply = yield self
        if isinstance(reply, SmRuntimeError):
            raise reply
        return reply  # type: ignore[return-value]  # a reply is what its effect promises; a call of `cast` costs more than this line


Flow: TypeAlias = Generator[Effect[object], object, T]


Progress: TypeAlias = Callable[[int, int], object]


class GetCredentials(Effect[Credentials]):
    """Credentials to sign with, within `timeout` seconds (None: no limit). `rejected` are those that the service refused."""

    method = "credentials"
    feature = "signing"

    timeout: float | None = None
    rejected: Credentials | None = None


class Outgoing(Effect[R_co]):
    """A request to be sent exactly as it is, within `timeout` seconds (None: no limit).

    `phases` caps the parts of it; `fresh` forbids a kept connection. An IO that sees the first byte of the answer calls `notify`,
    one that counts bytes tells `progress` how many were sent and received. It raises `DispatchFailure` if it does not come off.
    """

    request: Request
    timeout: float | None = None
    phases: Timeouts = field(default=Timeouts())
    fresh: bool = False
    notify: Callable[[], None] | None = field(default=None, compare=False)
    progress: Progress | None = field(default=None, compare=False)


class Send(Outgoing[Response]):
    """One HTTP exchange. The reply is the whole response; a successful body of more than `max_body` bytes is not received.

    One that is `direct` is shown to no proxy, whatever the IO uses for others.
    """

    method = "send"
    feature = "every call"

    max_body: int | None = field(default=None, compare=False)
    direct: bool = False


class Open(Outgoing[StreamingResponse]):
    """Like `Send`, but the reply comes when the head has arrived, its body unread."""

    method = "open"
    feature = "a streamed answer"


class Receive(Effect[bytes]):
    """The next bytes of an open `body`, as soon as there are any; `b""` means that it is complete.

    The IO raises `DispatchFailure` if it breaks off, or if nothing comes within `timeout` seconds or the idle cap of `phases`.
    """

    method = "receive"
    feature = "a streamed answer"

    body: ResponseBody
    timeout: float | None = None
    phases: Timeouts = field(default=Timeouts())


class Measure(Effect[Sendable]):
    """Find out hash and length of what an operation was given for a body, or collect it: the reply is what to send.

    Only bodies that are no bytes need it.
    The IO raises `ConstructionError` if it cannot be read, or gives anything but bytes.
    """

    method = "measure"
    feature = "a body that is a file or an iterator"

    source: Source


class Supply(Effect[bytes]):
    """The `size` bytes of `upload` from `offset` on; the IO raises `ConstructionError` if they are not there any more."""

    method = "supply"
    feature = "a body that is a file"

    upload: Upload
    offset: int
    size: int


class Sleep(Effect[None]):
    """Wait for `seconds`."""

    method = "sleep"
    feature = "waiting between attempts"

    seconds: float


MAX_FILE = 1024 * 1024
MAX_PRINTED = 64 * 1024


class FileContents(NeverPickled, bytes):
    """What is in a file; its repr, which a traceback with locals shows, says only how much."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"

    __str__ = __repr__


class ReadFile(Effect["FileContents | None"]):
    """The file at `path`, None if there is none; of one longer than `most` bytes, one byte more than that.

    The IO raises `ConstructionError` for one that cannot be read.
    """

    method = "read_file"
    feature = "the settings and profiles in files"

    path: str
    most: int = MAX_FILE


class WriteFile(Effect[None]):
    """Put `data` at `path`, at once or not at all, for nobody else to read (mode 0600); raises `ConstructionError`."""

    method = "write_file"
    feature = "caching credentials in files"

    path: str
    data: bytes


class ProcessResult(NeverPickled, Record):
    """What a process left: its exit `status` and what it printed; of more than was allowed, one byte more than that."""

    status: int
    output: bytes


class RunProcess(Effect[ProcessResult]):
    """Run a program without a shell, within `seconds`; it reads nothing, and what it says on standard error is not looked at.

    The IO raises `CredentialsError` if it cannot be started or takes too long; it is killed then, and when it prints too much.
    """

    method = "run_process"
    feature = "credential_process"

    arguments: tuple[str, ...] = field(secret=True)
    seconds: float = 30.0
    most: int = MAX_PRINTED


class Ask(Effect[object]):
    """Call something of the user's, which may block or be awaited, with `arguments`; what it raises comes as `CredentialsError`."""

    method = "ask"
    feature = "credentials from a callable"

    function: Callable[..., object]
    arguments: tuple[object, ...] = ()


class Fetch(Effect["bytes | None"]):
    """The object at `location` (an s3:// or https:// URL), None if there is none yet."""

    method = "fetch"
    feature = "fetching an answer in your own way"

    location: str
