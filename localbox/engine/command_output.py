"""Collects what a command prints: incremental UTF-8, E2B's accumulators, the profile's cap."""

from __future__ import annotations

import codecs

from localbox.engine.answers import to_exception
from localbox.errors import CommandExitException, ProtocolError
from localbox.models import CommandResult
from localbox.protocol.frames import MESSAGE, PTY, STDERR, STDOUT, Frame, FrameError, decode_message

Piece = tuple[str | None, str | None, bytes | None]


class CommandOutput:
    """Frames of one command in, (stdout, stderr, pty) pieces and at last a result out.

    Args:
        retain: keep the text for the result.
        limit_bytes: how much may be kept. The rest is dropped, and the result's `error` says so:
            what a guest prints must not be able to fill the host's memory.
    """

    def __init__(self, retain: bool, limit_bytes: int) -> None:
        self._retain = retain
        self._left = limit_bytes
        self._limit = limit_bytes
        self._dropped = 0
        self._stdout: list[str] = []
        self._stderr: list[str] = []
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decode_stdout = decoder(errors="replace")
        self._decode_stderr = decoder(errors="replace")
        self.pid = -1
        self.exit_code: int | None = None
        self.error: str | None = None

    @property
    def stdout(self) -> str | None:
        return "".join(self._stdout) if self._retain else None

    @property
    def stderr(self) -> str | None:
        return "".join(self._stderr) if self._retain else None

    @property
    def ended(self) -> bool:
        return self.exit_code is not None

    def take(self, frame: Frame) -> list[Piece]:
        """The pieces a frame brings.

        Raises:
            ProtocolError: it is no frame of a command.
            Exception: what the agent reports, TimeoutException above all.
        """
        kind, payload = frame
        if kind == STDOUT:
            return self._text(payload, is_stdout=True, final=False)
        if kind == STDERR:
            return self._text(payload, is_stdout=False, final=False)
        if kind == PTY:
            return [(None, None, payload)]
        if kind != MESSAGE:
            raise ProtocolError(f"a command sent a frame of type {kind}")
        return self._message(payload)

    def flush(self) -> list[Piece]:
        """What an unfinished character at the end of the output becomes."""
        return [
            *self._text(b"", is_stdout=True, final=True),
            *self._text(b"", is_stdout=False, final=True),
        ]

    def result(self) -> CommandResult[str | None]:
        """
        Raises:
            CommandExitException: the exit code is not 0.
        """
        assert self.exit_code is not None
        kind = CommandResult if self.exit_code == 0 else CommandExitException
        result = kind(
            stderr=self.stderr, stdout=self.stdout, exit_code=self.exit_code, error=self.error
        )
        if isinstance(result, CommandExitException):
            raise result
        return result

    def _text(self, payload: bytes, *, is_stdout: bool, final: bool) -> list[Piece]:
        decoder = self._decode_stdout if is_stdout else self._decode_stderr
        text = decoder.decode(payload, final)
        if not text:
            return []
        if self._retain:
            if len(payload) <= self._left:
                self._left -= len(payload)
                (self._stdout if is_stdout else self._stderr).append(text)
            else:
                # From here on nothing is kept: a piece out of the middle would mislead.
                self._left = 0
                self._dropped += len(payload)
        return [(text, None, None) if is_stdout else (None, text, None)]

    def _message(self, payload: bytes) -> list[Piece]:
        try:
            message = decode_message(payload)
        except FrameError as error:
            raise ProtocolError(str(error)) from None
        if "error" in message:
            raise to_exception(message["error"])
        start, end = message.get("start"), message.get("end")
        if isinstance(start, dict) and isinstance(start.get("pid"), int):
            self.pid = start["pid"]
            return []
        if not isinstance(end, dict) or not isinstance(end.get("exit_code"), int):
            raise ProtocolError("a command sent a message that is neither start nor end")
        pieces = self.flush()
        self.exit_code = end["exit_code"]
        self.error = str(end["error"]) if end.get("error") is not None else None
        if self._dropped:
            note = (
                f"output truncated: {self._dropped} bytes over resources.output "
                f"({self._limit} bytes) were dropped"
            )
            self.error = f"{self.error}; {note}" if self.error else note
        return pieces
