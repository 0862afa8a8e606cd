"""Work during an exchange: report its progress, and supply a body that is not in memory."""

from __future__ import annotations

from smruntime_core.effects import Flow, Open, Send, Supply, Upload
from smruntime_core.http1 import Exchange

from ..nonblocking._connection import WRITE
from ..system._uploads import PIECE


class Beside:
    """The progress and the body of one exchange.

    Call `between` each time that the pump has nothing more to do, and `tell` at the end.
    """

    def __init__(self, exchange: Exchange, effect: Send | Open, upload: Upload | None) -> None:
        self._exchange = exchange
        self._upload = upload
        self._notify = effect.notify
        self._progress = effect.progress
        exchange.bytes_to_supply = 0 if upload is None else upload.size

    def tell(self) -> None:
        """Report the progress."""
        exchange = self._exchange
        if self._progress is not None:
            self._progress(exchange.bytes_sent, exchange.bytes_received)
        if self._notify is not None and exchange.bytes_received:
            self._notify()
            self._notify = None

    def between(self, mask: int) -> Flow[int]:
        """Supply more of the body if needed; return what to wait for instead of `mask`."""
        self.tell()
        exchange, upload = self._exchange, self._upload
        if upload is not None and exchange.bytes_to_supply and exchange.data_to_send() is None:
            size = min(PIECE, exchange.bytes_to_supply)
            piece = yield from Supply(upload, upload.size - exchange.bytes_to_supply, size)
            exchange.supply(piece)
            mask |= WRITE
        return mask


def beside(exchange: Exchange, effect: Send | Open) -> Beside | None:
    """Return the `Beside` of `exchange`, None if there is nothing to do."""
    body: object = effect.request.body
    if type(body) is bytes and effect.notify is None and effect.progress is None:
        return None
    return Beside(exchange, effect, body if isinstance(body, Upload) else None)
