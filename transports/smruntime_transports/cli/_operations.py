"""From the options of `invoke` to an operation, with the body and its content type."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from typing import Final, TypeAlias

from smruntime_core import (
    NEW_SESSION,
    InvokeEndpoint,
    InvokeEndpointAsync,
    InvokeEndpointWithResponseStream,
)
from smruntime_core.conversation import OPENING_BODY

from ._exit import CommandError

AnyOperation: TypeAlias = InvokeEndpoint | InvokeEndpointWithResponseStream | InvokeEndpointAsync

MEMBERS_BY_OPTION: Final[Mapping[str, str]] = {
    "--content-type": "content_type",
    "--accept": "accept",
    "--custom-attributes": "custom_attributes",
    "--target-model": "target_model",
    "--target-variant": "target_variant",
    "--target-container": "target_container_hostname",
    "--inference-component": "inference_component_name",
    "--inference-id": "inference_id",
    "--prefix-aware-id": "prefix_aware_id",
    "--input-location": "input_location",
    "--session": "session_id",
}
CONTENT_TYPES_BY_SUFFIX: Final[Mapping[str, str]] = {
    ".csv": "text/csv",
    ".gif": "image/gif",
    ".html": "text/html",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".jsonl": "application/jsonlines",
    ".mp3": "audio/mpeg",
    ".ndjson": "application/jsonlines",
    ".npy": "application/x-npy",
    ".npz": "application/x-npz",
    ".parquet": "application/x-parquet",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".wav": "audio/wav",
    ".webp": "image/webp",
}


def make_operation(options: argparse.Namespace) -> AnyOperation:
    """Return the operation of the options; raise `CommandError` for options that do not combine."""
    _check_options(options)
    members = {
        member: value
        for member in MEMBERS_BY_OPTION.values()
        if (value := getattr(options, member)) is not None
    }
    members.setdefault("content_type", guess_content_type(options.data))
    if options.is_async:
        body = None if options.input_location else read_body(options.data or "")
        return InvokeEndpointAsync(endpoint_name=options.endpoint, body=body, **members)
    if options.session_id == "new":
        members["session_id"] = NEW_SESSION
        body = read_body(options.data) if options.data else OPENING_BODY
    else:
        body = read_body(options.data or "")
    if options.stream is not None:
        return InvokeEndpointWithResponseStream(
            endpoint_name=options.endpoint, body=body, **members
        )
    return InvokeEndpoint(endpoint_name=options.endpoint, body=body, **members)


def _check_options(options: argparse.Namespace) -> None:
    """Raise `CommandError` for an option that the operation does not have."""
    if options.is_async and options.stream is not None:
        raise CommandError("--stream cannot be combined with --async")
    operation_class: type[AnyOperation] = InvokeEndpoint
    mode = "without --async"
    if options.is_async:
        operation_class, mode = InvokeEndpointAsync, "with --async"
    elif options.stream is not None:
        operation_class, mode = InvokeEndpointWithResponseStream, "with --stream"
        if options.session_id == "new":
            raise CommandError("--session new cannot be used with --stream")
    known_members = {member.name for member in operation_class._fields}
    for option, member in MEMBERS_BY_OPTION.items():
        if getattr(options, member) is not None and member not in known_members:
            raise CommandError(f"{option} cannot be used {mode}")
    if options.input_location is not None and options.data is not None:
        raise CommandError("give --data or --input-location, not both")


def guess_content_type(data_option: str | None) -> str | None:
    """Return the content type by the name of the file in `--data`, None if that tells nothing."""
    if data_option is None or not data_option.startswith("@"):
        return None
    return CONTENT_TYPES_BY_SUFFIX.get(os.path.splitext(data_option)[1].lower())


def read_body(data_option: str) -> bytes:
    """Return the body that `--data` names: text, a file, or standard input."""
    if data_option == "-":
        if sys.stdin is None:
            raise CommandError("cannot read the body: standard input is closed")
        try:
            return sys.stdin.buffer.read()
        except OSError as error:
            raise CommandError(f"cannot read standard input: {error.strerror}") from None
    if not data_option.startswith("@"):
        return data_option.encode("utf-8", "surrogateescape")
    path = data_option[1:]
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise CommandError(f"cannot read {path or 'the file after @'}: {error.strerror}") from None
