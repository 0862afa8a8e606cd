"""Read server-sent events, and pass them on as a web service would."""

import json
from collections.abc import Iterator

from smruntime_core.codecs import as_json
from smruntime_core.payload import ServerSentEvent, encode_sse
from smruntime_transports import Client


def relay(client: Client, prompt: str) -> Iterator[bytes]:
    body = {"prompt": prompt, "max_tokens": 4}
    question = as_json(body, accept="text/event-stream")
    with client.invoke_endpoint_with_response_stream("ngram", **question) as stream:
        for event in stream.sse():
            yield encode_sse(event)


with Client() as client:
    relayed = b"".join(relay(client, "A class"))
    print(relayed.count(b"data: "), json.dumps(relayed.decode())[:10])
    print(encode_sse(ServerSentEvent("bye", event="end")))
