"""How good is a transport? The contract that ours keep, asked of one made of `http.client`: two layers of it, and what each way shows.

Your own would be asked for all of it, in your test suite:

    @pytest.mark.parametrize("scenario", CONTRACT, ids=str)
    def test_contract(scenario): check(scenario, call)
"""

from __future__ import annotations

import http.client
import random
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlsplit

import smruntime_core as sm
from smruntime_core.effects import GetCredentials, Send, Sleep
from smruntime_core.testing import CONTRACT, FAULTS, Scenario, outcomes
from smruntime_local.hostile import check

KEYS = sm.Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI")


class ToyIO:
    """One connection a call, whatever `http.client` makes of the answer, and the coarsest of errors."""

    def credentials(self, effect: GetCredentials, /) -> sm.Credentials:
        return KEYS

    def send(self, effect: Send, /) -> sm.Response:
        request, url = effect.request, urlsplit(effect.request.url)
        try:
            with closing(
                http.client.HTTPConnection(
                    url.hostname or "", url.port, timeout=effect.phases.response
                )
            ) as connection:
                connection.request(request.method, url.path, request.body, dict(request.headers))
                with connection.getresponse() as reply:
                    return sm.Response(reply.status, tuple(reply.getheaders()), reply.read())
        except (OSError, http.client.HTTPException) as error:
            raise sm.DispatchFailure(
                repr(error), kind="protocol", phase="head", delivery="maybe_sent"
            ) from None

    def sleep(self, effect: Sleep, /) -> None:
        time.sleep(effect.seconds)


def call(
    url: str,
    operations: Iterable[sm.InvokeEndpoint],
    *,
    timeouts: sm.Timeouts,
    retries: sm.RetryPolicy,
) -> list[object]:
    """What the contract asks of a transport: all operations, by one client, and what each came to."""
    config = sm.Config(region="us-east-1", endpoint_url=url, timeouts=timeouts)
    runtime, io = sm.Runtime(config, clock=time, random=random.random, retries=retries), ToyIO()
    return outcomes(lambda operation: sm.run(runtime.call(operation), io), operations)


def verdict(scenario: Scenario) -> str:
    """What is wrong with the transport, in a line; nothing if it is right."""
    try:
        check(
            scenario.replace(connections=None, timeouts=sm.Timeouts(response=0.5)), call
        )  # it makes more connections than it needs
    except AssertionError as wrong:
        return str(wrong).replace("\n ", "")
    return ""


def main() -> None:
    layer = {fault.number: fault.layer for fault in FAULTS}
    asked = [
        scenario
        for scenario in CONTRACT
        if layer[scenario.fault] in ("head", "service")
        and scenario.splittable | (scenario.fault == "72")
    ]
    with ThreadPoolExecutor(16) as pool:
        verdicts = dict(zip(asked, pool.map(verdict, asked), strict=True))
    right = Counter(layer[scenario.fault] for scenario in asked if not verdicts[scenario])
    for name, number in Counter(layer[scenario.fault] for scenario in asked).items():
        print(f"{name:9}{right[name]:3} of {number:3}")
    print(
        next(wrong for scenario, wrong in verdicts.items() if wrong and scenario.fault == "43")[
            :200
        ]
    )


if __name__ == "__main__":
    main()
