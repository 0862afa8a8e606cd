"""The endpoint that shows what arrived: every member that was given, the body in base64. And its moody brother."""

from __future__ import annotations

import json
from base64 import b64encode
from itertools import count

from smruntime_core import InvokeEndpoint, ServiceUnavailable

from ._container import JSON, Reply, reply

PART = 64  # bytes


def answer(call: InvokeEndpoint) -> Reply:
    """A JSON object of the members of `call` by their Python names."""
    seen = json.dumps({**vars(call), "body": b64encode(call.body).decode()}).encode()
    return reply(call, JSON, (seen[start : start + PART] for start in range(0, len(seen), PART)))


class Flaky:
    """Answers the first of every two calls with 503, the second as echo does."""

    def __init__(self) -> None:
        self._calls = count()  # one step of it is atomic

    def answer(self, call: InvokeEndpoint) -> Reply:
        """What echo says, or `ServiceUnavailable`."""
        if next(self._calls) % 2 == 0:
            raise ServiceUnavailable("The service is unavailable. Try your call again.")
        return answer(call)
