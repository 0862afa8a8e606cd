"""`credential_process`: a program of the user's prints a JSON document of version 1 (AWS CLI user guide, "external process")."""

from __future__ import annotations

from ..effects import Flow, RunProcess
from ..errors import CredentialsError
from ..values._credentials import Credentials
from ..values._record import field
from ._context import ProviderContext, Source
from ._documents import credentials, json_object, number


class Process(Source):
    """What the program at the beginning of `command` prints. No shell reads it; quotes and backslashes are as in one."""

    name = "credential_process"

    command: str = field(secret=True)
    account_id: str | None = None

    def look(self, world: ProviderContext) -> Flow[Credentials | str]:
        """The credentials that it prints; raises `CredentialsError`."""
        finished = yield from RunProcess(_words(self.command, world.windows))
        if len(finished.output) > RunProcess.most:
            raise CredentialsError(f"credential_process printed more than {RunProcess.most} bytes")
        if finished.status != 0:
            raise CredentialsError(
                f"credential_process ended with status {finished.status}; run it by hand to see what it says"
            )
        said = json_object(finished.output, "credential_process")
        if number(said, "Version", 1) != 1:
            raise CredentialsError('credential_process: the answer must have "Version": 1')
        made = credentials(said, "credential_process", expires=False)
        return (
            made
            if made.account_id or not self.account_id
            else made.replace(account_id=self.account_id)
        )


def _words(command: str, windows: bool) -> tuple[str, ...]:
    """The program and its arguments; raises `CredentialsError` for a quote that is not closed."""
    import shlex  # only who uses it pays for it

    lexer = shlex.shlex(command, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    if windows:
        lexer.escape = ""  # a backslash is part of a path
    try:
        words = tuple(lexer)
    except ValueError:
        words = ()
    if not words:
        raise CredentialsError(
            "credential_process must be a program and its arguments, with every quote closed"
        )
    return words
