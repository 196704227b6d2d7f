"""The records of terms in `state_dir/holders`, one file each, named by its number. It works on NFS, without locks.

A term is taken by a hard link, which is made for one only. The holder writes its beats through the file that it has
open, so it can never put back a record that was replaced; it reads it by its name, since opening a file is what makes
an NFS client ask the server (close-to-open consistency, nfs(5)).
"""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from slurm_amlfs.adapters.folders import OF_THE_DISK
from slurm_amlfs.domain.tenure import Claim, Holder, Status
from slurm_amlfs.errors import PermanentError, TemporaryError

FOLDER = "holders"
"""In the state directory."""
_FOLDER_MODE = 0o700
_FILE_MODE = 0o600
_KEPT = 100
"""Records of so many terms are kept, so that nobody who was away for long takes a number again."""
_MOST_BYTES = 4096
_UNKNOWN = Holder("an unknown host", 0, "", "", "", "an unknown time")


class Term:
    """A term that was taken, and its open record."""

    def __init__(self, claim: Claim, descriptor: int) -> None:
        self.claim = claim
        self._descriptor = descriptor

    def renew(self) -> None:
        """Say that its holder lives; what is written is on the server when this returns.

        Raises:
            OSError: it cannot be written.
        """
        self._write(Status.HELD, self.claim.beat + 1)

    def give_back(self) -> None:
        """Say that its holder ends; raises as `renew` does."""
        self._write(Status.GIVEN_BACK, self.claim.beat + 1)
        os.close(self._descriptor)

    def _write(self, status: Status, beat: int) -> None:
        os.pwrite(self._descriptor, _head(status, beat), 0)
        os.fsync(self._descriptor)
        self.claim = Claim(self.claim.term, status, beat, self.claim.holder)


class TermFiles:
    """The folder of all terms.

    Raises:
        PermanentError: it cannot be made.
        TemporaryError: it cannot be made now, as on a disk that is full.
    """

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / FOLDER
        try:
            self._folder.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
        except OSError as error:
            if error.errno in OF_THE_DISK:
                raise self._told(error) from error
            raise PermanentError(f"{self._folder} cannot be made ({error.strerror}); mend state_dir") from error

    def newest_term(self) -> int:
        """Give the number of the newest term, 0 if there never was one.

        Raises:
            TemporaryError: the folder cannot be read.
        """
        return max(self._terms(), default=0)

    def newest(self) -> Claim | None:
        """Read the record of the newest term; raises as `newest_term` does."""
        term = self.newest_term()
        return self.read(term) if term else None

    def read(self, term: int) -> Claim | None:
        """Read a term's record, None if there is none; what cannot be understood is held by nobody knows whom.

        Raises:
            TemporaryError: it cannot be read.
        """
        try:
            with (self._folder / str(term)).open("rb") as file:
                data = file.read(_MOST_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._told(error) from error
        try:
            head, text = data.decode("utf-8").split("\n", 1)
            status, beat = head.split()
            return Claim(term, Status(status), int(beat), Holder(**json.loads(text)))
        except (ValueError, TypeError):
            return Claim(term, Status.HELD, -1, _UNKNOWN)

    def take(self, term: int, holder: Holder) -> Term | None:
        """Take a term; None if another has it. The record of the one before says from then on that it was taken.

        Raises:
            TemporaryError: it cannot be written.
        """
        claim = Claim(term, Status.HELD, 0, holder)
        try:
            descriptor = self._link(claim)
            if descriptor is None:
                return None
            if self.newest_term() != term:
                # Whoever was away for so long that terms were forgotten meanwhile.
                os.close(descriptor)
                return None
            self._take_over(term - 1, holder)
            for old in [it for it in self._terms() if it <= term - _KEPT]:
                (self._folder / str(old)).unlink(missing_ok=True)
        except OSError as error:
            raise self._told(error) from error
        return Term(claim, descriptor)

    def _link(self, claim: Claim) -> int | None:
        draft, path = self._draft(claim), self._folder / str(claim.term)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CLOEXEC)
        try:
            try:
                os.link(draft, path)
            except FileExistsError:
                # On NFS an answer may be lost, and the request repeated: the link is ours if the file has two names.
                if os.fstat(descriptor).st_nlink != 2:  # noqa: PLR2004 - the draft's name, and the term's
                    os.close(descriptor)
                    return None
        finally:
            draft.unlink(missing_ok=True)
        self._sync()
        return descriptor

    def _take_over(self, term: int, holder: Holder) -> None:
        if (self._folder / str(term)).exists():
            self._draft(Claim(term, Status.TAKEN, 0, holder)).replace(self._folder / str(term))
            self._sync()

    def _draft(self, claim: Claim) -> Path:
        draft = self._folder / f".{claim.term}.{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(draft, flags, _FILE_MODE), "wb") as file:
            file.write(_head(claim.status, claim.beat) + json.dumps(asdict(claim.holder)).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return draft

    def _terms(self) -> list[int]:
        try:
            return [int(it.name) for it in self._folder.iterdir() if it.name.isdecimal()]
        except OSError as error:
            raise self._told(error) from error

    def _sync(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with suppress(OSError):  # not every file system can sync a folder
                os.fsync(folder)
        finally:
            os.close(folder)

    def _told(self, error: OSError) -> TemporaryError:
        return TemporaryError(f"{self._folder} cannot be used ({error.strerror}); mend the disk of state_dir")


def _head(status: Status, beat: int) -> bytes:
    """Write the line that changes, always as long."""
    return f"{status.value:<8}{beat:>23}\n".encode()
