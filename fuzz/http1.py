"""The exchange against two other readers of HTTP/1.1, against itself behind h11, and against itself with the bytes cut otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from random import Random
from typing import NamedTuple

from disagreements import TABLE, Dispute
from mutation import cut, mutate
from oracles import Reading, by_h11, by_httptools
from responses import LONG, WORDS, seeds

from smruntime_core import DispatchFailure, Request
from smruntime_core.http1 import Engine, Exchange
from smruntime_transports.wire._h11_engine import h11_engine

FULL = 100_000  # cases after which every disagreement that has a name has been seen
REQUEST = Request("POST", "http://h/x", (), b"")


class Verdict(NamedTuple):
    """What our exchange says, once and for all. `reusable` counts what nobody has received yet as left over."""

    kind: str | None
    phase: str = ""
    delivery: str = ""
    status: int | None = None
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    truncated: bool = False
    reusable: bool = False


def judge(pieces: Iterable[bytes], engine: Engine | None = None) -> Verdict:
    """The pieces one by one as the pump hands them in, no further than the response goes, and then the end of the connection."""
    exchange = Exchange(REQUEST, engine=engine)
    while (data := exchange.data_to_send()) is not None:
        exchange.sent(len(data))
    left_over = False
    try:
        for piece in pieces:
            left_over |= receive(exchange, piece)
        if not exchange.done:
            exchange.receive_eof()
            left_over = True
    except DispatchFailure as failure:
        return Verdict(failure.kind, failure.phase, failure.delivery, failure.status)
    response = exchange.response()
    reusable = exchange.reusable() and not left_over
    return Verdict(
        None,
        "",
        "",
        response.status,
        tuple(response.headers),
        bytes(response.body),
        response.truncated,
        reusable,
    )


def receive(exchange: Exchange, piece: bytes) -> bool:
    """Hand `piece` in as the pump does: where there is room for it, else as bytes. Whether any of it was left over."""
    while piece and not exchange.done:
        room = exchange.get_buffer()
        if room is None:
            exchange.receive_data(piece)
            return False
        with room:
            count = min(len(room), len(piece))
            room[:count] = piece[:count]
        exchange.buffer_updated(count)
        piece = piece[count:]
    return bool(piece)


def difference(ours: Verdict, theirs: Reading) -> str | None:
    """How `theirs` differs from what we accept or refuse; None if it does not."""
    if ours.kind is not None:
        return None if theirs.refused is not None else "refused by us"
    if ours.truncated != (
        theirs.refused is not None
    ):  # an error's answer is kept though its body was cut: what came must be the same
        return "cut by us" if ours.truncated else "refused by them"
    differs = {
        "status": ours.status != theirs.status,
        "fields": [plain(*field) for field in ours.fields]
        != [plain(*field) for field in theirs.fields],
        "body": ours.body != theirs.body,
        "reuse": ours.reusable and not theirs.keeps,
    }
    return next((how for how, is_so in differs.items() if is_so), None)


def plain(name: str, value: str) -> tuple[str, str]:
    """A field as h11 tells it: names, and codings, in small letters."""
    name = name.lower()
    return name, value.lower() if name == "transfer-encoding" else value


class Differential:
    """Mutated responses, each read by all; raises `AssertionError` for a disagreement that `disagreements.TABLE` does not name."""

    def __init__(self) -> None:
        self._seeds = seeds()
        self.named: Counter[str] = Counter()

    def case(self, random: Random) -> None:
        data = random.choice(LONG if random.random() < 0.0005 else self._seeds)
        if random.random() < 0.05:
            data = data[: len(data) // 2] + random.choice(self._seeds)
        data = mutate(random, data, WORDS)
        ours = judge([data])
        assert judge([data], h11_engine) == ours, (
            f"with engine='h11' the verdict is another than {ours}: {data!r}"
        )
        if random.random() < 0.25:
            pieces = cut(random, data)
            assert judge(pieces) == ours, (
                f"cut otherwise the verdict is another than {ours}: {pieces!r}"
            )
        for who, read in (("h11", by_h11), ("httptools", by_httptools)):
            theirs = read(data)
            if how := difference(ours, theirs):
                dispute = Dispute(who, how, data)
                name = next((row.name for row in TABLE if row.settles(dispute)), None)
                assert name is not None, (
                    f"{who} differs, and no reason is known ({how}).\n  bytes {data!r}\n  ours  {ours}\n  its   {theirs}"
                )
                self.named[name] += 1

    def missing(self) -> list[str]:
        """Names of disagreements that have not been seen."""
        return [row.name for row in TABLE if not self.named[row.name]]
