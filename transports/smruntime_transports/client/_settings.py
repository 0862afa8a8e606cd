"""What a client over a wire is made with: where to call and as whom, and how to get there."""

from __future__ import annotations

from ..wire._wire import WireSettings
from ._client import Settings


class WireClientSettings(Settings, WireSettings, total=False):
    """See `Settings` and `WireSettings`."""
