"""What sync and async clients have in common: settings, options, copies and pickles."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar, Self, Unpack, cast

from smruntime_core import ConstructionError, Runtime
from smruntime_core.conversation import OptionChanges, Options, add_changes, apply_changes
from smruntime_core.credentials import holds_keys, make_provider
from smruntime_core.errors import describe_unexpected, html_table

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
        message = describe_unexpected(settings, self._settings_type.__annotations__)
        if message is not None:
            raise TypeError(message)
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

    @property
    def region(self) -> str | None:
        """The region that calls are signed for.

        None if it was not given as `region` and no call has read the environment and the files
        under ~/.aws yet.
        """
        config = self._client_setup.config
        return None if config is None else config.region

    @property
    def endpoint_url(self) -> str | None:
        """The URL that calls go to, without a slash at its end.

        It is the setting `endpoint_url`. If that was not given, it is None until the first call,
        which reads the environment and the files under ~/.aws. It stays None with an
        `endpoint_resolver`, which chooses a URL for each call.
        """
        return self._client_setup.endpoint_url

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
        return self.__copy__()

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

            timeout             seconds for a whole call with its retries, None for no limit; short
                                for the current `timeouts` with that `total`
            timeouts            `Timeouts`, which replace all five limits of the client
            retries             `RetryPolicy`
            idempotent          True if the model may run twice: a request that may have arrived is
                                sent again, as after errors of an unavailable container
            wait_for_capacity   seconds to wait for a model or inference component that is starting
            extra_headers       further headers to sign and send
            progress            callable that receives the bytes sent and received so far
            max_body            most bytes of a response, None for no limit
            before_signing      function from `Request` to `Request`, called before each attempt is
                                signed; it may add header fields and replace the body

        Raises `ConstructionError`. An option of an earlier `with_options` stays unless it is given
        again; after `timeouts`, an earlier `timeout` no longer holds.
        """
        changed_copy = self.__copy__()
        changed_copy._changes = add_changes(self._changes, changes)
        changed_copy._runtime = None
        apply_changes(Options(), changed_copy._changes)
        return changed_copy

    def __repr__(self) -> str:
        # the setup is absent if a setting was refused
        client_setup: ClientSetup | None = self.__dict__.get("_client_setup")
        config = client_setup.config if client_setup else None
        has_one_url = config is not None and config.endpoint_resolver is None
        endpoint_text = f" for {config.url}" if config and has_one_url else ""
        return f"<{type(self).__module__}.{type(self).__name__}{endpoint_text}>"

    def _repr_html_(self) -> str:
        client_setup: ClientSetup | None = self.__dict__.get("_client_setup")
        config = client_setup.config if client_setup else None
        rows: dict[str, object] = {"endpoint": "found at the first call"}
        options = Options()
        if config is not None:
            url = config.url if config.endpoint_resolver is None else "chosen by endpoint_resolver"
            rows = {"endpoint": url, "region": config.region, "timeouts": config.timeouts}
            options = Options(timeouts=config.timeouts)
        rows["options"] = apply_changes(options, self._changes)
        return html_table(f"{type(self).__module__}.{type(self).__name__}", rows)

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
