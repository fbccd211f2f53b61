# generated from tests/client/_async/test_urls.py by scripts/unasync.py; edit that, not this
"""`download_url` and `upload_url`: files of a sandbox over HTTP, for who has a signed address."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest

from localbox import InvalidArgumentException, Sandbox, SandboxNotRunningException
from localbox.policy import load_profile, merge_overrides
from tests.client._sync.doing import until

MIB = 1 << 20


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    content: bytes


def request(
    method: str,
    url: str,
    body: bytes | Iterator[bytes] = b"",
    headers: dict[str, str] | None = None,
) -> Answer:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", body, headers or {})
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def changed(url: str, **parameters: str | None) -> str:
    """The address with parameters set, or, if None, left out."""
    parts = urlsplit(url)
    query: dict[str, Any] = {**dict(parse_qsl(parts.query)), **parameters}
    query = {name: value for name, value in query.items() if value is not None}
    return parts._replace(query=urlencode(query, quote_via=quote)).geturl()


def form(*parts: tuple[str, bytes]) -> tuple[bytes, dict[str, str]]:
    body = b"".join(
        b'--xyz\r\nContent-Disposition: form-data; name="%s"; filename="a"\r\n\r\n%s\r\n'
        % (name.encode(), content)
        for name, content in parts
    )
    return body + b"--xyz--\r\n", {"Content-Type": "multipart/form-data; boundary=xyz"}


@pytest.fixture
def small_disk() -> Iterator[Sandbox]:
    policy = merge_overrides(load_profile("default"), disk=8 * MIB)
    with Sandbox.create(profile=policy) as sandbox:
        yield sandbox


def test_a_file_is_downloaded(sandbox: Sandbox) -> None:
    content = os.urandom(3 * MIB + 1)
    sandbox.files.write("dir/a b%ü.bin", content)
    answer = request("GET", sandbox.download_url("dir/a b%ü.bin"))
    assert (answer.status, answer.content) == (200, content)
    assert answer.headers["content-length"] == str(len(content))


def test_what_the_guest_wrote_is_no_page_of_this_address(sandbox: Sandbox) -> None:
    sandbox.files.write("page.html", "<script>alert(1)</script>")
    headers = request("GET", sandbox.download_url("page.html")).headers
    assert headers["content-type"] == "application/octet-stream"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-disposition"].startswith("attachment")


def test_a_head_request_gets_the_size_only(sandbox: Sandbox) -> None:
    sandbox.files.write("a", "12345")
    answer = request("HEAD", sandbox.download_url("a"))
    assert (answer.status, answer.headers["content-length"], answer.content) == (200, "5", b"")


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-3", 206, b"789"),
        ("bytes=0-99", 206, b"0123456789"),
        ("bytes=10-", 416, b""),
        ("bytes=4-2", 200, b"0123456789"),
        ("bytes=0-1,3-4", 200, b"0123456789"),
        ("bytes=x-", 200, b"0123456789"),
    ],
)
def test_a_part_of_a_file_is_downloaded(
    sandbox: Sandbox, asked: str, status: int, content: bytes
) -> None:
    sandbox.files.write("a", "0123456789")
    answer = request("GET", sandbox.download_url("a"), headers={"Range": asked})
    assert (answer.status, answer.content) == (status, content)


@pytest.mark.parametrize("size", [0, 1, 1000, 2 * MIB + 3])
def test_a_form_is_uploaded(sandbox: Sandbox, size: int) -> None:
    content = os.urandom(size)
    body, headers = form(("other", b"field"), ("file", content), ("more", b"x"))
    answer = request("POST", sandbox.upload_url("new/dir/a"), body, headers)
    assert answer.status == 200
    assert json.loads(answer.content) == [
        {"name": "a", "type": "file", "path": "/home/user/new/dir/a"}
    ]
    assert sandbox.files.read("new/dir/a", format="bytes") == content


def test_a_plain_body_is_uploaded_whole_or_in_chunks(sandbox: Sandbox) -> None:
    url = sandbox.upload_url("a")
    assert request("POST", url, b"x" * 100_000).status == 200
    assert sandbox.files.read("a") == "x" * 100_000
    assert request("POST", url, iter([b"one", b"two" * 50_000])).status == 200
    assert sandbox.files.read("a") == "one" + "two" * 50_000


def test_metadata_comes_in_headers(sandbox: Sandbox) -> None:
    answer = request("POST", sandbox.upload_url("a"), b"x", {"X-Metadata-Origin": "test"})
    assert json.loads(answer.content)[0]["metadata"] == {"origin": "test"}
    assert sandbox.files.get_info("a").metadata == {"origin": "test"}


def test_an_upload_is_bounded_by_the_disk(small_disk: Sandbox) -> None:
    url = small_disk.upload_url("a")
    assert request("POST", url, bytes(8 * MIB + 500_000)).status == 507
    assert request("POST", url, b"x").status == 200
    with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=10) as client:
        # Announced only: nothing of it has to come for it to be refused.
        client.sendall(
            f"POST /files?{urlsplit(url).query} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n"
            f"Content-Length: {1 << 40}\r\n\r\n".encode()
        )
        assert client.recv(1000).startswith(b"HTTP/1.1 507")


def test_errors_have_e2bs_status(sandbox: Sandbox) -> None:
    assert request("GET", sandbox.download_url("missing")).status == 404
    assert request("GET", sandbox.download_url("/etc")).status == 400
    assert request("POST", sandbox.upload_url("/etc"), b"x").status == 400
    body, headers = form(("other", b"x"))
    answer = request("POST", sandbox.upload_url("a"), body, headers)
    assert answer.status == 400
    assert "file" in json.loads(answer.content)["message"]
    assert request("GET", sandbox.download_url("a", user="nobody")).status == 401
    assert request("DELETE", sandbox.upload_url("a")).status == 501


def test_an_address_ends_when_it_was_said_to(sandbox: Sandbox) -> None:
    sandbox.files.write("a", "x")
    assert request("GET", sandbox.download_url("a", use_signature_expiration=60)).status == 200
    answer = request("GET", sandbox.download_url("a", use_signature_expiration=-60))
    assert answer.status == 401
    assert "expired" in json.loads(answer.content)["message"]
    for wrong in ("60", 1.5, True):
        with pytest.raises(InvalidArgumentException, match="use_signature_expiration"):
            sandbox.download_url("a", use_signature_expiration=wrong)  # type: ignore[arg-type]


def test_an_address_is_for_one_file_one_user_one_operation(sandbox: Sandbox) -> None:
    sandbox.files.write("a", "x")
    sandbox.files.write("b", "y")
    url = sandbox.download_url("a", user="user", use_signature_expiration=60)
    assert request("GET", url).content == b"x"
    for other in (
        changed(url, path="b"),
        changed(url, path="./a"),
        changed(url, username=None),
        changed(url, username="root"),
        changed(url, signature=None),
        changed(url, signature="v1_" + "0" * 64),
        changed(url, signature="ü"),
        changed(url, signature_expiration=None),
        changed(url, signature_expiration="99999999999"),
    ):
        assert request("GET", other).status == 401
    assert request("POST", url, b"z").status == 401
    assert request("GET", sandbox.upload_url("a")).status == 401
    assert request("GET", url + "&path=b").status == 400
    assert sandbox.files.read("a") == "x"


def test_an_address_is_for_one_sandbox(sandbox: Sandbox) -> None:
    with Sandbox.create() as other:
        url = urlsplit(sandbox.download_url("/etc/hostname"))
        elsewhere = url._replace(netloc=urlsplit(other.download_url("a")).netloc).geturl()
        assert request("GET", elsewhere).status == 401


def test_another_name_for_this_machine_is_refused(sandbox: Sandbox) -> None:
    """A web page whose name is made to lead here has its own name in the Host header."""
    url = sandbox.download_url("/etc/hostname")
    port = urlsplit(url).port
    for host, status in (
        (f"127.0.0.1:{port}", 200),
        (f"localhost:{port}", 200),
        (f"evil.example:{port}", 403),
        ("127.0.0.1", 403),
    ):
        assert request("GET", url, headers={"Host": host}).status == status


@pytest.mark.parametrize("path", ["", "a\0b", "\udcff", None])
def test_what_is_no_path_has_no_address(sandbox: Sandbox, path: Any) -> None:
    with pytest.raises(InvalidArgumentException, match="path"):
        sandbox.download_url(path)


def test_a_profile_without_a_network_has_addresses_of_files() -> None:
    with Sandbox.create(profile="strict") as sandbox:
        assert request("POST", sandbox.upload_url("a"), b"x").status == 200
        assert request("GET", sandbox.download_url("a")).content == b"x"


def test_addresses_end_with_the_sandbox() -> None:
    sandbox = Sandbox.create()
    sandbox.files.write("a", "x")
    url = sandbox.download_url("a")
    assert request("GET", url).status == 200
    half_way = socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=10)
    with half_way:
        half_way.sendall(b"GET /files")
        sandbox.kill()
        assert half_way.recv(1) == b""

    def refused() -> bool:
        try:
            request("GET", url)
        except ConnectionRefusedError:
            return True
        except OSError:
            pass
        return False

    until(refused)
    with pytest.raises(SandboxNotRunningException):
        sandbox.download_url("a")
