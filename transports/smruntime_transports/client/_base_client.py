"""What sync and async clients have in common: settings, options, copies and pickles."""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable, Iterable
from typing import ClassVar, Self, Unpack, cast

from smruntime_core import ConstructionError, Runtime
from smruntime_core.conversation import OptionChanges, Options, apply_changes
from smruntime_core.credentials import holds_keys, make_provider

from ..connect._tls import is_context
from ..wire._wire import Wire
from ..wire._wire_settings import WireSettings
from ._boundary import boundary
from ._settings import Settings, WireClientSettings, describe
from ._setup import ClientSetup


class BaseClient:
    """What sync and async clients have in common.

    Copies, deep ones too, share the connections. A pickled client is restored from its settings and
    options, with its own connections, retry quota and clock correction. Credentials are not
    pickled: the restored client finds its own, in the environment or a profile.
    """

    _settings_type: ClassVar[type] = WireClientSettings
    _settings_of_process: ClassVar[tuple[str, ...]] = ("io",)  # they cannot be pickled
    _takes_io: ClassVar[bool] = True  # adapters have their own

    def __init_subclass__(cls, *, takes_io: bool | None = None) -> None:
        super().__init_subclass__()
        cls._takes_io = cls._takes_io if takes_io is None else takes_io
        setting_meanings = describe(cls._settings_type, *["io"] * cls._takes_io)
        cls.__doc__ = f"{cls.__doc__ or ''}\n    Settings, all by keyword:\n\n{setting_meanings}\n"

    def __init__(self, settings: Settings, io: object = None) -> None:
        known_settings = self._settings_type.__annotations__
        unknown_setting = min(set(settings) - set(known_settings), default=None)
        if unknown_setting is not None:
            raise TypeError(unexpected_argument(unknown_setting, known_settings))
        if io is not None and not self._takes_io:
            raise TypeError("unexpected keyword argument 'io': use smruntime_transports.Client")
        misplaced_setting = min(set(settings) & set(WireSettings.__annotations__), default=None)
        if io is not None and misplaced_setting is not None:
            remedy = "left out: it configures connections of this library, and `io` brings its own"
            raise ConstructionError(misplaced_setting, remedy)
        self._wire = self._make_wire(settings) if io is None else None
        self._settings = settings
        self._given_io = io
        self._client_setup = ClientSetup(settings)
        self._changes = OptionChanges()
        self._runtime: Runtime | None = None

    def _make_wire(self, settings: Settings) -> Wire:
        return Wire(time.monotonic, cast("WireSettings", settings))

    def close(self) -> None:
        """Close all connections; a later call opens new ones. Never waits."""
        io_owner = self._wire or self._given_io
        close_owner = getattr(io_owner, "close", None)
        if callable(close_owner):
            close_owner()

    def __copy__(self) -> Self:
        duplicate = object.__new__(type(self))
        duplicate.__dict__.update(self.__dict__)
        return duplicate

    def __deepcopy__(self, copied_objects: object) -> Self:
        return copy.copy(self)

    def __reduce__(self) -> tuple[object, ...]:
        for setting_name, setting_value in {"io": self._given_io, **self._settings}.items():
            if setting_value is not None and (
                setting_name in self._settings_of_process or is_context(setting_value)
            ):
                client_text = f"a client with a {type(setting_value).__name__} as {setting_name!r}"
                raise TypeError(f"{client_text} cannot be pickled: that belongs to this process")
        if holds_keys(make_provider(self._settings.get("credentials"))):
            pickling_hint = "leave credentials= out, and the restored client finds its own"
            raise TypeError(f"credentials are not pickled, nor are botocore's: {pickling_hint}")
        return _restore_client, (type(self), self._settings, self._changes)

    @boundary
    def with_options(self, **changes: Unpack[OptionChanges]) -> Self:
        """Return a copy with other options for its calls; it shares connections and all else.

            timeout             seconds for a whole call with its retries, None for `timeouts.total`
            retries             `RetryPolicy`
            idempotent          True if the model may run twice: a request that may have arrived is
                                sent again, as after errors of an unavailable container
            wait_for_capacity   seconds to wait for a model or inference component that is starting
            extra_headers       further headers to sign and send
            progress            callable that receives the bytes sent and received so far
            max_body            most bytes of a response, None for no limit

        Raises `ConstructionError`.
        """
        changed_copy = copy.copy(self)
        changed_copy._changes = self._changes.copy()
        changed_copy._changes.update(changes)
        changed_copy._runtime = None
        apply_changes(Options(), changed_copy._changes)
        return changed_copy

    def __repr__(self) -> str:
        # the setup is absent if a setting was refused
        client_setup: ClientSetup | None = self.__dict__.get("_client_setup")
        config = client_setup.config if client_setup else None
        endpoint_text = f" for {config.url}" if config else ""
        return f"<{type(self).__module__}.{type(self).__name__}{endpoint_text}>"

    def _adopt_runtime(self, runtime: Runtime) -> Runtime:
        """Share `runtime` with all copies of this client; return it with this copy's options."""
        self._client_setup.runtime = runtime
        self._runtime = runtime.with_options(**self._changes) if self._changes else runtime
        return self._runtime


def _restore_client(
    client_class: type[BaseClient], settings: Settings, changes: OptionChanges
) -> BaseClient:
    restored_client = cast("Callable[..., BaseClient]", client_class)(**settings)
    return restored_client.with_options(**changes) if changes else restored_client


def unexpected_argument(argument: str, known_arguments: Iterable[str]) -> str:
    """Return the message about an unknown argument, with the one that was probably meant."""
    from difflib import get_close_matches

    snake_case = re.sub("(?<!^)(?=[A-Z])", "_", argument).lower()
    close_matches = get_close_matches(snake_case, known_arguments, 1)
    suggestion = f"; did you mean {close_matches[0]}?" if close_matches else ""
    return f"unexpected keyword argument {argument!r}{suggestion}"
