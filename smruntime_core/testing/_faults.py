"""The faults that a transport must survive, layer by layer, and the correct behaviour for each.

The numbers are those of a catalogue of 110 faults; these are its layers pool, framing, head, time,
early, service and stream. Scenarios prove most of them. A fault that a server cannot cause by
itself, or that concerns more than one call, is proved by the tests that `Fault.tests` names.
"""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """One fault. `tests` names the tests that prove it where scenarios cannot."""

    number: str
    layer: str
    description: str
    correct_behaviour: str
    tests: tuple[str, ...] = ()


_TESTS_BY_FAULT: dict[str, tuple[str, ...]] = {
    "17": ("tests/test_http1.py::test_early_answer_leaves_the_connection_unusable",),
    "19": ("tests/test_crowds.py::test_forked_child_never_gets_its_parents_responses",),
    "20": (
        "tests/test_crowds.py::test_threads_never_get_each_others_responses",
        "tests/test_crowds.py::test_tasks_never_get_each_others_responses",
    ),
    "21": ("tests/test_crowds.py::test_cancelled_anywhere",),
    "22": ("tests/test_pool.py::test_cancelled_waiting_call_does_not_block_the_queue",),
    "23": ("tests/test_crowds.py::test_unread_streams_are_closed",),
    "25": ("tests/test_crowds.py::test_old_connections_are_let_go_of",),
    "58": ("tests/test_faults.py::test_slow_reader_causes_no_timeout",),
    "59": ("tests/test_faults.py::test_default_timeouts_are_finite",),
}

_FAULTS_BY_LAYER: dict[str, tuple[tuple[str, str, str], ...]] = {
    "pool": (
        ("12", "the server closes an idle connection", "the next call opens a new one; no error"),
        ("13", "a reused connection fails", "sent once more on a new connection, then reported"),
        ("14", "a new connection fails", "not resent unless allowed; a session opening never"),
        ("15", "a response without a request", "connection closed, response discarded"),
        ("16", "bytes after a complete response", "the response counts; the connection is closed"),
        (
            "17",
            "a response between checkout and sending",
            "undetectable in HTTP/1.1; a connection with a response before its request is closed",
        ),
        ("18", "an interim response, then a late one", "the interim response is skipped"),
        ("19", "a process forks after a call", "the child opens its own connections"),
        ("20", "16 threads with 50 calls each; 1000 tasks", "each call gets its own response"),
        ("21", "cancellation at any point", "the connection is closed, its pool slot is free"),
        ("22", "cancellation while waiting for a connection", "the next waiter gets it"),
        ("23", "50 responses that are never read", "their connections are closed with the streams"),
        ("24", "a response that is read in part", "the connection is closed"),
        ("25", "an idle connection lost silently", "closed after 45 s idle or 10 min; keepalive"),
    ),
    "framing": (
        ("26", "a body shorter than its length", "truncated; not resent: the model has run"),
        ("27", "a body cut inside or between chunks", "truncated"),
        ("28", "a body without its last chunk", "truncated"),
        ("29", "a head cut short", "no response"),
        ("30", "bytes that are not HTTP/1", "rejected; not resent"),
        ("31", "several lengths, or a list of lengths", "rejected"),
        ("32", "a length that is not a plain number", "rejected"),
        ("32b", "a length beyond any memory", "none reserved; truncated, timeout or too large"),
        ("33", "both a length and chunks", "rejected"),
        ("34", "a transfer coding other than `chunked`", "rejected; raw chunks are never a body"),
        ("35", "a chunk size that is not plain hexadecimal", "rejected"),
        ("36", "junk after the data of a chunk", "rejected"),
        ("37", "bare LF as a line end within chunks", "rejected"),
        ("38", "endless extensions or trailers", "too large at 16 KiB a line, 64 KiB of trailers"),
        ("39", "a compressed body, or a zip bomb", "passed on unchanged"),
    ),
    "head": (
        ("40", "an endless head", "too large at 64 KiB or 256 fields; not resent"),
        ("41", "a head with many fields", "read"),
        ("42", "empty lines before the status line", "rejected"),
        ("43", "a bare CR", "rejected; no value can inject a header"),
        ("44", "a field with NUL, no colon, blanks around its name or no name", "rejected"),
        ("45", "a folded field, or bare LF as a line end", "rejected"),
        ("46", "a field that is not ASCII", "its bytes read as latin-1"),
        ("47", "a status that is not three digits", "rejected"),
        ("48", "another version of HTTP", "rejected"),
        ("49", "a switch of protocol that was not requested", "rejected"),
        ("50", "a flood of interim responses", "rejected after 16"),
        ("51", "endless interim responses, one at a time", "timeout after timeouts.response"),
    ),
    "time": (
        ("52", "no response", "timeout, reported as maybe sent; sent once"),
        ("53", "a response after the timeout", "timeout; the late bytes are discarded"),
        ("54", "a head that arrives slowly", "timeout after timeouts.response in all"),
        ("55", "a body that arrives slowly", "timeout after timeouts.total or below 1 byte/s"),
        ("56", "half a body, then silence", "timeout; not resent"),
        ("57", "an upload that the server does not read", "timeout"),
        ("58", "a slow reader", "no timeout: only the server's silence counts"),
        ("59", "no timeouts given", "finite defaults"),
    ),
    "early": (
        ("60", "413, then closed with the body unread", "upload stops, 413 reported, not resent"),
        ("61", "413, then closed for sending", "413 reported"),
        ("62", "413, then neither read nor closed", "413 reported during the upload"),
        ("63", "an error response after a megabyte", "reported"),
        ("64", "a success before the upload ends", "the response counts; connection closed"),
        ("65", "the connection ends during the upload", "reported as maybe sent"),
        ("66", "100 Continue, then the connection ends", "no response"),
    ),
    "service": (
        ("67", "the six modelled errors", "six classes with all their members"),
        ("68", "an error type with namespace, URL or blanks", "plain name, else code, else status"),
        ("69", "an error code in the body only", "used"),
        ("70", "an error code that is not text", "the status instead"),
        ("71", "an error body that is no JSON object", "the header's error, else the status"),
        ("72", "an error body that is not JSON", "the header's error, else the status"),
        ("73", "an error body cut short", "that error, truncated=True"),
        ("74", "an error body of 200 MB", "that error; 1 MiB of the body is read"),
        ("75", "an endless error body", "that error, within timeouts.total"),
        ("76", "control characters in a message or code", "escaped in str(error)"),
        ("77", "a lone surrogate in a message", "escaped in str(error)"),
        ("78", "a redirect", "an error; never followed"),
        ("79", "Retry-After of a day, or nonsense", "waits at most 5 s; nonsense is ignored"),
        ("80", "a clock ten minutes off", "corrected from Date, signed again once, remembered"),
        ("81", "a flood of errors", "35 retries per client for 503, 100 for throttling"),
    ),
    "stream": (
        ("94", "a part of 16 MiB with millions of events", "one at a time, within timeouts.total"),
    ),
}

FAULTS: tuple[Fault, ...] = tuple(
    Fault(number, layer, description, correct_behaviour, _TESTS_BY_FAULT.get(number, ()))
    for layer, faults in _FAULTS_BY_LAYER.items()
    for number, description, correct_behaviour in faults
)
