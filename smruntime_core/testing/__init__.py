"""For tests: conversations with a flow written down, and what every transport must get right, as a table.

`script` plays the outside of a flow (`_conversation` shows it). `CONTRACT` is what an unlucky or hostile world does to a transport: each
`Scenario` is a server's part, written as a flow too, and what is right then. A player on real sockets is `smruntime_local.hostile`:

    from smruntime_core.testing import CONTRACT, outcomes
    from smruntime_local.hostile import check

    def call(url, operations, **settings):
        with MyClient(url, **settings) as client:
            return outcomes(client.call, operations)

    @pytest.mark.parametrize("scenario", CONTRACT, ids=str)
    def test_contract(scenario):
        check(scenario, call)
"""

from __future__ import annotations

from ._contract import CONTRACT
from ._conversation import FrozenClock, ScriptedIO, script
from ._rows import ROWS, Row
from ._scenario import (
    Answer,
    Failure,
    Refusal,
    Right,
    Scenario,
    Seen,
    awaited_outcomes,
    differences,
    outcomes,
)
from ._server import Finish, Hear, Now, Pause, Reset, Say, Script

__all__ = [
    "CONTRACT",
    "ROWS",
    "Answer",
    "Failure",
    "Finish",
    "FrozenClock",
    "Hear",
    "Now",
    "Pause",
    "Refusal",
    "Reset",
    "Right",
    "Row",
    "Say",
    "Scenario",
    "Script",
    "ScriptedIO",
    "Seen",
    "awaited_outcomes",
    "differences",
    "outcomes",
    "script",
]
