"""Test support: scripted conversations with a flow, and the contract of every transport.

`script` replies to the effects of a flow; `_conversation` has an example. `FakeIO` gives a client
prepared answers. `CONTRACT` is what a transport must get right: each `Scenario` is the script of a
misbehaving server, written as a flow too, with the expected outcome of each call.
`smruntime_local.hostile` runs scenarios on sockets:

    from smruntime_core.testing import CONTRACT, outcomes
    from smruntime_local.hostile import check

    def call(url, operations, **settings):
        with MyClient(url, max_connections=1, **settings) as client:
            return outcomes(client.call, operations, client.stream)

    @pytest.mark.parametrize("scenario", CONTRACT, ids=str)
    def test_contract(scenario):
        check(scenario, call)

| module           | contents                                                     |
|------------------|--------------------------------------------------------------|
| `_conversation`  | `script`, `ScriptedIO`, `FrozenClock`                        |
| `_fake_io`       | `FakeIO`, `AsyncFakeIO`: prepared answers for a client       |
| `_faults`        | the faults and the correct behaviour for each                |
| `_server_script` | the effects that a server's script yields, and script makers |
| `_scenario`      | `Scenario`, the expectations, `find_differences`             |
| `_builders`      | builders of scenarios                                        |
| `_pool` …        | the scenarios of one layer                                   |
"""

from __future__ import annotations

from ._contract import CONTRACT
from ._conversation import FrozenClock, ScriptedIO, script
from ._fake_io import AsyncFakeIO, FakeAnswer, FakeIO
from ._faults import FAULTS, Fault
from ._scenario import (
    Expectation,
    ExpectedError,
    ExpectedFailure,
    ExpectedOutput,
    ExpectedStream,
    Observation,
    Scenario,
    StreamedCall,
    StreamOutcome,
    awaited_outcomes,
    find_differences,
    outcomes,
)
from ._server_script import (
    FinishSending,
    ReadClock,
    ReceiveRequest,
    ResetConnection,
    Script,
    SendBytes,
    StayIdle,
)

__all__ = [
    "CONTRACT",
    "FAULTS",
    "AsyncFakeIO",
    "Expectation",
    "ExpectedError",
    "ExpectedFailure",
    "ExpectedOutput",
    "ExpectedStream",
    "FakeAnswer",
    "FakeIO",
    "Fault",
    "FinishSending",
    "FrozenClock",
    "Observation",
    "ReadClock",
    "ReceiveRequest",
    "ResetConnection",
    "Scenario",
    "Script",
    "ScriptedIO",
    "SendBytes",
    "StayIdle",
    "StreamOutcome",
    "StreamedCall",
    "awaited_outcomes",
    "find_differences",
    "outcomes",
    "script",
]
