"""Keys shown as vendors want them: AWS signatures beside botocore's own signer, Google's tokens over real sockets."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from providers import auth
from providers.errors import Kind, UpstreamError
from providers.http import UpstreamTransport
from providers.quirks import Scheme
from tests.endpoints import provider
from tests.upstream import read_request, write_json

AWS = "https://bedrock-runtime.eu-west-1.amazonaws.com"
KEY_ID, KEY = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize("session", ["", "IQoJb3JpZ2luX2VjEHUaCXVzLWVhc3QtMSJ"])
@pytest.mark.parametrize(
    "path",
    [
        "/model/anthropic.claude-sonnet-4-v1%3A0/converse",
        "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A123%3Ainference-profile%2Feu.m/converse-stream",
        "/plain?b=2&a=1",
    ],
)
def test_a_signature_is_the_one_that_botocore_makes(path: str, session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body = '{"messages": ["é"]}'.encode()
    now = datetime.now(UTC)
    secret = ":".join([KEY_ID, KEY] + ([session] if session else []))
    ours = auth.sigv4(secret, "eu-west-1", method="POST", url=AWS + path, body=body, now=now)
    request = AWSRequest("POST", AWS + path, data=body, headers={})
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: now)
    SigV4Auth(Credentials(KEY_ID, KEY, session or None), "bedrock", "eu-west-1").add_auth(request)
    assert ours == {name.lower(): value for name, value in request.headers.items()}


async def shown(scheme: Scheme, secret: str | None, **fields: Any) -> dict[str, str]:
    at = provider("acme", secret=secret, base_url=fields.pop("base_url", AWS), quirks=fields)
    return await auth.headers(UpstreamTransport(), at, scheme, url=f"{at.base_url}/x", body=b"{}")


@pytest.mark.parametrize(
    ("scheme", "secret", "quirks", "expected"),
    [
        ("bearer", "k", {}, {"authorization": "Bearer k"}),
        ("x-api-key", "k", {}, {"x-api-key": "k"}),
        ("bearer", "k", {"auth": "api-key"}, {"api-key": "k"}),
        ("x-goog-api-key", "k", {}, {"x-goog-api-key": "k"}),
        ("sigv4", "bedrock-api-key", {}, {"authorization": "Bearer bedrock-api-key"}),
        ("bearer", None, {}, {}),
    ],
)
async def test_plain_schemes(scheme: Scheme, secret: str | None, quirks: Any, expected: dict[str, str]) -> None:
    assert await shown(scheme, secret, **quirks) == expected


@pytest.mark.parametrize(
    ("scheme", "secret", "base_url"),
    [
        ("bearer", "a\nX-Evil: 1", AWS),
        ("bearer", "clé", AWS),
        ("sigv4", ":secret", AWS),
        ("sigv4", "id:", AWS),
        ("sigv4", "id:secret", "http://127.0.0.1"),
        ("google", "no json", AWS),
        ("google", '{"client_email": "a", "private_key": "none"}', AWS),
    ],
)
async def test_a_secret_that_cannot_be_used_is_the_operators_fault(scheme: Scheme, secret: str, base_url: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        await shown(scheme, secret, base_url=base_url)
    assert caught.value.kind is Kind.CREDENTIAL
    assert secret not in caught.value.message


class TokenServer:
    """Checks what Google checks, and counts."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        self.key = key
        self.asked = 0
        self.expires_in = 3600
        self.status = 200
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        assert request is not None
        form = parse_qs(request[3].decode())
        head, claims, signature = form["assertion"][0].split(".")
        self.key.public_key().verify(
            decoded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
        )
        told = json.loads(decoded(claims))
        assert (told["iss"], told["aud"], told["exp"] - told["iat"]) == ("svc@acme.example", self.url, 3600)
        assert told["scope"] == "https://www.googleapis.com/auth/cloud-platform"
        self.asked += 1
        token = f"token-{self.asked}"
        await asyncio.sleep(0.02)
        await write_json(writer, self.status, {"access_token": token, "expires_in": self.expires_in})
        writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["TokenServer"]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/token"
        async with server:
            yield self


def decoded(segment: str) -> bytes:

    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def account(key: rsa.RSAPrivateKey) -> str:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return json.dumps({"type": "service_account", "client_email": "svc@acme.example", "private_key": pem})


async def test_one_token_serves_all_that_wait_and_those_after(key: rsa.RSAPrivateKey) -> None:
    async with TokenServer(key).running() as server:
        http = UpstreamTransport()
        at = provider("vertex", secret=account(key), quirks={"token_url": server.url})

        async def ask() -> str:
            return (await auth.headers(http, at, "google", url="http://x", body=b""))["authorization"]

        impatient = asyncio.create_task(ask())
        waiting = [asyncio.create_task(ask()) for _ in range(20)]
        await asyncio.sleep(0)
        impatient.cancel()
        assert {await one for one in waiting} == {"Bearer token-1"}
        assert await ask() == "Bearer token-1"
        assert server.asked == 1
        auth.forget(http, at, "google")
        assert await ask() == "Bearer token-2"
        await http.aclose()


async def test_a_token_near_its_end_is_renewed_beside_the_requests(key: rsa.RSAPrivateKey) -> None:
    async with TokenServer(key).running() as server:
        http = UpstreamTransport()
        at = provider("vertex", secret=account(key), quirks={"token_url": server.url})
        server.expires_in = 100
        first = await auth.headers(http, at, "google", url="http://x", body=b"")
        server.expires_in = 3600
        assert await auth.headers(http, at, "google", url="http://x", body=b"") == first
        while server.asked < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        later = await auth.headers(http, at, "google", url="http://x", body=b"")
        assert later == {"authorization": "Bearer token-2"}
        await http.aclose()


@pytest.mark.parametrize(("status", "kind"), [(401, Kind.CREDENTIAL), (503, Kind.UNAVAILABLE)])
async def test_a_refused_token_is_told(key: rsa.RSAPrivateKey, status: int, kind: Kind) -> None:
    async with TokenServer(key).running() as server:
        server.status = status
        at = provider("vertex", secret=account(key), quirks={"token_url": server.url})
        with pytest.raises(UpstreamError) as caught:
            await auth.headers(UpstreamTransport(), at, "google", url="http://x", body=b"")
        assert caught.value.kind is kind
