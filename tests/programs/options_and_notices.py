"""Change the limits of some calls, and count what happens."""

from collections import Counter

from smruntime_core import RetryPolicy, Timeouts
from smruntime_core.notices import AttemptEnded, Notice, StreamEnded
from smruntime_transports import Client
from smruntime_transports.client import WireClientSettings

outcomes: Counter[str] = Counter()


def observe(notice: Notice) -> None:
    if isinstance(notice, AttemptEnded | StreamEnded):
        outcomes[f"{type(notice).__name__} {notice.outcome}"] += 1


settings: WireClientSettings = {
    "timeouts": Timeouts(connect=2.0, response=30.0, idle=10.0),
    "observe": observe,
    "max_connections": 4,
}
with Client(**settings) as client:
    careful = client.with_options(timeout=20.0, retries=RetryPolicy(max_attempts=4))
    careful.invoke_endpoint("flaky", body=b"1")
    with careful.invoke_endpoint_with_response_stream("echo", body=b"1") as stream:
        size = sum(len(part) for part in stream.bytes())
print(dict(outcomes), size > 0)
