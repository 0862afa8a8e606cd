"""The command line against the local endpoint, and the printed curl command run by curl."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import smruntime_core
import smruntime_local
import smruntime_transports
from smruntime_transports.cli._operations import guess_content_type
from smruntime_transports.cli._unused import READ_VARIABLES, find_unused_variables

from .helpers import COVERAGE
from .servers import acting, scripted

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
        **COVERAGE,
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


def run_on_terminal(
    endpoint: smruntime_local.Endpoint,
    line: list[str],
    extra_variables: dict[str, str],
    last: bytes | None = None,
) -> tuple[int, bytes]:
    """Run a command whose standard error is a terminal; return its exit code and what is shown.

    It is terminated when it has shown `last`.
    """
    pty = pytest.importorskip("pty", reason="there are no terminals here")
    ours, theirs = pty.openpty()
    variables = environment(endpoint) | {"TERM": "xterm"} | extra_variables
    with subprocess.Popen(
        line, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # the last writer closed the terminal
            while part := os.read(ours, 1 << 16):
                shown += part
                if last is not None and last in shown:
                    process.terminate()
    os.close(ours)
    return process.returncode, shown


WITHOUT_RICH = "import sys; sys.modules['rich'] = sys.modules['rich.console'] = None; "
RUN_MAIN = "import sys; from smruntime_transports.cli import main; sys.exit(main())"
NO_COLOUR = {"NO_COLOR": "1"}


@pytest.mark.parametrize(
    ("prelude", "extra_variables", "is_coloured"),
    [
        ("", {}, True),
        ("", NO_COLOUR, False),
        ("", {"TERM": "dumb"}, False),
        (WITHOUT_RICH, {}, False),
    ],
)
def test_messages_have_colours_on_a_terminal_with_rich_only(
    endpoint: smruntime_local.Endpoint,
    prelude: str,
    extra_variables: dict[str, str],
    is_coloured: bool,
) -> None:
    line = [sys.executable, "-c", prelude + RUN_MAIN, "invoke", "missing", "-d", "[bold]x", "-v"]
    code, shown = run_on_terminal(endpoint, line, extra_variables)
    assert code == 4
    assert b"Endpoint missing of account" in shown
    assert b"* attempt 1 of at most 3" in shown
    assert (b"\x1b[" in shown) == is_coloured, shown


def test_serve_says_on_a_terminal_what_to_do_with_its_exports(
    endpoint: smruntime_local.Endpoint,
) -> None:
    line = [sys.executable, "-c", RUN_MAIN, "serve"]
    hint = b"serving until Ctrl-C; run these lines in another shell"
    code, shown = run_on_terminal(endpoint, line, NO_COLOUR, last=hint)
    assert code == 0
    assert hint in shown


@pytest.mark.parametrize("prelude", ["", WITHOUT_RICH])
def test_progress_of_a_long_upload_is_shown_on_a_terminal(
    endpoint: smruntime_local.Endpoint, tmp_path: Path, prelude: str
) -> None:
    (tmp_path / "long").write_bytes(bytes(3_000_000))
    data = f"@{tmp_path / 'long'}"
    line = [sys.executable, "-c", prelude + RUN_MAIN, "invoke", "echo", "-d", data]
    code, shown = run_on_terminal(endpoint, line, {})
    assert code == 0
    if prelude:
        assert b"sending 3.0 MB" in shown
        assert shown.endswith(b"\x1b[K")
    else:
        assert b"sending" in shown
        assert b"3.0/3.0 MB" in shown
        assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"sending"), "the cursor stays hidden"
    piped = run_command(endpoint, "invoke", "echo", "-d", data)
    assert (piped.returncode, piped.stderr) == (0, b"")


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_version_and_help_import_no_tls_and_no_server(
    endpoint: smruntime_local.Endpoint, argument: str
) -> None:
    line = [sys.executable, "-X", "importtime", "-m", "smruntime_transports", argument]
    done = subprocess.run(
        line, env=environment(endpoint), capture_output=True, timeout=60, check=True
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines()}
    assert "smruntime_transports.cli._parser" in imported
    unwanted = {"ssl", "h11", "rich", "asyncio", "logging", "subprocess", "smruntime_local"}
    assert not unwanted & imported


@pytest.mark.parametrize("module", ["smruntime_transports", "smruntime_local"])
def test_missing_h11_is_one_line_that_names_the_extra(
    endpoint: smruntime_local.Endpoint, module: str
) -> None:
    block = "import runpy, sys; sys.modules['h11'] = None; "
    program = f"{block}sys.argv[0] = 'x'; runpy._run_module_as_main({module!r})"
    serve = ["serve"] if module == "smruntime_transports" else []
    done = subprocess.run(
        [sys.executable, "-c", program, *serve],
        env=environment(endpoint),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    (message,) = done.stderr.decode().splitlines()
    assert "pip install 'smruntime-core[local]'" in message


NO_ADDRESS = """
import socket, sys
from smruntime_transports.cli import main
def fail(*_arguments, **_options):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
socket.getaddrinfo = fail
sys.exit(main())
"""


def test_region_without_an_endpoint_is_named_as_the_likely_cause(
    endpoint: smruntime_local.Endpoint,
) -> None:
    line = [sys.executable, "-c", NO_ADDRESS, "invoke", "iris", "-d", "1", "--region", "mars-1"]
    variables = environment(endpoint) | {"AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": ""}
    done = subprocess.run(
        [*line, "--retries", "0"], env=variables, capture_output=True, timeout=60, check=False
    )
    (message,) = done.stderr.decode().splitlines()
    assert done.returncode == 8
    assert "runtime.sagemaker.mars-1.amazonaws.com" in message
    assert "check endpoint_url= and region=" in message


def interrupt(line: list[str], variables: dict[str, str], begun: str) -> tuple[int, bytes]:
    """Press Ctrl-C once a command has printed `begun` to standard error or output."""
    with subprocess.Popen(
        line,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        shown = b""
        while begun.encode() not in shown:
            part = process.stdout.readline()
            assert part, shown
            shown += part
        os.killpg(process.pid, signal.SIGINT)
        shown += process.stdout.read()
        return process.wait(30), shown


def test_ctrl_c_ends_a_call_with_code_130(endpoint: smruntime_local.Endpoint) -> None:
    with acting(lambda peer: peer.idle()) as server:
        line = [sys.executable, "-m", "smruntime_transports", "invoke", "iris", "-d", "1", "-v"]
        code, shown = interrupt(
            [*line, "--endpoint-url", server.url], environment(endpoint), "attempt 1"
        )
    # Python ends itself with SIGINT if an `exec` was interrupted, as in the import of a namedtuple;
    # a shell reports 130 for both
    assert code in (130, -signal.SIGINT), shown.decode()
    assert b"Traceback" not in shown, shown.decode()


LOST_INTERRUPT = """\
import signal, sys
from smruntime_transports.cli import _verbose, main

class Finalized:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

def print_notice(notice):
    if type(notice).__name__ == "AttemptStarted":
        Finalized()
        print("lost", flush=True)

_verbose.print_notice = print_notice
sys.exit(main())
"""


def test_ctrl_c_in_a_finalizer_ends_a_call_all_the_same(endpoint: smruntime_local.Endpoint) -> None:
    with acting(lambda peer: peer.idle()) as server:
        line = [sys.executable, "-c", LOST_INTERRUPT, "invoke", "iris", "-d", "1", "-v"]
        done = subprocess.run(
            [*line, "--endpoint-url", server.url],
            env=environment(endpoint),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"lost\n", b"")


SLEEPER = "import time; print('begun', flush=True); time.sleep(60)"


def test_ctrl_c_ends_the_endpoint_or_its_command(endpoint: smruntime_local.Endpoint) -> None:
    variables = environment(endpoint) | {"PYTHONUNBUFFERED": "1"}
    serve = [sys.executable, "-m", "smruntime_transports", "serve"]
    code, shown = interrupt(serve, variables, "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME")
    assert code == 0
    assert b"Traceback" not in shown
    shell = ["sh", "-c", "echo begun; exec sleep 60"]
    code, shown = interrupt([*serve, "--", *shell], variables, "begun")
    assert code == 130
    assert shown == b"begun\n"


def test_sigterm_of_serve_ends_its_command(endpoint: smruntime_local.Endpoint) -> None:
    line = [sys.executable, "-m", "smruntime_transports", "serve", "--"]
    with subprocess.Popen(
        [*line, sys.executable, "-c", SLEEPER], env=environment(endpoint), stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.terminate()
        assert process.stdout.read() == b"", "the command lives on"
        assert process.wait(30) == 128 + signal.SIGTERM


def test_failed_call_leaves_an_older_output_file_as_it_is(
    endpoint: smruntime_local.Endpoint, tmp_path: Path
) -> None:
    output = tmp_path / "answer"
    output.write_bytes(b"an older answer that is longer than the new one" * 20)
    older = output.read_bytes()
    failed = run_command(endpoint, "invoke", "missing", "-d", "x", "-o", str(output))
    assert failed.returncode == 4
    assert output.read_bytes() == older
    done = run_command(endpoint, "invoke", "echo", "-d", "x", "-o", str(output))
    assert (done.returncode, done.stdout) == (0, b"")
    assert json.loads(output.read_bytes())["endpoint_name"] == "echo"


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("row.csv", "text/csv"),
        ("a.b.JSON", "application/json"),
        ("rows.jsonl", "application/jsonlines"),
        ("array.npy", "application/x-npy"),
        ("table.parquet", "application/x-parquet"),
        ("text.txt", "text/plain"),
        ("image.png", "image/png"),
        ("image.jpg", "image/jpeg"),
        ("image.jpeg", "image/jpeg"),
        ("csv", None),
        ("row.unknown", None),
    ],
)
def test_content_type_follows_from_the_name_of_the_file(
    name: str, content_type: str | None
) -> None:
    assert guess_content_type(f"@folder.csv/{name}") == content_type
    assert guess_content_type(name) is None, "text that ends like a file"


def test_given_content_type_wins_over_the_name_of_the_file(
    endpoint: smruntime_local.Endpoint, tmp_path: Path
) -> None:
    (tmp_path / "row.csv").write_text("5.1,3.5,1.4,0.2")
    done = run_command(endpoint, "invoke", "echo", "-d", f"@{tmp_path}/row.csv", "-t", "a/b")
    assert json.loads(done.stdout)["content_type"] == "a/b"


C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ANSWERS = {
    "UTF-8": "grüße ☃".encode(),
    "no UTF-8": b"\xff\x00\xfe",
    "half a surrogate pair": b'{"a": "\\ud800", "b": "\xc3\xa9"}',
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("extra_variables", [{}, C_LOCALE], ids=["default", "C"])
def test_body_is_written_as_it_is_in_any_locale(
    endpoint: smruntime_local.Endpoint, answer: bytes, extra_variables: dict[str, str]
) -> None:
    response = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer)
    with scripted(response, response) as server:
        arguments = ("invoke", "iris", "-d", "1", "--endpoint-url", server.url)
        done = run_command(endpoint, *arguments, extra_variables=extra_variables)
        assert (done.returncode, done.stdout, done.stderr) == (0, answer, b"")
        done = run_command(endpoint, *arguments, "--json", extra_variables=extra_variables)
    if answer.startswith(b"{"):
        assert (done.returncode, done.stderr) == (0, b"")
        assert json.loads(done.stdout) == json.loads(answer)
    else:
        assert (done.returncode, done.stdout) == (7, answer), "an answer that cost money is lost"
        assert b"the response is not JSON" in done.stderr
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("body", [b"[NaN]", b"[" * 100_000, b"1" * 5000])
def test_json_that_cannot_be_printed_is_an_error(
    endpoint: smruntime_local.Endpoint, body: bytes
) -> None:
    response = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with scripted(response) as server:
        url = ("--endpoint-url", server.url)
        done = run_command(endpoint, "invoke", "iris", "-d", "1", "--json", *url)
    assert (done.returncode, done.stdout) == (7, body)
    assert len(done.stderr.splitlines()) == 1


def test_help_of_every_command_is_right_in_the_c_locale(endpoint: smruntime_local.Endpoint) -> None:
    for command in ((), ("invoke",), ("doctor",), ("serve",)):
        done = run_command(endpoint, *command, "--help", extra_variables=C_LOCALE)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.decode().startswith("usage: python -m smruntime_transports")


def test_timeout_bounds_the_wait_for_a_job(endpoint: smruntime_local.Endpoint) -> None:
    accepted = (
        b"HTTP/1.1 202 Accepted\r\nX-Amzn-SageMaker-OutputLocation: s3://bucket/key\r\n"
        b"Content-Length: 2\r\n\r\n{}"
    )
    missing = b"<Error><Code>NoSuchKey</Code></Error>"
    absent = b"HTTP/1.1 404 x\r\nContent-Length: 37\r\n\r\n%b" % missing
    with scripted(accepted, *[absent] * 50) as server:
        variables = {"AWS_ENDPOINT_URL_S3": server.url}
        arguments = ("invoke", "iris", "-d", "1", "--async", "--endpoint-url", server.url)
        done = run_command(endpoint, *arguments, "--timeout", "0.5", extra_variables=variables)
    assert done.returncode == 7, done.stderr
    location, message = done.stderr.decode().splitlines()
    assert location == "output_location s3://bucket/key"
    assert "neither answer nor failure of the invocation is there yet" in message


def test_every_variable_that_is_read_is_known_to_doctor() -> None:
    """Names in the sources; those of services are made from AWS_ENDPOINT_URL_ and the service."""
    root = Path(smruntime_core.__file__).parents[1]
    transports = Path(smruntime_transports.__file__).parent
    sources = [*(root / "smruntime_core").rglob("*.py"), *transports.rglob("*.py")]
    found = {
        name
        for source in sources
        if source.parent.name != "cli"
        for name in re.findall(r"\bAWS_[A-Z0-9_]+[A-Z0-9]\b", source.read_text("utf-8"))
    }
    services = {f"AWS_ENDPOINT_URL_{name}" for name in ("SIGNIN", "SSO", "SSO_OIDC", "STS")}
    assert found | services == set(READ_VARIABLES)


def test_unused_variables_are_named_without_their_values() -> None:
    environment = {
        "AWS_REGON": "hush",
        "AWS_PAGER": "hush",
        "AWS_SECRET_KEY": "hush",
        "AWS_REGION": "hush",
        "AWS_EMPTY": "",
        "SMRUNTIME_LOG": "hush",
        "CURL_CA_BUNDLE": "hush",
    }
    found = dict(find_unused_variables(environment))
    assert set(found) == set(environment) - {"AWS_REGION", "AWS_EMPTY"}
    assert "AWS_REGION?" in found["AWS_REGON"]
    assert "AWS_SECRET_ACCESS_KEY?" in found["AWS_SECRET_KEY"]
    assert found["AWS_PAGER"] == "not read"
    assert "hush" not in str(found.values())
    assert not list(find_unused_variables({"SMRUNTIME_LOG": " Debug "}))
