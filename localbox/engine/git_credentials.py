"""Credentials for one git command: in its environment, on no command line and in no file.

git asks a helper for them, which is a line of shell in its configuration for this one run, and
only for the server they are meant for: a redirect to another one is not told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from localbox.errors import InvalidArgumentException

_HELPER = (
    '!f() { test "$1" != get || printf "username=%s\\npassword=%s\\n" '
    '"$LOCALBOX_GIT_USERNAME" "$LOCALBOX_GIT_PASSWORD"; }; f'
)
# printf is the shell's own: its arguments are in no list of processes.
APPROVE = (
    'printf "protocol=%s\\nhost=%s\\nusername=%s\\npassword=%s\\n\\n" '
    '"$LOCALBOX_GIT_PROTOCOL" "$LOCALBOX_GIT_HOST" '
    '"$LOCALBOX_GIT_USERNAME" "$LOCALBOX_GIT_PASSWORD" | git credential approve'
)


@dataclass(frozen=True)
class Credentials:
    username: str
    password: str = field(repr=False)

    def environment(self, **more: str) -> dict[str, str]:
        """Variables for the helper, or for APPROVE."""
        values = {"username": self.username, "password": self.password, **more}
        for name, value in values.items():
            if "\n" in value or "\0" in value:
                raise InvalidArgumentException(f"{name} cannot contain a line break or a NUL byte")
        return {f"LOCALBOX_GIT_{name.upper()}": value for name, value in values.items()}

    def in_url(self, url: str) -> str:
        """The URL with these in it, for those who want them stored."""
        username, password = quote(self.username, safe=""), quote(self.password, safe="")
        parts = urlsplit(url)
        return parts._replace(netloc=f"{username}:{password}@{parts.netloc}").geturl()


def check_given(username: str | None, password: str | None, action: str) -> Credentials | None:
    """The credentials of a call; without a password there are none.

    Raises:
        InvalidArgumentException: a password without a username.
    """
    if password and not username:
        raise InvalidArgumentException(f"git {action} with a password or token needs a username")
    return Credentials(username, password) if username and password else None


def split_url(url: str) -> tuple[str, Credentials | None]:
    """An http(s) URL without what stands before its `@`, and that; others as they are."""
    if not is_http(url) or "@" not in urlsplit(url).netloc:
        return url, None
    parts = urlsplit(url)
    user_info, _, server = parts.netloc.rpartition("@")
    username, colon, password = user_info.partition(":")
    found = Credentials(unquote(username), unquote(password)) if colon else None
    return parts._replace(netloc=server).geturl(), found


def is_http(url: str) -> bool:
    try:
        return urlsplit(url).scheme in ("http", "https")
    except ValueError:  # it is git's to say what is wrong with it
        return False


def check_http(url: str) -> None:
    if not is_http(url):
        raise InvalidArgumentException(
            "username and password are for http and https: the repository's URL is neither"
        )


def helper_for(url: str) -> list[str]:
    """Arguments of git that make it ask for the credentials of this URL's server.

    The helpers of the sandbox are not asked, nor told what to store.
    """
    parts = urlsplit(split_url(url)[0])
    server = f"{parts.scheme}://{parts.netloc}"
    return ["-c", "credential.helper=", "-c", f"credential.{server}.helper={_HELPER}"]
