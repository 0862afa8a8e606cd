"""Talk to one container, which remembers what was said."""

from smruntime_transports import Client
from smruntime_transports.client import Session


def say(session: Session, line: str) -> str:
    return session.invoke(body=line.encode(), content_type="text/plain").text()


with Client() as client, client.session("chat") as session:
    say(session, "My name is Ada.")
    print(say(session, "And?").splitlines()[0], bool(session.id))
