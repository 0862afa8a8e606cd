"""Bodies in chunks that are signed as they are sent (`aws-chunked`, S3).

A request can then be signed before its body is known.

    chunk         size in hexadecimal ; chunk-signature=… ⏎ data ⏎               (⏎ is CR LF)
    last chunk    0 ; chunk-signature=… ⏎
    trailers      name:value ⏎ … x-amz-trailer-signature:… ⏎
    end           ⏎

The header x-amz-content-sha256 says which of them there are:

    STREAMING-AWS4-HMAC-SHA256-PAYLOAD            signed chunks
    STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER    signed chunks, signed trailers
    STREAMING-UNSIGNED-PAYLOAD-TRAILER            unsigned chunks and trailers, for HTTPS and a
                                                  checksum as a trailer

SigV4a has AWS4-ECDSA-P256-SHA256 instead. Its signatures differ in length, so asterisks pad them to
144 characters. All of this is the HTTP body; HTTP's own chunks, if there are any, are around it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..errors import ConstructionError
from ..values._bodies import Body
from ..values._credentials import Credentials
from ..values._http import Headers, Request
from ..values._incremental import checked_limit
from ..values._rules import TCHAR, check_bytes
from ._canonical import S3, Dialect, canonical_headers
from ._keys import AnyScope, RegionSet
from ._signature_chain import Chain, piece, trailers
from ._sigv4 import sign, signing_key

STREAMING_PAYLOAD = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_PAYLOAD_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
STREAMING_UNSIGNED_PAYLOAD_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

TRAILER_SIGNATURE = "x-amz-trailer-signature"
HMAC_WIDTH = 64
ECDSA_WIDTH = 144

# Possessive, so each character is read once or twice: the value is words with blanks between them.
match_trailer = re.compile(
    rf"([{TCHAR}]++):[ \t]*+((?:[!-~]++(?: ++(?=[!-~]))?+)*+)[ \t]*+"
).fullmatch


class ChunkSigner:
    """A signer of `request` and then of its body of `length` bytes, chunk by chunk.

    `headers` are the pairs to add, in place of those of the same name; `signature` is the seed.
    Send what `chunk` returns for each part of the body, then what `end` returns. S3 wants chunks of
    at least 8 KiB, except for the last. `trailers` are the names of the fields that `end` will be
    given. `sign_chunks=False` leaves the chunks unsigned, which is for HTTPS and needs a trailer.
    Raises `ConstructionError` like `sign`, and for what cannot be a trailer or a length.
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
            raise ConstructionError(
                "length", "the size of the body in bytes, an int", f"found {length!r}"
            )
        if not (sign_chunks or trailers):
            raise ConstructionError("trailers", "given, since the chunks are not signed")
        self._trailer_names = tuple(map(str.lower, trailers))
        for name in self._trailer_names:
            _check_trailer(name, "")
        self._bytes_left = length
        self._signing_time = now
        self._sign_chunks = sign_chunks
        self._signature_width = ECDSA_WIDTH if isinstance(scope, RegionSet) else HMAC_WIDTH
        key, _ = signing_key(credentials, scope, now)
        describing = _describing_headers(request, length, self._trailer_names)
        signature = sign(
            _with_headers(request, describing),
            credentials,
            scope,
            now=now,
            payload_hash=streaming_hash(key.algorithm, bool(trailers), sign_chunks),
            dialect=dialect._replace(add_payload_hash=True),
        )
        self.headers: Headers = describing + signature.headers
        self.signature: str = signature.signature
        self._signature_chain = Chain(credentials, scope, signature.signature)

    def chunk(self, data: Body) -> bytes:
        """Return the next part of the body as it is sent.

        Raises `ConstructionError` if there are more bytes than `length`.
        """
        data = check_bytes("data", data)
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            raise ConstructionError(
                "data", "at most `length` bytes in total", f"{-self._bytes_left} bytes too many"
            )
        return self._encode_chunk(data) if data else b""

    def end(self, trailers: Mapping[str, str] | None = None) -> bytes:
        """Return what ends the body.

        Raises `ConstructionError` if bytes are missing or `trailers` are not those that were
        announced.
        """
        if self._bytes_left:
            raise ConstructionError(
                "length", "the length of the body", f"{self._bytes_left} bytes are missing"
            )
        values = {name.lower(): value for name, value in (trailers or {}).items()}
        if sorted(values) != sorted(self._trailer_names):
            announced_names = ", ".join(self._trailer_names) or "none"
            raise ConstructionError("trailers", f"those announced: {announced_names}")
        lines = [f"{name}:{_check_trailer(name, values[name])}" for name in self._trailer_names]
        last_chunk = self._encode_chunk(b"", end=b"")
        if lines and self._sign_chunks:
            signature = self._pad_signature(
                self._signature_chain.sign(trailer_content(lines), self._signing_time)
            )
            lines.append(f"{TRAILER_SIGNATURE}:{signature}")
        return last_chunk + "".join(f"{line}\r\n" for line in (*lines, "")).encode()

    def _encode_chunk(self, data: Body, end: bytes = b"\r\n") -> bytes:
        if not self._sign_chunks:
            return b"".join((b"%x\r\n" % len(data), data, end))
        signature = self._pad_signature(self._signature_chain.sign(piece(data), self._signing_time))
        first_line = b"%x;chunk-signature=%b\r\n" % (len(data), signature.encode())
        return b"".join((first_line, data, end))

    def _pad_signature(self, signature: str) -> str:
        return signature.ljust(self._signature_width, "*")


def encoded_length(
    length: int,
    chunk_size: int,
    *,
    trailers: Mapping[str, int] | None = None,
    sign_chunks: bool = True,
    sigv4a: bool = False,
) -> int:
    """Return how many bytes a body of `length` has in chunks of `chunk_size`, for Content-Length.

    `trailers` are the lengths of the values by name.
    """
    signature_width = ECDSA_WIDTH if sigv4a else HMAC_WIDTH
    signature_length = len(";chunk-signature=") + signature_width if sign_chunks else 0
    full_chunks, last_size = divmod(length, checked_limit("chunk_size", chunk_size))
    chunk_counts = [(chunk_size, full_chunks), (last_size, int(last_size > 0)), (0, 1)]
    total_length = sum(
        count * (len(f"{size:x}") + signature_length + len("\r\n") + size + len("\r\n"))
        for size, count in chunk_counts
    )  # the last chunk has no data, but the end of the body has its CR LF
    total_length += sum(len(name) + len(":\r\n") + size for name, size in (trailers or {}).items())
    signed_trailers = bool(trailers) and sign_chunks
    return total_length + (
        len(TRAILER_SIGNATURE) + len(":\r\n") + signature_width if signed_trailers else 0
    )


def streaming_hash(algorithm: str, with_trailers: bool, sign_chunks: bool) -> str:
    """Return what x-amz-content-sha256 says of such a body."""
    if not sign_chunks:
        return STREAMING_UNSIGNED_PAYLOAD_TRAILER
    return f"STREAMING-{algorithm}-PAYLOAD{'-TRAILER' * with_trailers}"


def _describing_headers(request: Request, length: int, trailer_names: Sequence[str]) -> Headers:
    """Return the fields that describe how the body is sent."""
    content_codings = canonical_headers(request.headers).get("content-encoding", "")
    if content_codings.partition(",")[0].strip() != "aws-chunked":
        content_codings = f"aws-chunked,{content_codings}".rstrip(",")
    headers: Headers = (
        ("content-encoding", content_codings),
        ("x-amz-decoded-content-length", str(length)),
    )
    return (*headers, ("x-amz-trailer", ",".join(trailer_names))) if trailer_names else headers


def _with_headers(request: Request, added: Headers) -> Request:
    """Return `request` with the fields `added` in place of those of the same name."""
    replaced_names = {name for name, _ in added}
    other_headers = tuple(pair for pair in request.headers if pair[0].lower() not in replaced_names)
    return request.replace(headers=other_headers + added)


def _check_trailer(name: str, value: str) -> str:
    if not match_trailer(f"{name}:{value}") or name == TRAILER_SIGNATURE:
        raise ConstructionError("trailers", "names and values that a header may have")
    return value


def trailer_content(lines: Sequence[str]) -> str:
    """Return what is signed of the trailers: a line each, sorted by name."""
    ordered_lines = sorted(lines, key=lambda line: line.partition(":")[0])
    return trailers("".join(f"{line}\n" for line in ordered_lines).encode())
