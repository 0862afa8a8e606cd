"""The conversation that a client and its copies share, made from the client's settings."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Protocol

from smruntime_core import Config, ConstructionError, RetryPolicy, Runtime, Timeouts
from smruntime_core.config import Configuration, load_configuration, make_config
from smruntime_core.conversation import OptionChanges, Options, apply_changes, user_agent
from smruntime_core.credentials import ProviderContext, make_provider
from smruntime_core.effects import Flow
from smruntime_core.notices import Notice

from ..system._random import random_number
from ._logging import logging_observer
from ._settings import Observer, Settings

if TYPE_CHECKING:
    from smruntime_core.credentials import ProviderLike


class ConfigurableIO(Protocol):
    """An IO that receives at the first call the source of credentials and the CA bundle."""

    def configure(
        self, credentials: ProviderLike | None, world: ProviderContext, ca_bundle: str | None
    ) -> object: ...


class ClientSetup:
    """The settings of a client and all its copies, and the runtime once it is made.

    Given values are checked at once; what is read from files waits for the first call. Raises
    `ConstructionError`.
    """

    def __init__(self, settings: Settings) -> None:
        credentials = settings.get("credentials")
        if credentials is not None:
            make_provider(credentials)
        if not (settings.get("observe") is None or callable(settings.get("observe"))):
            raise ConstructionError("observe", "a callable that takes one notice")
        if not isinstance(settings.get("profile"), str | None):
            raise ConstructionError("profile", "the name of a profile")
        user_agent(settings.get("app_id"), settings.get("user_agent_extra"))
        self._settings = settings
        self._credentials = credentials
        retries = settings.get("retries")
        self.retries: RetryPolicy = RetryPolicy() if retries is None else retries
        self._changes = OptionChanges()
        if "max_body" in settings:
            self._changes["max_body"] = settings["max_body"]
        apply_changes(Options(retries=self.retries), self._changes)
        self.runtime: Runtime | None = None
        self.io: object = None  # of an async client, once an event loop runs
        # reentrant: a signal handler may make a call
        self.prepare_lock: threading.RLock = threading.RLock()
        self._timeouts = _find_timeouts(settings)
        checked_config = self._make_config(Configuration(profile="", region="unknown"))
        self.config: Config | None = None if settings.get("region") is None else checked_config
        has_url = settings.get("endpoint_url") is not None
        self._given_url: str | None = str(checked_config.url) if has_url else None

    def prepare(self, io: ConfigurableIO) -> Flow[Runtime]:
        """Return the runtime, after reading the shared files; raises `ConstructionError`."""
        settings = self._settings
        context = this_process(settings.get("profile"))
        configuration = yield from read_settings(context)
        retries = self.retries
        if configuration.max_attempts is not None and settings.get("retries") is None:
            retries = retries.replace(max_attempts=configuration.max_attempts)
        config = self._make_config(configuration)
        context.region = config.region
        io.configure(self._credentials, context, configuration.ca_bundle)
        self.config = config
        runtime = Runtime(
            config,
            clock=time,
            random=random_number,
            retries=retries,
            lock=threading.RLock(),
            observe=call_both(settings.get("observe"), logging_observer()),
            app_id=self._settings.get("app_id") or configuration.app_id,
            user_agent_extra=self._settings.get("user_agent_extra"),
            longest_pause=configuration.longest_pause,
        )
        return runtime.with_options(**self._changes) if self._changes else runtime

    @property
    def endpoint_url(self) -> str | None:
        """The URL of every call; None while it is unknown, and if a function chooses it."""
        if self._settings.get("endpoint_resolver") is not None:
            return None
        if self.runtime is not None:
            return str(self.runtime.config.url)
        return self._given_url

    def _make_config(self, configuration: Configuration) -> Config:
        settings = self._settings
        config = make_config(
            configuration,
            region=settings.get("region"),
            endpoint_url=settings.get("endpoint_url"),
            s3_endpoint_url=settings.get("s3_endpoint_url"),
            use_fips=settings.get("use_fips"),
            use_dualstack=settings.get("use_dualstack"),
            timeouts=self._timeouts,
        )
        further_members = {
            name: value
            for name in ("signing_host", "endpoint_resolver")
            if (value := settings.get(name)) is not None
        }
        return config.replace(**further_members) if further_members else config


def _find_timeouts(settings: Settings) -> Timeouts:
    """Return the time limits that `timeouts` and `timeout` set together."""
    changes = OptionChanges()
    timeouts = settings.get("timeouts")
    if timeouts is not None:
        changes["timeouts"] = timeouts
    if "timeout" in settings:
        changes["timeout"] = settings["timeout"]
    return apply_changes(Options(), changes).timeouts


def this_process(profile: str | None) -> ProviderContext:
    """Return what credential providers may know of this process."""
    home_folder, on_windows = os.path.expanduser("~"), sys.platform == "win32"
    return ProviderContext(
        os.environ,
        home=home_folder,
        windows=on_windows,
        clock=time,
        random=random_number,
        profile=profile,
    )


def read_settings(context: ProviderContext) -> Flow[Configuration]:
    """Return the flow that reads the settings of the environment and the shared files."""
    return load_configuration(
        context.environ, profile=context.profile, home=context.home, windows=context.windows
    )


def call_both(first_observer: Observer | None, second_observer: Observer | None) -> Observer | None:
    """Return an observer that calls both, or the one that is not None."""
    if first_observer is None or second_observer is None:
        return first_observer or second_observer

    def observe(notice: Notice) -> None:
        first_observer(notice)
        second_observer(notice)

    return observe
