-- A generation's defaults, as the columns' own are not used when a whole row is inserted.
CREATE OR REPLACE FUNCTION till_blank() RETURNS billing_generation LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_populate_record(NULL::billing_generation, '{
        "api_type": "completions", "requested_model": "", "model": "", "provider": "", "provider_name": "",
        "endpoint_tag": "", "charge": 0, "list_charge": 0, "cost": 0, "write_off": 0, "is_estimated": false,
        "prompt_tokens": 0, "completion_tokens": 0, "reasoning_tokens": 0, "cached_tokens": 0,
        "cache_write_tokens": 0, "streamed": false, "attempts": [], "error": ""}')
$$;

-- The first 48 bits of a UUIDv7.
CREATE OR REPLACE FUNCTION till_milliseconds(generation uuid) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT ('x' || left(replace(generation::text, '-', ''), 12))::bit(48)::bigint
$$;

-- Settles what needs no thought: holds that cover what is charged, and carry no mark of a request to be answered once. Such
-- settlements never depend on what is free, so their order does not matter. Returns the results by place (see till()).
--
-- The wallet's row is written last, as others wait for it until this call is committed.
CREATE OR REPLACE FUNCTION till_settle_plain(batch jsonb, moment timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    answers jsonb;
    today date := (moment AT TIME ZONE 'UTC')::date;
    this_week date := date_trunc('week', moment AT TIME ZONE 'UTC')::date;
    this_month date := date_trunc('month', moment AT TIME ZONE 'UTC')::date;
BEGIN
    WITH asked AS MATERIALIZED (
        SELECT part.organization, part.n << 32 | item.n AS place, item.*
        FROM ROWS FROM (jsonb_to_recordset(batch) AS (organization uuid, items jsonb))
                WITH ORDINALITY AS part(organization, items, n),
            ROWS FROM (jsonb_to_recordset(part.items) AS (
                op text, generation uuid, charge bigint, list bigint, cost bigint, record jsonb))
                WITH ORDINALITY AS item(op, generation, charge, list, cost, record, n)
        WHERE item.op = 'settle'
    ), closed AS (
        DELETE FROM billing_hold h USING asked a
            WHERE h.generation = a.generation AND h.organization_id = a.organization
                AND a.charge <= h.wallet_amount AND h.idempotency IS NULL
            RETURNING a.place, a.organization, a.generation, a.charge, a.list, a.cost, h.wallet_amount, h.list_amount,
                h.budgets, h.record || a.record AS record
    ), written AS (
        -- Column by column: putting the amounts into the record first costs more than the rest of it.
        INSERT INTO billing_generation (id, organization_id, charge, list_charge, cost, write_off, closed_at, created_at,
            api_key_id, api_type, outcome, requested_model, model, provider, provider_name, endpoint_id,
            endpoint_tag, price_id, is_estimated, prompt_tokens, completion_tokens, reasoning_tokens,
            cached_tokens, cache_write_tokens, media_prompt, audio_prompt, media_completion, image_tokens,
            cache_discount, service_tier, streamed, finish_reason, native_finish_reason, latency_ms, generation_ms,
            upstream_id, attempts, error, http_referer, app_title, user_agent, session_id, external_user)
        SELECT c.generation, c.organization, c.charge, c.list, c.cost, 0, moment,
            coalesce(g.created_at, to_timestamp(till_milliseconds(c.generation) / 1000.0)),
            g.api_key_id, g.api_type, g.outcome, g.requested_model, g.model, g.provider, g.provider_name,
            g.endpoint_id, g.endpoint_tag, g.price_id, g.is_estimated, g.prompt_tokens, g.completion_tokens,
            g.reasoning_tokens, g.cached_tokens, g.cache_write_tokens, g.media_prompt, g.audio_prompt,
            g.media_completion, g.image_tokens, g.cache_discount, g.service_tier, g.streamed, g.finish_reason,
            g.native_finish_reason, g.latency_ms, g.generation_ms, g.upstream_id, g.attempts, g.error,
            g.http_referer, g.app_title, g.user_agent, g.session_id, g.external_user
        FROM closed c, jsonb_populate_record(till_blank(), c.record) g
        RETURNING id
    ), charged AS (
        UPDATE billing_wallet w SET held = w.held - x.held, spent = w.spent + x.charge,
                unposted_charge = w.unposted_charge + x.charge, unposted_cost = w.unposted_cost + x.cost
            FROM (SELECT organization, sum(wallet_amount)::bigint AS held, sum(charge)::bigint AS charge,
                    sum(cost)::bigint AS cost FROM closed GROUP BY organization) x
            WHERE w.organization_id = x.organization AND (SELECT count(*) > 0 FROM written)
            RETURNING w.organization_id
    ), counted AS (
        UPDATE billing_budget b SET held = b.held - x.held, used = b.used + x.added,
                day = today, used_day = CASE WHEN b.day = today THEN b.used_day ELSE 0 END + x.added,
                week = this_week, used_week = CASE WHEN b.week = this_week THEN b.used_week ELSE 0 END + x.added,
                month = this_month, used_month = CASE WHEN b.month = this_month THEN b.used_month ELSE 0 END + x.added
            FROM (SELECT id, sum(list_amount)::bigint AS held, sum(list)::bigint AS added
                  FROM closed, unnest(budgets) id GROUP BY id) x
            WHERE b.id = x.id AND (SELECT count(*) > 0 FROM charged)
    )
    SELECT jsonb_object_agg(place, jsonb_build_object('status', 'done', 'charge', charge, 'write_off', 0))
        INTO answers FROM closed;
    RETURN coalesce(answers, '{}');
END
$$;

-- Admits what needs no thought: all that a wallet is asked for, when there is enough for each to get what it wants
-- whoever comes first, and nothing but credit to look at. `answers` are those that the batch has got so far, by place; a
-- wallet with an item that has none and is no such admission is left alone. Returns them with the new ones.
--
-- Credit is looked at where it is taken, in the newest version of the wallet's row.
CREATE OR REPLACE FUNCTION till_admit_plain(batch jsonb, moment timestamptz, answers jsonb) RETURNS jsonb
    LANGUAGE plpgsql AS $$
DECLARE
    opened jsonb;
    known jsonb;
    today date := (moment AT TIME ZONE 'UTC')::date;
    this_week date := date_trunc('week', moment AT TIME ZONE 'UTC')::date;
    this_month date := date_trunc('month', moment AT TIME ZONE 'UTC')::date;
BEGIN
    WITH asked AS MATERIALIZED (
        SELECT part.organization, part.n << 32 | item.n AS place, item.*
        FROM ROWS FROM (jsonb_to_recordset(batch) AS (organization uuid, items jsonb))
                WITH ORDINALITY AS part(organization, items, n),
            ROWS FROM (jsonb_to_recordset(part.items) AS (
                op text, generation uuid, key uuid, least bigint, want bigint, share bigint, budgets uuid[],
                limits bigint[], idempotency uuid, record jsonb))
                WITH ORDINALITY AS item(op, generation, key, least, want, share, budgets, limits, idempotency, record, n)
    ), unanswered AS (
        SELECT * FROM asked WHERE NOT answers ? place::text
    ), plain AS (
        -- After all of them there is still free what the largest may take a share of.
        SELECT organization, sum(want)::bigint AS amount,
            sum(want) + max(want) * max(share) AS needed
        FROM unanswered a GROUP BY organization
        HAVING bool_and(op = 'admit' AND idempotency IS NULL AND array_remove(limits, NULL) = '{}'
            AND abs(till_milliseconds(generation) - (extract(epoch FROM moment) * 1000)::bigint) <= 300000
            -- A value, not EXISTS: for that the planner may read all keys there are.
            AND coalesce((SELECT NOT k.is_disabled AND NOT k.is_management AND k.deleted_at IS NULL
                              AND coalesce(k.expires_at > moment, true)
                          FROM accounts_apikey k WHERE k.id = a.key), false))
    ), taken AS (
        UPDATE billing_wallet w SET held = w.held + plain.amount FROM plain
            WHERE w.organization_id = plain.organization
                AND plain.needed <= CASE w.billing WHEN 'unlimited' THEN 1::bigint << 62
                                    ELSE w.credit - w.spent - w.held END
            RETURNING w.organization_id
    ), granted AS MATERIALIZED (
        SELECT * FROM unanswered WHERE organization IN (SELECT organization_id FROM taken)
    ), held AS (
        INSERT INTO billing_hold (generation, organization_id, wallet_amount, list_amount, due_tick, budgets, record)
            SELECT generation, organization, want, want, (SELECT value FROM billing_tick) + 12, budgets, record
            FROM granted ON CONFLICT DO NOTHING RETURNING generation, wallet_amount, budgets
    ), counted AS (
        INSERT INTO billing_budget AS b (id, held, day, week, month)
            SELECT id, sum(wallet_amount)::bigint, today, this_week, this_month
            FROM held, unnest(budgets) id GROUP BY id
            ON CONFLICT (id) DO UPDATE SET held = b.held + excluded.held
    )
    SELECT jsonb_object_agg(place, jsonb_build_object('status', 'granted', 'amount', want)) FILTER (WHERE is_new),
            jsonb_agg(jsonb_build_object('organization', organization, 'amount', want)) FILTER (WHERE NOT is_new)
        INTO opened, known
        FROM (SELECT a.*, held.generation IS NOT NULL AS is_new FROM granted a LEFT JOIN held USING (generation)) a;
    IF known IS NOT NULL THEN
        -- They had their holds already: a call repeated after a lost answer.
        UPDATE billing_wallet w SET held = w.held - x.amount
            FROM (SELECT organization, sum(amount)::bigint AS amount
                  FROM jsonb_to_recordset(known) AS k(organization uuid, amount bigint) GROUP BY organization) x
            WHERE w.organization_id = x.organization;
    END IF;
    RETURN answers || coalesce(opened, '{}');
END
$$;

-- The till: opens and closes holds for all requests of a process that wait at that moment, in one call.
--
-- batch: [{"organization": uuid, "budgets": [uuid, …], "items": [item, …]}, …], sorted by organization; "budgets" are
-- all that the items touch. An item is one of
--   {"op": "admit", "generation", "key", "least", "want", "share", "budgets": [], "limits": [], "windows": [], "record",
--    "idempotency", "body"}: the last two for a request that is to be answered once
--   {"op": "extend", "generation", "least", "want", "budgets": [], "limits": [], "windows": []}
--   {"op": "settle", "generation", "charge", "list", "cost", "record", "answer"}: the answer to keep, "" if it is too large
--   {"op": "expire", "generation"}
-- Amounts are nano-USD, those of an extension totals; limits and windows stand beside their budgets, null where there is
-- none. Returns one result per item, in order: {"status", …}:
--   admit  → granted {amount} | refused {by, free, held} | revoked | stale
--            | repeated {by: different | running | too_large | answered, generation}
--   extend → granted {amount} | refused {by, free, held} | gone
--   settle → done {charge, write_off} | gone
--   expire → done | gone
--
-- What needs no thought is done first, by one statement for all settlements and one for all admissions (till_settle_plain,
-- till_admit_plain), the rest in the order in which it came (till_singly): the start of a statement is most of its cost.
--
-- Locks: wallets in the order of their ids, and a wallet's budgets only by who has locked the wallet, so calls cannot
-- deadlock. (A part alone has its holds deleted before its wallet is locked. Who asks for the other order at that moment
-- repeats a call for the same hold: lock_timeout or PostgreSQL ends one of the two.) Any error rolls the
-- whole call back; the client then repeats it item by item. Every item may be repeated: an admit returns the grant that it
-- has, an extension names a total, a settle returns what it closed with.
--
-- Only indexes are looked into: these tables look empty to the planner at times, and are then full of dead rows.
CREATE OR REPLACE FUNCTION till(batch jsonb) RETURNS jsonb LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    ops jsonb := jsonb_path_query_array(batch, '$[*].items[*].op');
    -- By place: the number of the part, then that of the item.
    answers jsonb := '{}';
    results jsonb;
BEGIN
    IF NOT ops ?| '{admit,settle}' OR jsonb_array_length(ops) > 1 AND till_has_twins(batch) THEN
        RETURN till_singly(batch);
    END IF;
    IF jsonb_array_length(batch) > 1 THEN
        PERFORM FROM billing_wallet
            WHERE organization_id IN (SELECT organization FROM jsonb_to_recordset(batch) AS x(organization uuid))
            ORDER BY organization_id FOR NO KEY UPDATE;
    END IF;
    IF ops ? 'settle' THEN
        answers := till_settle_plain(batch, moment);
    END IF;
    IF ops ? 'admit' THEN
        answers := till_admit_plain(batch, moment, answers);
    END IF;
    -- An object has shorter keys first, those of one length in their order: numbers stand by size.
    results := jsonb_path_query_array(answers, '$.*');
    IF jsonb_array_length(results) = jsonb_array_length(ops) THEN
        RETURN results;
    END IF;
    RETURN till_rest(batch, answers);
END
$$;

-- Whether two items are about one generation: then their order counts.
CREATE OR REPLACE FUNCTION till_has_twins(batch jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT count(*) > count(DISTINCT id) FROM jsonb_path_query(batch, '$[*].items[*].generation') AS id);
END
$$;

-- Carries out one by one what has no answer yet. Returns the results of all.
CREATE OR REPLACE FUNCTION till_rest(batch jsonb, answers jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    rest jsonb;
    places bigint[];
BEGIN
    IF answers = '{}' THEN
        RETURN till_singly(batch);
    END IF;
    WITH missing AS (
        SELECT part.n, part.organization, part.budgets, item.value, part.n << 32 | item.n AS place
        FROM ROWS FROM (jsonb_to_recordset(batch) AS (organization uuid, budgets jsonb, items jsonb))
                WITH ORDINALITY AS part(organization, budgets, items, n),
            jsonb_array_elements(part.items) WITH ORDINALITY AS item(value, n)
        WHERE NOT answers ? (part.n << 32 | item.n)::text
    )
    SELECT jsonb_agg(part ORDER BY n), (SELECT array_agg(place ORDER BY place) FROM missing) INTO rest, places
        FROM (SELECT n, jsonb_build_object('organization', organization, 'budgets', budgets,
                                           'items', jsonb_agg(value ORDER BY place)) AS part
              FROM missing GROUP BY n, organization, budgets) x;
    SELECT answers || jsonb_object_agg(places[n], result) INTO answers
        FROM jsonb_array_elements(till_singly(rest)) WITH ORDINALITY AS x(result, n);
    RETURN jsonb_path_query_array(answers, '$.*');
END
$$;

-- A process is alive: its holds expire later, and what they have used so far is noted: `progress` by the customer's price,
-- `cost` by the providers'. `notes`: [{"id", "progress", "cost"}]. Returns the ids without a hold.
--
-- Not in SQL: that would be checked against the columns of the day when an earlier migration loads it.
CREATE OR REPLACE FUNCTION till_touch(notes jsonb) RETURNS SETOF uuid LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    RETURN QUERY WITH noted AS (
        SELECT * FROM jsonb_to_recordset(notes) AS x(id uuid, progress bigint, cost bigint) ORDER BY id
    ), touched AS (
        UPDATE billing_hold h
            SET due_tick = (SELECT value FROM billing_tick) + 12, progress = greatest(h.progress, noted.progress),
                cost = greatest(h.cost, noted.cost)
            FROM noted WHERE h.generation = noted.id RETURNING h.generation
    )
    SELECT id FROM noted EXCEPT SELECT generation FROM touched;
END
$$;

-- One tick when the last is 5 s ago or more: time that the till was down or nobody ticked does not count.
CREATE OR REPLACE FUNCTION till_tick() RETURNS bigint LANGUAGE sql AS $$
    UPDATE billing_tick SET value = value + 1, ticked_at = clock_timestamp()
        WHERE clock_timestamp() - ticked_at >= interval '5 seconds' OR ticked_at > clock_timestamp();
    SELECT value FROM billing_tick
$$;

-- Closes the holds whose time is over, at most 500 a call. Returns how many were closed.
-- What somebody else has locked, the hold or its wallet, is left to the next run: who waits for it would keep the other
-- wallets locked meanwhile. As till() finds all of it locked by this call, the order in which it is locked does not matter.
CREATE OR REPLACE FUNCTION till_expire() RETURNS bigint LANGUAGE sql AS $$
    WITH due AS (
        SELECT h.* FROM billing_hold h JOIN billing_wallet w USING (organization_id)
            WHERE h.due_tick <= (SELECT value FROM billing_tick) LIMIT 500
            FOR UPDATE OF h SKIP LOCKED FOR NO KEY UPDATE OF w SKIP LOCKED
    ), parts AS (
        SELECT organization_id,
            jsonb_agg(jsonb_build_object('op', 'expire', 'generation', generation)) AS items,
            (SELECT jsonb_agg(DISTINCT id) FROM due d, unnest(d.budgets) id
             WHERE d.organization_id = due.organization_id) AS budgets
        FROM due GROUP BY organization_id
    )
    SELECT count(*) FROM jsonb_array_elements(till((
        SELECT coalesce(jsonb_agg(jsonb_build_object(
            'organization', organization_id, 'budgets', coalesce(budgets, '[]'), 'items', items)
            ORDER BY organization_id), '[]') FROM parts))) AS result
    WHERE result->>'status' = 'done'
$$;
