"""The deprecated names of this package; docs/stability.md has the policy."""

from __future__ import annotations

from typing import Final

from smruntime_core.deprecation import DeprecationTable

DEPRECATED: Final[DeprecationTable] = {}
