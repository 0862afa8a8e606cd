"""The pytest plugin, by runs of pytest over test files as users write them."""

from __future__ import annotations

import os
import re
import textwrap
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest

import smruntime_core
import smruntime_local

pytest.importorskip("trio")
boto3_spec = find_spec("boto3")
if boto3_spec is not None:
    import boto3  # noqa: F401 - once, not for every run

pytest_plugins = ["pytester"]

PAGE = Path(__file__).parents[1] / "docs" / "testing.md"
BLOCK = re.compile(r"^```\w+ (test|file=(\S+))\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLUGIN = "smruntime_local.pytest_plugin"
FOLDERS = [str(Path(p.__file__ or "").parents[1]) for p in (smruntime_core, smruntime_local)]
IS_INSTALLED = any(point.value == PLUGIN for point in entry_points(group="pytest11"))
# installed with the wheel; in the source tree named by hand
ASYNCIO_OPTION = (
    ("-o", "asyncio_default_fixture_loop_scope=function") if find_spec("pytest_asyncio") else ()
)  # without, that plugin warns in every run
ARGUMENTS = (
    "-W",
    "error",
    "-p",
    "no:cacheprovider",
    *ASYNCIO_OPTION,
    *(() if IS_INSTALLED else ("-p", PLUGIN)),
)
IMPORTS = """
import os, sys
import pytest
import smruntime_core as sm
from smruntime_core.codecs import as_json
from smruntime_local import Delay, throttle
from smruntime_transports import AsyncClient, Client
"""

needs_boto3 = pytest.mark.skipif(boto3_spec is None, reason="boto3 is not installed")


@pytest.fixture(autouse=True)
def folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let programs that tests start find the packages under test."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(FOLDERS))


def run(
    pytester: pytest.Pytester, text: str, *arguments: str, apart: bool = False
) -> pytest.RunResult:
    """Run a test file with the plugin, in another process if it must be `apart`."""
    pytester.makepyfile(IMPORTS + textwrap.dedent(text))
    runner = pytester.runpytest_subprocess if apart else pytester.runpytest_inprocess
    return runner(*ARGUMENTS, *arguments)


@needs_boto3
def test_recipes_of_the_page_pass(pytester: pytest.Pytester) -> None:
    blocks = BLOCK.findall(PAGE.read_text("utf-8"))
    test_count = 0
    for number, (_, file_name, text) in enumerate(blocks):
        name = file_name or f"test_recipe_{number}.py"
        (pytester.path / name).write_text(text.strip() + "\n", "utf-8")
        test_count += len(re.findall(r"^ *(?:async )?def test_", text, re.MULTILINE))
    pytester.syspathinsert()
    result = pytester.runpytest_inprocess(*ARGUMENTS, "-p", "anyio")
    # the async recipe runs on asyncio and on trio, that of the handler with two values
    result.assert_outcomes(passed=test_count + 2)
    recipes = re.findall(r"^## (\d+)\.", PAGE.read_text("utf-8"), re.MULTILINE)
    assert recipes == [str(number) for number in range(1, 11)]


def test_model_answers_and_calls_are_asserted(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        def test_it(sagemaker_endpoint):
            @sagemaker_endpoint.model("churn")
            def churn(call):
                return {"score": sum(call.json())}
            with Client() as client:
                assert client.invoke_endpoint("churn", **as_json([1, 2])).json() == {"score": 3}
            (call,) = sagemaker_endpoint.assert_called("churn", times=1)
            assert call is sagemaker_endpoint.calls[0] and call.json() == [1, 2]
            for name, times, message in (
                ("churn", 3, "churn was called once, not 3 times: InvokeEndpoint 6 bytes"),
                ("iris", None, "iris was called 0 times: calls went to churn"),
                ("chrun", None, "chrun was called 0 times: there is no such endpoint; "
                                "did you mean churn?"),
            ):
                with pytest.raises(AssertionError) as caught:
                    sagemaker_endpoint.assert_called(name, times=times)
                assert str(caught.value) == message
        """,
    )
    result.assert_outcomes(passed=1)


def test_retries_take_no_time_in_the_process_and_in_subprocesses(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import subprocess
        from smruntime_core.notices import Waiting

        PROGRAM = [
            "from smruntime_core.notices import Waiting",
            "from smruntime_transports import Client",
            "notices = []",
            "client = Client(observe=notices.append)",
            "print(client.invoke_endpoint('churn', body=b'').json())",
            "print([notice.seconds for notice in notices if isinstance(notice, Waiting)])",
        ]

        def test_here(sagemaker_endpoint):
            sagemaker_endpoint.script("churn", *throttle(2), 1, sm.ModelNotReadyException(), 2)
            notices = []
            policy = sm.RetryPolicy(base_delay=30, throttling_delay=30)
            with Client(observe=notices.append, retries=policy) as client:
                assert client.invoke_endpoint("churn", body=b"").json() == 1
                patient = client.with_options(wait_for_capacity=60)
                assert patient.invoke_endpoint("churn", body=b"").json() == 2
            delays = [n.seconds for n in notices if isinstance(n, Waiting)]
            assert delays == [0, 0, 0]

        def test_there(sagemaker_endpoint):
            sagemaker_endpoint.script("churn", *throttle(2), 1)
            line = [sys.executable, "-c", "; ".join(PROGRAM)]
            done = subprocess.run(line, capture_output=True, text=True)
            assert done.stdout.split("\\n")[:2] == ["1", "[0.0, 0.0]"], done.stderr
        """,
    )
    result.assert_outcomes(passed=2)


def test_unused_step_fails_the_test_unless_it_failed_already(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        def test_unused(sagemaker_endpoint):
            sagemaker_endpoint.script("churn", Delay(0.2), {"score": 1})

        def test_failed(sagemaker_endpoint):
            sagemaker_endpoint.script("churn", Delay(0.2))
            assert False, "first"

        def test_next_one_is_not_affected(sagemaker_endpoint):
            assert sagemaker_endpoint.calls == ()
        """,
    )
    result.assert_outcomes(passed=2, failed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*steps that no call has used: churn: Delay(seconds=0.2), Reply(value={'score': 1})"]
    )


def test_wrong_script_is_refused_where_it_is_written(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        @pytest.mark.parametrize(
            ("step", "message"),
            [
                (ValueError("x"), "found ValueError: only a ServiceError is a step"),
                (print, "a function is a model, not a step"),
                ({1, 2}, "it is neither bytes, text nor JSON"),
            ],
        )
        def test_step(sagemaker_endpoint, step, message):
            with pytest.raises(TypeError, match=message):
                sagemaker_endpoint.script("churn", step)

        def test_name_that_no_call_could_have(sagemaker_endpoint):
            with pytest.raises(sm.ConstructionError, match="endpoint_name"):
                sagemaker_endpoint.script("my endpoint", 1)

        def test_misspelt_name(sagemaker_endpoint):
            sagemaker_endpoint.script("chrun", 1)
            with Client() as client, pytest.raises(sm.ValidationError, match="churn"):
                client.invoke_endpoint("churn", body=b"")

        def test_script_that_is_too_short(sagemaker_endpoint):
            sagemaker_endpoint.script("churn", 1)
            with Client() as client:
                client.invoke_endpoint("churn", body=b"")
                with pytest.raises(sm.ModelError, match="no step left, and there is no model"):
                    client.invoke_endpoint("churn", body=b"")
        """,
    )
    result.assert_outcomes(passed=6, errors=1)
    result.stdout.fnmatch_lines(["*steps that no call has used: chrun: Reply(value=1)"])


def test_environment_is_the_developers_again_and_the_url_stays(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "corp.example")
    result = run(
        pytester,
        """
        BEFORE = dict(os.environ)
        client, urls = Client(), set()

        def settings():
            names = ("PYTEST_CURRENT_TEST", "PYTEST_VERSION")
            return {k: v for k, v in os.environ.items() if k not in names}

        BEFORE = settings()

        @pytest.mark.parametrize("score", [1, 2])
        def test_client_of_the_module(sagemaker_endpoint, score):
            assert "AWS_PROFILE" not in os.environ
            assert os.environ["no_proxy"] == "corp.example,127.0.0.1,localhost"
            sagemaker_endpoint.script("churn", score)
            assert client.invoke_endpoint("churn", body=b"").json() == score
            client.upload_input("s3://bucket/key", b"1")
            assert sagemaker_endpoint.fetch("s3://bucket/key") == b"1"
            urls.add(sagemaker_endpoint.url)

        def test_afterwards():
            assert settings() == BEFORE
            assert len(urls) == 1
            client.close()

        def test_objects_are_gone(sagemaker_endpoint):
            assert sagemaker_endpoint.fetch("s3://bucket/key") is None
        """,
    )
    result.assert_outcomes(passed=4)


@needs_boto3
def test_boto3_keeps_its_default_session_between_tests(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    result = run(
        pytester,
        """
        import boto3

        @pytest.mark.parametrize("fixture", ["sagemaker_endpoint", "sagemaker_endpoint_session"])
        def test_boto3(fixture, request):
            endpoint = request.getfixturevalue(fixture)
            endpoint.script("churn", *throttle(1), "fine")
            endpoint.script("story", iter(["a", "b"]))
            client = boto3.client("sagemaker-runtime")
            answer = client.invoke_endpoint(EndpointName="churn", Body=b"1")
            assert answer["Body"].read() == b"fine"
            stream = client.invoke_endpoint_with_response_stream(EndpointName="story", Body=b"")
            assert b"".join(p["PayloadPart"]["Bytes"] for p in stream["Body"]) == b"ab"
            s3 = boto3.client("s3")
            s3.put_object(Bucket="bucket", Key="a b", Body=b"in")
            assert endpoint.fetch("s3://bucket/a b") == b"in"
            client.close()
            s3.close()
        """,
    )
    result.assert_outcomes(passed=2)


def test_trio_tests(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import trio

        async def call(names):
            async with AsyncClient() as client, trio.open_nursery() as nursery:
                for name in names:
                    nursery.start_soon(client.call, sm.InvokeEndpoint(name, body=b""))

        def test_trio(sagemaker_endpoint):
            sagemaker_endpoint.script("a", 1)
            sagemaker_endpoint.script("b", 2)
            trio.run(call, ["a", "b"])
            assert {call.endpoint_name for call in sagemaker_endpoint.calls} == {"a", "b"}
        """,
    )
    result.assert_outcomes(passed=1)


ASYNC_PLUGINS = {
    "pytest_asyncio": ("@pytest.mark.asyncio", "-p pytest_asyncio"),
    "pytest_trio": ("@pytest.mark.trio", "-p trio"),
}


@pytest.mark.parametrize("module", ASYNC_PLUGINS)
def test_tests_of_async_plugins(pytester: pytest.Pytester, module: str) -> None:
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed: tools/test-plugin has it")
    result = run(
        pytester,
        f"""
        {ASYNC_PLUGINS[module][0]}
        @pytest.mark.parametrize("score", [1, 2])
        async def test_async(sagemaker_endpoint, score):
            sagemaker_endpoint.script("churn", *throttle(1), score)
            sagemaker_endpoint.script("story", iter(["a", "b"]))
            async with AsyncClient() as client:
                assert (await client.invoke_endpoint("churn", body=b"")).json() == score
                call = client.invoke_endpoint_with_response_stream("story", body=b"")
                async with call as stream:
                    assert [text async for text in stream.text()] == ["a", "b"]
        """,
        apart=True,
    )
    result.assert_outcomes(passed=2)


def test_workers_of_xdist_have_servers_of_their_own(pytester: pytest.Pytester) -> None:
    if find_spec("xdist") is None:
        pytest.skip("pytest-xdist is not installed")
    result = run(
        pytester,
        """
        @pytest.mark.parametrize("number", range(6))
        def test_it(sagemaker_endpoint, sagemaker_endpoint_session, number):
            sagemaker_endpoint.script("churn", number)
            with Client() as client:
                assert client.invoke_endpoint("churn", body=b"").json() == number
            sagemaker_endpoint.assert_called("churn", times=1)
            assert sagemaker_endpoint_session.calls == ()

        def test_unused(sagemaker_endpoint):
            sagemaker_endpoint.script("churn", 1)
        """,
        "-n2",
        apart=True,
    )
    result.assert_outcomes(passed=7, errors=1)
    result.stdout.fnmatch_lines(["*steps that no call has used: churn: Reply(value=1)"])


def test_model_that_raises_and_stream_that_breaks(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        from smruntime_local import Cut

        def test_errors(sagemaker_endpoint):
            @sagemaker_endpoint.model("churn")
            def churn(call):
                assert call.content_type == "text/csv"

            @sagemaker_endpoint.model("story")
            def story(call):
                yield "Once "
                raise RuntimeError("out of memory")

            with Client() as client:
                with pytest.raises(sm.ModelError, match="AssertionError: assert None =="):
                    client.invoke_endpoint("churn", body=b"")
                with client.invoke_endpoint_with_response_stream("story", body=b"") as stream:
                    with pytest.raises(sm.ModelStreamError, match="out of memory"):
                        list(stream.text())
                sagemaker_endpoint.script("story", Cut(400))
                with client.invoke_endpoint_with_response_stream("story", body=b"") as stream:
                    with pytest.raises((sm.TruncatedStream, sm.DispatchFailure)):
                        list(stream.text())
        """,
    )
    result.assert_outcomes(passed=1)


def test_context_manager_restores_the_environment_and_checks_scripts(
    pytester: pytest.Pytester,
) -> None:
    result = run(
        pytester,
        """
        from smruntime_local import UnusedStepsError
        from smruntime_local.testing import LocalEndpoint

        def test_it():
            before = dict(os.environ)
            with LocalEndpoint(region="eu-west-1") as outer, LocalEndpoint(s3=False) as inner:
                assert os.environ["AWS_REGION"] == "us-east-1"
                assert os.environ["AWS_ENDPOINT_URL_S3"] == f"{outer.url}/s3"
                inner.script("churn", 1)
                with Client() as client:
                    client.invoke_endpoint("churn", body=b"")
            assert dict(os.environ) == before
            with pytest.raises(UnusedStepsError, match="churn"), LocalEndpoint() as endpoint:
                endpoint.script("churn", 1)
            with pytest.raises(ZeroDivisionError), LocalEndpoint() as endpoint:
                endpoint.script("churn", 1)
                1 / 0
            assert dict(os.environ) == before
            with pytest.raises(TypeError, match="regoin"):
                LocalEndpoint(regoin="x")
        """,
    )
    result.assert_outcomes(passed=1)


def test_runs_without_the_fixture_import_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_it():
            found = [m for m in sys.modules if m.split(".")[0] in
                     ("smruntime_core", "smruntime_transports", "smruntime_local", "h11")]
            assert set(found) <= {"smruntime_local", "smruntime_local.pytest_plugin"}
        """
    )
    result = pytester.runpytest_subprocess(*ARGUMENTS)
    result.assert_outcomes(passed=1)


def test_fixtures_are_listed_with_what_they_are(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess(*ARGUMENTS, "--fixtures")
    result.stdout.fnmatch_lines(["sagemaker_endpoint *", "*Local SageMaker Runtime of one test*"])
