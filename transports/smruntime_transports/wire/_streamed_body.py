"""The body of a response while its reader takes it piece by piece."""

from __future__ import annotations

import threading
from weakref import ref

from smruntime_core.http1 import Exchange

from ..nonblocking._connection import Connection
from ._pool import Pool, Slot
from ._upload_progress import UploadProgress


class StreamedBody:
    """The body of a response that is being read, with its connection.

    One task or thread reads; any may abort. While another one reads, `abort` only shuts the
    connection down: the reader wakes up and releases the slot. (If `abort` closed the socket, the
    reader could wait on another one that got the same number.) A forgotten body releases its slot.
    """

    has_more: bool = False  # after a read: there may be more to read
    _is_reading: bool = False
    _is_finished: bool = False

    def __init__(
        self,
        pool: Pool,
        slot: Slot,
        connection: Connection,
        exchange: Exchange,
        upload_progress: UploadProgress | None,
    ) -> None:
        self.slot: Slot = slot
        self.connection: Connection = connection
        self.exchange: Exchange = exchange
        self.upload_progress: UploadProgress | None = upload_progress
        self._connection_pool = pool
        # reentrant: the garbage collector may close a flow that reads
        self._state_lock = threading.RLock()
        # no `__del__`, which would run after every stream, and swallow an interrupt
        slot.body_finalizer = ref(self, lambda _: pool.release(slot))

    def begin_read(self) -> bool:
        """Begin to read, until `end_read`; return False if the body is finished."""
        self.has_more = False
        with self._state_lock:
            self._is_reading = not self._is_finished
            return self._is_reading

    def end_read(self) -> None:
        """End the read, and the body unless it `has_more`. May be called twice."""
        with self._state_lock:
            if self._is_finished:  # aborted during the read
                self.slot.reusable = False
            self._is_finished = self._is_finished or not self.has_more
            self._is_reading = False
        if self._is_finished:
            self._release_slot()

    def abort(self) -> None:
        """Read no more. The connection is closed unless the body was read to its end."""
        with self._state_lock:
            self._is_finished = True
            if self._is_reading:
                self.connection.hang_up()
                return
        self._release_slot()

    def _release_slot(self) -> None:
        self._connection_pool.release(self.slot)
        self.slot.body_finalizer = None
