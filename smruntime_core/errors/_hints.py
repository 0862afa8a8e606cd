"""What the text of an error means: what to do about it, and what of it is the container's.

Nothing here is needed for a call that succeeds, so it is imported when an error is made or shown.

SageMaker relays a container's error inside a sentence of its own:

    Received server error (500) from primary with message "TEXT". See URL in account ID for more
    information.
    Received server error (500) from primary and could not load the entire response body. See …

TEXT may hold quotes, lines and even such a sentence again, so its end is the last quote that the
rest of the sentence follows. Status 0 means that the container gave no answer.
"""

from __future__ import annotations

import re

_LOG = "its log (`log_stream_arn`) has the reason"

# Patterns of "code status error_code message", and what helped people who met them. The first that
# matches counts.
_HINTS = (
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
        "leave inference_component_name out: this endpoint hosts none",
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
        "it is scaled to zero and starts now: call again later, or use wait_for_capacity=",
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
        f"the container's answer broke off, or is larger than SageMaker relays: {_LOG}",
    ),
    (r"error \(0\) from", f"the container gave no answer: {_LOG}"),
    (
        r"^\S+ 413 |error \(413\)|oversize body|content length exceeded",
        "the body is too large: send it by InvokeEndpointAsync and S3",
    ),
    (
        r"error \(415\)",
        "the model does not take this content_type=; others are application/json or text/csv",
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
        "no such access key, or its session token is missing",
    ),
    (
        "should be scoped to",
        "it was signed for another region or service: is `region` that of the endpoint's URL?",
    ),
    (
        "RequestTimeTooSkewed|Signature (?:expired|not yet current)",
        "the clock of this machine is off",
    ),
    (
        "InvalidSignature|SignatureDoesNotMatch",
        """wrong secret access key, or something changed the request after it was signed \
(`signing.explain` tells)""",
    ),
    (
        "^AccessDenied 403",
        """allow s3:GetObject there, and s3:ListBucket, without which S3 says this of what is not \
there yet""",
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

MAX_PAGE = 4096  # bytes of a page that are looked at
MAX_SHOWN = 200  # characters of it that a message shows
_HTML = rb"<!doctype html|<html[\s>]"
_TITLES = (r"<title[^<>]{0,100}>([^<]{1,1000})", r"<h1[^<>]{0,100}>([^<]{1,1000})")
_CODE = r"<(?:script|style)\b[^<>]{0,500}>[^<]*"
_TAG = "<[^<>]{0,500}>"

_RELAYED = r"Received (?:client|server) error \(([0-9]{1,3})\) from (\S{1,256})"
_WITH_MESSAGE, _CUT_OFF = ' with message "', " and could not load the entire response body"
_REFERENCE = r'"\. See http[^"]*'


def hint_for(text: str) -> str | None:
    """Return what to do about an error that says `text`, None if the cause is not known."""
    flags = re.IGNORECASE | re.DOTALL
    return next((advice for pattern, advice in _HINTS if re.search(pattern, text, flags)), None)


def page_text(body: bytes) -> str | None:
    """Return the title of an HTML page, else its first text, at most 200 characters.

    None if `body` is not such a page; empty if the page begins without text.
    """
    start = body[:MAX_PAGE]
    if re.search(_HTML, start[:512], re.IGNORECASE) is None:
        return None
    import html

    page = start.decode("utf-8", "replace")
    titles = (re.search(pattern, page, re.IGNORECASE) for pattern in _TITLES)
    text = next((found[1] for found in titles if found and found[1].strip()), None)
    if text is None:
        text = re.sub(_TAG, " ", re.sub(_CODE, " ", page, flags=re.IGNORECASE))
    return " ".join(html.unescape(text).split())[:MAX_SHOWN]


def relayed(text: str) -> tuple[int, str, str | None] | None:
    """Return status, container and message of an error that `text` relays, None if it relays none.

    The message is None where the service could not read it.
    """
    found = re.search(_RELAYED, text)
    if found is None:
        return None
    rest = text[found.end() :]
    if rest.startswith(_WITH_MESSAGE):
        return int(found[1]), found[2], _quoted(rest.removeprefix(_WITH_MESSAGE))
    return (int(found[1]), found[2], None) if rest.startswith(_CUT_OFF) else None


def _quoted(text: str) -> str:
    """Return what stands before the closing quote of the service's sentence."""
    end = text.rfind('". See http')
    if end >= 0 and re.fullmatch(_REFERENCE, text[end:]):
        return text[:end]
    return text.rstrip().removesuffix(".").removesuffix('"')
