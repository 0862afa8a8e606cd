"""h11 as the reader of responses, behind the gate: `engine="h11"`.

For whoever wants that grammar in their stack. The gate has read the raw head already and refused what has two meanings; h11
then parses head and body by its own rules. The request is written by us either way.
"""

from __future__ import annotations

try:
    import h11
    from h11 import Data, EndOfMessage, Response
except ImportError as error:
    raise ImportError("engine='h11' needs h11: pip install 'smruntime-core[h11]'") from error

from smruntime_core.http1 import MAX_HEAD, Framing, Head, Looked, ProtocolViolation, frame


class H11Framing(Looked):
    """One response body, read by `h11.Connection`; our own framing goes first, so nothing that it refuses gets by."""

    def __init__(self, head: Head, strict: Framing) -> None:
        self._strict = strict
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=2 * MAX_HEAD)
        self._ended = False
        self._head = (
            head.raw + b"\r\n\r\n"
        )  # h11 reads it together with the first of the body: one visit less
        if strict.complete:
            self._read(b"")

    @property
    def complete(self) -> bool:
        return self._ended and self._strict.complete

    @property
    def excess(self) -> bool:
        return self._strict.excess

    def receive_data(self, data: bytes) -> bytes:
        self._strict.receive_data(data)
        return b"" if self._ended else self._read(data)

    def receive_eof(self) -> None:
        self._strict.receive_eof()
        if self._head:
            self._read(b"")
        if not self._ended:
            self._read(b"")

    def _read(self, data: bytes) -> bytes:
        pieces: list[bytes] = []
        next_event = self._connection.next_event
        try:
            self._connection.receive_data(self._head + data)
            self._head = b""
            while not self._ended:
                event = next_event()
                if isinstance(event, Data):
                    pieces.append(bytes(event.data))
                elif isinstance(event, EndOfMessage):
                    self._ended = True
                elif not isinstance(
                    event, Response
                ):  # NEED_DATA, PAUSED, or the connection is closed
                    break
        except h11.RemoteProtocolError as error:
            raise ProtocolViolation("protocol", f"h11: {error}") from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def h11_engine(head: Head, bodiless: bool) -> Framing:
    """The second engine (see `smruntime_core.http1`). h11 is not told the request, so a bodiless answer is framed by us."""
    strict = frame(head, bodiless)
    return strict if bodiless else H11Framing(head, strict)
