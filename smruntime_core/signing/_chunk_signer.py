"""Bodies in chunks, each signed as it is sent (`aws-chunked`, S3): nobody needs to know the body before its request is signed.

    chunk             size in hexadecimal ; chunk-signature=… ⏎ data ⏎                      ⏎ is CR LF
    last chunk        0 ; chunk-signature=… ⏎
    trailers          name:value ⏎ … x-amz-trailer-signature:… ⏎
    end               ⏎

What x-amz-content-sha256 says decides which of it is there:

    STREAMING-AWS4-HMAC-SHA256-PAYLOAD              signed chunks
    STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER      signed chunks, signed trailers
    STREAMING-UNSIGNED-PAYLOAD-TRAILER              chunks and trailers without signatures, for HTTPS and a checksum as a trailer

with AWS4-ECDSA-P256-SHA256 instead where SigV4a signs; those signatures differ in length, so asterisks fill them up to 144. It all
is the HTTP body: HTTP's own chunks, if there are any, are around it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..errors import ConstructionError
from ..values._bodies import Body
from ..values._credentials import Credentials
from ..values._http import Headers, Request
from ..values._incremental import checked_limit
from ..values._rules import TCHAR, blob
from ._canonical import S3, Dialect, canonical_headers
from ._keys import AnyScope, RegionSet
from ._signature_chain import Chain, piece, trailers
from ._sigv4 import sign, signing_key

STREAMING_PAYLOAD = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_PAYLOAD_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
STREAMING_UNSIGNED_PAYLOAD_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

TRAILER_SIGNATURE = "x-amz-trailer-signature"
ECDSA_WIDTH = 144

# Possessive, so each character is looked at once or twice: the value is words with blanks between
# them.
read_trailer = re.compile(
    rf"([{TCHAR}]++):[ \t]*+((?:[!-~]++(?: ++(?=[!-~]))?+)*+)[ \t]*+"
).fullmatch


class ChunkSigner:
    """Signs `request` and then its body, of `length` bytes, chunk by chunk.

    `headers` are the pairs to add (in place of those of the same name), `signature` is the seed. Send what `chunk` gives for each part
    of the body and then what `end` gives. S3 wants chunks of at least 8 KiB, but for the last. `trailers` are the names of fields that
    `end` will be told; `sign_chunks=False` leaves the chunks unsigned, which is for HTTPS and needs a trailer. Raises
    `ConstructionError` like `sign`, and for what cannot be a trailer or a length.
    """

    def __init__(
        self,
        request: Request,
        credentials: Credentials,
        scope: AnyScope,
        *,
        now: float,
        length: int,
        trailers: Sequence[str] = (),
        sign_chunks: bool = True,
        dialect: Dialect = S3,
    ) -> None:
        if type(length) is not int or length < 0:
            raise ConstructionError("length", "the whole number of bytes of the body")
        if not (sign_chunks or trailers):
            raise ConstructionError("trailers", "given, since the chunks are not signed")
        self._trailers = tuple(map(str.lower, trailers))
        for name in self._trailers:
            _checked_trailer(name, "")
        self._left, self._now, self._signed = length, now, sign_chunks
        key, _ = signing_key(credentials, scope, now)
        self._width = ECDSA_WIDTH if isinstance(scope, RegionSet) else 0
        said = word(key.algorithm, bool(trailers), sign_chunks)
        added = _describing(request, length, self._trailers)
        dialect = dialect._replace(add_payload_hash=True)
        made = sign(
            _with(request, added), credentials, scope, now=now, payload_hash=said, dialect=dialect
        )
        self.headers = added + made.headers
        self.signature = made.signature
        self._chain = Chain(credentials, scope, made.signature)

    def chunk(self, data: Body) -> bytes:
        """The next part of the body as it is sent; raises `ConstructionError` if there are more bytes than were announced."""
        data = blob("data", data)
        self._left -= len(data)
        if self._left < 0:
            raise ConstructionError("data", "no longer in all than the length that was announced")
        return self._framed(data) if data else b""

    def end(self, trailers: Mapping[str, str] | None = None) -> bytes:
        """What ends the body; raises `ConstructionError` unless it is whole and `trailers` are those that were announced."""
        if self._left:
            raise ConstructionError(
                "length", "the length of the body", f"{self._left} bytes are missing"
            )
        given = {name.lower(): value for name, value in (trailers or {}).items()}
        if sorted(given) != sorted(self._trailers):
            raise ConstructionError(
                "trailers", f"those announced: {', '.join(self._trailers) or 'none'}"
            )
        lines = [f"{name}:{_checked_trailer(name, given[name])}" for name in self._trailers]
        last = self._framed(b"", end=b"")
        if lines and self._signed:
            signature = self._chain.sign(trailers_said(lines), self._now)
            lines.append(f"{TRAILER_SIGNATURE}:{signature.ljust(self._width, '*')}")
        return last + "".join(f"{line}\r\n" for line in (*lines, "")).encode()

    def _framed(self, data: Body, end: bytes = b"\r\n") -> bytes:
        if not self._signed:
            return b"".join((b"%x\r\n" % len(data), data, end))
        signature = self._chain.sign(piece(data), self._now).ljust(self._width, "*")
        return b"".join((b"%x;chunk-signature=%b\r\n" % (len(data), signature.encode()), data, end))


def encoded_length(
    length: int,
    chunk_size: int,
    *,
    trailers: Mapping[str, int] | None = None,
    sign_chunks: bool = True,
    sigv4a: bool = False,
) -> int:
    """How many bytes a body of `length` has in chunks of `chunk_size`: what Content-Length says.

    `trailers` are the lengths of the values by name.
    """
    width = ECDSA_WIDTH if sigv4a else 64
    signature = len(";chunk-signature=") + width if sign_chunks else 0
    whole, rest = divmod(length, checked_limit("chunk_size", chunk_size))
    sizes = [(chunk_size, whole), (rest, int(rest > 0))]
    total = (
        sum(count * (len(f"{size:x}") + signature + size + 4) for size, count in sizes)
        + 1
        + signature
        + 2
        + 2
    )
    total += sum(len(name) + 1 + size + 2 for name, size in (trailers or {}).items())
    return total + (len(TRAILER_SIGNATURE) + 1 + width + 2 if trailers and sign_chunks else 0)


def word(algorithm: str, with_trailers: bool, sign_chunks: bool) -> str:
    """What x-amz-content-sha256 says of such a body."""
    if not sign_chunks:
        return STREAMING_UNSIGNED_PAYLOAD_TRAILER
    return f"STREAMING-{algorithm}-PAYLOAD{'-TRAILER' * with_trailers}"


def _describing(request: Request, length: int, names: Sequence[str]) -> Headers:
    """The fields that say how the body is sent."""
    codings = canonical_headers(request.headers).get("content-encoding", "")
    if codings.partition(",")[0].strip() != "aws-chunked":
        codings = f"aws-chunked,{codings}".rstrip(",")
    added: Headers = (("content-encoding", codings), ("x-amz-decoded-content-length", str(length)))
    return (*added, ("x-amz-trailer", ",".join(names))) if names else added


def _with(request: Request, added: Headers) -> Request:
    """`request` with the fields `added`, in place of those of the same name."""
    names = {name for name, _ in added}
    return request.replace(
        headers=tuple(pair for pair in request.headers if pair[0].lower() not in names) + added
    )


def _checked_trailer(name: str, value: str) -> str:
    if not read_trailer(f"{name}:{value}") or name == TRAILER_SIGNATURE:
        raise ConstructionError("trailers", "names and values that a header may have")
    return value


def trailers_said(lines: Sequence[str]) -> str:
    """Canonical trailers: a line each, sorted by name."""
    return trailers(
        "".join(
            f"{line}\n" for line in sorted(lines, key=lambda line: line.partition(":")[0])
        ).encode()
    )
