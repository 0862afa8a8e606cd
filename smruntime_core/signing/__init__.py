"""Signature Version 4 for any AWS service, both sides: a function says what to add to a request, another checks what came.

The theory, in the order of the code. A signature proves that whoever made it knows a secret, and covers all that must not change:

    canonical request    method ⏎ path ⏎ query ⏎ a line "name:value" for each signed header ⏎ ⏎ their names ⏎ hash of the body
                         One text for one request, however it was written down: the path's segments percent-encoded (once more, but
                         for S3, which also keeps dots and double slashes), the query decoded, encoded and sorted, the headers in
                         lower case, sorted, blanks folded, repeated ones joined by commas.                      `_canonical`
    string to sign       algorithm ⏎ time ⏎ scope ⏎ SHA-256 of the canonical request                              `_sigv4`
                         time is YYYYMMDDThhmmssZ, scope is date/region/service/aws4_request.
    key                  HMAC(HMAC(HMAC(HMAC("AWS4" + secret, date), region), service), "aws4_request")           `_keys`
    signature            HMAC(key, string to sign), in hexadecimal

It travels in one of two forms. In the header form (`sign`) time, token and body hash are headers, signed like all others, and
Authorization says key id, scope, names of the signed headers and signature. In the query form (`presign`) the same words are
parameters X-Amz-Algorithm, -Credential, -Date, -Expires, -SignedHeaders, -Security-Token; all are signed, X-Amz-Signature is added
last, and the URL is good until date + expires.

The body's hash is SHA-256 in hexadecimal, or a word where the body is not covered (UNSIGNED-PAYLOAD), or signed piece by piece as
it is sent (STREAMING-…): then the request's signature is the seed of a chain, in which each signature covers the one before it.

    string to sign       algorithm-PAYLOAD ⏎ time ⏎ scope ⏎ signature before ⏎ hash of headers ⏎ hash of the piece  `_signature_chain`
                         a chunk of aws-chunked has no headers (`_chunk_signer`, `_chunk_verifier`), an event has ":date" (`_events`)
                         algorithm-TRAILER ⏎ time ⏎ scope ⏎ signature before ⏎ hash of the lines "name:value"

SigV4a is the same with another key: a pair on the curve P-256 derived from the secret, good in any region, so the scope has no
region, and the header X-Amz-Region-Set says for which regions the signature is meant (`RegionSet`, `_sigv4a`).

What services do differently is a `Dialect`: `STANDARD`, or `S3`. Every function takes the time as `now`, in seconds since the epoch,
and reads no clock. Sources: "AWS Signature Version 4" in the IAM and S3 user guides; where they are silent, the published test
suites; for events the Transcribe developer guide; for SigV4a's key NIST SP 800-108 (counter mode), as the public SDKs have it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..values._lazy import lazy_attributes
from ._canonical import S3, STANDARD, UNSIGNED, Dialect
from ._keys import RegionSet
from ._sigv4 import UNSIGNED_PAYLOAD, Signature, hash_payload, sign

if TYPE_CHECKING:
    from ._bearer import BearerToken, bearer_token, verify_bearer
    from ._chunk_signer import (
        STREAMING_PAYLOAD,
        STREAMING_PAYLOAD_TRAILER,
        STREAMING_UNSIGNED_PAYLOAD_TRAILER,
        ChunkSigner,
        encoded_length,
    )
    from ._chunk_verifier import ChunkVerifier, Trailers
    from ._events import STREAMING_EVENTS, EventSigner, EventVerifier
    from ._explain import Difference, Explanation, explain
    from ._presign import Presigned, presign
    from ._verify import MAX_SKEW, verify

__all__ = [
    "MAX_SKEW",
    "S3",
    "STANDARD",
    "STREAMING_EVENTS",
    "STREAMING_PAYLOAD",
    "STREAMING_PAYLOAD_TRAILER",
    "STREAMING_UNSIGNED_PAYLOAD_TRAILER",
    "UNSIGNED",
    "UNSIGNED_PAYLOAD",
    "BearerToken",
    "ChunkSigner",
    "ChunkVerifier",
    "Dialect",
    "Difference",
    "EventSigner",
    "EventVerifier",
    "Explanation",
    "Presigned",
    "RegionSet",
    "Signature",
    "Trailers",
    "bearer_token",
    "encoded_length",
    "explain",
    "hash_payload",
    "presign",
    "sign",
    "verify",
    "verify_bearer",
]

# Imported on first use: most programs only sign.
_SUBMODULES = {
    "_bearer": ("BearerToken", "bearer_token", "verify_bearer"),
    "_chunk_signer": (
        "STREAMING_PAYLOAD",
        "STREAMING_PAYLOAD_TRAILER",
        "STREAMING_UNSIGNED_PAYLOAD_TRAILER",
        "ChunkSigner",
        "encoded_length",
    ),
    "_events": ("STREAMING_EVENTS", "EventSigner", "EventVerifier"),
    "_explain": ("Difference", "Explanation", "explain"),
    "_presign": ("Presigned", "presign"),
    "_chunk_verifier": ("ChunkVerifier", "Trailers"),
    "_verify": ("MAX_SKEW", "verify"),
}


__getattr__, __dir__ = lazy_attributes(__name__, globals(), _SUBMODULES)
