"""What a request prefers, over the defaults of its key and organization."""

import logging
from functools import lru_cache

import msgspec

from accounts.policy import NO_POLICY, Policy
from providers.preferences import ProviderPreferences

logger = logging.getLogger(__name__)

NONE = ProviderPreferences()
# One that a request gives puts the defaults of the others aside.
ORDERING = frozenset({"order", "sort"})
decode = msgspec.json.Decoder(ProviderPreferences).decode


def effective(given: ProviderPreferences | None, policy: Policy) -> ProviderPreferences:
    """Field by field; the filters of the policy itself are no defaults and are applied beside this."""
    own = given or NONE
    if policy is NO_POLICY or not policy.defaults:
        return own
    default = defaults(policy.defaults)
    if own is NONE:
        return default
    chosen = {name: value for name in own.__struct_fields__ if (value := getattr(own, name)) is not None}
    if chosen.keys() & ORDERING:
        chosen = {"order": None, "sort": None, **chosen}
    return msgspec.structs.replace(default, **chosen)


@lru_cache(maxsize=1000)
def defaults(text: bytes) -> ProviderPreferences:
    try:
        return decode(text)
    except msgspec.DecodeError as error:
        # The forms refuse such a thing; a row written by hand must not take the key down.
        logger.error("default preferences cannot be read: %s", error)
        return NONE
