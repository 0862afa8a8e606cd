"""From settings to a conversation: what a client and its copies share."""

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


class Configurable(Protocol):
    """An IO that learns at the first call where its credentials come from and which certificates it trusts."""

    def configure(
        self, credentials: ProviderLike | None, world: ProviderContext, ca_bundle: str | None
    ) -> object: ...


class Setup:
    """The settings of a client and all its copies, and the runtime once it is made.

    What was given is checked at once; what has to be read from files waits for the first call. Raises `ConstructionError`.
    """

    def __init__(self, settings: Settings) -> None:
        credentials = settings.get("credentials")
        if credentials is not None:
            make_provider(credentials)
        if not (settings.get("observe") is None or callable(settings.get("observe"))):
            raise ConstructionError("observe", "a callable of one notice")
        if not isinstance(settings.get("profile"), str | None):
            raise ConstructionError("profile", "the name of a profile")
        self._settings = settings
        self._credentials = credentials
        self.retries = settings.get("retries") or RetryPolicy()
        Options(retries=self.retries)
        self.runtime: Runtime | None = None
        self.io: object = None  # of an asynchronous client, once an event loop runs
        self.lock = threading.RLock()  # a signal handler may make a call
        known = self._config(Configuration(profile="", region=settings.get("region") or "unknown"))
        self.config = known if settings.get("region") is not None else None

    def prepare(self, io: Configurable) -> Flow[Runtime]:
        """Return the runtime, after reading the shared files; raises `ConstructionError`."""
        settings = self._settings
        world = this_process(settings.get("profile"))
        found = yield from read_settings(world)
        retries = self.retries
        if found.max_attempts is not None and settings.get("retries") is None:
            retries = retries.replace(max_attempts=found.max_attempts)
        config = self._config(found)
        world.region = config.region
        io.configure(self._credentials, world, found.ca_bundle)
        self.config = config
        return Runtime(
            config,
            clock=time,
            random=random.random,
            retries=retries,
            lock=threading.RLock(),
            observe=both(settings.get("observe"), logging_observer()),
            app_id=found.app_id,
        )

    def _config(self, found: Configuration) -> Config:
        settings = self._settings
        return make_config(
            found,
            region=settings.get("region"),
            endpoint_url=settings.get("endpoint_url"),
            s3_endpoint_url=settings.get("s3_endpoint_url"),
            use_fips=settings.get("use_fips"),
            use_dualstack=settings.get("use_dualstack"),
            timeouts=settings.get("timeouts"),
        )


def this_process(profile: str | None) -> ProviderContext:
    """Return what the flows of credentials may know about this process."""
    home, windows = os.path.expanduser("~"), sys.platform == "win32"
    return ProviderContext(
        os.environ, home=home, windows=windows, clock=time, random=random.random, profile=profile
    )


def read_settings(world: ProviderContext) -> Flow[Configuration]:
    """Return the flow that reads the settings of the environment and the shared files."""
    return load_configuration(
        world.environ, profile=world.profile, home=world.home, windows=world.windows
    )


def both(one: Observer | None, other: Observer | None) -> Observer | None:
    """Return an observer that calls two others, as far as they exist."""
    if one is None or other is None:
        return one or other

    def observe(notice: Notice) -> None:
        one(notice)
        other(notice)

    return observe
