"""Members with AWS's names to operations of the core.

Unknown names, missing members and wrong types are a `ParameterRefusal` in botocore's words. What
the core refuses besides is a `ConstructionError`: a name with a space, or both `Body` and
`InputLocation`. Clients raise a `ParamValidationError` for either, before anything is sent. A text
member given as "" is left out. No message quotes a value, which may be a body.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

from smruntime_core import (
    InvokeEndpoint,
    InvokeEndpointAsync,
    InvokeEndpointWithResponseStream,
    Operation,
    Output,
    SmRuntimeError,
)

from ._types import (
    InvokeEndpointAsyncInput,
    InvokeEndpointInput,
    InvokeEndpointWithResponseStreamInput,
)

OperationT_co = TypeVar("OperationT_co", bound=Operation[Output], covariant=True)

_WORD_STARTS: Final = re.compile("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NUMBERS: Final = ("RequestTTLSeconds", "InvocationTimeoutSeconds")


class ParameterRefusal(SmRuntimeError):
    """Members with wrong names or types, a line for each."""


class OperationNames(Generic[OperationT_co]):
    """An operation of the core with AWS's names: its own and those of its members."""

    def __init__(
        self, operation: Callable[..., OperationT_co], path: str, members: type, required: set[str]
    ) -> None:
        self._operation = operation
        self._path = path
        self._required = required
        self._own_names = {name: snake_case(name) for name in members.__annotations__}
        self.operation_name: str = operation.__name__

    def make(self, members: Mapping[str, object]) -> OperationT_co:
        """Return the operation; raises `ParameterRefusal` or `ConstructionError`."""
        own_names, values = self._own_names, dict[str, object]()
        for name, value in members.items():
            if name not in own_names or _type_problem(name, value) is not None:
                self._refuse(members)
            if name == "Body":
                values["body"] = _request_body(value, read=self._operation is InvokeEndpointAsync)
            elif value != "":
                values[own_names[name]] = value
        if "endpoint_name" not in values or not self._required <= members.keys():
            self._refuse(members)
        return self._operation(**values)

    def url(self, endpoint_url: str | None, endpoint_name: object) -> str:
        """Return the URL of a call, for messages."""
        return f"{endpoint_url}{self._path}".replace("{EndpointName}", str(endpoint_name))

    def has_member(self, own_name: str) -> bool:
        """Return whether the operation has a member that the core calls `own_name`."""
        return own_name in self._own_names.values()

    def translate(self, message: str) -> str:
        """Return a message of the core with AWS's names of members."""
        for name, own_name in self._own_names.items():
            message = re.sub(rf"\b{own_name}\b", name, message)
        return message

    def _refuse(self, members: Mapping[str, object]) -> None:
        """Raise `ParameterRefusal` with a line for each problem, as botocore words it."""
        given = {name for name, value in members.items() if name == "Body" or value != ""}
        problems = [
            f'Missing required parameter in input: "{name}"'
            for name in self._own_names
            if name in self._required and name not in given
        ]
        problems += [
            f'Unknown parameter in input: "{name}", must be one of: {", ".join(self._own_names)}'
            for name in members
            if name not in self._own_names
        ]
        for name, value in members.items():
            valid_types = _type_problem(name, value) if name in self._own_names else None
            if valid_types is not None:
                problems.append(
                    f"Invalid type for parameter {name}, type: {type(value)}, "
                    f"valid types: {valid_types}"
                )
        raise ParameterRefusal("\n".join(problems))


def snake_case(name: str) -> str:
    """Return the core's name of a member: `endpoint_name` for "EndpointName"."""
    return _WORD_STARTS.sub("_", name).lower()


def _type_problem(name: str, value: object) -> str | None:
    """Return the types that a member may have if `value` has none of them, else None."""
    if name == "Body":
        if isinstance(value, (bytes, bytearray, str)) or hasattr(value, "read"):
            return None
        return f"{bytes}, {bytearray}, file-like object"
    valid_type = int if name in _NUMBERS else str
    return None if isinstance(value, valid_type) else str(valid_type)


def _request_body(value: object, *, read: bool) -> object:
    """Return a body for the core; a file is read here if `read`."""
    if isinstance(value, str):
        return value.encode()
    read_file = getattr(value, "read", None)
    return read_file() if read and read_file is not None else value


WHOLE: Final = OperationNames(
    InvokeEndpoint, InvokeEndpoint.path, InvokeEndpointInput, {"EndpointName", "Body"}
)
ASYNC: Final = OperationNames(
    InvokeEndpointAsync, InvokeEndpointAsync.path, InvokeEndpointAsyncInput, {"EndpointName"}
)
STREAM: Final = OperationNames(
    InvokeEndpointWithResponseStream,
    InvokeEndpointWithResponseStream.path,
    InvokeEndpointWithResponseStreamInput,
    {"EndpointName", "Body"},
)
