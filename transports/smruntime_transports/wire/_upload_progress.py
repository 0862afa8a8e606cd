"""What goes on beside an exchange: who wants to know is told how far it is, and a body that is not in memory is supplied."""

from __future__ import annotations

from smruntime_core.effects import Flow, Open, Send, Supply, Upload
from smruntime_core.http1 import Exchange

from ..nonblocking._connection import WRITE
from ..system._uploads import PIECE


class Beside:
    """Of one exchange. `between` is to be asked each time that the pump has nothing more to do, `tell` at the end."""

    def __init__(self, exchange: Exchange, effect: Send | Open, upload: Upload | None) -> None:
        self._exchange = exchange
        self._upload = upload
        self._notify = effect.notify
        self._progress = effect.progress
        exchange.owed = 0 if upload is None else upload.size

    def tell(self) -> None:
        """Say how far it is."""
        exchange = self._exchange
        if self._progress is not None:
            self._progress(exchange.bytes_sent, exchange.bytes_received)
        if self._notify is not None and exchange.bytes_received:
            self._notify()
            self._notify = None

    def between(self, mask: int) -> Flow[int]:
        """What to wait for instead of `mask`: there may be more to send now."""
        self.tell()
        exchange, upload = self._exchange, self._upload
        if upload is not None and exchange.owed and exchange.data_to_send() is None:
            piece = yield from Supply(upload, upload.size - exchange.owed, min(PIECE, exchange.owed))
            exchange.supply(piece)
            mask |= WRITE
        return mask


def beside(exchange: Exchange, effect: Send | Open) -> Beside | None:
    """For `exchange`, None if there is nothing to do."""
    body: object = effect.request.body
    if type(body) is bytes and effect.notify is None and effect.progress is None:
        return None
    return Beside(exchange, effect, body if isinstance(body, Upload) else None)
