"""What the till does in one statement for many items is what it would have done one by one."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from typing import Any
from uuid import UUID

import psycopg
import pytest

from accounts.ids import uuid7
from tests.billing.conftest import Account, Book
from tests.billing.test_till import tick_on

Item = dict[str, Any]
Part = dict[str, Any]
Result = dict[str, Any]
Cursor = psycopg.Cursor[tuple[Any, ...]]

OF = "WHERE organization_id = ANY(%s::uuid[])"
STATE = [
    f"SELECT to_jsonb(x) FROM billing_hold x {OF} ORDER BY generation",
    f"SELECT to_jsonb(x) - 'closed_at' FROM billing_generation x {OF} ORDER BY id",
    f"SELECT to_jsonb(x) FROM billing_wallet x {OF} ORDER BY organization_id",
    f"SELECT id, generation, body_hash, answer, closed_at IS NULL FROM billing_idempotency x {OF} ORDER BY id",
    f"SELECT to_jsonb(x) FROM billing_budget x JOIN accounts_apikey USING (id) {OF} ORDER BY id",
]
# Every column of a generation that its record fills.
OPENING = {
    "created_at": "2026-01-01T00:00:00+00:00",
    "api_type": "messages",
    "requested_model": "acme/one",
    "streamed": True,
    "http_referer": "https://example.com",
    "app_title": "title",
    "user_agent": "agent",
    "session_id": "session",
    "external_user": "user",
    "error": "replaced",
}
CLOSING = {
    "outcome": "ok",
    "error": "none",
    "model": "acme/one",
    "provider": "acme",
    "provider_name": "Acme",
    "endpoint_id": str(uuid7()),
    "endpoint_tag": "acme/fp8",
    "price_id": 7,
    "is_estimated": True,
    "prompt_tokens": 1,
    "completion_tokens": 2,
    "reasoning_tokens": 3,
    "cached_tokens": 4,
    "cache_write_tokens": 5,
    "media_prompt": 6,
    "audio_prompt": 7,
    "media_completion": 8,
    "image_tokens": 9,
    "cache_discount": 10,
    "service_tier": "flex",
    "finish_reason": "stop",
    "native_finish_reason": "STOP",
    "latency_ms": 11,
    "generation_ms": 12,
    "upstream_id": "up",
    "attempts": [{"status": 200}],
}


def part(account: Account, items: list[Item]) -> Part:
    return {"organization": str(account.organization), "budgets": [str(account.key)], "items": items}


def admission(account: Account, want: int, **more: Any) -> Item:
    item = {"op": "admit", "generation": str(uuid7()), "key": str(account.key), "least": want, "want": want, "share": 1}
    item |= {"budgets": [str(account.key)], "limits": [None], "windows": [None]}
    return item | {"record": {**OPENING, "api_key_id": str(account.key)}} | more


def extension(account: Account, generation: str, want: int) -> Item:
    item = {"op": "extend", "generation": generation, "least": want // 2, "want": want}
    return item | {"budgets": [str(account.key)], "limits": [None], "windows": [None]}


def settlement(generation: str, charge: int, **more: Any) -> Item:
    item = {"op": "settle", "generation": generation, "charge": charge, "list": charge + 1, "cost": charge + 2}
    return item | {"record": CLOSING} | more


def call(cursor: Cursor | psycopg.Connection[Any], function: str, batch: list[Part]) -> list[Result]:
    row = cursor.execute(f"SELECT {function}(%s)".encode(), (json.dumps(batch),)).fetchone()
    results: list[Result] = row[0] if row else []
    return results


def state(cursor: Cursor, accounts: list[Account]) -> list[Any]:
    organizations = [account.organization for account in accounts]
    return [cursor.execute(query.encode(), (organizations,)).fetchall() for query in STATE]


def one_by_one(cursor: Cursor, batch: list[Part]) -> list[Result]:
    """Settlements that their holds cover come first; where two items are about one generation, all in their order."""
    items = [(one, item) for one in batch for item in one["items"]]
    if len({item["generation"] for _, item in items}) < len(items):
        return call(cursor, "till_singly", batch)
    unmarked = "SELECT generation, wallet_amount FROM billing_hold WHERE idempotency IS NULL"
    held = {str(generation): amount for generation, amount in cursor.execute(unmarked).fetchall()}

    def is_covered(item: Item) -> bool:
        return bool(item["op"] == "settle" and item["charge"] <= held.get(item["generation"], -1))

    told: dict[str, Result] = {}
    for covered in (True, False):
        turn = [(one, item) for one, item in items if is_covered(item) is covered]
        parts = [{**one, "items": [item]} for one, item in turn]
        results = call(cursor, "till_singly", parts)
        told |= {item["generation"]: result for (_, item), result in zip(turn, results, strict=True)}
    return [told[item["generation"]] for _, item in items]


class Chance:
    """What a process may ask of the till, most of it plain, some of it not."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)

    def admission(self, account: Account, open_holds: list[str], marks: list[str]) -> Item:
        least = self.draw.choice([0, 1, 50, 300])
        item = admission(account, least + self.draw.choice([0, 40, 700]), share=self.draw.choice([1, 1, 2, 4]))
        item["least"] = least
        match self.draw.randrange(24):
            case 0:
                item["limits"] = [self.draw.choice([0, 100, 10_000])]
            case 1:
                item["key"] = str(uuid7())
            case 2:
                item["generation"] = str(UUID(int=UUID(item["generation"]).int - (400_000 << 80)))
            case 3 | 4 if open_holds:
                item["generation"] = self.draw.choice(open_holds)
            case 5 | 6:
                item |= {"idempotency": self.draw.choice(marks), "body": self.draw.choice("ab")}
        return item

    def item(self, account: Account, open_holds: list[str], closed: list[str], marks: list[str]) -> Item:
        match self.draw.randrange(20):
            case 0:
                return extension(account, self.draw.choice([*open_holds, *closed]), 600)
            case 1:
                return settlement(str(uuid7()), 10)
            case 2:
                return settlement(self.draw.choice(closed), 10)
            case 3:
                return {"op": "expire", "generation": self.draw.choice(open_holds)}
            case number if number < 10:
                answer = {"answer": "sealed"} if self.draw.randrange(4) == 0 else {}
                return settlement(self.draw.choice(open_holds), self.draw.choice([0, 5, 10, 20, 900]), **answer)
        return self.admission(account, open_holds, marks)

    def batch(self, cursor: Cursor, accounts: list[Account]) -> list[Part]:
        marks = [str(uuid7()) for _ in range(2)]
        return [part(account, self._items(cursor, account, marks)) for account in accounts]

    def _items(self, cursor: Cursor, account: Account, marks: list[str]) -> list[Item]:
        asked = [admission(account, 10) for _ in range(8)]
        asked[0] |= {"idempotency": str(uuid7()), "body": "a"}
        call(cursor, "till_singly", [part(account, asked)])
        call(cursor, "till_singly", [part(account, [settlement(item["generation"], 8) for item in asked[6:]])])
        open_holds, closed = ([item["generation"] for item in some] for some in (asked[:6], asked[6:]))
        items = [self.item(account, open_holds, closed, marks) for _ in range(self.draw.randrange(1, 9))]
        if self.draw.randrange(8):
            # No two about one generation, as it is with a real process.
            items = list({item["generation"]: item for item in items}.values())
        return items


@pytest.mark.parametrize("seed", range(6))
def test_a_batch_of_anything_does_what_its_items_do_one_by_one(book: Book, seed: int) -> None:
    chance = Chance(seed)
    accounts = sorted((book.account(0) for _ in range(3)), key=lambda account: account.organization)
    tried: set[str] = set()
    with psycopg.connect(book.url) as connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for _ in range(30):
            some = sorted(chance.draw.sample(accounts, chance.draw.randrange(1, 4)), key=lambda one: one.organization)
            with connection.transaction(force_rollback=True):
                for account in some:
                    credit, billing = (
                        chance.draw.choice([80, 500, 3000, 10**9]),
                        chance.draw.choice(["prepaid"] * 5 + ["unlimited"]),
                    )
                    change = "UPDATE billing_wallet SET credit = %s, billing = %s WHERE organization_id = %s"
                    cursor.execute(change, (credit, billing, account.organization))
                batch = chance.batch(cursor, some)
                with connection.transaction(force_rollback=True):
                    expected = one_by_one(cursor, batch), state(cursor, some)
                found = call(cursor, "till", batch), state(cursor, some)
                assert found == expected, batch
                tried |= {result["status"] for result in found[0]}
    assert tried >= {"granted", "refused", "done", "gone"}


def test_every_column_of_a_generation_is_written_whichever_way_it_closes(book: Book) -> None:
    account = book.account(10_000)
    rows = []
    for function in ("till", "till_singly"):
        asked = admission(account, 100)
        [granted] = book.value(f"SELECT {function}(%s)", (json.dumps([part(account, [asked])]),))
        [done] = book.value(
            f"SELECT {function}(%s)", (json.dumps([part(account, [settlement(asked["generation"], 60)])]),)
        )
        assert (granted["status"], done) == ("granted", {"status": "done", "charge": 60, "write_off": 0})
        query = "SELECT to_jsonb(g) - 'id' - 'closed_at' FROM billing_generation g WHERE id = %s"
        rows.append(book.value(query, (asked["generation"],)))
    assert rows[0] == rows[1]
    assert rows[0].items() >= (OPENING | CLOSING | {"charge": 60, "list_charge": 61, "cost": 62}).items()
    assert [name for name, told in rows[0].items() if told is None] == []


def test_a_generation_begins_when_its_id_was_made_if_its_record_does_not_say(book: Book) -> None:
    account = book.account(1000)
    asked = admission(account, 10, record={})
    for item in (asked, settlement(asked["generation"], 5)):
        book.sql("SELECT till(%s)", (json.dumps([part(account, [item])]),))
    began = book.value("SELECT created_at FROM billing_generation WHERE id = %s", (asked["generation"],))
    assert abs((datetime.now(UTC) - began).total_seconds()) < 60
    assert (UUID(asked["generation"]).int >> 80) == int(began.timestamp() * 1000)


def at_once(book: Book, batches: list[list[Part]]) -> list[list[Result]]:
    """Each batch on a connection of its own, in the same moment; one that another stands in the way of is repeated."""
    begin = Barrier(len(batches))

    def carry_out(batch: list[Part]) -> list[Result]:
        with psycopg.connect(book.url, autocommit=True, options="-c lock_timeout=500ms") as connection:
            begin.wait(10)
            while True:
                try:
                    return call(connection, "till", batch)
                except psycopg.OperationalError:
                    continue

    with ThreadPoolExecutor(len(batches)) as threads:
        return list(threads.map(carry_out, batches))


@pytest.mark.parametrize("wallets", [1, 3])
def test_the_same_calls_at_the_same_moment_are_carried_out_once(book: Book, wallets: int) -> None:
    """A process that lost its connection repeats what its old one may still be about to do."""
    accounts = sorted((book.account(100_000) for _ in range(wallets)), key=lambda account: account.organization)
    for _ in range(8):
        asked = {account: [admission(account, 100) for _ in range(5)] for account in accounts}
        granted = at_once(book, [[part(account, items) for account, items in asked.items()]] * 3)
        assert granted == [[{"status": "granted", "amount": 100}] * 5 * wallets] * 3
        ends = {account: [settlement(item["generation"], 60) for item in items] for account, items in asked.items()}
        for account in accounts:
            assert book.wallet(account).held == 500
        done = at_once(book, [[part(account, items) for account, items in ends.items()]] * 3)
        assert done == [[{"status": "done", "charge": 60, "write_off": 0}] * 5 * wallets] * 3
    for account in accounts:
        wallet = book.wallet(account)
        assert (wallet.held, wallet.spent, wallet.unposted_charge, wallet.unposted_cost) == (0, 2400, 2400, 2480)
        query = "SELECT held, used, used_day, used_month FROM billing_budget WHERE id = %s"
        assert book.sql(query, (account.key,)) == [(0, 2440, 2440, 2440)]


def test_what_settles_and_expires_at_the_same_moment_closes_once(book: Book) -> None:
    account = book.account(10**6)
    charged = 0
    for _ in range(3):
        asked = [admission(account, 100) for _ in range(10)]
        call(book._connection, "till", [part(account, asked)])
        tick_on(book, 12)
        expiring = [{"op": "expire", "generation": item["generation"]} for item in reversed(asked)]
        settling = [settlement(item["generation"], 60, list=60, cost=60) for item in asked]
        expired, settled = at_once(book, [[part(account, expiring)], [part(account, settling)]])
        for one, other in zip(reversed(expired), settled, strict=True):
            assert sorted([one["status"], other["status"]]) == ["done", "gone"]
        charged += 60 * sum(result["status"] == "done" for result in settled)
    assert book.wallet(account).spent == charged
    book.check(account)


def test_admissions_at_the_same_moment_share_what_there_is(book: Book) -> None:
    """Each of them alone would fit, and looks at the wallet before the others have taken theirs."""
    account = book.account(1000)
    batches = [[part(account, [admission(account, 90) for _ in range(5)])] for _ in range(6)]
    results = [result for batch in at_once(book, batches) for result in batch]
    assert sorted(result["status"] for result in results) == ["granted"] * 11 + ["refused"] * 19
    assert (book.wallet(account).held, book.open_holds(account)) == (990, 11)
    book.check(account)


def test_no_table_is_read_as_a_whole(book: Book) -> None:
    """There may be millions of keys, and of dead rows; to the planner these tables look small."""
    accounts = sorted((book.account(10**6) for _ in range(3)), key=lambda account: account.organization)
    with psycopg.connect(book.url) as connection, connection.cursor() as cursor:
        for count in (1, 60):
            asked = [(one, [admission(one, 10) for _ in range(count)]) for one in accounts]
            ends = [(one, [settlement(item["generation"], 5) for item in items]) for one, items in asked]
            # Often enough for the plans that are kept.
            for _ in range(7):
                with connection.transaction(force_rollback=True):
                    call(cursor, "till", [part(*one) for one in asked])
                    results = call(cursor, "till", [part(*one) for one in ends])
                    assert {result["status"] for result in results} == {"done"}
        read = "SELECT relname FROM pg_stat_xact_user_tables WHERE seq_scan > 0 AND relname <> 'billing_tick'"
        assert cursor.execute(read).fetchall() == []
