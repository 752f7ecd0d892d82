"""A database as a busy installation has it after three months: made rows, spread as real ones are (bench/pages.py)."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
from django.conf import settings
from django.db import connection

from accounts import keys, organizations
from accounts.models import ApiKey, Membership, Organization, User
from billing import ledger, usage
from providers.importer import import_catalogue
from tests.gateway.conftest import catalogue

DAYS = 89
ORGANIZATIONS = 1000
KEYS_EACH = 3
MODELS = 120
PROVIDERS = 25
# Of requests: so many for each posting to the ledger, and for each audit event.
PER_POSTING, PER_EVENT = 5, 20

# Months that a running installation has made before they came.
PARTITIONS = """
DO $$ DECLARE month date; BEGIN
    FOR n IN 1..3 LOOP
        month := date_trunc('month', now() AT TIME ZONE 'UTC') - n * interval '1 month';
        EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF billing_generation FOR VALUES FROM (%L) TO (%L)',
            'billing_generation_' || to_char(month, 'YYYY_MM'),
            uuid7_floor(month), uuid7_floor((month + interval '1 month')::date));
    END LOOP;
END $$
"""
# Few organizations make most requests; each key asks for three models, each model is at two providers.
GENERATIONS = """
INSERT INTO billing_generation (
    id, organization_id, api_key_id, api_type, outcome, requested_model, model, provider, provider_name, endpoint_id,
    endpoint_tag, charge, list_charge, cost, prompt_tokens, completion_tokens, cached_tokens, streamed, finish_reason,
    latency_ms, generation_ms, attempts, app_title, http_referer, user_agent, created_at, closed_at, error
)
SELECT uuidv7(at - clock_timestamp()), organizations[who], keys[(who - 1) * %(each)s + 1 + key], 'completions',
    outcome, model, model, 'provider-' || provider, 'Provider ' || provider, md5(model || provider)::uuid,
    'provider-' || provider, charge, charge, charge * 8 / 10, prompt, completion, prompt / 3, streamed,
    CASE outcome WHEN 'ok' THEN 'stop' END, 100 + prompt / 20, 1000 + completion * 10,
    jsonb_build_array(jsonb_build_object('provider_name', 'Provider ' || provider, 'model_permaslug', model,
        'status', CASE outcome WHEN 'error' THEN 503 ELSE 200 END, 'latency', 100 + prompt / 20, 'error', NULL)),
    (ARRAY['Editor', 'Assistant', NULL])[1 + who %% 3], 'https://app.example/' || who, 'openai-python/2', at,
    at + interval '1 millisecond' * (1000 + completion * 10), CASE outcome WHEN 'error' THEN 'overloaded' ELSE '' END
FROM (
    SELECT *, 1 + (model_number * 7 + choice) %% %(providers)s AS provider,
        'maker-' || model_number %% 12 || '/model-' || model_number AS model,
        prompt * 1000 + completion * 4000 AS charge
    FROM (
        SELECT *, ((who * 3 + key) * 11 + asked) %% %(models)s AS model_number
        FROM (
            SELECT %(organizations)s::uuid[] AS organizations, %(keys)s::uuid[] AS keys,
                %(since)s::timestamptz + %(length)s::interval * (number / %(rows)s::float8) AS at,
                1 + floor(power(random(), 3) * %(count)s)::int AS who, floor(random() * %(each)s)::int AS key,
                floor(random() * 3)::int AS asked, (random() < 0.3)::int AS choice, random() < 0.7 AS streamed,
                (array_fill('ok'::text, ARRAY[95]) || array_fill('error'::text, ARRAY[3])
                    || array_fill('cancelled'::text, ARRAY[2]))[1 + floor(random() * 100)::int] AS outcome,
                (50 + power(random(), 4) * 20000)::int AS prompt, (10 + power(random(), 3) * 3000)::int AS completion
            FROM generate_series(0, %(rows)s - 1) AS number
            OFFSET 0
        ) drawn
    ) named
) made
"""
POSTINGS = """
WITH made AS (
    SELECT number, (%(organizations)s::uuid[])[1 + floor(power(random(), 3) * %(count)s)::int] AS organization,
        now() - interval '89 days' * (1 - number / %(rows)s::float8) AS at,
        (10000000 * random())::bigint AS amount
    FROM generate_series(1, %(rows)s) AS number OFFSET 0
), posted AS (
    INSERT INTO billing_ledgertransaction (id, kind, organization_id, reference, reason, created_at)
    SELECT 1000000000 + number, CASE WHEN number %% 50 = 0 THEN 'grant' ELSE 'usage' END, organization,
        CASE WHEN number %% 50 = 0 THEN 'bench:' || number END, CASE WHEN number %% 50 = 0 THEN 'Pilot' ELSE '' END, at
    FROM made
)
INSERT INTO billing_ledgerentry (transaction_id, organization_id, account, amount)
SELECT 1000000000 + number, organization, account, sign * amount
FROM made, (VALUES ('wallet', -1), ('revenue', 1), ('provider_cost', -1), ('provider_payable', 1))
    AS line(account, sign)
"""
EVENTS = """
INSERT INTO accounts_auditevent (actor_id, organization_id, verb, target_type, target_id, details, created_at)
SELECT (%(people)s::uuid[])[who], (%(organizations)s::uuid[])[who],
    (ARRAY['create', 'update', 'delete', 'invite'])[1 + number %% 4],
    'accounts.apikey', md5(number::text), '{"name": ["laptop", "server"]}',
    now() - interval '89 days' * (1 - number / %(rows)s::float8)
FROM (
    SELECT number, 1 + floor(power(random(), 3) * %(count)s)::int AS who
    FROM generate_series(1, %(rows)s) AS number OFFSET 0
) drawn
"""


def fill(rows: int) -> None:
    """An empty, migrated database gets about so many requests, and what belongs to them."""
    import_catalogue(catalogue("http://127.0.0.1:9/v1"), source="bench")
    with timed("people"):
        people = make_people()
    found = {"organizations": [one.pk for one in people], "count": len(people)}
    owners = dict(Membership.objects.filter(role="owner").values_list("organization_id", "user_id"))
    with timed(f"{rows:,} requests"):
        make_generations(rows, found["organizations"])  # type: ignore[arg-type]
    with timed("ledger and audit events"):
        run(POSTINGS, {**found, "rows": rows // PER_POSTING})
        run(EVENTS, {**found, "rows": rows // PER_EVENT, "people": [owners[one.pk] for one in people]})
    with timed("analyze"):
        run("VACUUM ANALYZE")
    with timed("roll-ups"):
        usage.roll_up()
    with timed("analyze"):
        run("VACUUM ANALYZE")
        # Of the roll-ups of three months at once, which no vacuum came between.
        run("VACUUM FULL accounts_apikey")


def make_people() -> list[Organization]:
    """Whoever was first makes most requests."""
    made = []
    for number in range(ORGANIZATIONS):
        user = User.objects.create_user(f"user{number}@example.com")
        made.append(organizations.found(f"Organization {number}", user))
        ledger.grant(made[-1], amount=10**12, reason="bench")
        for name in ("production", "staging", "laptop")[:KEYS_EACH]:
            keys.issue(made[-1], name=name, created_by=user)
    return made


def make_generations(rows: int, of: list[object]) -> None:
    """A day at a time, in the order of their ids, two connections at once."""
    run(PARTITIONS)
    by_organization: dict[object, list[object]] = {}
    for organization, key in ApiKey.objects.order_by("pk").values_list("organization_id", "pk"):
        by_organization.setdefault(organization, []).append(key)
    told = {
        "organizations": of,
        "keys": [key for organization in of for key in by_organization[organization]],
        "count": len(of),
        "each": KEYS_EACH,
        "models": MODELS,
        "providers": PROVIDERS,
        "rows": rows // DAYS,
        "length": "1 day",
    }
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT now() - %s * interval '1 day' + n * interval '1 day' FROM generate_series(0, %s) n",
            [DAYS, DAYS - 1],
        )
        days = [day for (day,) in cursor.fetchall()]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda day: run(GENERATIONS, {**told, "since": day}), days))


def run(statement: str, parameters: dict[str, object] | None = None) -> None:
    """Past triggers and foreign keys, as a restored dump is."""
    with psycopg.connect(settings.DATABASE_URL, autocommit=True) as link:
        link.execute("SET session_replication_role = replica")
        link.execute("SET work_mem = '256MB'")
        link.execute(statement.encode(), parameters)


@contextmanager
def timed(name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
