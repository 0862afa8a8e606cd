"""Differential test of the HTTP/1.1 exchange against h11, httptools, its h11 engine and other cuts.

mutated response ──┬── our exchange ───────────────┬── equal, or a row of disagreements.TABLE
                   ├── h11, httptools ─────────────┘
                   ├── our exchange, engine h11 ──── equal
                   └── our exchange, in pieces ───── equal
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from random import Random
from typing import NamedTuple

from disagreements import TABLE, Dispute
from mutation import cut, mutate
from oracles import Reading, read_with_h11, read_with_httptools
from responses import FRAGMENTS, LONG_RESPONSES, seed_responses

from smruntime_core import DispatchFailure, Request
from smruntime_core.http1 import Engine, Exchange
from smruntime_transports.wire._h11_engine import h11_engine

FULL = 100_000  # cases after which every known disagreement has been seen
REQUEST = Request("POST", "http://h/x", (), b"")
READERS = (("h11", read_with_h11), ("httptools", read_with_httptools))


class Verdict(NamedTuple):
    """What our exchange makes of a response: a failure if `kind` is set, else a response.

    Bytes that have not been received count as left over, and make a connection not `reusable`.
    """

    kind: str | None
    phase: str = ""
    delivery: str = ""
    status: int | None = None
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    truncated: bool = False
    reusable: bool = False


def read_with_exchange(pieces: Iterable[bytes], engine: Engine | None = None) -> Verdict:
    """Receive `pieces` as the pump does, then the end of the connection if it is reached."""
    exchange = Exchange(REQUEST, engine=engine)
    while (unsent := exchange.data_to_send()) is not None:
        exchange.sent(len(unsent))
    left_over = False
    try:
        for piece in pieces:
            left_over |= receive_piece(exchange, piece)
        if not exchange.done:
            exchange.receive_eof()
            left_over = True
    except DispatchFailure as failure:
        return Verdict(failure.kind, failure.phase, failure.delivery, failure.status)
    response = exchange.response()
    return Verdict(
        None,
        status=response.status,
        fields=tuple(response.headers),
        body=bytes(response.body),
        truncated=response.truncated,
        reusable=exchange.reusable() and not left_over,
    )


def receive_piece(exchange: Exchange, piece: bytes) -> bool:
    """Receive `piece` as the pump does, in the exchange's buffer if there is one.

    Return whether bytes of it were left over.
    """
    while piece and not exchange.done:
        buffer = exchange.get_buffer()
        if buffer is None:
            exchange.receive_data(piece)
            return False
        with buffer:
            count = min(len(buffer), len(piece))
            buffer[:count] = piece[:count]
        exchange.buffer_updated(count)
        piece = piece[count:]
    return bool(piece)


def find_difference(ours: Verdict, theirs: Reading) -> str | None:
    """Return how `theirs` differs from what we accept or refuse, None if it does not."""
    if ours.kind is not None:
        return None if theirs.refusal is not None else "refused by us"
    # we keep the answer of an error whose body was cut: what has come of it must be the same
    if ours.truncated != (theirs.refusal is not None):
        return "cut by us" if ours.truncated else "refused by them"
    our_fields = [normalize_field(*field) for field in ours.fields]
    differences = {
        "status": ours.status != theirs.status,
        "fields": our_fields != [normalize_field(*field) for field in theirs.fields],
        "body": ours.body != theirs.body,
        "reuse": ours.reusable and not theirs.keeps_alive,
    }
    return next((aspect for aspect, differs in differences.items() if differs), None)


def normalize_field(field_name: str, value: str) -> tuple[str, str]:
    """Return a field as h11 reports it: names and transfer codings in lower case."""
    field_name = field_name.lower()
    return field_name, value.lower() if field_name == "transfer-encoding" else value


class Differential:
    """The target: mutated responses, each read by every reader; `seen_rows` counts disagreements.

    A case raises `AssertionError` for a disagreement that `disagreements.TABLE` does not name.
    """

    def __init__(self) -> None:
        self._seeds = seed_responses()
        self.seen_rows: Counter[str] = Counter()

    def check_case(self, random: Random) -> None:
        """Mutate one response and compare all readings of it."""
        data = random.choice(LONG_RESPONSES if random.random() < 0.0005 else self._seeds)
        if random.random() < 0.05:
            data = data[: len(data) // 2] + random.choice(self._seeds)
        data = mutate(random, data, FRAGMENTS)
        ours = read_with_exchange([data])
        by_engine = read_with_exchange([data], h11_engine)
        assert by_engine == ours, f"engine='h11' reads {by_engine} instead of {ours}: {data!r}"
        if random.random() < 0.25:
            pieces = cut(random, data)
            in_pieces = read_with_exchange(pieces)
            assert in_pieces == ours, f"in pieces: {in_pieces} instead of {ours}: {pieces!r}"
        for reader, read_response in READERS:
            theirs = read_response(data)
            if difference := find_difference(ours, theirs):
                dispute = Dispute(reader, difference, data)
                settled_by = next((row.name for row in TABLE if row.settles(dispute)), None)
                assert settled_by is not None, (
                    f"{reader} differs, and no reason is known ({difference}).\n"
                    f"  bytes {data!r}\n  ours  {ours}\n  its   {theirs}"
                )
                self.seen_rows[settled_by] += 1

    def unseen_rows(self) -> list[str]:
        """Return the names of known disagreements that have not been seen."""
        return [row.name for row in TABLE if not self.seen_rows[row.name]]
