"""Replay of a recording: the recorded response to a request that was recorded.

A request matches an exchange of the same operation, endpoint, members and body. `inference_id` is
not compared, since every call may have its own, and JSON is compared by value. Exchanges that match
are returned in order, then the last one again. For any other request the error names the nearest
exchange and the first difference.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator, Sequence
from difflib import SequenceMatcher
from typing import Final, cast

from smruntime_core import Operation, Output, Response, ServiceError
from smruntime_core.eventstream import Message, encode

from ._recording_file import (
    ExchangeKey,
    RecordedEvent,
    RecordedExchange,
    RecordedResponse,
    RecordingPath,
    members_of,
    read_recording,
)
from ._stream_behavior import Hangup, Sleep, StreamedResponse

IGNORED_MEMBERS: Final = ("inference_id",)
COMPARED_SIZE: Final = 1000  # bytes of two bodies, to find the nearest
MAX_COMPARED: Final = 200  # exchanges
MAX_SHOWN: Final = 60  # characters of a value in a message
NO_VALUE: Final = "nothing"


class Replay:
    """The exchanges of a recording; thread-safe.

    With `delays`, responses and events of streams come after their recorded times.
    """

    def __init__(self, path: RecordingPath, *, delays: bool, sleep: Sleep) -> None:
        self._exchanges = read_recording(path)
        self._delays = delays
        self._sleep = sleep
        self._lock = threading.Lock()
        self._used: set[int] = set()
        self._by_key: dict[ExchangeKey, list[RecordedExchange]] = {}
        for exchange in self._exchanges:
            self._by_key.setdefault(exchange.key, []).append(exchange)

    @property
    def endpoint_names(self) -> list[str]:
        """The endpoints of the recording, in order."""
        return sorted({exchange.key[1] for exchange in self._exchanges})

    def reset(self) -> None:
        """Begin again with the first exchange."""
        with self._lock:
            self._used.clear()

    def respond(self, operation: Operation[Output]) -> Response | StreamedResponse:
        """Return the recorded response; raise `ServiceError` if no exchange matches."""
        started = time.monotonic()
        response = self._find(operation).response
        self._wait_until(started, response.seconds)
        head = Response(response.status, response.headers)
        if response.events is None:
            return head.replace(body=response.body)
        return StreamedResponse(head, self._replay_events(started, response, response.events))

    def _find(self, operation: Operation[Output]) -> RecordedExchange:
        key = type(operation).__name__, str(members_of(operation)["endpoint_name"])
        candidates = self._by_key.get(key, ())
        matching = [
            exchange for exchange in candidates if not _list_differences(exchange, operation)
        ]
        if not matching:
            raise _make_mismatch(self._exchanges, operation)
        with self._lock:
            found = next(
                (exchange for exchange in matching if exchange.line not in self._used), matching[-1]
            )
            self._used.add(found.line)
        return found

    def _replay_events(
        self, started: float, response: RecordedResponse, events: Sequence[RecordedEvent]
    ) -> Generator[bytes]:
        for event in events:
            self._wait_until(started, event.seconds)
            yield encode(Message(dict(event.headers), event.body))
        if not response.ended:
            raise Hangup

    def _wait_until(self, started: float, seconds: float) -> None:
        if self._delays:
            self._sleep(max(0.0, started + seconds - time.monotonic()))


def _list_differences(exchange: RecordedExchange, operation: Operation[Output]) -> list[str]:
    """Return what differs between the request of an exchange and an operation."""
    received = members_of(operation)
    differences: list[str] = []
    for name in dict.fromkeys((*exchange.members, *received)):
        if name in IGNORED_MEMBERS or (name in exchange.members and exchange.members[name] is None):
            continue
        recorded_value, received_value = exchange.members.get(name), received.get(name)
        if recorded_value != received_value:
            differences.append(_describe_difference(name, recorded_value, received_value))
    body = _body_of(operation)
    if not exchange.body.matches(body):
        differences += _compare_bodies(exchange.body.data, body)
    return differences


def _compare_bodies(recorded: bytes | None, received: bytes) -> list[str]:
    """Return the first difference of two bodies; none if they are the same JSON."""
    if recorded is None:
        return ["body: differs from the one whose SHA-256 was recorded"]
    try:
        difference = _compare_values("body", json.loads(recorded), json.loads(received))
        return [] if difference is None else [difference]
    except (ValueError, RecursionError):  # not JSON, or too deep
        pass
    pairs = zip(recorded, received, strict=False)
    shorter_size = min(len(recorded), len(received))
    position = next((index for index, (a, b) in enumerate(pairs) if a != b), shorter_size)
    start = max(0, position - 10)
    shown = [body[start : start + MAX_SHOWN] for body in (recorded, received)]
    return [_describe_difference(f"body at byte {position}", *shown)]


def _compare_values(where: str, recorded: object, received: object) -> str | None:
    """Return the first difference of two JSON values, None if they are equal."""
    values: tuple[object, object] = recorded, received
    if isinstance(recorded, dict) and isinstance(received, dict):
        return _compare_objects(
            where, cast("dict[str, object]", recorded), cast("dict[str, object]", received)
        )
    if isinstance(recorded, list) and isinstance(received, list):
        return _compare_lists(where, cast("list[object]", recorded), cast("list[object]", received))
    return _compare_scalars(where, *values)


def _compare_scalars(where: str, recorded: object, received: object) -> str | None:
    # True == 1 in Python, and not in JSON
    is_same = recorded == received and isinstance(recorded, bool) == isinstance(received, bool)
    return None if is_same else _describe_difference(where, recorded, received)


def _compare_objects(
    where: str, recorded: dict[str, object], received: dict[str, object]
) -> str | None:
    for name in dict.fromkeys((*recorded, *received)):
        place = f"{where}.{name}"
        if name not in recorded or name not in received:
            return _describe_difference(place, recorded.get(name), received.get(name))
        if difference := _compare_values(place, recorded[name], received[name]):
            return difference
    return None


def _compare_lists(where: str, recorded: list[object], received: list[object]) -> str | None:
    for index, (first, second) in enumerate(zip(recorded, received, strict=False)):
        if difference := _compare_values(f"{where}[{index}]", first, second):
            return difference
    if len(recorded) == len(received):
        return None
    return f"{where}: recorded {len(recorded)} items, received {len(received)}"


def _describe_difference(where: str, recorded: object, received: object) -> str:
    return f"{where}: recorded {_shorten(recorded)}, received {_shorten(received)}"


def _shorten(value: object) -> str:
    shown = NO_VALUE if value is None else repr(value)
    return shown if len(shown) <= MAX_SHOWN else f"{shown[:MAX_SHOWN]}…"


def _make_mismatch(
    exchanges: Sequence[RecordedExchange], operation: Operation[Output]
) -> ServiceError:
    """Return the error that names the nearest exchange and its differences."""
    operation_name, endpoint_name = type(operation).__name__, members_of(operation)["endpoint_name"]
    message = f"no recorded exchange matches {operation_name} of {endpoint_name}"
    nearest = max(
        sorted(exchanges, key=lambda exchange: _kinship(exchange, operation))[-MAX_COMPARED:],
        key=lambda exchange: (_kinship(exchange, operation), _similarity(exchange, operation)),
        default=None,
    )
    if nearest is None:
        message = f"{message}: the recording is empty"
    else:
        differences = _list_differences(nearest, operation)
        if nearest.operation != operation_name:
            differences.insert(0, f"operation: recorded {nearest.operation}")
        message = f"{message}; the nearest is line {nearest.line}: {'; '.join(differences)}"
    return ServiceError(message, code="NoRecordedExchange", status=404)


def _kinship(exchange: RecordedExchange, operation: Operation[Output]) -> tuple[int, int]:
    """Return how much of the names, and of the other members, is equal."""
    received = members_of(operation)
    same_names = 2 * (exchange.key[1] == received["endpoint_name"]) + (
        exchange.operation == type(operation).__name__
    )
    return same_names, sum(exchange.members.get(name) == received[name] for name in received)


def _similarity(exchange: RecordedExchange, operation: Operation[Output]) -> float:
    """Return how similar the bodies are at their beginning, from 0 to 1."""
    body = _body_of(operation)
    if exchange.body.matches(body):
        return 1.0
    recorded = (exchange.body.data or b"")[:COMPARED_SIZE]
    return SequenceMatcher(None, recorded, body[:COMPARED_SIZE], autojunk=False).quick_ratio()


def _body_of(operation: Operation[Output]) -> bytes:
    return bytes(vars(operation).get("body") or b"")
