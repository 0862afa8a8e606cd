"""Events of an event stream that are signed as they are sent.

Each message travels as the payload of another message, which carries its signature:

    outer message     headers :date (timestamp), :chunk-signature (bytes); payload: inner message
    end of stream     an outer message with an empty payload

Of the headers, ":date" is signed as it is encoded. Source: Transcribe developer guide, "Signing
event stream messages".
"""

from __future__ import annotations

from ..errors import ConstructionError, SignatureMismatch, StreamError
from ..eventstream import Message, Timestamp, encode, encode_headers
from ..values._credentials import Credentials
from ..values._dates import format_timestamp
from ..values._http import Request
from ._claim import Claim
from ._keys import AnyScope
from ._signature_chain import Chain, piece
from ._verify import MAX_SKEW, check_clock

STREAMING_EVENTS = "STREAMING-AWS4-HMAC-SHA256-EVENTS"
DATE, SIGNATURE = ":date", ":chunk-signature"


class EventSigner:
    """A signer of the messages after a request; `seed` is the signature of that request."""

    def __init__(self, credentials: Credentials, scope: AnyScope, seed: str) -> None:
        self._signature_chain = Chain(credentials, scope, seed)

    @property
    def signature(self) -> str:
        """The last signature, or the seed."""
        return self._signature_chain.signature

    def sign(self, message: Message | None, *, now: float) -> bytes:
        """Return `message` as a signed frame; None signs the end of the stream.

        `now` is in seconds since the epoch. Raises `ConstructionError` like `eventstream.encode`.
        """
        payload = b"" if message is None else encode(message)
        date = {DATE: Timestamp(int(now) * 1000)}
        signature = self._signature_chain.sign(piece(payload, encode_headers(date)), now)
        return encode(Message({**date, SIGNATURE: bytes.fromhex(signature)}, payload))


class EventVerifier:
    """A verifier of the messages after `request`, which `verify` accepted for `credentials`."""

    def __init__(self, request: Request, credentials: Credentials, scope: AnyScope) -> None:
        claim = Claim.read(request)
        self._signature_chain = Chain(credentials, claim.key_scope(scope), claim.signature)

    def verify(self, message: Message, *, now: float, max_skew: float = MAX_SKEW) -> bytes:
        """Return the encoded inner message of the outer `message`; empty at the end of the stream.

        `now` and `max_skew` are in seconds. Raises `SignatureMismatch` if the signature does not
        match or its time is too far from `now`, and `StreamError` if there is no signature; do not
        go on after either. Raises `ConstructionError` if `now` or `max_skew` is not finite.
        """
        check_clock(now, max_skew)
        date, signature = message.headers.get(DATE), message.headers.get(SIGNATURE)
        if not isinstance(date, Timestamp) or not isinstance(signature, bytes):
            raise StreamError(f"a signed event has the headers {DATE} and {SIGNATURE}")
        signed_at = date / 1000
        if not abs(signed_at - now) <= max_skew:
            limit = f"{max_skew / 60:g} min from {format_timestamp(now)}"
            raise SignatureMismatch(f"an event was signed more than {limit}")
        try:
            content = piece(message.payload, encode_headers({DATE: date}))
            is_accepted = self._signature_chain.accepts(signature.hex(), content, signed_at)
        except ConstructionError:
            is_accepted = False
        if not is_accepted:
            raise SignatureMismatch("the signature of an event does not match")
        return message.payload
