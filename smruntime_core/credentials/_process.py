"""`credential_process`: a program that prints credentials as a JSON document of version 1.

The format is described in the AWS CLI user guide, "Sourcing credentials with an external process".
"""

from __future__ import annotations

from ..effects import Flow, RunProcess
from ..errors import CredentialsError
from ..values._credentials import Credentials
from ..values._record import field
from ._context import ProviderContext, Source
from ._documents import integer_member, parse_credentials, parse_json_object


class Process(Source):
    """The credentials that `command` prints: a program and its arguments, run without a shell.

    Quotes and backslashes in `command` work as in a shell.
    """

    name = "credential_process"

    command: str = field(secret=True)
    account_id: str | None = None

    def look(self, context: ProviderContext) -> Flow[Credentials | str]:
        """Return the printed credentials; raise `CredentialsError` if the program fails."""
        result = yield from RunProcess(_split_command(self.command, context.windows))
        if len(result.output) > RunProcess.max_bytes:
            raise CredentialsError(
                f"credential_process printed more than {RunProcess.max_bytes} bytes"
            )
        if result.status != 0:
            raise CredentialsError(
                f"credential_process ended with status {result.status}; "
                "run it in a terminal to see its errors"
            )
        document = parse_json_object(result.output, "credential_process")
        if integer_member(document, "Version", 1) != 1:
            raise CredentialsError('credential_process: the answer must have "Version": 1')
        printed = parse_credentials(document, "credential_process", requires_expiry=False)
        if printed.account_id or not self.account_id:
            return printed
        return printed.replace(account_id=self.account_id)


def _split_command(command: str, windows: bool) -> tuple[str, ...]:
    """Return the program and its arguments; raise `CredentialsError` for an unclosed quote."""
    import shlex  # imported late: few programs need it

    lexer = shlex.shlex(command, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    if windows:
        lexer.escape = ""  # a backslash separates directories
    try:
        arguments = tuple(lexer)
    except ValueError:
        arguments = ()
    if not arguments:
        raise CredentialsError(
            "credential_process must be a program and its arguments, with every quote closed"
        )
    return arguments
