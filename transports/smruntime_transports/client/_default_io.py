"""The IO of a client that was given none, or one that lacks some methods.

`load_io` and `load_system` are the only functions of this package that reach up to the adapters:
they import one by name.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final, Protocol, cast

from smruntime_core import ConstructionError

from ..wire._wire import Wire

_CONNECTION_IOS: Final = {"sockets": "SocketIO", "asyncio": "AsyncioIO", "trio": "TrioIO"}
_SYSTEM_IOS: Final = {"asyncio": "AsyncioSystem", "trio": "TrioSystem"}


class SystemIO(Protocol):
    """An IO for all effects but those of connections; it runs flows on the IO that it completes."""

    completes: object


class CustomIO:
    """A user's IO, completed by the system's: the user's method answers an effect if there is one.

    A method that both lack is missing: the loop that calls it names it and the feature.
    """

    def __init__(self, given: object, system: SystemIO) -> None:
        system.completes = self
        self.given: object = given
        self.system: SystemIO = system

    def __getattr__(self, method_name: str) -> object:
        own_method = getattr(self.given, method_name, None)
        return own_method if callable(own_method) else getattr(self.system, method_name)


def require_blocking(io: object) -> None:
    """Raise `ConstructionError` for an IO with an `async def send`, which `Client` cannot await."""
    if io is None:
        return
    from inspect import iscoroutinefunction

    if iscoroutinefunction(getattr(io, "send", None)):
        problem = f"{type(io).__name__} must be awaited"
        raise ConstructionError("io", "one whose methods block, or use AsyncClient", problem)


def require_awaited(io: object) -> None:
    """Raise `ConstructionError` for an IO that says that it `blocks`.

    Otherwise the first call would fail after its request was sent.
    """
    if getattr(io, "blocks", False) is True:
        problem = f"{type(io).__name__} blocks"
        raise ConstructionError("io", "one whose methods are async, or use Client", problem)


def load_io(adapter_name: str, wire: Wire) -> object:
    """Return the IO of an adapter, over the connections of `wire`."""
    adapter_module = import_module(f"smruntime_transports.{adapter_name}")
    return getattr(adapter_module, _CONNECTION_IOS[adapter_name])(wire)


def load_system(adapter_name: str) -> SystemIO:
    """Return an adapter's IO without connections: sleeping, threads, tasks and files."""
    adapter_module = import_module(f"smruntime_transports.{adapter_name}")
    return cast("SystemIO", getattr(adapter_module, _SYSTEM_IOS[adapter_name])())


def running_adapter() -> str:
    """Return the name of the adapter for the running event loop."""
    trio_module = sys.modules.get("trio")
    if trio_module is not None:
        try:
            trio_module.lowlevel.current_trio_token()
        except RuntimeError:
            return "asyncio"
        return "trio"
    return "asyncio"
