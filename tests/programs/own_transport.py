"""Drive a call over an HTTP client of one's own."""

import os
import random
import time
import urllib.error
import urllib.request

from smruntime_core import Config, Credentials, InvokeEndpoint, Response, Runtime, run
from smruntime_core.effects import GetCredentials, Send, Sleep


class UrllibIO:
    def credentials(self, effect: GetCredentials) -> Credentials:
        environ = os.environ
        return Credentials(
            environ["AWS_ACCESS_KEY_ID"],
            environ["AWS_SECRET_ACCESS_KEY"],
            environ.get("AWS_SESSION_TOKEN"),
        )

    def send(self, effect: Send) -> Response:
        sent = effect.request
        headers = dict(sent.headers)
        request = urllib.request.Request(sent.url, bytes(sent.body), headers, method=sent.method)
        try:
            with urllib.request.urlopen(request, timeout=effect.timeout or 60.0) as reply:
                return Response(reply.status, tuple(reply.headers.items()), reply.read())
        except urllib.error.HTTPError as error:
            return Response(error.code, tuple(error.headers.items()), error.read())

    def sleep(self, effect: Sleep) -> None:
        time.sleep(effect.seconds)


config = Config(
    region=os.environ["AWS_REGION"], endpoint_url=os.environ["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"]
)
runtime = Runtime(config, clock=time, random=random.random)
output = run(runtime.call(InvokeEndpoint("flaky", body=b"1")), UrllibIO())
print(output.metadata.status, len(output.metadata.attempts))
