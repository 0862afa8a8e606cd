"""The pytest plugin: `sagemaker_endpoint` and `sagemaker_endpoint_session`.

    def test_scoring(sagemaker_endpoint):
        @sagemaker_endpoint.model("churn")
        def churn(call):
            return {"score": sum(call.json())}

        assert my_application.score([1, 2]) == 3
        sagemaker_endpoint.assert_called("churn", times=1)

Both are `smruntime_local.testing.LocalEndpoint`s. One server per process serves all tests that use
the first one: its URL and credentials stay the same, so a client that is made once works in every
test, while models, scripts, calls and variables belong to one test. Nothing is imported before a
test asks for a fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import LocalEndpoint, LocalEndpointOptions

__all__ = ["sagemaker_endpoint", "sagemaker_endpoint_options", "sagemaker_endpoint_session"]


@pytest.fixture(scope="session")
def sagemaker_endpoint_options() -> LocalEndpointOptions:
    """Options of both fixtures, as of `LocalEndpoint`; replace this fixture in conftest.py."""
    return {}


@pytest.fixture(scope="session")
def _sagemaker_endpoint_server(
    sagemaker_endpoint_options: LocalEndpointOptions,
) -> Iterator[LocalEndpoint]:
    """One server for all tests of a process."""
    from .testing import LocalEndpoint

    server = LocalEndpoint(**sagemaker_endpoint_options)
    yield server
    server.close()


@pytest.fixture
def sagemaker_endpoint(
    _sagemaker_endpoint_server: LocalEndpoint, request: pytest.FixtureRequest
) -> Iterator[LocalEndpoint]:
    """Local SageMaker Runtime of one test; AWS_* variables lead boto3 and other clients to it.

    An unused step of a script fails the test, unless it has failed already.
    """
    endpoint, failed_before = _sagemaker_endpoint_server, request.session.testsfailed
    endpoint.set_variables()
    try:
        yield endpoint
        if request.session.testsfailed == failed_before:
            endpoint.check_scripts()
    finally:
        endpoint.restore_variables()
        endpoint.reset()


@pytest.fixture(scope="session")
def sagemaker_endpoint_session(
    sagemaker_endpoint_options: LocalEndpointOptions,
) -> Iterator[LocalEndpoint]:
    """Local SageMaker Runtime of the whole session, for models that take long to load."""
    from .testing import LocalEndpoint

    with LocalEndpoint(**sagemaker_endpoint_options) as endpoint:
        yield endpoint
