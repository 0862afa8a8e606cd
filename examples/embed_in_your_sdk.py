"""Embed the core in an SDK that has an HTTP client of its own.

An IO has one method for each effect: three for calls, two more for streams. If no answer comes, it
raises `DispatchFailure`, which says whether the request may have arrived. It follows no redirect
and retries nothing, because the flow decides that.
"""

from __future__ import annotations

import http.client
import random
import time
from urllib.parse import urlsplit

import smruntime_core as sm
import smruntime_local
from smruntime_core.codecs import as_text
from smruntime_core.effects import GetCredentials, Open, Receive, Send, Sleep, StreamingResponse
from smruntime_core.payload import TextDecoder
from smruntime_core.streaming import Stream

HTTP_ERRORS = (OSError, http.client.HTTPException)


class AcmeBody:
    """A response body that is still to be read."""

    def __init__(
        self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse
    ) -> None:
        self.response = response
        self._connection = connection

    def abort(self) -> None:
        self.response.close()
        self._connection.close()


def body_failure(message: str) -> sm.DispatchFailure:
    """Return the error of a body that broke off after the head had arrived."""
    return sm.DispatchFailure(message, kind="truncated", phase="body", delivery="answered")


class AcmeIO:
    """The IO of the SDK; `http.client` plays its HTTP stack, without TLS."""

    def __init__(self, credentials: sm.Credentials) -> None:
        self._credentials = credentials

    def credentials(self, effect: GetCredentials, /) -> sm.Credentials:
        return self._credentials

    def send(self, effect: Send, /) -> sm.Response:
        body = self._send_request(effect)
        response = body.response
        try:
            return sm.Response(response.status, tuple(response.getheaders()), response.read())
        except HTTP_ERRORS as error:
            raise body_failure(str(error)) from error
        finally:
            body.abort()

    def open(self, effect: Open, /) -> StreamingResponse:
        body = self._send_request(effect)
        return StreamingResponse(body.response.status, tuple(body.response.getheaders()), body)

    def receive(self, effect: Receive, /) -> bytes:
        assert isinstance(effect.body, AcmeBody)
        response = effect.body.response
        try:
            received = response.read1(65536)
        except HTTP_ERRORS as error:
            raise body_failure(str(error)) from error
        if not received and response.length:  # http.client does not report a body that is too short
            raise body_failure("the body ended early")
        return received

    def sleep(self, effect: Sleep, /) -> None:
        time.sleep(effect.seconds)

    def _send_request(self, effect: Send | Open) -> AcmeBody:
        """Send the request unchanged and receive the head of its response."""
        request, url = effect.request, urlsplit(effect.request.url)
        connection = http.client.HTTPConnection(
            url.hostname or "", url.port, timeout=effect.timeout or effect.phases.response
        )
        try:
            connection.connect()
        except OSError as error:
            raise sm.DispatchFailure(
                str(error), kind="refused", phase="connect", delivery="not_sent"
            ) from error
        try:
            connection.request(request.method, url.path, request.body, dict(request.headers))
            return AcmeBody(connection, connection.getresponse())
        except HTTP_ERRORS as error:
            connection.close()
            raise sm.DispatchFailure(
                str(error),
                kind="timeout" if isinstance(error, TimeoutError) else "reset",
                phase="head",
                delivery="maybe_sent",
            ) from error


def print_stream(stream: Stream[sm.InvokeEndpointWithResponseStreamOutput], io: AcmeIO) -> None:
    """Print text as it arrives: first what has been received, then what `more` fetches."""
    decoder = TextDecoder()
    try:
        while True:
            for text in stream.decoded(decoder):
                print(text, end="", flush=True)
            if stream.ended:
                return
            sm.run(stream.more(), io)
    finally:
        stream.close()


def main() -> None:
    with smruntime_local.serve() as endpoint:
        config = sm.Config(region=endpoint.region, endpoint_url=endpoint.url)
        runtime = sm.Runtime(config, clock=time, random=random.random)
        io = AcmeIO(endpoint.credentials)

        flaky_call = sm.InvokeEndpoint("flaky", body=b"1,2,3")
        output = sm.run(runtime.call(flaky_call), io)
        print("attempts:", [attempt.outcome for attempt in output.metadata.attempts])

        streamed_call = sm.InvokeEndpointWithResponseStream(
            "ngram", **as_text("The import statement")
        )
        print_stream(sm.run(runtime.stream(streamed_call), io), io)
        print()


if __name__ == "__main__":
    main()
