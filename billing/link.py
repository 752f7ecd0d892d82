"""A PostgreSQL connection that carries out one prepared statement at a time, on libpq through psycopg's `pq` layer.

psycopg's cursors and waiting generators cost the event loop more than all the rest of a till call; here is a statement
sent, a callback when bytes come, and a future.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import pq

CONNECT_TIMEOUT_S = 2
# Above the server's own statement_timeout: what takes longer is a server that does not answer at all.
CALL_TIMEOUT_S = 5.0
# libuv tells of a broken socket once and then no more, whatever of the server's last words is still to be read.
LOOK_S = 0.1
GOOD = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)


class Link:
    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[list[bytes | None]] | None = None
        self._called_at = 0.0
        self._result: pq.abc.PGresult | None = None
        self._is_closed = False
        self._is_flushing = False
        self._socket = self._pgconn.socket
        self._loop.add_reader(self._socket, self._on_readable)
        self._look()

    @classmethod
    async def connect(cls, conninfo: str, options: str, statements: Mapping[str, str]) -> "Link":
        """`statements` are prepared: "name (types)" to its SQL. Raises psycopg.Error."""
        connection = await psycopg.AsyncConnection.connect(
            conninfo, autocommit=True, options=options, connect_timeout=CONNECT_TIMEOUT_S
        )
        try:
            for name, statement in statements.items():
                await connection.execute(f"PREPARE {name} AS {statement}".encode())
        except BaseException:
            await connection.close()
            raise
        return cls(connection)

    @property
    def is_open(self) -> bool:
        return self._pgconn.status == pq.ConnStatus.OK

    def close(self) -> None:
        # Not psycopg's `closed`: that is true as soon as the server has gone, with the socket still watched.
        if not self._is_closed:
            self._is_closed = True
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._pgconn.finish()
        self._fail(psycopg.OperationalError("the connection was closed"))

    async def call(self, name: str, parameters: Sequence[bytes]) -> list[bytes | None]:
        """The first column of the statement's rows. Raises psycopg.Error; the connection is closed if it was that."""
        self._answer = self._loop.create_future()
        self._called_at = self._loop.time()
        try:
            self._pgconn.send_query_prepared(name.encode(), parameters)
            self._flush()
            return await self._answer
        except psycopg.Error:
            if not self.is_open:
                self.close()
            raise

    def _look(self) -> None:
        """Now and then while a call waits: reads what the loop does not tell of, and ends what takes too long."""
        if self._is_closed:
            return
        if self._answer is not None and not self._answer.done():
            if self._loop.time() - self._called_at > CALL_TIMEOUT_S:
                self.close()
            else:
                self._on_readable()
        self._loop.call_later(LOOK_S, self._look)

    def _flush(self) -> None:
        """Large batches do not fit into the socket at once."""
        try:
            left = self._pgconn.flush()
            if left:
                self._loop.add_writer(self._socket, self._flush)
            elif self._is_flushing:
                self._loop.remove_writer(self._socket)
            self._is_flushing = bool(left)
        except psycopg.Error as error:
            self._lose(error)

    def _on_readable(self) -> None:
        try:
            self._pgconn.consume_input()
            while not self._pgconn.is_busy():
                result = self._pgconn.get_result()
                if result is None:
                    self._finish()
                    return
                self._result = result
        except psycopg.Error as error:
            self._lose(error)

    def _finish(self) -> None:
        result, self._result = self._result, None
        if result is None or self._answer is None or self._answer.done():
            return
        if result.status in GOOD:
            self._answer.set_result([result.get_value(row, 0) for row in range(result.ntuples)])
        else:
            self._answer.set_exception(psycopg.errors.error_from_result(result))
            if not self.is_open:
                self.close()

    def _lose(self, error: psycopg.Error) -> None:
        self._fail(error)
        self.close()

    def _fail(self, error: psycopg.Error) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
