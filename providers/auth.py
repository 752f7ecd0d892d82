"""How a request shows the provider's secret: in a header, as an AWS signature, as a Google service account's token.

The secret is what the provider's row has: a key; `ACCESS_KEY_ID:SECRET_ACCESS_KEY[:SESSION_TOKEN]` for sigv4; the JSON
file of a service account for google.
"""

import base64
import hashlib
import hmac
import time
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote, urlencode

import httpx
import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from msgspec import Struct

from providers.errors import Kind, UpstreamError
from providers.http import UpstreamTransport, origin_of, serialise
from providers.quirks import Scheme
from providers.snapshot import Provider
from providers.tokens import Token

GOOGLE_TOKEN_URL = "https://oauth2.googleapis.com/token"
GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
GOOGLE_TOKEN_S = 3600
MOST_TOKEN_BYTES = 64 * 1024
SERVICE = "bedrock"


class ServiceAccount(Struct, frozen=True):
    client_email: str
    private_key: str
    private_key_id: str = ""


class Granted(Struct, frozen=True):
    access_token: str
    expires_in: float = GOOGLE_TOKEN_S


async def headers(
    http: UpstreamTransport, provider: Provider, scheme: Scheme, *, url: str, body: bytes, method: str = "POST"
) -> dict[str, str]:
    """The headers that prove who asks. Raises UpstreamError when the secret is not of the scheme's shape."""
    secret = provider.secret
    scheme = provider.quirks.auth or scheme
    if not secret:
        return {}
    if scheme == "google":
        return {"authorization": f"Bearer {await google_token(http, provider, secret)}"}
    if not secret.isascii() or not secret.isprintable():
        raise unusable("it has characters that no header may have")
    if scheme == "sigv4" and ":" in secret:
        return sigv4(secret, region_of(provider), method=method, url=url, body=body)
    if scheme in ("bearer", "sigv4"):
        # A Bedrock API key has no colon and is shown as it is.
        return {"authorization": f"Bearer {secret}"}
    return {scheme: secret}


def forget(http: UpstreamTransport, provider: Provider, scheme: Scheme) -> None:
    """The provider refused what it was shown: a token that is kept is fetched anew for the next request."""
    if (provider.quirks.auth or scheme) == "google" and provider.secret:
        http.tokens.forget(provider.secret)


def unusable(why: str) -> UpstreamError:
    return UpstreamError(Kind.CREDENTIAL, f"the provider's key cannot be used: {why}")


# Signature Version 4: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html


def sigv4(
    secret: str, region: str, *, method: str, url: str, body: bytes, now: datetime | None = None
) -> dict[str, str]:
    parts = secret.split(":", 2)
    key_id, key, session = parts[0], parts[1], parts[2] if len(parts) > 2 else ""
    if not key_id or not key or not region:
        raise unusable("sigv4 needs ACCESS_KEY_ID:SECRET_ACCESS_KEY and a region")
    stamp = f"{now or datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    target = httpx.URL(url)
    signed = {"host": target.netloc.decode("ascii"), "x-amz-date": stamp}
    if session:
        signed["x-amz-security-token"] = session
    names = ";".join(signed)
    request = "\n".join(
        [
            method,
            # Once more over what is encoded already: only S3 is signed as it is.
            quote(target.raw_path.partition(b"?")[0], safe="/-_.~"),
            "&".join(sorted(target.query.decode("ascii").split("&"))) if target.query else "",
            *(f"{name}:{value}" for name, value in signed.items()),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = f"{stamp[:8]}/{region}/{SERVICE}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.new(signing_key(key, stamp[:8], region), text.encode(), hashlib.sha256).hexdigest()
    del signed["host"]
    proof = f"AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return signed | {"authorization": proof}


@lru_cache(maxsize=256)
def signing_key(key: str, day: str, region: str) -> bytes:
    derived = f"AWS4{key}".encode()
    for part in (day, region, SERVICE, "aws4_request"):
        derived = hmac.new(derived, part.encode(), hashlib.sha256).digest()
    return derived


def region_of(provider: Provider) -> str:
    """As in bedrock-runtime.eu-west-1.amazonaws.com."""
    host = httpx.URL(provider.base_url).host
    labels = host.split(".")
    return provider.quirks.region or (labels[1] if len(labels) > 2 and labels[0].startswith("bedrock") else "")


# Google: https://developers.google.com/identity/protocols/oauth2/service-account#httprest


async def google_token(http: UpstreamTransport, provider: Provider, secret: str) -> str:
    async def fetch() -> Token:
        return await grant(http, secret, provider.quirks.token_url or GOOGLE_TOKEN_URL)

    return await http.tokens.get(secret, fetch)


async def grant(http: UpstreamTransport, secret: str, token_url: str) -> Token:
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion(secret, token_url)}
    request = httpx.Request(
        "POST",
        token_url,
        content=urlencode(form).encode(),
        headers={"content-type": "application/x-www-form-urlencoded", "accept-encoding": "identity"},
    )
    answer = await http.exchange(origin_of(request.url), serialise(request))
    body = await answer.body.read_all(MOST_TOKEN_BYTES)
    if answer.status != 200:
        kind = Kind.UNAVAILABLE if answer.status >= 500 else Kind.CREDENTIAL
        raise UpstreamError(kind, f"the token server answered with status {answer.status}")
    try:
        granted = msgspec.json.decode(body, type=Granted)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UpstreamError(Kind.PROTOCOL, "the token server's answer could not be read") from None
    return Token.lasting(granted.access_token, granted.expires_in)


def assertion(secret: str, audience: str) -> str:
    """The signed statement that is exchanged for a token."""
    try:
        account = msgspec.json.decode(secret, type=ServiceAccount)
        key = serialization.load_pem_private_key(account.private_key.encode(), password=None)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, TypeError):
        raise unusable("it is not the JSON of a Google service account") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise unusable("its private key is not RSA")
    now = int(time.time())
    head = {"alg": "RS256", "typ": "JWT", "kid": account.private_key_id}
    claims = {"iss": account.client_email, "scope": GOOGLE_SCOPE, "aud": audience, "iat": now}
    claims["exp"] = now + GOOGLE_TOKEN_S
    text = f"{segment(msgspec.json.encode(head))}.{segment(msgspec.json.encode(claims))}"
    return f"{text}.{segment(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
