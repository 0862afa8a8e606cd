"""The failures of calls that an SDK may retry, so that its retries are not sent.

The client below has retried a failed call as its `RetryPolicy` says, and knows whether the model
may have run. An SDK does not: after a timeout, OpenAI's sends the request twice more. It announces
that by `x-stainless-retry-count`, so such a request is answered with the failure of the first one.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import Final, TypeAlias

from smruntime_core import Response

from ._answers import TransportFailure
from ._request_mapping import Plan

MAX_FAILURES: Final = 128  # the newest; an SDK retries within seconds

Failure: TypeAlias = "Response | TransportFailure"


class FailureMemory:
    """The newest failures by a hash of the request; threads may share it."""

    def __init__(self) -> None:
        self._failures: OrderedDict[bytes, Failure] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, plan: Plan) -> Failure | None:
        """Return the failure that `plan` would repeat; None if it is a new call."""
        if not plan.is_retry:
            return None
        with self._lock:
            return self._failures.get(_digest(plan))

    def keep(self, plan: Plan, failure: Failure) -> Failure:
        """Remember `failure`, and return it."""
        digest = _digest(plan)
        with self._lock:
            self._failures[digest] = failure
            self._failures.move_to_end(digest)
            if len(self._failures) > MAX_FAILURES:
                self._failures.popitem(last=False)
        return failure


def _digest(plan: Plan) -> bytes:
    return hashlib.sha256(plan.identity).digest()
