-- The till: opens and closes holds for all requests of a process that wait at that moment, in one call.
--
-- batch: [{"organization": uuid, "budgets": [uuid, …], "items": [item, …]}, …], sorted by organization; "budgets" are
-- all that the items touch. An item is one of
--   {"op": "admit", "generation", "key", "least", "want", "share", "limits": [{"id", "limit", "window"}], "record"}
--   {"op": "settle", "generation", "charge", "list", "cost", "record"}
--   {"op": "expire", "generation"}
-- Amounts are nano-USD. Returns one result per item, in order: {"status", …}:
--   admit  → granted {amount} | refused {by, free, held} | revoked | stale
--   settle → done {charge, write_off} | gone
--   expire → done | gone
--
-- Locks: wallets in the order of their ids, then the budgets of that organization, so calls cannot deadlock. Every
-- wallet and budget is written once per call. Any error rolls the whole call back; the client then repeats it item by
-- item. Every item may be repeated: an admit returns the grant that it has, a settle what it closed with.
CREATE OR REPLACE FUNCTION till(batch jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    -- A hold expires 12 ticks after admit or last touch; a tick is 5 s or more.
    hold_ticks CONSTANT bigint := 12;
    moment timestamptz := clock_timestamp();
    today date := (moment AT TIME ZONE 'UTC')::date;
    this_week date := date_trunc('week', moment AT TIME ZONE 'UTC')::date;
    this_month date := date_trunc('month', moment AT TIME ZONE 'UTC')::date;
    now_tick bigint;
    results jsonb[] := '{}';
    part jsonb;
    item jsonb;
    entry jsonb;
    w billing_wallet;
    h billing_hold;
    b billing_budget[];
    ids uuid[];
    gen uuid;
    key uuid;
    checked_key uuid;
    key_lives boolean;
    i int;
    minimum bigint;
    amount bigint;
    free bigint;
    room bigint;
    used bigint;
    charged bigint;
    refusal jsonb;
BEGIN
    SELECT value INTO now_tick FROM billing_tick;
    FOR part IN SELECT value FROM jsonb_array_elements(batch) LOOP
        SELECT * INTO w FROM billing_wallet
            WHERE organization_id = (part->>'organization')::uuid FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            INSERT INTO billing_wallet (organization_id) VALUES ((part->>'organization')::uuid) ON CONFLICT DO NOTHING;
            SELECT * INTO w FROM billing_wallet
                WHERE organization_id = (part->>'organization')::uuid FOR NO KEY UPDATE;
        END IF;
        SELECT coalesce(array_agg(value::uuid), '{}') INTO ids FROM jsonb_array_elements_text(part->'budgets');
        b := till_budgets(ids, today, this_week, this_month);
        ids := ARRAY(SELECT id FROM unnest(b));

        FOR item IN SELECT value FROM jsonb_array_elements(part->'items') LOOP
            gen := (item->>'generation')::uuid;
            free := w.credit - w.spent - w.held;

            IF item->>'op' = 'admit' THEN
                key := (item->>'key')::uuid;
                IF key IS DISTINCT FROM checked_key THEN
                    key_lives := EXISTS (
                        SELECT FROM accounts_apikey WHERE id = key AND NOT is_disabled AND NOT is_management
                            AND deleted_at IS NULL AND (expires_at IS NULL OR expires_at > moment));
                    checked_key := key;
                END IF;
                IF NOT key_lives THEN
                    results := results || '{"status": "revoked"}'::jsonb;
                    CONTINUE;
                END IF;
                -- The first 48 bits of a UUIDv7 are milliseconds; an id far off would land in a wrong partition.
                IF abs(('x' || left(replace(item->>'generation', '-', ''), 12))::bit(48)::bigint
                       - extract(epoch FROM moment) * 1000) > 300000 THEN
                    results := results || '{"status": "stale"}'::jsonb;
                    CONTINUE;
                END IF;
                minimum := (item->>'least')::bigint;
                amount := least(
                    (item->>'want')::bigint, greatest(minimum, free / (item->>'share')::bigint));
                IF minimum < 0 OR amount < 0 THEN
                    RAISE 'negative amount' USING ERRCODE = 'invalid_parameter_value';
                END IF;
                refusal := NULL;
                IF w.credit < w.spent OR minimum > free THEN
                    refusal := jsonb_build_object('status', 'refused', 'by', 'credits', 'free', free, 'held', w.held);
                END IF;
                FOR entry IN SELECT value FROM jsonb_array_elements(item->'limits') LOOP
                    CONTINUE WHEN entry->>'limit' IS NULL OR refusal IS NOT NULL;
                    i := array_position(ids, (entry->>'id')::uuid);
                    used := CASE entry->>'window' WHEN 'daily' THEN b[i].used_day WHEN 'weekly' THEN b[i].used_week
                        WHEN 'monthly' THEN b[i].used_month ELSE b[i].used END;
                    room := (entry->>'limit')::bigint - used - b[i].held;
                    IF minimum > room OR room <= 0 THEN
                        refusal := jsonb_build_object(
                            'status', 'refused', 'by', entry->>'id', 'free', room, 'held', b[i].held);
                    END IF;
                    amount := least(amount, room);
                END LOOP;

                SELECT * INTO h FROM billing_hold WHERE generation = gen;
                IF FOUND THEN
                    results := results || jsonb_build_object('status', 'granted', 'amount', h.wallet_amount);
                    CONTINUE;
                ELSIF refusal IS NOT NULL THEN
                    results := results || refusal;
                    CONTINUE;
                END IF;
                INSERT INTO billing_hold (generation, organization_id, wallet_amount, list_amount, due_tick, budgets, record)
                    VALUES (gen, w.organization_id, amount, amount, now_tick + hold_ticks,
                            ARRAY(SELECT (value->>'id')::uuid FROM jsonb_array_elements(item->'limits')), item->'record');
                w.held := w.held + amount;
                FOR entry IN SELECT value FROM jsonb_array_elements(item->'limits') LOOP
                    i := array_position(ids, (entry->>'id')::uuid);
                    b[i].held := b[i].held + amount;
                END LOOP;
                results := results || jsonb_build_object('status', 'granted', 'amount', amount);
                CONTINUE;
            END IF;

            -- settle and expire: the deleted row is the right to charge
            IF item->>'op' = 'settle' THEN
                DELETE FROM billing_hold WHERE generation = gen RETURNING * INTO h;
            ELSE
                DELETE FROM billing_hold WHERE generation = gen AND due_tick <= now_tick RETURNING * INTO h;
            END IF;
            IF NOT FOUND THEN
                SELECT jsonb_build_object('status', 'done', 'charge', charge, 'write_off', write_off, 'again', true)
                    INTO entry FROM billing_generation
                    WHERE id = gen AND item->>'op' = 'settle' AND outcome <> 'expired';
                results := results || coalesce(entry, '{"status": "gone"}'::jsonb);
                CONTINUE;
            END IF;
            IF item->>'op' = 'expire' THEN
                amount := least(h.progress, h.wallet_amount);
                item := jsonb_build_object('list', amount, 'cost', h.progress,
                                           'record', '{"outcome": "expired", "is_estimated": true}'::jsonb);
            ELSE
                amount := (item->>'charge')::bigint;
            END IF;
            IF amount < 0 OR (item->>'list')::bigint < 0 OR (item->>'cost')::bigint < 0 THEN
                RAISE 'negative amount' USING ERRCODE = 'invalid_parameter_value';
            END IF;
            charged := least(amount, h.wallet_amount + greatest(free, 0));
            w.held := w.held - h.wallet_amount;
            w.spent := w.spent + charged;
            w.unposted_charge := w.unposted_charge + charged;
            w.unposted_cost := w.unposted_cost + (item->>'cost')::bigint;
            w.unposted_write_off := w.unposted_write_off + amount - charged;
            FOREACH key IN ARRAY h.budgets LOOP
                i := array_position(ids, key);
                b[i].held := b[i].held - h.list_amount;
                b[i].used := b[i].used + (item->>'list')::bigint;
                b[i].used_day := b[i].used_day + (item->>'list')::bigint;
                b[i].used_week := b[i].used_week + (item->>'list')::bigint;
                b[i].used_month := b[i].used_month + (item->>'list')::bigint;
            END LOOP;
            INSERT INTO billing_generation SELECT * FROM jsonb_populate_record(
                till_blank(), h.record || (item->'record') || jsonb_build_object(
                    'id', gen, 'organization_id', w.organization_id, 'charge', charged, 'write_off', amount - charged,
                    'list_charge', item->'list', 'cost', item->'cost', 'closed_at', moment));
            results := results || jsonb_build_object('status', 'done', 'charge', charged, 'write_off', amount - charged);
        END LOOP;

        UPDATE billing_wallet SET held = w.held, spent = w.spent, unposted_charge = w.unposted_charge,
            unposted_cost = w.unposted_cost, unposted_write_off = w.unposted_write_off
            WHERE organization_id = w.organization_id;
        UPDATE billing_budget t SET held = x.held, used = x.used, day = x.day, used_day = x.used_day, week = x.week,
            used_week = x.used_week, month = x.month, used_month = x.used_month
            FROM unnest(b) x WHERE t.id = x.id;
    END LOOP;
    RETURN to_jsonb(results);
END
$$;

-- The budgets with these ids, locked in the order of their ids, made if missing, their windows rolled on to today.
CREATE OR REPLACE FUNCTION till_budgets(ids uuid[], today date, this_week date, this_month date)
RETURNS billing_budget[] LANGUAGE plpgsql AS $$
DECLARE
    found billing_budget[];
BEGIN
    LOOP
        SELECT coalesce(array_agg(ROW(
                l.id, l.held, l.used,
                today, CASE WHEN l.day = today THEN l.used_day ELSE 0 END,
                this_week, CASE WHEN l.week = this_week THEN l.used_week ELSE 0 END,
                this_month, CASE WHEN l.month = this_month THEN l.used_month ELSE 0 END
            )::billing_budget), '{}')
            INTO found
            FROM (SELECT * FROM billing_budget WHERE id = ANY (ids) ORDER BY id FOR NO KEY UPDATE) l;
        EXIT WHEN cardinality(found) = cardinality(ids);
        INSERT INTO billing_budget (id, day, week, month)
            SELECT DISTINCT id, today, this_week, this_month FROM unnest(ids) id ORDER BY 1 ON CONFLICT DO NOTHING;
    END LOOP;
    RETURN found;
END
$$;

-- A generation's defaults, as the columns' own are not used when a whole row is inserted.
CREATE OR REPLACE FUNCTION till_blank() RETURNS billing_generation LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_populate_record(NULL::billing_generation, '{
        "api_type": "completions", "requested_model": "", "model": "", "provider": "", "provider_name": "",
        "endpoint_tag": "", "charge": 0, "list_charge": 0, "cost": 0, "write_off": 0, "is_estimated": false,
        "prompt_tokens": 0, "completion_tokens": 0, "reasoning_tokens": 0, "cached_tokens": 0,
        "cache_write_tokens": 0, "streamed": false, "attempts": [], "error": ""}')
$$;

-- A process is alive: its holds expire later, and what they have used so far is noted. Returns the ids without a hold.
CREATE OR REPLACE FUNCTION till_touch(ids uuid[], progresses bigint[]) RETURNS SETOF uuid LANGUAGE sql AS $$
    WITH touched AS (
        UPDATE billing_hold h SET due_tick = (SELECT value FROM billing_tick) + 12, progress = greatest(h.progress, x.progress)
            FROM unnest(ids, progresses) AS x(id, progress) WHERE h.generation = x.id RETURNING h.generation
    )
    SELECT id FROM unnest(ids) id EXCEPT SELECT generation FROM touched
$$;

-- One tick when the last is 5 s ago or more: time that the till was down or nobody ticked does not count.
CREATE OR REPLACE FUNCTION till_tick() RETURNS bigint LANGUAGE sql AS $$
    UPDATE billing_tick SET value = value + 1, ticked_at = clock_timestamp()
        WHERE clock_timestamp() - ticked_at >= interval '5 seconds' OR ticked_at > clock_timestamp();
    SELECT value FROM billing_tick
$$;

-- Closes the holds whose time is over, at most 500 a call. Returns how many were closed.
CREATE OR REPLACE FUNCTION till_expire() RETURNS bigint LANGUAGE sql AS $$
    WITH due AS (
        SELECT * FROM billing_hold WHERE due_tick <= (SELECT value FROM billing_tick) LIMIT 500
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

-- Moves what settlements have added to wallets into the ledger, at most 200 wallets a call. Returns how many.
-- No cursor over generations: their ids commit out of order, a cursor would skip.
CREATE OR REPLACE FUNCTION till_post() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    w billing_wallet;
    posted bigint := 0;
    transaction bigint;
BEGIN
    FOR w IN SELECT * FROM billing_wallet
        WHERE unposted_charge <> 0 OR unposted_cost <> 0 OR unposted_fee <> 0 OR unposted_write_off <> 0
        ORDER BY organization_id LIMIT 200 FOR NO KEY UPDATE
    LOOP
        INSERT INTO billing_ledgertransaction (kind, organization_id) VALUES ('usage', w.organization_id)
            RETURNING id INTO transaction;
        INSERT INTO billing_ledgerentry (transaction_id, organization_id, account, amount)
            SELECT transaction, w.organization_id, account, amount FROM (VALUES
                ('wallet', -w.unposted_charge), ('write_off', -w.unposted_write_off),
                ('revenue', w.unposted_charge + w.unposted_write_off),
                ('provider_cost', -w.unposted_cost), ('provider_payable', w.unposted_cost)
            ) AS line(account, amount) WHERE amount <> 0;
        UPDATE billing_wallet SET unposted_charge = 0, unposted_cost = 0, unposted_fee = 0, unposted_write_off = 0
            WHERE organization_id = w.organization_id;
        posted := posted + 1;
    END LOOP;
    RETURN posted;
END
$$;
