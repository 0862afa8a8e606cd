"""The exit codes of the commands: one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from smruntime_core import (
    ConstructionError,
    CredentialsError,
    DispatchFailure,
    ModelError,
    ModelStreamError,
    ResponseError,
    ServiceError,
)

CODE_MEANINGS: Final[Mapping[int, str]] = {
    0: "success",
    2: "invalid argument, setting or file; nothing was sent",
    3: "no credentials",
    4: "the service refused the request",
    5: "the model returned an error",
    6: "throttled, or the service is not available",
    7: "the response cannot be read, or is incomplete",
    8: "the network failed before a response began",
    9: "the output cannot be written",
    10: "some records of a batch have no answer",
    130: "interrupted (Ctrl-C)",
    141: "the reader of the output closed it",
}
INVALID_CODE: Final = 2
OUTPUT_CODE: Final = 9
UNANSWERED_CODE: Final = 10
INTERRUPTED_CODE: Final = 130  # as shells report SIGINT
BROKEN_PIPE_CODE: Final = 141  # as shells report SIGPIPE

_CODES_BY_TYPE: Final[tuple[tuple[type[BaseException], int], ...]] = (  # the first match counts
    (ConstructionError, 2),
    (CredentialsError, 3),
    (ModelError, 5),
    (ModelStreamError, 5),
    (ServiceError, 4),
    (ResponseError, 7),
    (DispatchFailure, 8),
)


class CommandError(Exception):
    """What a command cannot do, as one line, and its exit code."""

    def __init__(self, message: str, code: int = INVALID_CODE) -> None:
        super().__init__(message)
        self.code = code


def exit_code(error: BaseException) -> int | None:
    """Return the exit code for `error`; None if it is not one of our errors."""
    if isinstance(error, CommandError):
        return error.code
    if isinstance(error, DispatchFailure) and error.delivery == "answered":
        return 7
    code = next((code for kind, code in _CODES_BY_TYPE if isinstance(error, kind)), None)
    if isinstance(error, ServiceError) and code == 4 and _is_service_fault(error):
        return 6
    return code


def _is_service_fault(error: ServiceError) -> bool:
    # An error of the service that ends a stream has the status of the stream, 200.
    return error.throttling or error.status >= 500 or error.status < 300
