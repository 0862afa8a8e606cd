"""Scripted conversations: a test writes down each effect of a flow and the reply to it.

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

An expectation is an effect, compared by value, or a class of effects. A difference raises an
`AssertionError` that shows both.
"""

from __future__ import annotations

from typing import Generic, Self, TypeVar

from ..effects import Effect, Flow
from ..errors import SmRuntimeError

ResultT = TypeVar("ResultT")
ErrorT = TypeVar("ErrorT", bound=SmRuntimeError)


class FrozenClock:
    """A clock that stands still until a test moves it: `clock.now += seconds`."""

    def __init__(self, now: float = 1.8e9) -> None:
        self.now: float = now

    def time(self) -> float:
        """Return the seconds since the epoch."""
        return self.now

    def monotonic(self) -> float:
        """Return the same number as `time`."""
        return self.now


class ScriptedIO(Generic[ResultT]):
    """The replies to a flow, checked against its effects; `effects` are those so far, in order."""

    def __init__(self, flow: Flow[ResultT]) -> None:
        self.effects: list[Effect[object]] = []
        self._scripted_flow = flow
        self._raised_error: SmRuntimeError | None = None
        self._returned_values: list[ResultT] = []
        self._advance_flow(None)

    def expects(self, expected: Effect[object] | type[Effect[object]]) -> Self:
        """Check that the flow waits for the effect `expected`, or for one of that class."""
        if self.ended:
            raise AssertionError(f"expected {expected!r}; the flow {self._describe_state()}")
        found = self.effects[-1]
        if not (isinstance(found, expected) if isinstance(expected, type) else found == expected):
            raise AssertionError(f"expected {expected!r}; the flow yielded {found!r}")
        return self

    def replies(self, reply: object) -> Self:
        """Send the reply to the current effect; an `SmRuntimeError` is raised inside the flow."""
        if self.ended:
            raise AssertionError(f"no effect to reply to: the flow {self._describe_state()}")
        self._advance_flow(reply)
        return self

    def returns(self) -> ResultT:
        """Return what the flow returned; raise `AssertionError` if it did not return."""
        if not self._returned_values:
            raise AssertionError(f"the flow has not returned: it {self._describe_state()}")
        return self._returned_values[0]

    def raises(self, kind: type[ErrorT]) -> ErrorT:
        """Return the error that the flow raised; raise `AssertionError` unless it is a `kind`."""
        if not isinstance(self._raised_error, kind):
            state = self._describe_state()
            raise AssertionError(f"the flow has not raised {kind.__name__}: it {state}")
        return self._raised_error

    @property
    def ended(self) -> bool:
        """Whether the flow has returned or raised."""
        return self._raised_error is not None or bool(self._returned_values)

    def _advance_flow(self, reply: object) -> None:
        try:
            self.effects.append(self._scripted_flow.send(reply))
        except StopIteration as stop:
            self._returned_values.append(stop.value)
        except SmRuntimeError as error:
            self._raised_error = error

    def _describe_state(self) -> str:
        if self._returned_values:
            return f"returned {self._returned_values[0]!r}"
        if self._raised_error is not None:
            return f"raised {self._raised_error!r}"
        return f"yielded {self.effects[-1]!r}"


def script(flow: Flow[ResultT]) -> ScriptedIO[ResultT]:
    """Begin a conversation with `flow`."""
    return ScriptedIO(flow)
