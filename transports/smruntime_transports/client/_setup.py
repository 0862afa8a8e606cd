"""The conversation that a client and its copies share, made from the client's settings."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from typing import TYPE_CHECKING, Protocol

from smruntime_core import Config, ConstructionError, RetryPolicy, Runtime
from smruntime_core.config import Configuration, load_configuration, make_config
from smruntime_core.conversation import Options
from smruntime_core.credentials import ProviderContext, make_provider
from smruntime_core.effects import Flow
from smruntime_core.notices import Notice

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
        self._settings = settings
        self._credentials = credentials
        retries = settings.get("retries")
        self.retries: RetryPolicy = RetryPolicy() if retries is None else retries
        Options(retries=self.retries)
        self.runtime: Runtime | None = None
        self.io: object = None  # of an async client, once an event loop runs
        # reentrant: a signal handler may make a call
        self.prepare_lock: threading.RLock = threading.RLock()
        checked_config = self._make_config(Configuration(profile="", region="unknown"))
        self.config: Config | None = None if settings.get("region") is None else checked_config

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
        return Runtime(
            config,
            clock=time,
            random=random.random,
            retries=retries,
            lock=threading.RLock(),
            observe=call_both(settings.get("observe"), logging_observer()),
            app_id=configuration.app_id,
        )

    def _make_config(self, configuration: Configuration) -> Config:
        settings = self._settings
        config = make_config(
            configuration,
            region=settings.get("region"),
            endpoint_url=settings.get("endpoint_url"),
            s3_endpoint_url=settings.get("s3_endpoint_url"),
            use_fips=settings.get("use_fips"),
            use_dualstack=settings.get("use_dualstack"),
            timeouts=settings.get("timeouts"),
        )
        signing_host = settings.get("signing_host")
        return config if signing_host is None else config.replace(signing_host=signing_host)


def this_process(profile: str | None) -> ProviderContext:
    """Return what credential providers may know of this process."""
    home_folder, on_windows = os.path.expanduser("~"), sys.platform == "win32"
    return ProviderContext(
        os.environ,
        home=home_folder,
        windows=on_windows,
        clock=time,
        random=random.random,
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
