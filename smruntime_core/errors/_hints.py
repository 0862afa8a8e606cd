"""Read the text of an error: find a remedy, and separate the container's text from SageMaker's.

A successful call needs none of this, so the module is imported when an error is made or shown.

SageMaker relays a container's error inside a sentence of its own:

    Received server error (500) from primary with message "TEXT". See URL in account ID for more
    information.
    Received server error (500) from primary and could not load the entire response body. See …

TEXT may contain quotes, line breaks and even another such sentence, so it ends at the last quote
that is followed by the rest of the sentence. Status 0 means that the container gave no answer.
"""

from __future__ import annotations

import re
from typing import Final

from ._text import escape_unprintable

_LOG: Final = "its log (`log_stream_arn`) has the reason"

# Pattern of "code status error_code message", remedy. The first pattern that matches counts.
_HINTS: Final = (
    (
        "^[^ ]+ [0-9]+ {0,2}an HTML page",
        "a proxy or load balancer answered, not SageMaker: check endpoint_url and the proxies",
    ),
    (
        "inference component name header is required",
        "pass inference_component_name=: this endpoint hosts inference components",
    ),
    (
        "inference component name header is not allowed",
        "leave inference_component_name out: this endpoint hosts no inference components",
    ),
    (
        "TARGET_MODEL_HEADER_MISSING|missing a target model header",
        "pass target_model=, the model's archive: this is a multi-model endpoint",
    ),
    (
        "TARGET_MODEL_HEADER_NOT_SUPPORTED|does not support target model header",
        "leave target_model out: this is not a multi-model endpoint",
    ),
    (
        "Failed to download model data",
        "check target_model= and the endpoint's S3 prefix, and that its role may read there",
    ),
    (
        "has no capacity",
        "the endpoint is scaled to zero and starts now: call again later, or use "
        "wait_for_capacity=",
    ),
    (
        "invocation timed out|timed out while waiting for a response",
        "a real-time call has 60 s: stream the response (8 min) or use InvokeEndpointAsync",
    ),
    (
        "could not get a response from the",
        f"the container closed the connection or died, perhaps out of memory: {_LOG}",
    ),
    (
        "could not load the entire response body",
        f"the container's answer ended early, or is larger than SageMaker relays: {_LOG}",
    ),
    (r"error \(0\) from", f"the container gave no answer: {_LOG}"),
    (
        r"^\S+ 413 |error \(413\)|oversize body|content length exceeded",
        "the body is too large: send it by InvokeEndpointAsync and S3",
    ),
    (
        r"error \(415\)",
        "the model does not accept this content_type=; try application/json or text/csv",
    ),
    (
        r"error \(406\)",
        "the model cannot answer in the format of accept=: pass another, or leave it out",
    ),
    (
        r"error \(507\)|InsufficientMemory",
        "the instance has no memory left for this model: use a larger one, or fewer models",
    ),
    ("Worker died|workers? has been shut ?down", f"the container's worker died: {_LOG}"),
    (
        r"error \(50[234]\) from.{0,200}<(?:html|title)",
        f"the model server behind the container's web server died or is too slow: {_LOG}",
    ),
    (r'error \(429\) from|"overloaded"', "the container is overloaded: call again later"),
    ("ExpiredToken", "the session token has expired: fetch new credentials"),
    (
        "UnrecognizedClient|InvalidClientTokenId",
        "the access key does not exist, or its session token is missing or of another key",
    ),
    (
        "should be scoped to",
        "it was signed for another region or service: is `region` that of the endpoint's URL?",
    ),
    (
        "RequestTimeTooSkewed|Signature (?:expired|not yet current)",
        "the clock of this machine is wrong: synchronize it",
    ),
    (
        "InvalidSignature|SignatureDoesNotMatch",
        "the secret access key is not that of this access key id, or the request was changed after "
        "it was signed (`error.explain()` shows which part)",
    ),
    (
        "^AccessDenied 403",
        "allow s3:GetObject there, and s3:ListBucket: without it S3 answers this for an object "
        "that does not exist yet",
    ),
    (
        "AccessDenied",
        "the caller's IAM policy must allow sagemaker:InvokeEndpoint on this endpoint",
    ),
    (
        "ValidationError.*endpoint .* not found",
        "wrong endpoint name, region or account, or the endpoint is not InService",
    ),
)

MAX_PAGE: Final = 4096  # bytes of an HTML page that are searched
MAX_TITLE: Final = 200  # characters of its title that a message shows
MAX_LINES, MAX_LINE = 60, 400  # lines of a refused signature, characters of each
# What a canonical request says of header fields that may hold a secret or personal data.
_HIDDEN_FIELD: Final = (
    r"(?im)^(?!host:|accept:|content-type:|x-amz-date:|x-amz-content-sha256:)([^\s:]+:).*$"
    r"|(X-Amz-Security-Token=)[^&\n]*"
)
_HTML: Final = rb"<!doctype html|<html[\s>]"
_TITLE_PATTERNS: Final = (r"<title[^<>]{0,100}>([^<]{1,1000})", r"<h1[^<>]{0,100}>([^<]{1,1000})")
_SCRIPT: Final = r"<(?:script|style)\b[^<>]{0,500}>[^<]*"
_TAG: Final = "<[^<>]{0,500}>"

_RELAYED: Final = r"Received (?:client|server) error \(([0-9]{1,3})\) from (\S{1,256})"
_WITH_MESSAGE: Final = ' with message "'
_CUT_OFF: Final = " and could not load the entire response body"
_REFERENCE: Final = r'"\. See http[^"]*'


def hint_for(description: str) -> str | None:
    """Return the remedy for an error with this description, None if the cause is not known."""
    flags = re.IGNORECASE | re.DOTALL
    return next(
        (remedy for pattern, remedy in _HINTS if re.search(pattern, description, flags)), None
    )


def refusal_lines(message: str, verdict: str) -> list[str]:
    """Return the lines of a refused signature to show, each printable, the summary first.

    They are those of `verdict`, which says what differs, else what the service quotes, without the
    values that nothing shows.
    """
    summary, _, quotes = message.partition("\n")
    quotes = re.sub(_HIDDEN_FIELD, r"\1\2<redacted>", quotes)
    lines = [line.rstrip() for line in (verdict or quotes).split("\n") if line.strip()]
    shown = [escape_unprintable(line)[:MAX_LINE] for line in (summary, *lines[:MAX_LINES])]
    return shown if len(lines) <= MAX_LINES else [*shown, "…"]


def page_text(body: bytes) -> str | None:
    """Return the title of an HTML page, else its first text, at most `MAX_TITLE` characters.

    None if `body` is not an HTML page; empty if the page begins without text.
    """
    beginning = body[:MAX_PAGE]
    if re.search(_HTML, beginning[:512], re.IGNORECASE) is None:
        return None
    import html

    page = beginning.decode("utf-8", "replace")
    matches = (re.search(pattern, page, re.IGNORECASE) for pattern in _TITLE_PATTERNS)
    title = next((match[1] for match in matches if match and match[1].strip()), None)
    if title is None:
        title = re.sub(_TAG, " ", re.sub(_SCRIPT, " ", page, flags=re.IGNORECASE))
    return " ".join(html.unescape(title).split())[:MAX_TITLE]


def parse_relayed_error(message: str) -> tuple[int, str, str | None] | None:
    """Return status, container and text of the error that `message` relays, None without one.

    The text is None where SageMaker could not read the container's answer completely.
    """
    match = re.search(_RELAYED, message)
    if match is None:
        return None
    remainder = message[match.end() :]
    if remainder.startswith(_WITH_MESSAGE):
        return int(match[1]), match[2], _quoted_text(remainder.removeprefix(_WITH_MESSAGE))
    return (int(match[1]), match[2], None) if remainder.startswith(_CUT_OFF) else None


def _quoted_text(remainder: str) -> str:
    """Return the text before the closing quote of SageMaker's sentence."""
    closing_quote = remainder.rfind('". See http')
    if closing_quote >= 0 and re.fullmatch(_REFERENCE, remainder[closing_quote:]):
        return remainder[:closing_quote]
    return remainder.rstrip().removesuffix(".").removesuffix('"')
