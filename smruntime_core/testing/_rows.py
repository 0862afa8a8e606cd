"""The rows: what a hostile or unlucky world does to a transport, layer by layer, and what is right.

Numbers are those of the catalogue of 110 faults; these are its layers pool, framing, head, time, early and service. A row that no server
can bring about by itself, or that is about more than one call, is `proved` by tests of its own.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One fault. `proved` names the tests where scenarios cannot be the proof."""

    number: str
    layer: str
    fault: str
    right: str
    proved: tuple[str, ...] = ()


def _rows(layer: str, *rows: tuple[str, ...]) -> list[Row]:
    return [
        Row(number, layer, fault, right, tuple(proved)) for number, fault, right, *proved in rows
    ]


ROWS: tuple[Row, ...] = (
    *_rows(
        "pool",
        (
            "12",
            "the server ends a connection while it is idle",
            "it is let go of, the call goes out on a new one, without an error",
        ),
        (
            "13",
            "a kept connection dies of a request",
            "the request is sent once more, on a new one; then the failure is told",
        ),
        (
            "14",
            "a fresh connection dies of a request",
            "told as maybe sent; sent again only if the caller allows it, a session's opening never",
        ),
        (
            "15",
            "an answer that nobody asked for",
            "the connection is let go of, the answer given to nobody",
        ),
        ("16", "bytes after a whole answer", "the answer stands, its connection is not used again"),
        (
            "17",
            "an answer that nobody asked for, between checkout and sending",
            "HTTP/1.1 cannot tell; no connection is kept on which an answer began before the request was sent",
            "tests/test_http1.py::test_early_answer_leaves_the_connection_unusable",
        ),
        (
            "18",
            "an interim response, then a late answer",
            "the interim response is nobody's answer",
        ),
        (
            "19",
            "a process forks after its first call",
            "the child makes connections of its own and leaves its parent's alone",
            "tests/test_crowds.py::test_a_forked_child_never_gets_its_parents_answers",
        ),
        (
            "20",
            "16 threads, 50 calls each; 1000 tasks",
            "every caller gets its own answer",
            "tests/test_crowds.py::test_threads_never_get_each_others_answers",
            "tests/test_crowds.py::test_tasks_never_get_each_others_answers",
        ),
        (
            "21",
            "cancelled wherever a call can be",
            "the connection is closed, its place free, and the next call comes off",
            "tests/test_crowds.py::test_cancelled_anywhere",
        ),
        (
            "22",
            "cancelled while waiting in line for a connection",
            "whoever is next in line gets it",
            "tests/test_pool.py::test_who_is_cancelled_in_line_leaves_no_gap",
        ),
        (
            "23",
            "50 answers that are never read",
            "their connections are the reader's until it lets go, and closed then",
            "tests/test_crowds.py::test_streams_that_nobody_reads",
        ),
        (
            "24",
            "an answer read in part",
            "the connection is closed, and nothing read in vain",
            "tests/test_streams.py::test_leaving_early_closes_the_connection",
        ),
        (
            "25",
            "an idle connection that is dropped without a word",
            "none is used after 45 s of idleness or at an age of 10 min; TCP asks the peer whether it is there",
            "tests/test_crowds.py::test_old_connections_are_let_go_of",
        ),
    ),
    *_rows(
        "framing",
        (
            "26",
            "a body shorter than its length",
            "truncated; not sent again, for the model has run",
        ),
        ("27", "a body cut inside or between its chunks", "truncated"),
        ("28", "a body without the end of its chunks", "truncated"),
        ("29", "a head cut short", "no answer at all"),
        ("30", "what is no HTTP/1 response", "refused, and not sent again"),
        ("31", "two lengths, or a list of them", "refused"),
        ("32", "a length that is no plain number", "refused"),
        (
            "32b",
            "a length that nobody can hold",
            "nothing is set aside for what has not come; truncated, late or too large",
        ),
        ("33", "a length and chunks", "refused"),
        (
            "34",
            "a transfer coding that is not exactly `chunked`",
            "refused; the framing of chunks is nobody's body",
        ),
        ("35", "the size of a chunk is no plain hexadecimal number", "refused"),
        ("36", "junk where a chunk ends", "refused"),
        ("37", "lines of chunks that end with LF alone", "refused"),
        (
            "38",
            "extensions or trailers without end",
            "too large at 16 KiB a line, 64 KiB of trailers",
        ),
        ("39", "a compressed body, or a bomb", "handed on byte for byte"),
    ),
    *_rows(
        "head",
        ("40", "a head without end", "too large at 64 KiB or 256 fields, and not sent again"),
        ("41", "a head of many fields", "read"),
        ("42", "blank lines before the status line", "refused"),
        ("43", "a bare CR", "refused: nobody else's header comes out of a value"),
        (
            "44",
            "a field with NUL, without a colon, with a blank before it, without a name",
            "refused",
        ),
        ("45", "a folded field; lines that end with LF alone", "refused"),
        ("46", "a field that is not ASCII", "its bytes, read as latin-1"),
        ("47", "a status that is no three digits", "refused"),
        ("48", "another version of HTTP", "refused"),
        ("49", "a change of protocol that nobody asked for", "refused"),
        ("50", "a flood of interim responses", "refused after 16"),
        ("51", "interim responses for ever, one at a time", "late when the answer's time is over"),
    ),
    *_rows(
        "time",
        ("52", "no answer", "late, told as maybe sent, and sent once"),
        ("53", "an answer that comes too late", "late; its bytes are given to nobody"),
        ("54", "a head that drips", "late when the time for a head is over, whatever drips"),
        ("55", "a body that drips", "late when the call's time is over, or below a byte a second"),
        ("56", "half a body, then silence", "late; not sent again"),
        ("57", "an upload that nobody reads", "late"),
        (
            "58",
            "a reader who is slow",
            "no fault of the server's",
            "tests/test_faults.py::test_a_slow_reader_is_no_fault_of_the_server",
        ),
        (
            "59",
            "no time limits given",
            "finite ones",
            "tests/test_faults.py::test_limits_are_finite_unless_told_otherwise",
        ),
    ),
    *_rows(
        "early",
        (
            "60",
            "413, then closed with the body unread",
            "the upload stops, 413 is heard, nothing is sent again",
        ),
        ("61", "413, then closed for sending", "413 is heard"),
        ("62", "413, then neither read nor closed", "413 is heard while sending"),
        ("63", "a refusal after a megabyte", "it is heard"),
        (
            "64",
            "a success before the upload is through",
            "an answer; its connection is not used again",
        ),
        ("65", "an end in the middle of the upload", "told as maybe sent"),
        ("66", "100 Continue, then the end", "no answer at all"),
    ),
    *_rows(
        "service",
        ("67", "the six modelled errors", "six types, with all that they say"),
        (
            "68",
            "an error type with namespace, URL, blanks, or nothing in it",
            "the plain name, else what the body says, else the status",
        ),
        ("69", "a code in the body only", "known by it"),
        ("70", "a code that is no text", "the status"),
        (
            "71",
            "a body that is no JSON object",
            "the error that the header names, else the status; tried again as that is",
        ),
        ("72", "a body that is no JSON", "the same"),
        ("73", "an error's body cut short", "that error, and `truncated`"),
        ("74", "an error of 200 MB", "that error, of whose body a megabyte is read"),
        ("75", "an error without end", "the same, within the time of the call"),
        ("76", "control characters in a message or code", "escaped where an error is shown"),
        ("77", "a lone surrogate in a message", "escaped"),
        ("78", "a redirect", "an error; never followed"),
        (
            "79",
            "Retry-After of a day, or nonsense",
            "five seconds at most are waited, nonsense not at all",
        ),
        (
            "80",
            "a clock ten minutes off",
            "corrected by the server's, signed again once, kept for the calls to come",
        ),
        (
            "81",
            "a storm of refusals",
            "35 retries of a client for 503, 100 for throttling; then none",
        ),
    ),
)
