"""A container that returns what it receives, and one that fails every first call of two."""

from __future__ import annotations

import json
from base64 import b64encode
from itertools import count
from typing import Final

from smruntime_core import ServiceUnavailable

from ._call import Call
from ._container import JSON_TYPE, ContainerReply, make_reply

PART_SIZE: Final = 64  # bytes


def respond(call: Call) -> ContainerReply:
    """Return the members of `call` as a JSON object, the body in base64."""
    members = {**vars(call), "body": b64encode(call.body).decode()}
    for name in ("operation", "variant", "worker"):
        del members[name]
    document = json.dumps(members).encode()
    part_starts = range(0, len(document), PART_SIZE)
    parts = (document[start : start + PART_SIZE] for start in part_starts)
    return make_reply(call, JSON_TYPE, parts)


class Flaky:
    """A container that fails every first call of two with 503, and answers the second as echo."""

    def __init__(self) -> None:
        self._call_numbers = count()  # one step of it is atomic

    def respond(self, call: Call) -> ContainerReply:
        """Return the reply of echo, or raise `ServiceUnavailable`."""
        if next(self._call_numbers) % 2 == 0:
            raise ServiceUnavailable("The service is unavailable. Try your call again.")
        return respond(call)
