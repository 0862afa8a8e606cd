"""Data capture: a line of JSON for each call and its answer, in the form that SageMaker writes.

Source: "Data capture" in SageMaker's developer guide. Streams are captured without their answer.
"""

from __future__ import annotations

import json
import threading
import uuid
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ..models._call import Call
from ..models._container import ContainerReply

_ENCODINGS = {"text/csv": "CSV", "application/json": "JSON"}


class DataCapture:
    """A file that calls are appended to; thread-safe."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()

    def watch(self, call: Call, reply: ContainerReply) -> ContainerReply:
        """Return `reply`; its last part appends the call and its answer to the file."""
        if call.operation == "InvokeEndpointWithResponseStream":
            self.write(call, None, None)
            return reply
        return reply._replace(parts=self._watch_parts(call, reply))

    def _watch_parts(self, call: Call, reply: ContainerReply) -> Iterator[bytes]:
        answer = bytearray()
        for part in reply.parts:
            answer += part
            yield part
        self.write(call, bytes(answer), reply.content_type)

    def write(self, call: Call, answer: bytes | None, content_type: str | None) -> None:
        """Append one call; `answer` is None for a stream."""
        captured = {"endpointInput": _describe("INPUT", call.body, call.content_type)}
        if answer is not None:
            captured["endpointOutput"] = _describe("OUTPUT", answer, content_type)
        metadata = {"eventId": str(uuid.uuid4()), "inferenceTime": _now()}
        if call.inference_id:
            metadata["inferenceId"] = call.inference_id
        line = {"captureData": captured, "eventMetadata": metadata, "eventVersion": "0"}
        with self._lock, self._file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(line) + "\n")


def _describe(mode: str, data: bytes, content_type: str | None) -> dict[str, str | None]:
    media_type = (content_type or "").partition(";")[0].strip().lower()
    encoding = _ENCODINGS.get(media_type, "BASE64")
    try:
        shown_data = data.decode() if encoding != "BASE64" else b64encode(data).decode()
    except UnicodeDecodeError:
        encoding, shown_data = "BASE64", b64encode(data).decode()
    return {
        "observedContentType": content_type,
        "mode": mode,
        "data": shown_data,
        "encoding": encoding,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
