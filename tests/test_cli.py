"""The command line against the local endpoint, and the printed curl command run by curl."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import smruntime_core
import smruntime_local

ROOTS = os.pathsep.join(
    {str(Path(smruntime_core.__file__).parents[1]), str(Path(smruntime_local.__file__).parents[1])}
)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[smruntime_local.Endpoint]:
    with smruntime_local.serve() as made:
        yield made


def environment(endpoint: smruntime_local.Endpoint) -> dict[str, str]:
    keys = endpoint.credentials
    return {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": ROOTS,
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        "AWS_SESSION_TOKEN": keys.session_token or "",
        "AWS_REGION": endpoint.region,
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": endpoint.url,
    }


def run_command(
    endpoint: smruntime_local.Endpoint,
    *arguments: str,
    stdin: bytes = b"",
    extra_variables: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    line = [sys.executable, "-m", "smruntime_transports", *arguments]
    variables = environment(endpoint) | (extra_variables or {})
    return subprocess.run(
        line, env=variables, input=stdin, capture_output=True, timeout=60, check=False
    )


def test_invoke_reads_the_body_from_file_argument_or_standard_input(
    endpoint: smruntime_local.Endpoint, tmp_path: Path
) -> None:
    (tmp_path / "row.csv").write_text("5.1,3.5,1.4,0.2")
    for data in (f"@{tmp_path / 'row.csv'}", "5.1,3.5,1.4,0.2", "-"):
        arguments = ("invoke", "iris", "-d", data, "-t", "text/csv", "--accept", "application/json")
        completed = run_command(endpoint, *arguments, stdin=b"5.1,3.5,1.4,0.2")
        assert (completed.returncode, completed.stderr) == (0, b"")
        assert json.loads(completed.stdout)["predictions"][0]["label"] == "setosa"


@pytest.mark.parametrize("mode", ["text", "lines", "raw", "sse", "json"])
def test_invoke_prints_a_stream_in_every_mode(
    endpoint: smruntime_local.Endpoint, mode: str
) -> None:
    accept = {"sse": "text/event-stream", "json": "application/jsonlines"}.get(mode, "text/plain")
    body = json.dumps({"prompt": "The import statement", "max_tokens": 5, "seed": 7})
    completed = run_command(
        endpoint,
        "invoke",
        "ngram",
        "-d",
        body,
        "-t",
        "application/json",
        "--accept",
        accept,
        "--stream",
        mode,
    )
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.strip()


def test_session_opened_by_one_command_is_used_by_another(
    endpoint: smruntime_local.Endpoint,
) -> None:
    opened = run_command(endpoint, "invoke", "chat", "--session", "new", "-t", "application/json")
    assert opened.returncode == 0, opened.stderr
    name, _, session = opened.stderr.decode().strip().partition(" ")
    assert name == "session"
    continued = run_command(
        endpoint, "invoke", "chat", "--session", session, "-d", "hello", "-t", "text/plain"
    )
    assert b"hello" in continued.stdout


@pytest.mark.parametrize(
    ("arguments", "extra_variables", "code"),
    [
        (["invoke", "a/b"], {}, 2),
        (["invoke", "iris", "-d", "@/nonexistent/file"], {}, 2),
        (["invoke"], {}, 2),
        (["invoke", "iris"], {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, 3),
        (
            ["invoke", "iris", "-d", "1,2,3,4", "-t", "text/csv"],
            {"AWS_SECRET_ACCESS_KEY": "wrong"},
            4,
        ),
        (["invoke", "missing", "-d", "x"], {}, 4),
        (["invoke", "iris", "-d", "not numbers", "-t", "text/csv"], {}, 5),
        (
            [
                "invoke",
                "echo",
                "-d",
                "abc",
                "--stream",
                "raw",
                "--custom-attributes",
                "fault=truncate",
            ],
            {},
            7,
        ),
        (
            ["invoke", "iris", "-d", "x"],
            {"AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": "http://127.0.0.1:1"},
            8,
        ),
    ],
)
def test_exit_code_tells_the_kind_of_failure(
    endpoint: smruntime_local.Endpoint,
    arguments: list[str],
    extra_variables: dict[str, str],
    code: int,
) -> None:
    completed = run_command(endpoint, *arguments, extra_variables=extra_variables)
    assert completed.returncode == code, completed.stderr
    assert completed.stderr and b"Traceback" not in completed.stderr


def test_doctor_shows_what_applies_without_secrets(endpoint: smruntime_local.Endpoint) -> None:
    completed = run_command(
        endpoint, "doctor", extra_variables={"HTTPS_PROXY": "http://user:hush@proxy:3128"}
    )
    output = completed.stdout.decode()
    assert completed.returncode == 0
    assert endpoint.url in output and "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME" in output
    assert endpoint.credentials.access_key_id in output and "the environment" in output
    assert (
        "AWS_REGION" in output and "/nonexistent/.aws/config" in output and "proxy:3128" in output
    )
    for secret in (
        endpoint.credentials.secret_access_key,
        endpoint.credentials.session_token or "?",
        "hush",
    ):
        assert secret not in output + completed.stderr.decode()
    assert run_command(endpoint, "doctor", extra_variables={"AWS_REGION": ""}).returncode == 2


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("http://user:hush@proxy:3128", "http://proxy:3128"),
        ("user:hush@proxy:3128", "  proxy:3128"),
        ("http://proxy:3128/?token=hush", "http://proxy:3128"),
        ("http://proxy:3128/hush", "http://proxy:3128"),
        ("http://proxy:3128#hush", "http://proxy:3128"),
        ("http://user:pass@proxy:3128?to=hush", "http://proxy:3128"),
        ("http://[::1]:3128?hush", "http://[::1]:3128"),
        ("http://user:12/hush@proxy:3128", "not shown"),
        ("http://user:12?hush@proxy", "not shown"),
        ("http://user:a@hush@proxy:3128", "not shown"),
        ("http://user\\hush@proxy", "not shown"),
        ("http://user:hush", "not shown"),
        ("http://proxy:3128/?a=hush@b", "not shown"),
    ],
)
def test_doctor_shows_only_scheme_host_and_port_of_a_proxy(
    endpoint: smruntime_local.Endpoint, value: str, shown: str
) -> None:
    names = ("HTTPS_PROXY", "http_proxy", "ALL_PROXY")
    completed = run_command(
        endpoint,
        "doctor",
        extra_variables=dict.fromkeys(names, value)
        | {"NO_PROXY": f"localhost, .corp:80,::1,10.0.0.0/8,{value}"},
    )
    lines = {
        line.split()[1]: line
        for line in completed.stdout.decode().splitlines()
        if line.startswith("proxy ")
    }
    assert all(shown in lines[name] for name in names), lines
    assert "localhost,.corp:80,::1,10.0.0.0/8,…" in lines["NO_PROXY"]
    assert (
        b"hush" not in completed.stdout
        and b"pass" not in completed.stdout
        and completed.stderr == b""
    )


SECRET_SETTINGS = """
[profile program]
credential_process = /nonexistent/program --secret hush
[profile single-sign-on]
sso_start_url = https://user:hush@example.awsapps.com/start?hush
sso_region = us-east-1
sso_account_id = 1
sso_role_name = hush
[profile role]
role_arn = arn:aws:iam::1:role/x
external_id = hush
source_profile = keys
[profile keys]
aws_access_key_id = AKIDX
aws_secret_access_key = hush
[profile url]
endpoint_url = https://user:hush@host/?token=hush
"""


@pytest.mark.parametrize(
    "extra_variables",
    [
        *({"AWS_PROFILE": name} for name in ("program", "single-sign-on", "role", "keys", "url")),
        {"AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": "https://user:hush@host/"},
        {"AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": "https://host/?token=hush"},
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://user:hush@127.0.0.1:1/x?hush"},
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://evil.example/?hush"},
        {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "hush",
        },
    ],
    ids=str,
)
def test_doctor_shows_no_secret_of_any_setting(
    endpoint: smruntime_local.Endpoint, tmp_path: Path, extra_variables: dict[str, str]
) -> None:
    (tmp_path / "config").write_text(SECRET_SETTINGS)
    nothing = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": ""}
    if "url" in extra_variables.values():
        nothing["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"] = ""
    completed = run_command(
        endpoint,
        "doctor",
        extra_variables={"AWS_CONFIG_FILE": str(tmp_path / "config"), **nothing, **extra_variables},
    )
    assert completed.stdout and b"Traceback" not in completed.stderr
    assert b"hush" not in completed.stdout + completed.stderr


def test_doctor_shows_the_result_of_each_source_of_credentials(
    endpoint: smruntime_local.Endpoint,
) -> None:
    nothing = {
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "",
    }
    completed = run_command(endpoint, "doctor", extra_variables=nothing)
    output = completed.stdout.decode()
    assert completed.returncode == 2
    for expected in (
        "credentials",
        "NONE",
        "AWS_ACCESS_KEY_ID is not set",
        "there is no profile",
        "RELATIVE_URI",
        "AWS_EC2_METADATA_DISABLED",
    ):
        assert expected in output
    old = run_command(
        endpoint, "doctor", extra_variables={"AWS_CREDENTIAL_EXPIRATION": "2020-01-31T00:00:00Z"}
    )
    assert old.returncode == 2
    assert b"until 2020-01-31T00:00:00Z: EXPIRED" in old.stdout
    half = run_command(
        endpoint, "doctor", extra_variables={**nothing, "AWS_SECRET_ACCESS_KEY": "hush"}
    )
    assert half.returncode == 2
    assert b"AWS_ACCESS_KEY_ID is missing" in half.stdout
    assert b"hush" not in half.stdout + half.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_printed_curl_command_is_accepted(
    endpoint: smruntime_local.Endpoint, tmp_path: Path
) -> None:
    (tmp_path / "a file.csv").write_text("5.1,3.5,1.4,0.2")
    for data in ("5.1,3.5,1.4,0.2", f"@{tmp_path / 'a file.csv'}"):
        arguments = (
            "invoke",
            "iris",
            "-d",
            data,
            "-t",
            "text/csv",
            "--custom-attributes",
            "it's; a=$HOME",
            "--accept",
            "application/json",
        )
        completed = run_command(endpoint, *arguments, "--dry-run")
        assert completed.returncode == 0, completed.stderr
        output = completed.stdout.decode()
        keys = endpoint.credentials
        assert keys.secret_access_key not in output and (keys.session_token or "?") not in output
        assert (
            "# Canonical request\nPOST\n/endpoints/iris/invocations\n" in output
            and "AWS4-HMAC-SHA256\n" in output
        )
        lines = [line for line in output.splitlines() if line.startswith("curl ")]
        assert len(lines) == 2
        for line in lines:
            shell = ["sh", "-c", f"{line} --silent --show-error"]
            ran = subprocess.run(
                shell, env=environment(endpoint), capture_output=True, timeout=60, check=False
            )
            assert b'"setosa"' in ran.stdout, (line, ran)


def test_progress_of_a_long_upload_is_shown_on_a_terminal(
    endpoint: smruntime_local.Endpoint, tmp_path: Path
) -> None:
    pty = pytest.importorskip("pty", reason="there are no terminals here")
    (tmp_path / "long").write_bytes(bytes(3_000_000))
    ours, theirs = pty.openpty()
    line = [
        sys.executable,
        "-m",
        "smruntime_transports",
        "invoke",
        "echo",
        "-d",
        f"@{tmp_path / 'long'}",
    ]
    completed = subprocess.run(
        line,
        env=environment(endpoint),
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        timeout=60,
        check=False,
    )
    os.close(theirs)
    shown = os.read(ours, 1 << 16)
    os.close(ours)
    assert completed.returncode == 0
    assert b"sending 3.0 MB" in shown and shown.endswith(b"\x1b[K")
