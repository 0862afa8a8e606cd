"""The IO of a client that was given none, or one that does not do everything.

`load_io` and `load_system` are the only places from which this package reaches up to the adapters: they import one by name.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Protocol, cast

from ..wire._wire import Wire


class SystemIO(Protocol):
    """An IO that answers all effects but those of connections; it runs flows on the IO that it completes."""

    completes: object


class CustomIO:
    """A user's IO, completed by the system's: each effect is answered by the user's method if there is one.

    A method that both lack is missing: the loop that asks for it says which one, and what for.
    """

    def __init__(self, given: object, system: SystemIO) -> None:
        system.completes = self
        self.given = given
        self.system = system

    def __getattr__(self, method: str) -> object:
        own = getattr(self.given, method, None)
        found = own if callable(own) else getattr(self.system, method)
        self.__dict__[method] = found  # the next call finds it at once
        return found


def load_io(adapter: str, wire: Wire) -> object:
    """Return the IO of an adapter, over the connections of `wire`."""
    names = {"sockets": "SocketIO", "asyncio": "AsyncioIO", "trio": "TrioIO"}
    return getattr(import_module(f"smruntime_transports.{adapter}"), names[adapter])(wire)


def load_system(adapter: str) -> SystemIO:
    """Return what the adapter of an event loop offers without connections: sleeping, threads, tasks, files."""
    names = {"asyncio": "AsyncioSystem", "trio": "TrioSystem"}
    return cast(
        "SystemIO", getattr(import_module(f"smruntime_transports.{adapter}"), names[adapter])()
    )


def running_adapter() -> str:
    """Return the name of the adapter for the running event loop."""
    trio = sys.modules.get("trio")
    if trio is not None:
        try:
            trio.lowlevel.current_trio_token()
        except RuntimeError:
            return "asyncio"
        return "trio"
    return "asyncio"
