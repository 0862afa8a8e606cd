"""Sign the requests of HTTP clients that a program already has.

    SigV4(credentials, region="eu-west-1", service="sagemaker")     a signature, for any AWS service
    Bearer(credentials, region="eu-west-1")                         a bearer token, OpenAI paths

    httpx, httpx2       Client(auth=auth.httpx.Auth(signer)), AsyncClient likewise
    requests, niquests  session.auth = auth.requests.Auth(signer)
    aiohttp             ClientSession(middlewares=[auth.aiohttp.Middleware(signer)])
    urllib3             auth.urllib3.PoolManager(signer)
    http.client         auth.http_client.request(connection, signer, "POST", "/path", body)

After signing, a library may still change most headers. Signed are therefore only `host`,
`content-type`, `content-md5` and those that begin with `x-amz`. Each adapter reads the URL and the
body as late as its library allows.

A redirect within the origin (scheme, host and port) of the first request is signed anew, because
its URL is another one. A request to any other origin carries neither signature nor token. With
`origin="https://host"` a signer signs for that origin only.

Signers are thread-safe. `credentials` may be a function; it is called for every request, so it
should cache and not block.

_signer       the signers
_httpx        what the adapters for httpx and httpx2 share
_requests     what the adapters for requests and niquests share
"""

from __future__ import annotations

from ._signer import Bearer, Signer, SigV4

__all__ = ["Bearer", "SigV4", "Signer"]
