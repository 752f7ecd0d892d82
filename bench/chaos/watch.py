"""Looks at the wallets all the time: no spendable credit below zero, ever; and notes how far open streams have come."""

import threading
import time

import psycopg

EVERY_S = 0.1
BELOW = "SELECT count(*), coalesce(min(credit - spent - held), 0) FROM billing_wallet WHERE credit - spent - held < 0"
NOTED = "SELECT generation::text, least(progress, wallet_amount) FROM billing_hold WHERE progress > 0"


class Watch(threading.Thread):
    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._is_over = False
        self.looks = 0
        self.overdrawn = 0
        self.progress: dict[str, int] = {}

    def run(self) -> None:
        while not self._is_over:
            try:
                with psycopg.connect(self._url, autocommit=True, connect_timeout=2) as connection:
                    while not self._is_over:
                        self._look(connection)
                        time.sleep(EVERY_S)
            except psycopg.Error:
                time.sleep(EVERY_S)

    def end(self) -> None:
        self._is_over = True
        self.join()

    def _look(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        row = connection.execute(BELOW).fetchone()
        assert row is not None
        self.overdrawn += bool(row[0])
        self.looks += 1
        for generation, noted in connection.execute(NOTED):
            self.progress[str(generation)] = max(self.progress.get(str(generation), 0), int(str(noted)))
