"""The authentication flow of httpx and its fork httpx2, which both run it sync or async.

The library follows redirects inside the flow, with a copy of the headers of the first request. On a
change of origin it removes `Authorization` from the copy (except from http to https), but keeps the
session token. So the headers of a signed request lose the signature when they are copied:

    request.headers             signed, and so sent
    Headers(request.headers)    unsigned; the headers of a redirected request

If a redirected request is refused (401, 403) within the first origin, the flow signs it and sends
it once more.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import cache
from typing import Any, TypeVar, cast

from smruntime_core import ConstructionError

from ._signer import SIGNATURE_HEADERS, Signer, remove_signature, same_origin

MAX_REQUESTS = 20
RequestT = TypeVar("RequestT", bound=Any)  # a request of either library


def authentication_flow(signer: Signer, request: RequestT) -> Generator[RequestT, Any, None]:
    """Sign `request`, and the requests that redirects within its origin lead to."""
    first_url = str(request.url)
    for _ in range(MAX_REQUESTS):
        _sign_request(signer, request, first_url)
        response = yield request
        redirected_request = response.request
        if redirected_request is request or response.status_code not in (401, 403):
            return
        if not same_origin(first_url, str(redirected_request.url)):
            return
        request = redirected_request


def _sign_request(signer: Signer, request: Any, first_url: str) -> None:
    unsigned_headers = request.headers.copy()
    remove_signature(unsigned_headers)
    signed_headers = unsigned_headers.copy()
    signer.apply(
        request.method,
        str(request.url),
        signed_headers,
        request.read(),
        unsigned_headers.multi_items(),
        first_url=first_url,
    )
    signature_fields = [
        (name, value)
        for name, value in signed_headers.multi_items()
        if name.lower() in SIGNATURE_HEADERS
    ]
    signed_type = _signed_headers_type(cast("Any", type(unsigned_headers)))
    request.headers = signed_type(unsigned_headers, signature_fields)


@cache
def _signed_headers_type(headers_type: Any) -> Any:
    """Return a subclass of a library's `Headers` that loses the signature when it is copied.

    Raises `ConstructionError` if the library copies headers in a way that keeps it.
    """
    signed_type: Any = type("SignedHeaders", (_SignedHeaders, headers_type), {})
    probe_headers = signed_type(headers_type(), [("authorization", "")])
    if headers_type(probe_headers) or probe_headers.copy():
        library_name = headers_type.__module__.partition(".")[0]
        consequence = "this version would send signatures to other origins"
        raise ConstructionError(
            library_name, "another version, or update smruntime-core", consequence
        )
    return signed_type


class _SignedHeaders:
    """Mixin for a library's `Headers`: readers see the signature, copies do not have it.

    A copy is made from the private list of `Headers`, which holds the unsigned headers here. Every
    public method that reads this list is overridden.
    """

    def __init__(self, unsigned_headers: Any, signature_fields: list[tuple[str, str]]) -> None:
        self._plain_type: Any = type(unsigned_headers)
        self._signature: Any = self._plain_type(signature_fields)
        # that of the library's `Headers`
        super().__init__(unsigned_headers)  # type: ignore[call-arg]

    @property
    def raw(self) -> Any:
        """The names and values to send."""
        return self._read_unsigned() + self._signature.raw

    def keys(self) -> Any:
        """Return all names."""
        return self._complete().keys()

    def values(self) -> Any:
        """Return all values."""
        return self._complete().values()

    def items(self) -> Any:
        """Return all names with their values, joined by commas."""
        return self._complete().items()

    def multi_items(self) -> Any:
        """Return all names with their values, one by one."""
        return self._complete().multi_items()

    def get_list(self, *arguments: Any, **options: Any) -> Any:
        """Return all values of one name."""
        return self._complete().get_list(*arguments, **options)

    def __getitem__(self, name: str) -> Any:
        return self._complete()[name]

    def __contains__(self, name: object) -> bool:
        return name in self._complete()

    def __len__(self) -> int:
        return len(self._complete())

    def __reduce__(self) -> Any:
        return self._plain_type, (self._read_unsigned(),)  # a pickle has no signature

    def _read_unsigned(self) -> Any:
        library_headers: Any = super()
        return library_headers.raw

    def _complete(self) -> Any:
        return self._plain_type(self.raw)
