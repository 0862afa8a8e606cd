"""Events of an event stream, signed as they are sent: each message travels as the payload of another, which bears its signature.

    outer message     headers :date (timestamp), :chunk-signature (bytes); payload: the inner message, encoded
    end of stream     an outer message whose payload is empty

What is signed of the headers is ":date" as it is encoded. (Transcribe developer guide, "Signing event stream messages".)
"""

from __future__ import annotations

from ..errors import ConstructionError, SignatureMismatch, StreamError
from ..eventstream import Message, Timestamp, encode, encode_headers
from ..values._credentials import Credentials
from ..values._dates import stamp as stamp_of
from ..values._http import Request
from ._claim import Claim
from ._keys import AnyScope
from ._signature_chain import Chain, piece
from ._verify import MAX_SKEW, check_clock

STREAMING_EVENTS = "STREAMING-AWS4-HMAC-SHA256-EVENTS"
DATE, SIGNATURE = ":date", ":chunk-signature"


class EventSigner:
    """Signs the messages that follow a request. `seed` is the signature of that request."""

    def __init__(self, credentials: Credentials, scope: AnyScope, seed: str) -> None:
        self._chain = Chain(credentials, scope, seed)

    @property
    def signature(self) -> str:
        """The last one that was made, or the seed."""
        return self._chain.signature

    def sign(self, message: Message | None, *, now: float) -> bytes:
        """`message` (None: the end of the stream), sent at `now` in seconds since the epoch, as a signed frame.

        Raises `ConstructionError` like `eventstream.encode`.
        """
        payload = b"" if message is None else encode(message)
        date = {DATE: Timestamp(int(now) * 1000)}
        signature = self._chain.sign(piece(payload, encode_headers(date)), now)
        return encode(Message({**date, SIGNATURE: bytes.fromhex(signature)}, payload))


class EventVerifier:
    """Verifies the messages that follow `request`, which `verify` accepted, signed by `credentials`."""

    def __init__(self, request: Request, credentials: Credentials, scope: AnyScope) -> None:
        claim = Claim.of(request)
        self._chain = Chain(credentials, claim.key_scope(scope), claim.signature)

    def verify(self, message: Message, *, now: float, max_skew: float = MAX_SKEW) -> bytes:
        """The inner message, encoded, of the outer `message` that was received at `now`; empty at the end of the stream.

        Raises `SignatureMismatch` if it was not signed so or not then, `StreamError` if it bears no signature. Either is final.
        `now` and `max_skew` must be finite, or a `ConstructionError` is raised.
        """
        check_clock(now, max_skew)
        date, signature = message.headers.get(DATE), message.headers.get(SIGNATURE)
        if not isinstance(date, Timestamp) or not isinstance(signature, bytes):
            raise StreamError(f"a signed event has the headers {DATE} and {SIGNATURE}")
        seconds = date / 1000
        if not abs(seconds - now) <= max_skew:
            raise SignatureMismatch(
                f"an event was signed more than {max_skew / 60:g} min from {stamp_of(now)}"
            )
        try:
            headers = encode_headers({DATE: date})
            right = self._chain.accepts(signature.hex(), piece(message.payload, headers), seconds)
        except ConstructionError:
            right = False
        if not right:
            raise SignatureMismatch("the signature of an event does not match")
        return message.payload
