"""The two commands as a shell runs them, against the local endpoint; and the curl that `--dry-run` prints, run by a real curl."""

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


def command(
    endpoint: smruntime_local.Endpoint,
    *arguments: str,
    stdin: bytes = b"",
    more: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    line = [sys.executable, "-m", "smruntime_transports", *arguments]
    variables = environment(endpoint) | (more or {})
    return subprocess.run(
        line, env=variables, input=stdin, capture_output=True, timeout=60, check=False
    )


def test_invoke(endpoint: smruntime_local.Endpoint, tmp_path: Path) -> None:
    (tmp_path / "row.csv").write_text("5.1,3.5,1.4,0.2")
    for data in (f"@{tmp_path / 'row.csv'}", "5.1,3.5,1.4,0.2", "-"):
        arguments = ("invoke", "iris", "-d", data, "-t", "text/csv", "--accept", "application/json")
        done = command(endpoint, *arguments, stdin=b"5.1,3.5,1.4,0.2")
        assert (done.returncode, done.stderr) == (0, b"")
        assert json.loads(done.stdout)["predictions"][0]["label"] == "setosa"


@pytest.mark.parametrize("mode", ["text", "lines", "raw", "sse", "json"])
def test_streams(endpoint: smruntime_local.Endpoint, mode: str) -> None:
    accept = {"sse": "text/event-stream", "json": "application/jsonlines"}.get(mode, "text/plain")
    body = json.dumps({"prompt": "The import statement", "max_tokens": 5, "seed": 7})
    done = command(
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
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_a_session_of_two_commands(endpoint: smruntime_local.Endpoint) -> None:
    opened = command(endpoint, "invoke", "chat", "--session", "new", "-t", "application/json")
    assert opened.returncode == 0, opened.stderr
    name, _, session = opened.stderr.decode().strip().partition(" ")
    assert name == "session"
    said = command(
        endpoint, "invoke", "chat", "--session", session, "-d", "hello", "-t", "text/plain"
    )
    assert b"hello" in said.stdout


@pytest.mark.parametrize(
    ("arguments", "more", "code"),
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
        (["invoke", "nobody", "-d", "x"], {}, 4),
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
def test_exit_codes(
    endpoint: smruntime_local.Endpoint, arguments: list[str], more: dict[str, str], code: int
) -> None:
    done = command(endpoint, *arguments, more=more)
    assert done.returncode == code, done.stderr
    assert done.stderr and b"Traceback" not in done.stderr


def test_doctor_tells_what_applies_and_no_secret(endpoint: smruntime_local.Endpoint) -> None:
    done = command(endpoint, "doctor", more={"HTTPS_PROXY": "http://user:hush@proxy:3128"})
    told = done.stdout.decode()
    assert done.returncode == 0
    assert endpoint.url in told and "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME" in told
    assert endpoint.credentials.access_key_id in told and "the environment" in told
    assert "AWS_REGION" in told and "/nonexistent/.aws/config" in told and "proxy:3128" in told
    for secret in (
        endpoint.credentials.secret_access_key,
        endpoint.credentials.session_token or "?",
        "hush",
    ):
        assert secret not in told + done.stderr.decode()
    assert command(endpoint, "doctor", more={"AWS_REGION": ""}).returncode == 2


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
def test_doctor_shows_of_a_proxy_only_scheme_host_and_port(
    endpoint: smruntime_local.Endpoint, value: str, shown: str
) -> None:
    names = ("HTTPS_PROXY", "http_proxy", "ALL_PROXY")
    done = command(
        endpoint,
        "doctor",
        more=dict.fromkeys(names, value)
        | {"NO_PROXY": f"localhost, .corp:80,::1,10.0.0.0/8,{value}"},
    )
    lines = {
        line.split()[1]: line
        for line in done.stdout.decode().splitlines()
        if line.startswith("proxy ")
    }
    assert all(shown in lines[name] for name in names), lines
    assert "localhost,.corp:80,::1,10.0.0.0/8,…" in lines["NO_PROXY"]
    assert b"hush" not in done.stdout and b"pass" not in done.stdout and done.stderr == b""


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
    "more",
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
    endpoint: smruntime_local.Endpoint, tmp_path: Path, more: dict[str, str]
) -> None:
    (tmp_path / "config").write_text(SECRET_SETTINGS)
    nothing = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": ""}
    if "url" in more.values():
        nothing["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"] = ""
    done = command(
        endpoint, "doctor", more={"AWS_CONFIG_FILE": str(tmp_path / "config"), **nothing, **more}
    )
    assert done.stdout and b"Traceback" not in done.stderr
    assert b"hush" not in done.stdout + done.stderr


def test_doctor_tells_what_each_source_of_credentials_said(
    endpoint: smruntime_local.Endpoint,
) -> None:
    nothing = {
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "",
    }
    done = command(endpoint, "doctor", more=nothing)
    told = done.stdout.decode()
    assert done.returncode == 2
    for word in (
        "credentials",
        "NONE",
        "AWS_ACCESS_KEY_ID is not set",
        "there is no profile",
        "RELATIVE_URI",
        "AWS_EC2_METADATA_DISABLED",
    ):
        assert word in told
    old = command(endpoint, "doctor", more={"AWS_CREDENTIAL_EXPIRATION": "2020-01-31T00:00:00Z"})
    assert old.returncode == 2
    assert b"until 2020-01-31T00:00:00Z: EXPIRED" in old.stdout
    half = command(endpoint, "doctor", more={**nothing, "AWS_SECRET_ACCESS_KEY": "hush"})
    assert half.returncode == 2
    assert b"AWS_ACCESS_KEY_ID is missing" in half.stdout
    assert b"hush" not in half.stdout + half.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_the_printed_curl_is_accepted(endpoint: smruntime_local.Endpoint, tmp_path: Path) -> None:
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
        done = command(endpoint, *arguments, "--dry-run")
        assert done.returncode == 0, done.stderr
        told = done.stdout.decode()
        keys = endpoint.credentials
        assert keys.secret_access_key not in told and (keys.session_token or "?") not in told
        assert (
            "# Canonical request\nPOST\n/endpoints/iris/invocations\n" in told
            and "AWS4-HMAC-SHA256\n" in told
        )
        lines = [line for line in told.splitlines() if line.startswith("curl ")]
        assert len(lines) == 2
        for line in lines:
            shell = ["sh", "-c", f"{line} --silent --show-error"]
            ran = subprocess.run(
                shell, env=environment(endpoint), capture_output=True, timeout=60, check=False
            )
            assert b'"setosa"' in ran.stdout, (line, ran)


def test_a_long_upload_is_shown_on_a_terminal(
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
    done = subprocess.run(
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
    assert done.returncode == 0
    assert b"sending 3.0 MB" in shown and shown.endswith(b"\x1b[K")
