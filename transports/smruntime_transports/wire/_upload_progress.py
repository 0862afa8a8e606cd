"""Work during an exchange: report its progress, and supply a body that is not in memory."""

from __future__ import annotations

from smruntime_core.effects import Flow, Open, Send, Supply, Upload
from smruntime_core.http1 import Exchange

from ..nonblocking._connection import WRITE
from ..system._uploads import PIECE


class UploadProgress:
    """The progress of one exchange, and the pieces of its body.

    Call `supply_next` whenever the pump has nothing more to do, and `report` at the end.
    """

    def __init__(
        self, exchange: Exchange, request_effect: Send | Open, upload: Upload | None
    ) -> None:
        self._exchange = exchange
        self._upload = upload
        self._notify_first_byte = request_effect.notify
        self._progress_callback = request_effect.progress
        exchange.bytes_to_supply = 0 if upload is None else upload.size

    def report(self) -> None:
        """Report the progress so far."""
        exchange = self._exchange
        if self._progress_callback is not None:
            self._progress_callback(exchange.bytes_sent, exchange.bytes_received)
        if self._notify_first_byte is not None and exchange.bytes_received:
            self._notify_first_byte()
            self._notify_first_byte = None

    def supply_next(self, waiting_for: int) -> Flow[int]:
        """Supply more of the body if needed; return what to wait for instead of `waiting_for`."""
        self.report()
        exchange, upload = self._exchange, self._upload
        if upload is not None and exchange.bytes_to_supply and exchange.data_to_send() is None:
            piece_size = min(PIECE, exchange.bytes_to_supply)
            body_piece = yield from Supply(
                upload, upload.size - exchange.bytes_to_supply, piece_size
            )
            exchange.supply(body_piece)
            waiting_for |= WRITE
        return waiting_for


def upload_progress(exchange: Exchange, request_effect: Send | Open) -> UploadProgress | None:
    """Return the `UploadProgress` of `exchange`, None if there is nothing to report or supply."""
    body: object = request_effect.request.body
    if type(body) is bytes and request_effect.notify is None and request_effect.progress is None:
        return None
    return UploadProgress(exchange, request_effect, body if isinstance(body, Upload) else None)
