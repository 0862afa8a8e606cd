"""h11 as the reader of response bodies: `engine="h11"`, for callers that want its grammar.

Our own reader goes first and refuses every head and framing that has two meanings; then h11 parses
head and body by its own rules. We write the request either way.
"""

from __future__ import annotations

try:
    import h11
except ImportError as error:
    raise ImportError("engine='h11' needs h11: pip install 'smruntime-core[h11]'") from error

from smruntime_core.http1 import MAX_HEAD, Framing, Head, ProtocolViolation, WithoutSkipping, frame


class H11Framing(WithoutSkipping):
    """One response body, read by our own framing first and then by `h11.Connection`."""

    def __init__(self, response_head: Head, strict_framing: Framing) -> None:
        self._strict_framing = strict_framing
        self._h11_connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=2 * MAX_HEAD)
        self._message_ended = False
        self._h11_connection.receive_data(response_head.raw + b"\r\n\r\n")
        if strict_framing.complete:
            self._read_events()

    @property
    def complete(self) -> bool:
        return self._message_ended and self._strict_framing.complete

    @property
    def excess(self) -> bool:
        return self._strict_framing.excess

    def receive_data(self, data: bytes) -> bytes:
        self._strict_framing.receive_data(data)
        if self._message_ended:
            return b""
        self._h11_connection.receive_data(data)
        return self._read_events()

    def receive_eof(self) -> None:
        self._strict_framing.receive_eof()
        if not self._message_ended:
            self._h11_connection.receive_data(b"")
            self._read_events()

    def _read_events(self) -> bytes:
        body_pieces: list[bytes] = []
        next_event = self._h11_connection.next_event
        try:
            while not self._message_ended:
                h11_event = next_event()
                if isinstance(h11_event, h11.Data):
                    body_pieces.append(bytes(h11_event.data))
                elif isinstance(h11_event, h11.EndOfMessage):
                    self._message_ended = True
                elif not isinstance(h11_event, h11.Response):
                    break  # NEED_DATA, PAUSED, or the connection is closed
        except h11.RemoteProtocolError as error:
            raise ProtocolViolation("protocol", f"h11: {error}") from None
        return body_pieces[0] if len(body_pieces) == 1 else b"".join(body_pieces)


def h11_engine(response_head: Head, bodiless: bool) -> Framing:
    """Return the framing of one response.

    h11 does not know the request, so the end of a response without a body is ours to find.
    """
    strict_framing = frame(response_head, bodiless)
    return strict_framing if bodiless else H11Framing(response_head, strict_framing)
