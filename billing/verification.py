"""Proves that till and book agree: each check is a query for what is off. All see one snapshot (`verify_ledger`).

Old generations are dropped, so what was closed is summed from the roll-ups up to the last day that they may still
change, and from the generations after it; another check compares roll-ups and generations where both are kept.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from billing.usage import LATE, SUMS


class Cursor(Protocol):
    def execute(self, query: str, parameters: Any = None, /) -> Any: ...
    def fetchall(self) -> Sequence[Sequence[Any]]: ...


class Finding(Struct, frozen=True):
    """What is off, where, and the figures that should agree (amounts in nano-USD)."""

    check: str
    subject: str
    detail: str


# The first day that roll-ups do not have for good.
LIVE = f"""(SELECT coalesce(max((rolled_up_until - interval '{LATE.seconds} seconds') AT TIME ZONE 'UTC')::date,
    '-infinity') FROM billing_usagemark)"""

WALLETS = f"""
WITH closed AS (
    SELECT organization_id, sum(charge) AS charge, sum(cost) AS cost, sum(write_off) AS write_off FROM (
        SELECT organization_id, charge, cost, write_off FROM billing_usageday WHERE day < {LIVE}
        UNION ALL
        SELECT organization_id, charge, cost, write_off FROM billing_generation
            WHERE closed_at >= {LIVE}::timestamp AT TIME ZONE 'UTC'
    ) x GROUP BY 1
), book AS (
    SELECT e.organization_id,
        coalesce(sum(amount) FILTER (WHERE account IN ('wallet', 'promotional') AND kind <> 'usage'), 0) AS credit,
        coalesce(-sum(amount) FILTER (WHERE account IN ('wallet', 'promotional') AND kind = 'usage'), 0) AS charge,
        coalesce(sum(amount) FILTER (WHERE account = 'promotional'), 0) AS promotional,
        coalesce(sum(amount) FILTER (WHERE account = 'provider_payable' AND kind = 'usage'), 0) AS cost,
        coalesce(-sum(amount) FILTER (WHERE account = 'write_off' AND kind = 'usage'), 0) AS write_off,
        coalesce(sum(amount) FILTER (WHERE account = 'refunds'), 0) AS refunds,
        coalesce(sum(amount) FILTER (WHERE account = 'disputes'), 0) AS disputes
    FROM billing_ledgerentry e JOIN billing_ledgertransaction t ON t.id = e.transaction_id GROUP BY 1
), held AS (
    SELECT organization_id, sum(wallet_amount) AS amount FROM billing_hold GROUP BY 1
), promised AS (
    SELECT organization_id, sum(remaining) AS remaining FROM billing_promotion GROUP BY 1
)
SELECT name, organization_id::text, detail || ': ' || coalesce(found, 0) || ' and ' || coalesce(expected, 0)
FROM billing_wallet w
    FULL JOIN closed USING (organization_id) FULL JOIN book USING (organization_id)
    FULL JOIN held USING (organization_id) FULL JOIN promised USING (organization_id)
CROSS JOIN LATERAL (VALUES
    ('credit', 'credit of the wallet and its entries', w.credit, book.credit),
    ('spent', 'spent and the entries of charges with what is not posted', w.spent,
        coalesce(book.charge, 0) + coalesce(w.unposted_charge, 0)),
    ('charges', 'spent and the charges of closing records', w.spent, closed.charge),
    ('cost', 'costs of closing records and their entries with what is not posted', closed.cost,
        coalesce(book.cost, 0) + coalesce(w.unposted_cost, 0)),
    ('write-offs', 'write-offs of closing records and their entries with what is not posted', closed.write_off,
        coalesce(book.write_off, 0) + coalesce(w.unposted_write_off, 0)),
    ('held', 'held of the wallet and the sum of open holds', w.held, held.amount),
    ('promotional', 'what remains of promotions and its entries', promised.remaining, book.promotional),
    ('under way', 'refunds below zero and nothing', least(coalesce(book.refunds, 0), 0), 0),
    ('under way', 'disputes below zero and nothing', least(coalesce(book.disputes, 0), 0), 0),
    ('unposted', 'the least of what is not posted and nothing',
        least(w.unposted_charge, w.unposted_cost, w.unposted_fee, w.unposted_write_off, 0), 0)
) AS line(name, detail, found, expected) WHERE coalesce(found, 0) <> coalesce(expected, 0)
"""

OVERDRAWN = """
SELECT 'overdrawn', organization_id::text, 'spendable is ' || credit - spent - held || ' without a reason'
FROM billing_wallet w WHERE credit - spent - held < 0 AND billing <> 'unlimited'
    AND NOT EXISTS (SELECT FROM billing_ledgertransaction t
                    WHERE t.organization_id = w.organization_id AND (kind IN ('dispute', 'correction')
                        -- Made at the payment provider: no refund of ours came before it.
                        OR kind = 'refund_paid' AND right(reference, 5) <> ':paid'))
    -- It was metered without a limit before.
    AND NOT EXISTS (SELECT FROM accounts_auditevent a
                    WHERE a.target_type = 'billing.wallet' AND a.target_id = w.organization_id::text)
"""

BALANCED = """
SELECT 'balanced', 'transaction ' || t.id, count(e.id) || ' entries that sum to ' || coalesce(sum(e.amount), 0)
FROM billing_ledgertransaction t LEFT JOIN billing_ledgerentry e ON e.transaction_id = t.id
GROUP BY t.id HAVING coalesce(sum(e.amount), 0) <> 0 OR count(e.id) < 2
"""

ORGANIZATIONS = """
SELECT 'organizations', 'entry ' || e.id, 'belongs to another organization than its transaction'
FROM billing_ledgerentry e LEFT JOIN billing_ledgertransaction t ON t.id = e.transaction_id
WHERE t.organization_id IS DISTINCT FROM e.organization_id
"""

BUDGETS = """
SELECT 'budgets', id::text, 'held and the sum of open holds: ' || coalesce(b.held, 0) || ' and ' || coalesce(h.held, 0)
FROM billing_budget b FULL JOIN (
    SELECT id, sum(list_amount) AS held FROM billing_hold, unnest(budgets) AS id GROUP BY 1
) h USING (id) WHERE coalesce(b.held, 0) <> coalesce(h.held, 0)
"""

LIMITS = f"""
SELECT 'limits', k.id::text, 'used of the key and its charges: ' || coalesce(b.used, 0) || ' and '
    || coalesce(closed.used, 0)
FROM accounts_apikey k LEFT JOIN billing_budget b USING (id) LEFT JOIN (
    SELECT api_key_id AS id, sum(list_charge) AS used FROM (
        SELECT api_key_id, list_charge FROM billing_usageday WHERE day < {LIVE}
        UNION ALL
        SELECT api_key_id, list_charge FROM billing_generation WHERE closed_at >= {LIVE}::timestamp AT TIME ZONE 'UTC'
    ) x GROUP BY 1
) closed USING (id) WHERE coalesce(b.used, 0) <> coalesce(closed.used, 0)
"""

ENDS = """
SELECT 'one end', generation::text, 'is open and closed'
FROM billing_hold h WHERE EXISTS (SELECT FROM billing_generation g WHERE g.id = h.generation)
"""

DUE = """
SELECT 'due', generation::text, 'is due at tick ' || due_tick || ', and it is ' || value
FROM billing_hold, billing_tick WHERE due_tick NOT BETWEEN value - 12 AND value + 12
"""

SUMMED = ", ".join(f"sum({name}) AS {name}" for name in SUMS)
DIFFER = " OR ".join(f"days.{name} IS DISTINCT FROM closed.{name}" for name in ("requests", *SUMS))
# Where a month was dropped, days after its end may lack generations that began in it.
ROLL_UPS = f"""
WITH oldest AS (
    SELECT min(to_date(right(inhrelid::regclass::text, 7), 'YYYY_MM')) AS day FROM pg_inherits
    WHERE inhparent = 'billing_generation'::regclass AND inhrelid::regclass::text ~ '_\\d{{4}}_\\d{{2}}$'
), since AS (
    SELECT CASE WHEN EXISTS (SELECT FROM billing_usageday u WHERE u.day < oldest.day) THEN oldest.day + 2
        ELSE '-infinity' END AS day FROM oldest
), days AS (
    SELECT u.day, organization_id, sum(requests) AS requests, {SUMMED} FROM billing_usageday u, since
        WHERE u.day >= since.day AND u.day < {LIVE} GROUP BY 1, 2
), closed AS (
    SELECT (closed_at AT TIME ZONE 'UTC')::date AS day, organization_id, count(*) AS requests, {SUMMED}
        FROM billing_generation, since WHERE closed_at >= since.day::timestamp AT TIME ZONE 'UTC'
        AND closed_at < {LIVE}::timestamp AT TIME ZONE 'UTC' GROUP BY 1, 2
)
SELECT 'roll-ups', organization_id::text, 'sums of ' || day || ' and its generations differ'
FROM days FULL JOIN closed USING (day, organization_id) WHERE {DIFFER}
"""

# What a statement took away to the last request may stand there as a row of zeros.
TOTALS = """
WITH sums AS (
    SELECT day, part.by, part.name, sum(requests) AS requests, sum(errors) AS errors,
        sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens, sum(charge) AS charge,
        sum(cost) AS cost, sum(write_off) AS write_off
    FROM billing_usageday CROSS JOIN LATERAL (VALUES
        ('organization', organization_id::text), ('model', model), ('provider', provider)
    ) AS part(by, name) GROUP BY 1, 2, 3
)
SELECT 'roll-ups', by || ' ' || name, 'sums of ' || day || ' and their total differ'
FROM sums s FULL JOIN billing_usagetotal t USING (day, by, name)
CROSS JOIN LATERAL (VALUES (s.requests, t.requests), (s.errors, t.errors), (s.prompt_tokens, t.prompt_tokens),
    (s.completion_tokens, t.completion_tokens), (s.charge, t.charge), (s.cost, t.cost), (s.write_off, t.write_off)
) AS line(found, expected) WHERE coalesce(found, 0) <> coalesce(expected, 0) GROUP BY by, name, day
"""

TRIGGERS = """
SELECT 'triggers', wanted.place || '.' || wanted.name, 'is missing or off'
FROM (VALUES ('billing_ledgerentry', 'ledger_is_final'), ('billing_ledgertransaction', 'ledger_is_final'),
      ('billing_ledgerentry', 'ledger_is_balanced'), ('billing_usageday', 'usage_totals_insert'),
      ('billing_usageday', 'usage_totals_delete')) AS wanted(place, name)
WHERE NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = wanted.place::regclass AND tgname = wanted.name
                  AND tgenabled IN ('O', 'A'))
"""

CHECKS = (WALLETS, OVERDRAWN, BALANCED, ORGANIZATIONS, BUDGETS, LIMITS, ENDS, DUE, ROLL_UPS, TOTALS, TRIGGERS)

FIGURES = """
SELECT (SELECT count(*) FROM billing_wallet) AS wallets, w.credit, w.spent, w.held, w.spendable, w.unposted,
    (SELECT count(*) FROM billing_hold) AS open_holds,
    (SELECT count(*) FROM billing_generation) AS closing_records,
    (SELECT count(*) FROM billing_ledgertransaction) AS transactions,
    (SELECT count(*) FROM billing_ledgerentry) AS entries
FROM (SELECT coalesce(sum(credit), 0) AS credit, coalesce(sum(spent), 0) AS spent, coalesce(sum(held), 0) AS held,
    coalesce(sum(credit - spent - held), 0) AS spendable, coalesce(sum(unposted_charge), 0) AS unposted
    FROM billing_wallet) w
"""
ACCOUNTS = "SELECT account, sum(amount) FROM billing_ledgerentry GROUP BY 1 ORDER BY 1"


class Figures(Struct, frozen=True):
    """Sums over all organizations; amounts in nano-USD."""

    wallets: int
    credit: int
    spent: int
    held: int
    spendable: int
    unposted: int
    open_holds: int
    closing_records: int
    transactions: int
    entries: int
    accounts: dict[str, int]


def findings(cursor: Cursor) -> Iterator[Finding]:
    """What is off; nothing when all is well."""
    for check in CHECKS:
        cursor.execute(check)
        for row in cursor.fetchall():
            yield Finding(*row)


def figures(cursor: Cursor) -> Figures:
    cursor.execute(ACCOUNTS)
    accounts = {account: int(amount) for account, amount in cursor.fetchall()}
    cursor.execute(FIGURES)
    (row,) = cursor.fetchall()
    sums = dict(zip(Figures.__struct_fields__, map(int, row), strict=False))
    return msgspec.convert({**sums, "accounts": accounts}, Figures)
