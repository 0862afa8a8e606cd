"""A stateful session: one container keeps its memory for the length of a `with` block."""

from __future__ import annotations

import smruntime_core as sm
import smruntime_local
from smruntime_core.codecs import as_text
from smruntime_transports.sockets import Client


def main() -> None:
    with (
        smruntime_local.serve() as endpoint,
        Client(
            region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials
        ) as client,
    ):
        with client.session("chat") as session:
            session_id = session.id
            session.invoke(**as_text("My name is Ada."))
            session.invoke(**as_text("I like engines."))
            with session.invoke_endpoint_with_response_stream(
                **as_text("What do you know of me?")
            ) as stream:
                for line in stream.lines():
                    print(line)

        try:
            client.invoke_endpoint("chat", **as_text("And now?"), session_id=session_id)
        except sm.ServiceError as refusal:
            print(f"After the block it is closed: {refusal.code}")


if __name__ == "__main__":
    main()
