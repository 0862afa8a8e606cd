"""Verification of bodies in chunks (`_chunk_signer` describes the format).

No byte is returned before its signature has been verified.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import NamedTuple, TypeAlias

from ..errors import ConstructionError, SignatureMismatch, StreamError, TruncatedStream
from ..values._credentials import Credentials
from ..values._dates import parse_timestamp
from ..values._http import Headers, Request
from ..values._incremental import IncrementalDecoder, checked_limit
from ._canonical import canonical_headers
from ._chunk_signer import (
    STREAMING_UNSIGNED_PAYLOAD_TRAILER,
    TRAILER_SIGNATURE,
    match_trailer,
    streaming_hash,
    trailer_content,
)
from ._claim import Claim
from ._keys import AnyScope
from ._signature_chain import Chain, piece

MAX_CHUNK = 16 * 1024 * 1024  # bytes
MAX_LINE = 8 * 1024  # bytes
MAX_TRAILERS = 64

_match_first_line = re.compile(
    r"([0-9a-fA-F]{1,16})(?:;chunk-signature=([0-9a-f]{64,144})\**)?"
).fullmatch
_match_trailer_signature = re.compile(r"[ \t]*([0-9a-f]{64,144})\**[ \t]*").fullmatch


class Trailers(NamedTuple):
    """The last event of a body with announced trailers."""

    fields: Headers


ChunkEvent: TypeAlias = "bytes | Trailers"
# Parts of the generator that reads the body: each yields None where it needs more bytes.
ReadBytes: TypeAlias = "Generator[ChunkEvent | None, None, bytes]"
ReadHeaders: TypeAlias = "Generator[ChunkEvent | None, None, Headers]"


class ChunkVerifier(IncrementalDecoder[ChunkEvent]):
    """A decoder of aws-chunked bodies: data, and at last the `Trailers` if they were announced.

    `request` is what `verify` accepted, signed by `credentials`. A chunk is one event, so it must
    have at most `max_chunk` bytes. `next_event` raises `SignatureMismatch`, `StreamError` if the
    body is malformed or differs from the announced length, and `TruncatedStream` if it ends early.
    Raises `ConstructionError` if `request` announces no such body.
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
        claim, headers = Claim.read(request), canonical_headers(request.headers)
        declared_hash = headers.get("x-amz-content-sha256", "")
        self._chunks_signed = declared_hash != STREAMING_UNSIGNED_PAYLOAD_TRAILER
        self._has_trailers = declared_hash.endswith("-TRAILER")
        if declared_hash != streaming_hash(
            claim.algorithm, self._has_trailers, self._chunks_signed
        ):
            raise ConstructionError("request", "one that announces chunks in x-amz-content-sha256")
        announced_names = headers.get("x-amz-trailer", "").lower().split(",")
        self._announced_names = sorted(name.strip() for name in announced_names if name.strip())
        self._announced_length = headers.get("x-amz-decoded-content-length")
        self._signed_at = parse_timestamp(claim.timestamp) or 0
        self._signature_chain = Chain(credentials, claim.key_scope(scope), claim.signature)
        self._max_chunk = checked_limit("max_chunk", max_chunk)
        self._received_bytes = bytearray()
        self._body_complete = False
        self._body_events = self._read_body()

    def _read(self, part: bytes) -> Iterator[ChunkEvent]:
        self._received_bytes += part
        while (event := next(self._body_events)) is not None:
            yield event

    def _finish(self) -> Iterator[ChunkEvent]:
        if not self._body_complete:
            raise TruncatedStream("the body ended before its last chunk")
        yield from ()

    def _read_body(self) -> Generator[ChunkEvent | None]:
        """Yield the events, and None where more bytes are needed."""
        body_size = 0
        while data := (yield from self._read_chunk()):
            body_size += len(data)
            yield data
        if self._announced_length is not None and self._announced_length != str(body_size):
            raise StreamError(
                f"the body has {body_size} bytes; "
                f"x-amz-decoded-content-length says {self._announced_length!r}"
            )
        fields = yield from self._read_trailers()
        if self._has_trailers:
            yield Trailers(fields)
        self._body_complete = True
        while not self._received_bytes:
            yield None
        raise StreamError("bytes came after the last chunk")

    def _read_chunk(self) -> ReadBytes:
        """Return the data of the next chunk, which is empty in the last."""
        first_line = _match_first_line((yield from self._read_line()))
        if first_line is None or (first_line[2] is not None) is not self._chunks_signed:
            raise StreamError("a chunk does not begin with its size and signature")
        size = int(first_line[1], 16)
        if size > self._max_chunk:
            raise StreamError(f"a chunk has {size} bytes, more than max_chunk={self._max_chunk}")
        data = yield from self._read_bytes(size)
        if self._chunks_signed and not self._accepts_signature(first_line[2], piece(data)):
            raise SignatureMismatch("the signature of a chunk does not match")
        if size and (yield from self._read_bytes(2)) != b"\r\n":
            raise StreamError("a chunk does not end where its size says")
        return data

    def _read_trailers(self) -> ReadHeaders:
        """Return the trailers after verifying them."""
        lines: list[str] = []
        while line := (yield from self._read_line()):
            lines.append(line)
            if len(lines) > MAX_TRAILERS:
                raise StreamError(f"there are more than {MAX_TRAILERS} trailers")
        signature = self._pop_signature(lines) if lines and self._chunks_signed else ""
        fields = self._parse_trailers(lines)
        if self._chunks_signed and fields:
            self._check_trailer_signature(signature, fields)
        return fields

    @staticmethod
    def _pop_signature(lines: list[str]) -> str:
        name, _, signature = lines.pop().partition(":")
        if name.lower() != TRAILER_SIGNATURE:
            raise SignatureMismatch("the trailers have no signature")
        return signature

    def _parse_trailers(self, lines: list[str]) -> Headers:
        """Return the fields in `lines`; raise `StreamError` if they are not those announced."""
        matches = [match_trailer(line) for line in lines]
        fields = tuple((matched[1].lower(), matched[2]) for matched in matches if matched)
        names = sorted(name for name, _ in fields)
        if len(fields) < len(lines) or names != self._announced_names:
            raise StreamError("the trailers are not those that x-amz-trailer announced")
        return fields

    def _check_trailer_signature(self, signature: str, fields: Headers) -> None:
        matched = _match_trailer_signature(signature)
        content = trailer_content([f"{name}:{value}" for name, value in fields])
        if matched is None or not self._accepts_signature(matched[1], content):
            raise SignatureMismatch("the signature of the trailers does not match")

    def _accepts_signature(self, signature: str, content: str) -> bool:
        return self._signature_chain.accepts(signature, content, self._signed_at)

    def _read_line(self) -> Generator[ChunkEvent | None, None, str]:
        """Return the next line without its end."""
        searched_bytes = 0
        while (line_end := self._received_bytes.find(b"\r\n", searched_bytes, MAX_LINE)) < 0:
            if len(self._received_bytes) >= MAX_LINE:
                raise StreamError(f"a line has more than {MAX_LINE} bytes")
            searched_bytes = max(0, len(self._received_bytes) - 1)
            yield None
        line = self._received_bytes[:line_end].decode("latin-1")
        del self._received_bytes[: line_end + 2]
        return line

    def _read_bytes(self, size: int) -> ReadBytes:
        while len(self._received_bytes) < size:
            yield None
        data = bytes(self._received_bytes[:size])
        del self._received_bytes[:size]
        return data
