"""
The HTTP API as the command line calls it.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from deploy.local.data_directory import DataDirectory, default_path
from shared.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    import argparse

T = TypeVar("T")

PREFIX = "/api/v1"


class Api:
    """
    One query-api at one address.
    """

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url.rstrip("/")
        self._token = token

    def raw(self, path: str, *, method: str = "GET", body: object = None, timeout_s: float = 10.0) -> bytes:
        """
        Return the bytes that *path* (under /api/v1) answers.

        Raises:
            Unavailable: nobody answers.
            ConfigError: the API refuses; the text is its own.
        """
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked when the address was taken
            self.url + PREFIX + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Accept": "application/json", "Content-Type": "application/json"},
        )
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310 - as above
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error.code, error.read(), f"{self.url}{PREFIX}{path}") from error
        except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
            raise Unavailable(
                f"no answer from the API at {self.url} ({getattr(error, 'reason', error)}): "
                "is `meshlens up` running? Name another address with --api"
            ) from error

    def get(self, path: str, kind: type[T]) -> T:
        """
        Return what *path* answers as *kind*.
        """
        return msgspec.json.decode(self.raw(path), type=kind)

    def send(self, method: str, path: str, body: object) -> Any:
        """
        Command something and return the answer.
        """
        answer = self.raw(path, method=method, body=body)
        return json.loads(answer) if answer else None


def _refusal(status: int, content: bytes, url: str) -> ConfigError | Unavailable:
    try:
        problem = json.loads(content)
        text = f"{problem['title']}: {problem['detail']}"
    except (ValueError, KeyError, TypeError):
        text = content.decode(errors="replace").strip()[:200]
    kind = Unavailable if status >= 500 else ConfigError
    return kind(f"{url} answers {status}: {text}")


def from_arguments(arguments: argparse.Namespace) -> Api:
    """
    Return the API that --api, MESHLENS_API or the data directory names.

    Raises:
        ConfigError: none of them does.
    """
    data = DataDirectory(arguments.data_dir or default_path())
    url = arguments.api or os.environ.get("MESHLENS_API", "")
    token = os.environ.get("MESHLENS_TOKEN", "")
    if url:
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"--api {url!r} is no address: it begins with http:// or https://")
        return Api(url, token)
    runtime = data.read_runtime()
    if runtime is None:
        raise ConfigError(
            f"nothing runs on the data directory {data.path}: start `meshlens up`, "
            "or name another with --data-dir or --api"
        )
    return Api(runtime.api, token or _own_token(data))


def _own_token(data: DataDirectory) -> str:
    if not (data.path / "tokens.json").exists() or not os.access(data.path / "secrets.json", os.R_OK):
        return ""
    return data.secrets().admin_token()


class UnixConnection(http.client.HTTPConnection):
    """
    HTTP over a unix socket.
    """

    def __init__(self, path: str, timeout_s: float = 30.0) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """
        Connect to the socket.
        """
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def over_socket(path: str, method: str, target: str, body: object = None) -> Any:
    """
    Ask the program behind the unix socket *path*, and return its JSON.

    Raises:
        Unavailable: nobody listens there.
        ConfigError: it refuses.
    """
    connection = UnixConnection(path)
    try:
        connection.request(method, target, None if body is None else json.dumps(body).encode())
        response = connection.getresponse()
        content = response.read()
    except OSError as error:
        raise Unavailable(f"nobody answers at {path}: {error.strerror or error}") from error
    finally:
        connection.close()
    answer = json.loads(content)
    if response.status >= 400:
        raise ConfigError(str(answer.get("error", content)))
    return answer
