"""The endpoint that shows what arrived: every member that was given, the body in base64."""

from __future__ import annotations

import json
from base64 import b64encode

from smruntime_core import InvokeEndpoint

from ._container import JSON


def answer(call: InvokeEndpoint) -> tuple[str, bytes]:
    """A JSON object of the members of `call` by their Python names."""
    seen = {**vars(call), "body": b64encode(call.body).decode()}
    return JSON, json.dumps(seen).encode()
