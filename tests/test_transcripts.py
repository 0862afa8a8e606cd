"""The command line as a table: each command line, what it prints, and its exit code.

`transcripts.txt` holds every command line with its output, so that a change shows in a review:

    $ a command line for `sh`
        standard output
      ! standard error
      exit code, unless it is 0

Ports, ids, times and signatures are replaced. `python -m tests.test_transcripts` runs the command
lines of the file and writes it anew.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import smruntime_core
import smruntime_local
from smruntime_core import Credentials

from .helpers import COVERAGE

TRANSCRIPTS = Path(__file__).with_name("transcripts.txt")
CREDENTIALS = Credentials("AKIDEXAMPLE", "a-secret-key", "a-session-token")
TOKENS = ("The", " import", " statement\\n")
CONTAINER_RESPONSES = {
    "text/plain": "The import statement\ncombines two operations",
    "text/event-stream": "".join(f'data: {{"token": "{token}"}}\n\n' for token in TOKENS)
    + "data: [DONE]\n\n",
    "application/jsonlines": "".join(f'{{"token": "{token}"}}\n' for token in TOKENS),
}
FILES = {
    "row.csv": "5.1,3.5,1.4,0.2",
    "rows.jsonl": "[5.1, 3.5, 1.4, 0.2]\n{\n[6.7, 3.0, 5.2, 2.3]\n[1]\n",
    "question.json": '{"prompt": "What does import do?"}',
    "endpoints.toml": '[endpoints.ab.variants.blue]\nmodel = "echo"\n',
    "wrong.toml": '[endpoints.ab]\nmodels = "echo"\n',
    "model.toml": '[endpoints.ab.variants.blue]\nmodel = "missing_module:score"\n',
    "builtin.toml": '[endpoints.ab.components.small]\nmodel = "ehco"\n',
    "config": "[default]\naws_access_key_id = AKIDOTHER\naws_secret_access_key = hush\n",
}
REPLACEMENTS = (
    (r"python -m smruntime_transports(?= |:)(?! --version)", "smruntime"),
    (r"127\.0\.0\.1:\d{4,5}", "127.0.0.1:PORT"),
    (r"port \d{4,5} of", "port PORT of"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
    (r"\b\d+\.\d{3} s\b", "0.000 s"),
    (r"\b\d+\.\d s \(\d+ a second\)", "0.0 s (0 a second)"),
    (r"\d{8}T\d{6}Z", "DATE"),
    (r"Expires=[0-9T:-]+Z", "Expires=DATE"),
    (r"\d{8}/us-east-1", "DAY/us-east-1"),
    (r"(?<![0-9a-f])[0-9a-f]{64}", "HASH"),
    (r"@\S*/work/", "@FOLDER/work/"),
    (r"(?m)^(certificates +).*", r"\1CERTIFICATES"),
    (r"smruntime \d[\w.]*$", "smruntime VERSION"),
    (r"(\d\.\d{3})\d*e-(\d+)", r"\1e-\2"),  # versions of Python add floats differently
    (r"Content-Length: \d+", "Content-Length: SIZE"),
    (r"\d+ bytes of text/csv", "SIZE bytes of text/csv"),
    (r"in \d+ events?", "in N events"),
)


class Container(BaseHTTPRequestHandler):
    """A model that answers every question alike, in the content type that is wanted."""

    def do_GET(self) -> None:
        self._respond("text/plain", "")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        content_type = self.headers.get("Accept", "text/plain")
        self._respond(content_type, CONTAINER_RESPONSES[content_type])

    def _respond(self, content_type: str, body: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def run_endpoint() -> Generator[smruntime_local.Endpoint]:
    """Serve the built-in endpoints, and `model`, whose answers no version of Python changes."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Container) as container:
        threading.Thread(target=container.serve_forever).start()
        backends = {"model": f"http://127.0.0.1:{container.server_port}"}
        with smruntime_local.serve(credentials=CREDENTIALS, backends=backends) as endpoint:
            yield endpoint
        container.shutdown()


def install_command(folder: Path) -> None:
    """Put `smruntime` and `python` into a folder: the console script where it is installed."""
    folder.mkdir()
    scripts = {"python": f'exec "{sys.executable}" "$@"'}
    if os.environ.get("SMRUNTIME_SOURCE_TREE") == "1":
        scripts["smruntime"] = f'exec "{sys.executable}" -m smruntime_transports "$@"'
    else:
        installed_script = Path(sysconfig.get_path("scripts")) / "smruntime"
        assert installed_script.exists(), "the wheel has no console script"
        scripts["smruntime"] = f'exec "{installed_script}" "$@"'
    for name, line in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)


def make_environment(folder: Path, endpoint: smruntime_local.Endpoint) -> dict[str, str]:
    modules = {
        Path(module.__file__ or "").parents[1] for module in (smruntime_core, smruntime_local)
    }
    return {
        **COVERAGE,
        "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join(map(str, modules)),
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "100",
        "PORT": endpoint.url.rpartition(":")[2],
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": CREDENTIALS.access_key_id,
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS.secret_access_key,
        "AWS_SESSION_TOKEN": CREDENTIALS.session_token or "",
        "AWS_REGION": endpoint.region,
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": endpoint.url,
    }


def run_all(lines: list[str], folder: Path) -> Iterator[str]:
    """Yield the lines of the file, with what each command line prints now."""
    install_command(folder / "bin")
    work_folder = folder / "work"
    work_folder.mkdir()
    for name, content in FILES.items():
        (work_folder / name).write_text(content)
    with run_endpoint() as endpoint:
        environment = make_environment(folder, endpoint)
        for line in lines:
            if not line.startswith("$ "):
                yield line
                continue
            done = subprocess.run(
                ["/bin/sh", "-c", line.removeprefix("$ ")],
                cwd=work_folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=60,
                check=False,
            )
            yield line
            yield from format_output(done)


def format_output(done: subprocess.CompletedProcess[bytes]) -> Iterator[str]:
    for prefix, output in (("    ", done.stdout), ("  ! ", done.stderr)):
        text = output.decode()
        for pattern, replacement in REPLACEMENTS:
            text = re.sub(pattern, replacement, text)
        yield from (f"{prefix}{line}".rstrip() for line in text.splitlines())
    if done.returncode:
        yield f"  exit {done.returncode}"
    yield ""


def read_command_lines() -> list[str]:
    """Return the comments and command lines of the file, without outputs."""
    lines: list[str] = []
    for line in TRANSCRIPTS.read_text("utf-8").splitlines():
        if line.startswith("# "):
            lines += [line, ""]
        elif line.startswith("$ "):
            lines.append(line)
    return lines


@pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="argparse lays out its help otherwise since Python 3.13"
)
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
def test_each_command_line_prints_what_its_transcript_says(tmp_path: Path) -> None:
    expected = TRANSCRIPTS.read_text("utf-8").splitlines()
    found = list(run_all(read_command_lines(), tmp_path))[:-1]
    difference = difflib.unified_diff(expected, found, "transcripts.txt", "now", lineterm="", n=3)
    report = "\n".join(difference)
    assert not report, f"if that is meant, run `python -m tests.test_transcripts`:\n{report}"


def test_no_transcript_shows_a_traceback_or_a_secret() -> None:
    text = TRANSCRIPTS.read_text("utf-8")
    assert text.count("\n$ ") >= 80
    for unwanted in ("Traceback", "Exception ignored", "a-secret-key", "a-session-token", "hush@"):
        shown = [line for line in text.splitlines() if unwanted in line and line[0] != "$"]
        assert not shown, shown


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        written = "\n".join(run_all(read_command_lines(), Path(made)))
    TRANSCRIPTS.write_text(f"{written.rstrip()}\n", "utf-8")
    print(f"{TRANSCRIPTS.name}: {written.count(chr(10) + '$ ')} command lines")
