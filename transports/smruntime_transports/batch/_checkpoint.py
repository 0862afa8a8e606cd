"""The checkpoint of a run: with it, a run that was killed continues where it was.

A checkpoint is a file of lines that are only appended, each by one write, so that they outlive
`kill -9` (not a power failure). The first line is JSON and says which records and options it
belongs to. The others follow the groups, whose records they name as ranges of indexes:

    + 100-109                       the group is about to be sent
    - 100-109                       its request did not reach the model
    ~ 100-109                       the model has run, but the group is to be sent again
    @ 100-109 ["s3://…", null]      an asynchronous invocation was accepted, with these locations

Records that have a result are in the output. Whatever stands in the checkpoint as sent and has no
result may have run. A torn last line of either file is cut off: what it would have said had not
happened yet.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import BinaryIO, Final, cast

from smruntime_core import ConstructionError

from ._groups import Group, StoredJob, format_ranges, parse_ranges
from ._progress import RecordState, SavedProgress
from ._records import FilePath

VERSION: Final = 1
BLOCK_SIZE: Final = 65_536
LONGEST_SHOWN: Final = 80  # characters of a value in an error

_NOTES: Final[Mapping[str, Callable[[SavedProgress, range], None]]] = {
    "+": SavedProgress.note_sent,
    "-": SavedProgress.note_not_run,
    "~": lambda saved, indexes: saved.set_state(indexes, RecordState.REPEATED),
}
_match_result = re.compile(rb'\{"index": ([0-9]{1,15}), "(?:output|error)": ').match


class Checkpoint:
    """An open checkpoint, locked against other processes where the system can."""

    def __init__(self, path: FilePath) -> None:
        self._path = os.fspath(path)
        try:
            self._file = open(self._path, "ab+", buffering=0)  # noqa: SIM115 - closed by `close`
        except OSError as error:
            raise _cannot(f"open {self._path}", error) from None
        try:
            _lock(self._file, self._path)
        except BaseException:
            self._file.close()
            raise

    def begin(self, identity: Mapping[str, object]) -> None:
        """Begin anew, for the records and options of `identity`."""
        self._file.truncate(0)
        self._write(json.dumps({"version": VERSION, **identity}))

    def read_identity(self) -> dict[str, object] | None:
        """Return what the first line says, None if the file is empty.

        Raises `ConstructionError` if it is no checkpoint.
        """
        self._file.seek(0)
        first_line = self._file.readline()
        if not first_line.endswith(b"\n"):
            return None
        try:
            identity: object = json.loads(first_line)
        except ValueError:
            identity = None
        members = cast("dict[str, object]", identity if isinstance(identity, dict) else {})
        if members.pop("version", None) != VERSION:
            message = f"checkpoint: {self._path} is no checkpoint of this version; delete it"
            raise ConstructionError("checkpoint", "a checkpoint", message=message)
        return members

    def read_progress(self, output_path: FilePath) -> SavedProgress:
        """Return the states of all records; cut torn last lines off both files."""
        _cut_torn_line(self._file)
        saved = SavedProgress()
        self._file.seek(0)
        for line_number, line in enumerate(_read_lines(self._file), 1):
            if line_number > 1:
                self._apply(line, line_number, saved)
        for index in read_finished_indexes(output_path):
            saved.set_state(range(index, index + 1), RecordState.FINISHED)
        saved.find_open_jobs()
        return saved

    def _apply(self, line: bytes, line_number: int, saved: SavedProgress) -> None:
        try:
            sign, ranges_text, *rest = line.decode().split(" ", 2)
            ranges = parse_ranges(ranges_text)
            if sign == "@":
                locations = cast("list[str]", json.loads(rest[0]))
                saved.add_job(ranges, StoredJob(*locations))
                return
            note = _NOTES[sign]
        except (ValueError, KeyError, IndexError, TypeError):
            message = f"checkpoint: line {line_number} of {self._path} is damaged"
            raise ConstructionError("checkpoint", "undamaged", message=message) from None
        for indexes in ranges:
            note(saved, indexes)

    def note_sent(self, group: Group) -> None:
        """Note a group before it is sent."""
        self._write(f"+ {format_ranges(group.indexes)}")

    def note_postponed(self, group: Group, *, has_run: bool) -> None:
        """Note that a group is to be sent again, and whether the last request made it run."""
        self._write(f"{'~' if has_run else '-'} {format_ranges(group.indexes)}")

    def note_job(self, group: Group, job: StoredJob) -> None:
        """Note an accepted asynchronous invocation of a group."""
        self._write(f"@ {format_ranges(group.indexes)} {json.dumps(job)}")

    def _write(self, line: str) -> None:
        try:
            self._file.write(f"{line}\n".encode())
        except OSError as error:
            raise _cannot(f"write {self._path}", error) from None

    def close(self) -> None:
        """Flush to the disk and close."""
        with suppress(OSError):  # what cannot be flushed, such as a pipe
            os.fsync(self._file.fileno())
        self._file.close()


def read_finished_indexes(output_path: FilePath) -> Iterator[int]:
    """Cut a torn last line off an output file, and yield the indexes of its results.

    Raises `ConstructionError` for a line that is no result.
    """
    if not os.path.exists(output_path):
        return
    with open(output_path, "rb+") as file:
        _cut_torn_line(file)
        file.seek(0)
        for line_number, line in enumerate(file, 1):
            found = _match_result(line)
            if found is None:
                message = f"sink: line {line_number} of {os.fspath(output_path)} is no result"
                raise ConstructionError("sink", "the output of a run", message=message)
            yield int(found[1])


def check_identity(saved: Mapping[str, object], current: Mapping[str, object]) -> None:
    """Raise `ConstructionError` that names the first difference between two identities."""
    saved_members, current_members = dict(_flatten(saved)), dict(_flatten(current))
    for name in sorted({*saved_members, *current_members}):
        earlier, now = saved_members.get(name), current_members.get(name)
        if earlier != now:
            message = (
                f"resume: the output was made with another {name} ({_show(earlier)} then, "
                f"{_show(now)} now); use the earlier one, or delete the output and its checkpoint"
            )
            raise ConstructionError("resume", "used with the same records", message=message)


def _flatten(identity: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Yield the members of an identity; those of an object by names such as `codec.accept`."""
    for name, value in identity.items():
        if isinstance(value, dict):
            for inner_name, inner_value in cast("dict[str, object]", value).items():
                yield f"{name}.{inner_name}", inner_value
        else:
            yield name, value


def _show(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def _read_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of an unbuffered file without their line ends."""
    rest = b""
    while block := file.read(BLOCK_SIZE):
        *lines, rest = (rest + block).split(b"\n")
        yield from lines


def _cut_torn_line(file: BinaryIO) -> None:
    """Remove what follows the last line feed of a file."""
    position = end = file.seek(0, os.SEEK_END)
    while position > 0:
        block_start = max(0, position - BLOCK_SIZE)
        file.seek(block_start)
        line_end = file.read(position - block_start).rfind(b"\n")
        if line_end >= 0:
            position = block_start + line_end + 1
            break
        position = block_start
    if position < end:
        file.truncate(position)


def _lock(file: BinaryIO, path: str) -> None:
    """Lock a file until it is closed; raise `ConstructionError` if another process has it."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        message = f"checkpoint: another process writes {path}"
        raise ConstructionError("checkpoint", "of one run at a time", message=message) from None
    except OSError:  # a file system without locks
        return


def _cannot(action: str, error: OSError) -> ConstructionError:
    message = f"checkpoint: cannot {action}: {error.strerror}"
    return ConstructionError("checkpoint", "a file that can be written", message=message)
