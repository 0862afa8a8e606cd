"""Signature Version 4 for any AWS service, for clients that sign and servers that verify.

A signature proves that its maker knows a secret, and covers all that must not change:

    canonical request    one text for every spelling of a request                  `_canonical`
                         method ⏎ path ⏎ query ⏎ a line "name:value" for each signed header ⏎ ⏎
                         names of the signed headers ⏎ hash of the body
    string to sign       algorithm ⏎ time ⏎ scope ⏎ SHA-256 of the canonical request    `_sigv4`
                         time is YYYYMMDDThhmmssZ, scope is date/region/service/aws4_request
    key                  HMAC(HMAC(HMAC(HMAC("AWS4" + secret, date), region), service),
                         "aws4_request")                                                 `_keys`
    signature            HMAC(key, string to sign), in hexadecimal

In the canonical request the segments of the path are percent-encoded (once more, except for S3,
which also keeps dots and double slashes), the query is decoded, encoded and sorted, and the headers
are in lower case and sorted, their blanks folded, repeated ones joined by commas.

A signature travels in one of two forms. In the header form (`sign`), time, token and body hash are
headers, signed like all others, and Authorization holds key id, scope, names of the signed headers
and signature. In the query form (`presign`), the same values are the parameters X-Amz-Algorithm,
-Credential, -Date, -Expires, -SignedHeaders and -Security-Token. All are signed, X-Amz-Signature is
added last, and the URL is good until date + expires.

The hash of the body is SHA-256 in hexadecimal, or UNSIGNED-PAYLOAD, or STREAMING-… where the body
is signed piece by piece as it is sent. Then the signature of the request is the seed of a chain in
which each signature covers the one before it (`_signature_chain`):

    algorithm-PAYLOAD ⏎ time ⏎ scope ⏎ signature before ⏎ hash of headers ⏎ hash of the piece
    algorithm-TRAILER ⏎ time ⏎ scope ⏎ signature before ⏎ hash of the lines "name:value"

A chunk of aws-chunked has no headers (`_chunk_signer`, `_chunk_verifier`), an event has ":date"
(`_events`).

SigV4a differs in the key: a pair on the curve P-256 that is derived from the secret and good in any
region. So the scope has no region, and the header X-Amz-Region-Set lists the regions for which the
signature is meant (`RegionSet`, `_sigv4a`).

What services do differently is a `Dialect`: `STANDARD` or `S3`. Every function takes the time as
`now`, in seconds since the epoch. Sources: "AWS Signature Version 4" in the IAM and S3 user guides;
where they are silent, the published test suites; for events the Transcribe developer guide; for the
key of SigV4a NIST SP 800-108 (counter mode), as the public SDKs apply it.
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

# Imported at first use: most programs only sign.
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

if not TYPE_CHECKING:  # a type checker would take any name for one of the package
    __getattr__, __dir__ = lazy_attributes(__name__, globals(), _SUBMODULES)
