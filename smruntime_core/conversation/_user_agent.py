"""The User-Agent header in the form that AWS reads (`ua/2.1`), made once for each client.

smruntime-core/0.1.0 ua/2.1 os/linux lang/python#3.11.7 md/pyimpl#cpython \
    api/sagemaker-runtime#0.1.0 m/E
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Final

from ..errors import ConstructionError
from ..values._rules import TCHAR, header_text
from ..values._version import VERSION

_no_token_characters = re.compile(f"[^{TCHAR}]")
_SYSTEM_NAMES: Final[Mapping[str, str]] = {
    "linux": "linux",
    "darwin": "macos",
    "win32": "windows",
    "ios": "ios",
    "android": "android",
}
_EXTRA_TEXT: Final = header_text(1024)
STANDARD_RETRIES: Final = "E"  # AWS's letter for this retry mode


def user_agent(app_id: str | None = None, extra: str | None = None) -> str:
    """Return the value of the header, with the text `extra` at its end.

    Characters of `app_id` that it cannot hold become hyphens. Raises `ConstructionError` for an
    `extra` that it cannot hold.
    """
    system_name = _SYSTEM_NAMES.get(sys.platform, "other")
    python_version = ".".join(map(str, sys.version_info[:3]))
    implementation = sys.implementation.name
    if not isinstance(app_id, str | None):
        raise ConstructionError("app_id", "a str", f"found {type(app_id).__name__}")
    added_text = f" {_EXTRA_TEXT.check('user_agent_extra', extra)}" if extra else ""
    application = " app/" + _no_token_characters.sub("-", app_id) if app_id else ""
    return (
        f"smruntime-core/{VERSION} ua/2.1 os/{system_name} lang/python#{python_version} "
        f"md/pyimpl#{implementation} api/sagemaker-runtime#{VERSION} "
        f"m/{STANDARD_RETRIES}{application}{added_text}"
    )
