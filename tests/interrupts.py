"""Interrupt calls anywhere: at every event by a trace function, or at random by a timer.

    python tests/interrupts.py [--times 2000] [--only TRANSPORT]...

interrupts each kind of call that many times at random moments, on both blocking transports. The
exit status is 1 if a slot was lost, a call hung, an interrupt became another exception, or too few
calls were interrupted to prove anything.

Every client has one connection, so a lost slot shows in the healthy call that follows each
interrupt. The exception is still held then, as in an `except` block, where its traceback keeps the
locals of all frames.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from types import FrameType
from typing import Any, NamedTuple

sys.path.append(str(Path(__file__).parents[1]))  # last: what is installed goes first

import smruntime_core
import smruntime_transports
from smruntime_core import Credentials, InvokeEndpoint, RetryPolicy, Timeouts
from smruntime_core import InvokeEndpointWithResponseStream as Streamed
from smruntime_transports import sockets
from smruntime_transports import urllib3 as on_urllib3
from tests.servers import OK, Peer, acting
from tests.test_sessions import CLOSED, OPENED
from tests.test_streams import FRAMES, chunked

CLIENTS: dict[str, Callable[..., Any]] = {"sockets": sockets.Client, "urllib3": on_urllib3.Client}
POOL_LIMIT = 3.0  # seconds that the call after an interrupt may wait for the slot
HANGING = 10.0  # seconds after which a call hangs
SETTINGS: dict[str, Any] = {
    "region": "us-east-1",
    "max_connections": 1,
    "timeouts": Timeouts(pool=POOL_LIMIT),
    "retries": RetryPolicy(max_attempts=1),
}
KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI", "a-session-token")
OURS = tuple(
    os.path.dirname(module.__file__ or "") + os.sep
    for module in (smruntime_core, smruntime_transports)
)
HERE = os.path.dirname(__file__) + os.sep
_find_unprotected = re.compile(
    r"(ResponseStream|AbstractContextManager)\.__(enter|exit)__, bytecode [02],"
).search
BY_OPCODE = {
    "_pool.py",
    "_wire.py",
    "_streamed_body.py",
    "_pump.py",
    "_io.py",
    "_connection.py",
    "_waiting.py",
    "_connector.py",
    "_happy_eyeballs.py",
    "_streams.py",
    "urllib3.py",
}


class Interrupt(KeyboardInterrupt):
    """Raised by a signal handler, as after Ctrl-C."""


class SoftTimeLimit(Exception):
    """Raised by a signal handler, as Celery does."""


class Alarm(TimeoutError):
    """Raised by a signal handler, as in many recipes; also an `OSError`."""


INTERRUPTS: tuple[type[BaseException], ...] = (Interrupt, SoftTimeLimit, Alarm)


# ── kinds of call ──


def call(client: Any) -> None:
    client.call(InvokeEndpoint(endpoint_name="iris", body=b"5.1,3.5,1.4,0.2"))


def read_stream(client: Any) -> None:
    with client.stream(Streamed(endpoint_name="story", body=b"Once")) as stream:
        for _ in stream.bytes():
            pass


def leave_stream(client: Any) -> None:
    with client.stream(Streamed(endpoint_name="story", body=b"Once")) as stream:
        for _ in stream.bytes():
            break


def use_session(client: Any) -> None:
    with client.session("chat") as session:
        session.invoke(body=b"hello")


def ask_provider() -> Credentials:
    return KEYS


class Kind(NamedTuple):
    """What is interrupted. `fresh` makes a new client each time, `new` opens a new connection.

    `credentials` are the client's; None finds keys in the environment.
    """

    perform: Callable[[Any], None]
    new: bool = False
    fresh: bool = False
    credentials: Any = KEYS

    def make_client(self, transport: str, url: str, **settings: Any) -> Any:
        given = SETTINGS | {"endpoint_url": url, "credentials": self.credentials} | settings
        return CLIENTS[transport](**given)


KINDS: dict[str, Kind] = {
    "call": Kind(call),
    "call on a new connection": Kind(call, new=True),
    "first call": Kind(call, fresh=True, credentials=ask_provider),
    "first call with keys of the environment": Kind(call, fresh=True, credentials=None),
    "stream": Kind(read_stream),
    "stream on a new connection": Kind(read_stream, new=True),
    "stream that is left early": Kind(leave_stream),
    "session": Kind(use_session),
}


def serve(peer: Peer) -> None:
    while request := peer.read():
        if b"-response-stream" in request:
            peer.send(chunked(*FRAMES))
        elif b"NEW_SESSION" in request:
            peer.send(OPENED)
        else:
            peer.send(CLOSED if b"CLOSE" in request else OK)


# ── at every event ──


class Interrupter:
    """A trace function that raises `interrupt` at event number `at`; `place` is where that was.

    Events are the calls and lines of our code, and every bytecode of the modules in `BY_OPCODE`.
    Of an event that comes again and again only the first counts.
    """

    def __init__(self, at: int, interrupt: type[BaseException]) -> None:
        self.place = ""
        self._events_left = at
        self._interrupt = interrupt
        self._seen: set[tuple[object, ...]] = set()

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        path = frame.f_code.co_filename
        if not path.startswith(OURS):
            return None
        frame.f_trace_opcodes = os.path.basename(path) in BY_OPCODE
        return self._trace(frame, event, argument)

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        where = frame.f_code, frame.f_lasti, event
        if event in ("call", "line", "opcode") and not self.place and where not in self._seen:
            self._seen.add(where)
            self._events_left -= 1
            if self._events_left < 0:
                code = frame.f_code
                path = code.co_filename.rpartition("smruntime_")[2]
                location = f"{path}:{frame.f_lineno} {code.co_qualname}"
                self.place = f"{location}, bytecode {frame.f_lasti}, {event}"
                raise self._interrupt
        return self._trace


class Outcome(NamedTuple):
    """Where a call was interrupted ("" if it ended before), and what went wrong."""

    place: str
    fault: str = ""


def interrupt_at(
    perform: Callable[[Any], None], client: Any, at: int, interrupt: type[BaseException]
) -> Outcome:
    """Interrupt `perform` at event number `at`, and make a healthy call while the error is held."""
    interrupter = Interrupter(at, interrupt)
    previous = sys.gettrace()
    sys.settrace(interrupter)
    try:
        perform(client)
    except INTERRUPTS as held:
        sys.settrace(previous)
        return Outcome(interrupter.place, _fault_of_next_call(client, held))
    except Exception as error:
        sys.settrace(previous)
        return Outcome(interrupter.place, f"the interrupt became {error!r}")
    finally:
        sys.settrace(previous)
    # the interpreter ignores what is raised while it closes a generator or calls a finalizer
    return Outcome(interrupter.place, _fault_of_next_call(client, None))


def _fault_of_next_call(client: Any, held: BaseException | None) -> str:
    """Make a healthy call while `held` is; return what is wrong with it."""
    begun = time.monotonic()
    try:
        call(client)
    except Exception as error:
        return f"the next call failed while {held!r} was held: {error!r}"
    late = time.monotonic() - begun >= POOL_LIMIT
    return "the next call waited for a slot" if late else ""


def sweep(
    kind: Kind,
    transport: str,
    url: str,
    interrupts: tuple[type[BaseException], ...] = INTERRUPTS,
    first: int = 0,
    step: int = 1,
    **settings: Any,
) -> Iterator[Outcome]:
    """Interrupt the call at event `first` and at each `step`-th after it; yield each outcome."""
    client = kind.make_client(transport, url, **settings)
    if not kind.fresh:
        call(client)
    at = first
    while True:
        if kind.fresh:
            client = kind.make_client(transport, url, **settings)
        elif kind.new:
            client.close()
        outcome = interrupt_at(kind.perform, client, at, interrupts[at // step % len(interrupts)])
        if kind.fresh or not outcome.place:
            client.close()
        if not outcome.place:
            return
        yield outcome
        at += step


# ── at random moments ──


class Alarms:
    """A timer whose handler raises an interrupt, while `armed`."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - moments, no secrets
        self._armed = False

    def _raise(self, *_: object) -> None:
        if self._armed:
            self._armed = False
            raise self.random.choice(INTERRUPTS)

    def __enter__(self) -> Alarms:
        self._previous = signal.signal(signal.SIGALRM, self._raise)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGALRM, self._previous)

    def interrupt(self, perform: Callable[[Any], None], client: Any, within: float) -> None:
        """Run `perform`, and raise an interrupt at a random moment `within` so many seconds."""
        try:
            self._armed = True
            signal.setitimer(signal.ITIMER_REAL, max(1e-6, self.random.random() * within))
            perform(client)
        finally:
            self._armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)


def interrupt_at_random(kind: Kind, transport: str, times: int, seed: int = 1) -> Counter[str]:
    """Return how many calls were "interrupted" or "completed", and what went wrong how often."""
    found: Counter[str] = Counter()
    with acting(serve) as stage, Alarms(seed) as alarms:
        client = kind.make_client(transport, stage.url)
        latest = 1.1 * _usual_seconds(kind, transport, stage.url)
        for _ in range(times):
            if kind.fresh:
                client = kind.make_client(transport, stage.url)
            elif kind.new or alarms.random.random() < 0.3:
                client.close()
            outcome = _interrupt_once(alarms, kind, client, latest)
            found[outcome] += 1
            # three of four alarms fall into calls, whatever the machine does besides
            latest *= 0.94 if outcome == "completed" else 1.02
            if kind.fresh:
                client.close()
        client.close()
    return found


def _interrupt_once(alarms: Alarms, kind: Kind, client: Any, latest: float) -> str:
    begun = time.monotonic()
    try:
        alarms.interrupt(kind.perform, client, latest)
        outcome = "completed"
    except INTERRUPTS as held:
        fault = "" if is_unprotected(_place_of(held)) else _fault_of_next_call(client, held)
        outcome = fault or "interrupted"
    except Exception as error:
        if not _is_lost_by_threading(error):
            return f"the interrupt became {error!r}"
        outcome = "interrupted"
    if time.monotonic() - begun > HANGING:
        return "the call hung"
    return _fault_of_next_call(client, None) or outcome


def _is_lost_by_threading(error: Exception) -> bool:
    """Return whether CPython's `Thread.start` replaced the interrupt by its own `KeyError`.

    An `Exception` raised there after the thread has begun makes it forget the thread twice.
    """
    innermost = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
    where = innermost.co_filename, innermost.co_name
    return (
        isinstance(error, KeyError)
        and isinstance(error.__context__, INTERRUPTS)
        and where == (threading.__file__, "start")
    )


def _place_of(held: BaseException) -> str:
    """Return where `held` interrupted the call, as `Interrupter.place` does."""
    innermost = ""
    for frame, _ in traceback.walk_tb(held.__traceback__):
        code = frame.f_code
        if not code.co_filename.startswith(HERE):
            innermost = f"{code.co_qualname}, bytecode {frame.f_lasti}, signal"
    return innermost


def is_unprotected(place: str) -> bool:
    """Return whether `place` is one of the bytecodes that Python cannot protect.

    They are the first of a stream's `__enter__` and `__exit__`, before its `try`: there a stream
    that was not read to its end keeps its slot for as long as the exception is held.
    """
    return _find_unprotected(place) is not None


def count_faults(found: Counter[str], times: int) -> int:
    """Return how much went wrong, which includes that too few calls were interrupted."""
    faults = sum(found[outcome] for outcome in set(found) - {"interrupted", "completed"})
    return faults + (found["interrupted"] <= times / 4)


def _usual_seconds(kind: Kind, transport: str, url: str) -> float:
    """Return how long a call of this kind takes."""
    found: list[float] = []
    for _ in range(15):
        with kind.make_client(transport, url) as client:
            if not kind.fresh:
                call(client)
            begun = time.perf_counter()
            kind.perform(client)
            found.append(time.perf_counter() - begun)
    return median(found)


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=2000, help="interrupts of each kind of call")
    parser.add_argument("--only", action="append", choices=CLIENTS, metavar="TRANSPORT")
    options = parser.parse_args()
    os.environ |= {
        "AWS_ACCESS_KEY_ID": KEYS.access_key_id,
        "AWS_SECRET_ACCESS_KEY": KEYS.secret_access_key,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    failed = False
    for transport in options.only or CLIENTS:
        for name, kind in KINDS.items():
            found = interrupt_at_random(kind, transport, options.times)
            failed = failed or bool(count_faults(found, options.times))
            counts = ", ".join(f"{count} {outcome}" for outcome, count in found.most_common())
            print(f"{transport:8} {name:40} {counts}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
