"""For tests of flows: a conversation written down, as the RFC of a protocol writes one.

    >>> import smruntime_core as sm
    >>> from smruntime_core.effects import GetCredentials, Send, Sleep
    >>> from smruntime_core.testing import FrozenClock, script
    >>> runtime = sm.Runtime(sm.Config(region="eu-west-1"), clock=FrozenClock(), random=lambda: 1.0)
    >>> keys = sm.Credentials("AKID", "secret")
    >>> output = (
    ...     script(runtime.call(sm.InvokeEndpoint(endpoint_name="churn", body=b"1")))
    ...     .expects(GetCredentials()).replies(keys)
    ...     .expects(Send).replies(sm.Response(503))
    ...     .expects(Sleep(0.05)).replies(None)
    ...     .expects(GetCredentials()).replies(keys)
    ...     .expects(Send).replies(sm.Response(200, (), b"0.5"))
    ...     .returns()
    ... )
    >>> output.body, [attempt.outcome for attempt in output.metadata.attempts]
    (b'0.5', ['503', 'ok'])

What was expected is an effect (compared by value) or a class of effects; what differs is an `AssertionError` that shows both.
"""

from __future__ import annotations

from typing import Generic, Self, TypeVar

from ..effects import Effect, Flow
from ..errors import SmRuntimeError

T = TypeVar("T")
ErrorT = TypeVar("ErrorT", bound=SmRuntimeError)


class FrozenClock:
    """A clock that stands still until it is moved: `clock.now += seconds`."""

    def __init__(self, now: float = 1.8e9) -> None:
        self.now = now

    def time(self) -> float:
        """Seconds since the epoch."""
        return self.now

    def monotonic(self) -> float:
        """The same: it never goes back unless you move it."""
        return self.now


class ScriptedIO(Generic[T]):
    """One side of a conversation with a flow; see the top of this file. `effects` are those that it has asked for, in order."""

    def __init__(self, flow: Flow[T]) -> None:
        self.effects: list[Effect[object]] = []
        self._flow = flow
        self._error: SmRuntimeError | None = None
        self._result: list[T] = []
        self._next(None)

    def expects(self, expected: Effect[object] | type[Effect[object]]) -> Self:
        """The flow is asking for `expected`: an effect, or one of that class."""
        if self.ended:
            raise AssertionError(f"expected {expected!r}; the flow {self._end()}")
        found = self.effects[-1]
        if not (isinstance(found, expected) if isinstance(expected, type) else found == expected):
            raise AssertionError(f"expected {expected!r}; the flow asks for {found!r}")
        return self

    def replies(self, reply: object) -> Self:
        """Answer what the flow is asking for; an `SmRuntimeError` is raised inside it."""
        if self.ended:
            raise AssertionError(f"there is nothing to reply to: the flow {self._end()}")
        self._next(reply)
        return self

    def returns(self) -> T:
        """What the flow has returned."""
        if not self._result:
            raise AssertionError(f"the flow has not returned: it {self._end()}")
        return self._result[0]

    def raises(self, kind: type[ErrorT]) -> ErrorT:
        """The error that the flow has raised."""
        if not isinstance(self._error, kind):
            raise AssertionError(f"the flow has raised no {kind.__name__}: it {self._end()}")
        return self._error

    @property
    def ended(self) -> bool:
        """The flow has returned or raised."""
        return self._error is not None or bool(self._result)

    def _next(self, reply: object) -> None:
        try:
            self.effects.append(self._flow.send(reply))
        except StopIteration as end:
            self._result.append(end.value)
        except SmRuntimeError as error:
            self._error = error

    def _end(self) -> str:
        if self._result:
            return f"has returned {self._result[0]!r}"
        return (
            f"asks for {self.effects[-1]!r}"
            if self._error is None
            else f"has raised {self._error!r}"
        )


def script(flow: Flow[T]) -> ScriptedIO[T]:
    """Begin a conversation with `flow`."""
    return ScriptedIO(flow)
