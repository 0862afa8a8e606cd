"""Print a model's text as it arrives, and say how long the first piece took."""

import time

from smruntime_core import InvokeEndpointWithResponseStreamOutput as Head
from smruntime_core.codecs import EncodedBody, as_json
from smruntime_transports import Client
from smruntime_transports.client import ResponseStream

question: EncodedBody = as_json({"prompt": "The import", "max_tokens": 5}, accept="text/plain")
with Client() as client:
    began = time.monotonic()
    first: float | None = None
    stream: ResponseStream[Head]
    with client.invoke_endpoint_with_response_stream("ngram", **question) as stream:
        for piece in stream.text():
            first = first or time.monotonic() - began
            print(piece, end="")
    print(stream.ended, first is not None, stream.content_type)
