"""A limit of how long a function may take: it runs in a thread that is given up on.

Python cannot end a thread, so a function that never returns keeps one. The thread of a stream that
is left early ends when the function makes its next part.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from contextlib import suppress
from typing import Final, cast

from ._call import Call
from ._container import ContainerReply, ContainerTimeout, Model

POLL_SECONDS: Final = 0.2  # between two looks of a thread at whether it is still wanted


class _End:
    """The end of a reply, with the exception that ended it if there was one."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def limit_time(model: Model, seconds: float) -> Model:
    """Return `model` with a limit for its reply and for each further part.

    It then raises `ContainerTimeout`.
    """

    def respond(call: Call) -> ContainerReply:
        worker = _Worker(model, call, seconds)
        reply = worker.take()
        assert isinstance(reply, ContainerReply)  # noqa: S101 - the first item
        parts = worker.parts()
        next(parts)  # begun, so that the thread ends even if no part is read
        return reply._replace(parts=parts)

    return respond


class _Worker:
    """A thread that makes one reply, one part ahead of its reader."""

    def __init__(self, model: Model, call: Call, seconds: float) -> None:
        self._model = model
        self._call = call
        self._seconds = seconds
        self._items: queue.Queue[object] = queue.Queue(maxsize=1)
        self._abandoned = threading.Event()
        threading.Thread(target=self._work, daemon=True).start()

    def take(self) -> object:
        """Return the next item; raise what the model raised, or `ContainerTimeout`."""
        try:
            item = self._items.get(timeout=self._seconds)
        except queue.Empty:
            self._abandoned.set()
            raise ContainerTimeout(self._seconds) from None
        if isinstance(item, _End) and item.error is not None:
            raise item.error
        return item

    def parts(self) -> Generator[bytes]:
        """Yield b"", then the parts of the reply as they are made."""
        try:
            yield b""
            while not isinstance(part := self.take(), _End):
                yield cast("bytes", part)
        finally:
            self._abandoned.set()

    def _work(self) -> None:
        try:
            reply = self._model(self._call)
            self._put(reply)
            for part in reply.parts:
                if self._abandoned.is_set():
                    return
                self._put(part)
            self._put(_End())
        except BaseException as error:
            self._put(_End(error))

    def _put(self, item: object) -> None:
        while not self._abandoned.is_set():
            with suppress(queue.Full):
                self._items.put(item, timeout=POLL_SECONDS)
                return
