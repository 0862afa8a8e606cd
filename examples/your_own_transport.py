"""Test a transport against the contract that ours keep: here a naive one made of `http.client`.

The example runs two layers of the contract and prints how many scenarios pass. Your own test suite
would run all of them:

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

CREDENTIALS = sm.Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI")
LAYERS = {fault.number: fault.layer for fault in FAULTS}


class NaiveIO:
    """One connection for each call, and the same error for every failure."""

    def credentials(self, effect: GetCredentials, /) -> sm.Credentials:
        return CREDENTIALS

    def send(self, effect: Send, /) -> sm.Response:
        request, url = effect.request, urlsplit(effect.request.url)
        connection = http.client.HTTPConnection(
            url.hostname or "", url.port, timeout=effect.phases.response
        )
        try:
            with closing(connection):
                connection.request(request.method, url.path, request.body, dict(request.headers))
                with connection.getresponse() as response:
                    headers = tuple(response.getheaders())
                    return sm.Response(response.status, headers, response.read())
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
    """Make all calls with one client and return their outcomes, as the contract requires."""
    config = sm.Config(region="us-east-1", endpoint_url=url, timeouts=timeouts)
    runtime = sm.Runtime(config, clock=time, random=random.random, retries=retries)
    io = NaiveIO()
    return outcomes(lambda operation: sm.run(runtime.call(operation), io), operations)


def find_violation(scenario: Scenario) -> str:
    """Return what the transport does wrong in a scenario, in one line; "" if nothing."""
    timeouts = sm.Timeouts(response=0.5)
    lenient = scenario.replace(connections=None, timeouts=timeouts)  # any number of connections
    try:
        check(lenient, call)
    except AssertionError as violation:
        return str(violation).replace("\n ", "")
    return ""


def is_selected(scenario: Scenario) -> bool:
    return LAYERS[scenario.fault] in ("head", "service") and (
        scenario.splittable or scenario.fault == "72"
    )


def main() -> None:
    scenarios = [scenario for scenario in CONTRACT if is_selected(scenario)]
    with ThreadPoolExecutor(16) as executor:
        violations = dict(zip(scenarios, executor.map(find_violation, scenarios), strict=True))
    passed = Counter(LAYERS[scenario.fault] for scenario in scenarios if not violations[scenario])
    for layer, total in Counter(LAYERS[scenario.fault] for scenario in scenarios).items():
        print(f"{layer:9}{passed[layer]:3} of {total:3}")
    print(
        next(
            violation[:200]
            for scenario, violation in violations.items()
            if violation and scenario.fault == "43"
        )
    )


if __name__ == "__main__":
    main()
