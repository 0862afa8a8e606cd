"""What a failure means to a shell: one table."""

from __future__ import annotations

from smruntime_core import (
    ConstructionError,
    CredentialsError,
    DispatchFailure,
    ModelError,
    ModelStreamError,
    ResponseError,
    ServiceError,
)

CODES = {
    0: "it went well",
    2: "an argument, setting or file cannot be used; nothing was sent",
    3: "no credentials",
    4: "the service refused the request",
    5: "the model answered with an error",
    6: "throttled, or the service is not available",
    7: "the answer cannot be read, or broke off",
    8: "the network failed before there was an answer",
}


_MEANING: tuple[tuple[type[BaseException], int], ...] = (  # the first that fits
    (ConstructionError, 2),
    (CredentialsError, 3),
    (ModelError, 5),
    (ModelStreamError, 5),
    (ServiceError, 4),
    (ResponseError, 7),
    (DispatchFailure, 8),
)


def exit_code(error: BaseException) -> int | None:
    """The code for `error`, None if it is none of ours."""
    code = next((code for kind, code in _MEANING if isinstance(error, kind)), None)
    if (
        isinstance(error, ServiceError)
        and code == 4
        and (error.throttling or error.status >= 500 or error.status < 300)
    ):
        return 6  # one of the service's own that ends a stream has the stream's status, 200
    return 7 if isinstance(error, DispatchFailure) and error.delivery == "answered" else code
