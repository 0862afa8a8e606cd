"""The exceptions of a client, as its attribute `exceptions`."""

from __future__ import annotations

from . import exceptions as known


class ClientExceptions:
    """The exceptions of answers."""

    ClientError: type[known.ClientError] = known.ClientError
    InternalDependencyException: type[known.InternalDependencyException] = (
        known.InternalDependencyException
    )
    InternalFailure: type[known.InternalFailure] = known.InternalFailure
    InternalStreamFailure: type[known.InternalStreamFailure] = known.InternalStreamFailure
    ModelError: type[known.ModelError] = known.ModelError
    ModelNotReadyException: type[known.ModelNotReadyException] = known.ModelNotReadyException
    ModelStreamError: type[known.ModelStreamError] = known.ModelStreamError
    ServiceUnavailable: type[known.ServiceUnavailable] = known.ServiceUnavailable
    ValidationError: type[known.ValidationError] = known.ValidationError

    def from_code(self, error_code: str) -> type[known.ClientError]:
        """Return the exception with this code, `ClientError` if there is none."""
        return known.MODELLED.get(error_code, known.ClientError)
