"""Time-ordered primary keys: UUIDv7 keeps B-tree inserts at the right edge."""

import uuid

from uuid_utils import compat


def uuid7() -> uuid.UUID:
    return compat.uuid7()
