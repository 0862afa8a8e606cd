"""The other end of a body in chunks (`_chunked` has the format): no byte is given out before its signature was verified."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import NamedTuple, TypeAlias

from ..errors import ConstructionError, SignatureMismatch, StreamError, TruncatedStream
from ..values._credentials import Credentials
from ..values._dates import parse_stamp
from ..values._http import Headers, Request
from ..values._incremental import IncrementalDecoder, checked_limit
from ._canonical import canonical_headers
from ._chunk_signer import (
    STREAMING_UNSIGNED_PAYLOAD_TRAILER,
    TRAILER_SIGNATURE,
    read_trailer,
    trailers_said,
    word,
)
from ._claim import Claim
from ._keys import AnyScope
from ._signature_chain import Chain, piece

MAX_CHUNK = 16 * 1024 * 1024
MAX_LINE = 8 * 1024
MAX_TRAILERS = 64

_head = re.compile(r"([0-9a-fA-F]{1,16})(?:;chunk-signature=([0-9a-f]{64,144})\**)?").fullmatch
_trailer_signature = re.compile(r"[ \t]*([0-9a-f]{64,144})\**[ \t]*").fullmatch


class Trailers(NamedTuple):
    """The last event of a body whose trailers were announced."""

    fields: Headers


Event: TypeAlias = "bytes | Trailers"
Reading: TypeAlias = "Generator[Event | None, None, bytes]"


class ChunkVerifier(IncrementalDecoder[Event]):
    """An aws-chunked body in any pieces → its data and at last its `Trailers`, if they were announced.

    `request` is what `verify` accepted, signed by `credentials`. A chunk is given whole, so it must have at most `max_chunk` bytes.
    `next_event` raises `SignatureMismatch`, `StreamError` if the body is malformed or has not the announced length,
    `TruncatedStream` if it ends early. Raises `ConstructionError` if `request` announces no such body.
    """

    def __init__(
        self,
        request: Request,
        credentials: Credentials,
        scope: AnyScope,
        *,
        max_chunk: int = MAX_CHUNK,
    ) -> None:
        super().__init__()
        claim, find = Claim.of(request), canonical_headers(request.headers).get
        said = find("x-amz-content-sha256", "")
        self._signed = said != STREAMING_UNSIGNED_PAYLOAD_TRAILER
        self._trailing = said.endswith("-TRAILER")
        if self._signed and said != word(claim.algorithm, self._trailing, sign_chunks=True):
            raise ConstructionError("request", "one whose x-amz-content-sha256 announces chunks")
        self._announced = sorted(
            name.strip().lower() for name in find("x-amz-trailer", "").split(",") if name.strip()
        )
        self._length = find("x-amz-decoded-content-length")
        self._now = parse_stamp(claim.stamp) or 0
        self._chain = Chain(credentials, claim.key_scope(scope), claim.signature)
        self._max = checked_limit("max_chunk", max_chunk)
        self._held = bytearray()
        self._whole = False
        self._events_of_body = self._body()

    def _read(self, part: bytes) -> Iterator[Event]:
        self._held += part
        while (event := next(self._events_of_body)) is not None:
            yield event

    def _finish(self) -> Iterator[Event]:
        if not self._whole:
            raise TruncatedStream("the body ended before its last chunk")
        yield from ()

    def _body(self) -> Generator[Event | None]:
        """The events; None where more bytes are needed."""
        count = 0
        while data := (yield from self._chunk()):
            count += len(data)
            yield data
        if self._length is not None and self._length != str(count):
            raise StreamError(
                f"the body has {count} bytes, which is not the length that was announced"
            )
        fields = yield from self._fields()
        if self._trailing:
            yield Trailers(fields)
        self._whole = True
        while not self._held:
            yield None
        raise StreamError("bytes came after the last chunk")

    def _chunk(self) -> Reading:
        """The data of the next chunk, which is empty in the last."""
        found = _head((yield from self._line()).decode("latin-1"))
        if found is None or (found[2] is not None) is not self._signed:
            raise StreamError("a chunk does not begin with its size and signature")
        size = int(found[1], 16)
        if size > self._max:
            raise StreamError(f"a chunk has more than {self._max} bytes")
        data = yield from self._bytes(size)
        if self._signed and not self._chain.accepts(found[2], piece(data), self._now):
            raise SignatureMismatch("the signature of a chunk does not match")
        if size and (yield from self._bytes(2)) != b"\r\n":
            raise StreamError("a chunk does not end where its size says")
        return data

    def _fields(self) -> Generator[Event | None, None, Headers]:
        """The trailers, verified."""
        lines: list[str] = []
        while line := (yield from self._line()).decode("latin-1"):
            lines.append(line)
            if len(lines) > MAX_TRAILERS:
                raise StreamError(f"there are more than {MAX_TRAILERS} trailers")
        signature = ""
        if lines and self._signed:
            name, _, signature = lines.pop().partition(":")
            if name.lower() != TRAILER_SIGNATURE:
                raise SignatureMismatch("the trailers have no signature")
        found = [read_trailer(line) for line in lines]
        fields = tuple((field[1].lower(), field[2]) for field in found if field)
        if len(fields) != len(lines) or sorted(name for name, _ in fields) != self._announced:
            raise StreamError("the trailers are not those that were announced")
        if self._signed and fields:
            said = trailers_said([f"{name}:{value}" for name, value in fields])
            found_signature = _trailer_signature(signature)
            if not (found_signature and self._chain.accepts(found_signature[1], said, self._now)):
                raise SignatureMismatch("the signature of the trailers does not match")
        return fields

    def _line(self) -> Reading:
        """The next line, without its end."""
        looked = 0
        while (end := self._held.find(b"\r\n", looked, MAX_LINE)) < 0:
            if len(self._held) >= MAX_LINE:
                raise StreamError(f"a line has more than {MAX_LINE} bytes")
            looked = max(0, len(self._held) - 1)
            yield None
        line = bytes(self._held[:end])
        del self._held[: end + 2]
        return line

    def _bytes(self, size: int) -> Reading:
        while len(self._held) < size:
            yield None
        data = bytes(self._held[:size])
        del self._held[:size]
        return data
