"""Every exception localbox raises: E2B's tree, name for name, and three of its own (marked +).

    Exception
    |- SandboxException                     status_code
    |  |- TimeoutException
    |  |  |- SandboxNotRunningException
    |  |  `- SandboxUnreachableException
    |  |- InvalidArgumentException
    |  |  `- PolicyError                  + a profile or policy that cannot be accepted
    |  |- NotEnoughSpaceException
    |  |- NotFoundException
    |  |  |- FileNotFoundException
    |  |  |- SandboxNotFoundException
    |  |  |- VolumeNotFoundException
    |  |  `- VolumePathNotFoundException
    |  |- TemplateException
    |  |- RateLimitException                status_code 429
    |  |- GuestUnresponsiveException        status_code 409
    |  |- GitUpstreamException
    |  |- CommandExitException              also a CommandResult
    |  |- WallError                       + wall, reason, fix, errno
    |  `- ProtocolError                   + an agent that sends nonsense
    |- AuthenticationException
    |  `- GitAuthException
    |- ServiceBusyException                 status_code 503
    |- BuildException
    |  `- FileUploadException
    |- VolumeException
    `- SecretException
       `- SecretNotFoundException

That some of E2B's are not SandboxExceptions looks like an oversight, but programs
catch them by these parents, so the parents stay.
"""

from __future__ import annotations

from dataclasses import dataclass

from localbox.models import CommandResult, OutputT

__all__ = [
    "AuthenticationException",
    "BuildException",
    "CommandExitException",
    "FileNotFoundException",
    "FileUploadException",
    "GitAuthException",
    "GitUpstreamException",
    "GuestUnresponsiveException",
    "InvalidArgumentException",
    "NotEnoughSpaceException",
    "NotFoundException",
    "PolicyError",
    "ProtocolError",
    "RateLimitException",
    "SandboxException",
    "SandboxNotFoundException",
    "SandboxNotRunningException",
    "SandboxUnreachableException",
    "SecretException",
    "SecretNotFoundException",
    "ServiceBusyException",
    "TemplateException",
    "TimeoutException",
    "VolumeException",
    "VolumeNotFoundException",
    "VolumePathNotFoundException",
    "WallError",
]


class SandboxException(Exception):
    """Something about a sandbox went wrong; the parent of most of what localbox raises.

    Args:
        status_code: the HTTP status E2B's API would have answered with, where there is one.
    """

    # On the class too: CommandExitException is a dataclass and never runs __init__ below.
    status_code: int | None = None

    def __init__(self, *args: object, status_code: int | None = None) -> None:
        super().__init__(*args)
        self.status_code = status_code


class TimeoutException(SandboxException):
    """A command, a request or the sandbox itself ran out of time."""


class SandboxNotRunningException(TimeoutException):
    """The sandbox was killed or reached its timeout; trying again will not help."""


class SandboxUnreachableException(TimeoutException):
    """The sandbox does not answer, and is not known to have ended."""


class InvalidArgumentException(SandboxException):
    """An argument has a value the call cannot work with."""


class PolicyError(InvalidArgumentException):
    """A profile cannot be accepted: unknown key, bad value, or a promise that cannot be kept.

    Raised before anything is forked, with the file and the key path in the message.
    """


class NotEnoughSpaceException(SandboxException):
    """The sandbox's disk limit is reached."""


class NotFoundException(SandboxException):
    """Something named does not exist. E2B wants the subclasses caught instead of this one."""


class FileNotFoundException(NotFoundException):
    """A file or directory does not exist inside the sandbox."""


class SandboxNotFoundException(NotFoundException):
    """No sandbox has this id."""


class VolumeNotFoundException(NotFoundException):
    """No volume has this name or id."""


class VolumePathNotFoundException(NotFoundException):
    """A file or directory does not exist inside a volume."""


class TemplateException(SandboxException):
    """The template cannot be used by this version."""


class RateLimitException(SandboxException):
    """Too many requests."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args, status_code=429)


class GuestUnresponsiveException(SandboxException):
    """A paused sandbox cannot be resumed with its memory: its agent hung before the pause."""

    code = "sandbox_snapshot_guest_agent_unresponsive"

    def __init__(self, *args: object) -> None:
        super().__init__(*args, status_code=409)


class GitUpstreamException(SandboxException):
    """A git branch tracks no upstream."""


@dataclass
class CommandExitException(SandboxException, CommandResult[OutputT]):
    """A command ended with an exit code other than 0; carries the whole CommandResult."""

    # @dataclass takes the hash away with its __eq__; code that groups or logs exceptions needs it.
    def __hash__(self) -> int:
        return hash((self.stderr, self.stdout, self.exit_code, self.error))

    def __str__(self) -> str:
        if self.stderr is None:
            return f"Command exited with code {self.exit_code}"
        return f"Command exited with code {self.exit_code} and error:\n{self.stderr}"

    def __reduce__(self) -> tuple[object, ...]:
        # Exception pickles its args, which stay empty when the fields came by keyword.
        fields = (self.stderr, self.stdout, self.exit_code, self.error)
        return type(self), fields, self.__dict__


class WallError(SandboxException):
    """A wall the profile requires cannot be built; no code has run.

    Args:
        wall: its name, as in `isolation.require` and `Sandbox.isolation`.
        reason: what failed, with the errno's name where there is one.
        fix: what the reader can do about it, as a sentence.
        errno: the errno behind it, if a system call refused.
    """

    def __init__(self, wall: str, reason: str, fix: str, *, errno: int | None = None) -> None:
        super().__init__(f'cannot build wall "{wall}": {reason.rstrip(".")}. {fix}')
        self.wall = wall
        self.reason = reason
        self.fix = fix
        self.errno = errno

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.wall, self.reason, self.fix), self.__dict__


class ProtocolError(SandboxException):
    """The other end of the socket sent something that is not a message.

    Inside a sandbox the sender may be hostile, so this ends the conversation.
    """


class AuthenticationException(Exception):
    """An unknown user was asked for. (In E2B also: a wrong API key.)"""


class GitAuthException(AuthenticationException):
    """A git server refused the credentials."""


class ServiceBusyException(Exception):
    """Nothing was done for want of capacity; the same call may work after a short wait."""

    status_code = 503


class BuildException(Exception):
    """Building a template failed."""


class FileUploadException(BuildException):
    """A file a template copies could not be uploaded."""


class VolumeException(Exception):
    """Something about a volume went wrong."""


class SecretException(Exception):
    """Something about a secret went wrong."""


class SecretNotFoundException(SecretException):
    """No secret has this name."""
