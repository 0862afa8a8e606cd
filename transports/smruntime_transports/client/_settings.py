"""The settings of a client over a wire: where to call, with which credentials, and how to connect."""

from __future__ import annotations

from ..wire._wire import WireSettings
from ._client import Settings


class WireClientSettings(Settings, WireSettings, total=False):
    """See `Settings` and `WireSettings`."""
