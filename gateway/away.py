"""What the client of Valkey raises when Valkey is away."""

import redis

# uvloop's RuntimeError: of a connection that was reset while it was idle (redis-py takes it for a good one).
AWAY = (redis.RedisError, OSError, RuntimeError)
