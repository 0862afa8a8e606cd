"""Who is calling, in the form that AWS reads (`ua/2.1`): worked out once for each client.

smruntime-core/0.1.0 ua/2.1 os/linux lang/python#3.11.7 md/pyimpl#cpython api/sagemaker-runtime#0.1.0 m/E
"""

from __future__ import annotations

import re
import sys

from ..values._rules import TCHAR
from ..values._version import VERSION

_not_in_a_token = re.compile(f"[^{TCHAR}]")
_SYSTEMS = {
    "linux": "linux",
    "darwin": "macos",
    "win32": "windows",
    "ios": "ios",
    "android": "android",
}
STANDARD_RETRIES = "E"  # AWS's letter for this retry mode


def user_agent(app_id: str | None = None) -> str:
    """The value of the User-Agent field; what `app_id` may not hold there is replaced by hyphens."""
    system = _SYSTEMS.get(sys.platform, "other")
    python = ".".join(map(str, sys.version_info[:3]))
    implementation = sys.implementation.name
    application = " app/" + _not_in_a_token.sub("-", app_id) if app_id else ""
    return (
        f"smruntime-core/{VERSION} ua/2.1 os/{system} lang/python#{python} md/pyimpl#{implementation} "
        f"api/sagemaker-runtime#{VERSION} m/{STANDARD_RETRIES}{application}"
    )
