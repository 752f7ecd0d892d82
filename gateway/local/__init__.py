"""The local default: PostgreSQL, Valkey and a small language model from wheels, and the supervisor of `bin/run`."""
