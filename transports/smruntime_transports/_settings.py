"""What a client over a wire is made with: where to call and as whom, and how to get there."""

from __future__ import annotations

from ._client import Settings
from ._wire import WireSettings


class WireClientSettings(Settings, WireSettings, total=False):
    """See `Settings` and `WireSettings`."""
