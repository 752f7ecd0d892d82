"""What an organization and a key let their requests do: both apply, and a request cannot loosen either."""

from msgspec import Struct


class Policy(Struct, frozen=True):
    denies_collection: bool = False
    needs_zdr: bool = False
    only: tuple[frozenset[str], ...] = ()
    """Lists of providers, in lower case: an endpoint must be named by each."""
    ignore: frozenset[str] = frozenset()
    sort: str = ""
    defaults: bytes = b""
    """JSON of a `provider` object, for what the request itself does not say."""


NO_POLICY = Policy()
