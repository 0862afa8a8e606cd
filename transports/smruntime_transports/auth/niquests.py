"""`session.auth = Auth(signer)` for niquests, `AsyncAuth(signer)` for its asynchronous session."""

# pyright: reportMissingImports=false, reportUnknownVariableType=false, reportUntypedBaseClass=false, reportUnknownParameterType=false
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportAttributeAccessIssue=false
# (niquests replaces urllib3 where it is installed, so it is not where this is type-checked)
from __future__ import annotations

try:
    import niquests
    from niquests.auth import AsyncAuthBase, AuthBase
    from urllib3.util import parse_url
except ImportError as missing:
    raise ImportError(
        "smruntime_transports.auth.niquests needs niquests: pip install niquests"
    ) from missing

from . import Signer
from ._requests import answered_awaited, prepare


class Auth(AuthBase):  # type: ignore[misc]  # see above
    """Signs with `signer` whatever the session sends. A body must be bytes, text or a file; not a generator."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def __call__(self, r: niquests.PreparedRequest) -> niquests.PreparedRequest:
        return prepare(self._signer, r, parse_url)


class AsyncAuth(AsyncAuthBase):  # type: ignore[misc]  # likewise
    """The same for an `AsyncSession`."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    async def __call__(self, r: niquests.PreparedRequest) -> niquests.PreparedRequest:
        return prepare(self._signer, r, parse_url, answered_awaited)
