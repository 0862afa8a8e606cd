"""h11 as the reader of responses, behind the gate: `engine="h11"`.

For whoever wants that grammar in their stack. The gate has read the raw head already and refused what has two meanings; h11
then parses head and body by its own rules. The request is written by us either way.
"""

from __future__ import annotations

try:
    import h11
except ImportError as error:
    raise ImportError("engine='h11' needs h11: pip install 'smruntime-core[h11]'") from error

from smruntime_core._http1 import MAX_HEAD, ByLength, Framing, Head, Violation


class H11Framing:
    """One response body, read by `h11.Connection`."""

    def __init__(self, head: Head) -> None:
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self.complete = False
        self.excess = False
        self._closed = False
        self._read(head.raw)

    def receive_data(self, data: bytes) -> bytes:
        if self.complete:
            self.excess = True
            return b""
        return self._read(data)

    def receive_eof(self) -> None:
        self._read(b"")
        self._closed = True
        if not self.complete:
            raise Violation("truncated", "the body ended early")

    def _read(self, data: bytes) -> bytes:
        pieces: list[bytes] = []
        try:
            self._connection.receive_data(data)
            while not self.complete:
                event = self._connection.next_event()
                if isinstance(event, h11.Data):
                    pieces.append(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    self.complete = True
                    self.excess = bool(self._connection.trailing_data[0])
                elif event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                    break
        except h11.RemoteProtocolError as error:
            raise Violation("protocol" if data else "truncated", f"h11: {error}") from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def h11_engine(head: Head, bodiless: bool) -> Framing:
    """The second engine (see `smruntime_core._http1`). h11 is not told the request, so a bodiless answer is framed here."""
    return ByLength(0) if bodiless else H11Framing(head)
