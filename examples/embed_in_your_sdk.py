"""An SDK that has an HTTP client already embeds the core: an IO has one method per effect, three for calls and two more for streams.

Where no answer comes the IO raises `DispatchFailure`; it follows no redirect and tries nothing again, for the flow decides that.
"""

from __future__ import annotations

import http.client
import random
import time
from urllib.parse import urlsplit

import smruntime_core as sm
import smruntime_local
from smruntime_core.effects import GetCredentials, Open, Receive, Send, Sleep, StreamingResponse
from smruntime_core.payload import TextDecoder
from smruntime_core.streaming import Stream


class AcmeBody:
    """A body that has not been read yet."""

    def __init__(
        self, connection: http.client.HTTPConnection, reply: http.client.HTTPResponse
    ) -> None:
        self.reply = reply
        self._connection = connection

    def abort(self) -> None:
        self.reply.close()
        self._connection.close()


class AcmeIO:
    """Here `http.client` plays the HTTP stack that your SDK has. Outside a test it would be `HTTPSConnection`."""

    def __init__(self, credentials: sm.Credentials) -> None:
        self._credentials = credentials

    def credentials(self, effect: GetCredentials, /) -> sm.Credentials:
        return self._credentials

    def send(self, effect: Send, /) -> sm.Response:
        body = self._begin(effect)
        try:
            return sm.Response(body.reply.status, tuple(body.reply.getheaders()), body.reply.read())
        except (OSError, http.client.HTTPException) as error:
            raise sm.DispatchFailure(
                str(error), kind="truncated", phase="body", delivery="answered"
            ) from error
        finally:
            body.abort()

    def open(self, effect: Open, /) -> StreamingResponse:
        body = self._begin(effect)
        return StreamingResponse(body.reply.status, tuple(body.reply.getheaders()), body)

    def receive(self, effect: Receive, /) -> bytes:
        assert isinstance(effect.body, AcmeBody)
        reply = effect.body.reply
        try:
            data = reply.read1(65536)
        except (OSError, http.client.HTTPException) as error:
            raise sm.DispatchFailure(
                str(error), kind="truncated", phase="body", delivery="answered"
            ) from error
        if not data and reply.length:  # of the announced bytes; http.client passes over it
            raise sm.DispatchFailure(
                "the body ended early", kind="truncated", phase="body", delivery="answered"
            )
        return data

    def sleep(self, effect: Sleep, /) -> None:
        time.sleep(effect.seconds)

    def _begin(self, effect: Send | Open) -> AcmeBody:
        """Send the request exactly as it is; the head of the answer has come. What may have arrived is told from what did not."""
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
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            late = isinstance(error, TimeoutError)
            raise sm.DispatchFailure(
                str(error), kind="timeout" if late else "reset", phase="head", delivery="maybe_sent"
            ) from error


def print_stream(stream: Stream[sm.InvokeEndpointWithResponseStreamOutput], io: AcmeIO) -> None:
    """Text as it comes: what is there already, then what `more` fetches."""
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
        runtime, io = (
            sm.Runtime(config, clock=time, random=random.random),
            AcmeIO(endpoint.credentials),
        )

        output = sm.run(runtime.call(sm.InvokeEndpoint(endpoint_name="flaky", body=b"1,2,3")), io)
        print("attempts:", [attempt.outcome for attempt in output.metadata.attempts])

        question = sm.InvokeEndpointWithResponseStream(
            endpoint_name="ngram", body=b"The import statement", content_type="text/plain"
        )
        print_stream(sm.run(runtime.stream(question), io), io)
        print()


if __name__ == "__main__":
    main()
