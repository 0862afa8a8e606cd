"""An SDK that has an HTTP client already embeds the core in a dozen lines: three methods, one per effect."""

from __future__ import annotations

import http.client
import random
import time
from urllib.parse import urlsplit

import smruntime_core as sm
import smruntime_local


class AcmeIO:
    """Here `http.client` plays the HTTP stack that your SDK has."""

    def __init__(self, credentials: sm.Credentials) -> None:
        self._credentials = credentials

    def credentials(self, effect: sm.GetCredentials, /) -> sm.Credentials:
        return self._credentials

    def send(self, effect: sm.Send, /) -> sm.Response:
        request = effect.request
        url = urlsplit(request.url)
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=effect.timeout)
        try:
            connection.request(request.method, url.path, request.body, dict(request.headers))
            reply = connection.getresponse()
            return sm.Response(reply.status, tuple(reply.getheaders()), reply.read())
        except OSError as error:
            raise sm.DispatchFailure(str(error), kind="reset", phase="send", delivery="maybe_sent") from error
        finally:
            connection.close()

    def sleep(self, effect: sm.Sleep, /) -> None:
        time.sleep(effect.seconds)


def main() -> None:
    with smruntime_local.serve() as endpoint:
        config = sm.Config(region=endpoint.region, endpoint_url=endpoint.url)
        runtime = sm.Runtime(config, clock=time, random=random.random)
        flow = runtime.call(sm.InvokeEndpoint(endpoint_name="flaky", body=b"1,2,3"))
        output = sm.run(flow, AcmeIO(endpoint.credentials))
        print("attempts:", [attempt.outcome for attempt in output.metadata.attempts])


if __name__ == "__main__":
    main()
