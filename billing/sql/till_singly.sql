-- The till, one item after the other, for what the statements of till.sql leave: it knows all that an item can ask. Batch and
-- results are those of till().
--
-- plpgsql prepares each of its expressions anew in each transaction: a statement that computes five things is cheaper
-- than five assignments.
CREATE OR REPLACE FUNCTION till_singly(batch jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz;
    today date;
    this_week date;
    this_month date;
    now_tick bigint;
    results jsonb[];
    part record;
    item record;
    w billing_wallet;
    h billing_hold;
    g billing_generation;
    -- The part's budgets, as parallel arrays; `b_added` is what this call adds to all counters of one.
    b_ids uuid[];
    b_held bigint[];
    b_used bigint[];
    b_used_day bigint[];
    b_used_week bigint[];
    b_used_month bigint[];
    b_added bigint[];
    i int;
    amount bigint;
    before bigint;
    free bigint;
    room bigint;
    charged bigint;
    refusal jsonb;
    result jsonb;
BEGIN
    SELECT value, now.moment, now.moment_utc::date, date_trunc('week', now.moment_utc)::date,
            date_trunc('month', now.moment_utc)::date
        INTO now_tick, moment, today, this_week, this_month
        FROM billing_tick, (SELECT clock.moment, clock.moment AT TIME ZONE 'UTC' AS moment_utc
                            FROM (SELECT clock_timestamp() AS moment) clock) now;
    FOR part IN SELECT * FROM jsonb_to_recordset(batch) AS x(organization uuid, budgets uuid[], items jsonb) LOOP
        SELECT * INTO w FROM billing_wallet WHERE organization_id = part.organization FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            INSERT INTO billing_wallet (organization_id) VALUES (part.organization) ON CONFLICT DO NOTHING;
            SELECT * INTO w FROM billing_wallet WHERE organization_id = part.organization FOR NO KEY UPDATE;
        END IF;
        LOOP
            -- A counter of a period that has passed counts as 0.
            SELECT array_agg(b.id), array_agg(b.held), array_agg(b.used),
                    array_agg(CASE WHEN b.day = today THEN b.used_day ELSE 0 END),
                    array_agg(CASE WHEN b.week = this_week THEN b.used_week ELSE 0 END),
                    array_agg(CASE WHEN b.month = this_month THEN b.used_month ELSE 0 END),
                    array_agg(0::bigint)
                INTO b_ids, b_held, b_used, b_used_day, b_used_week, b_used_month, b_added
                FROM (SELECT * FROM billing_budget x WHERE x.id = ANY (part.budgets) ORDER BY x.id FOR NO KEY UPDATE) b;
            EXIT WHEN coalesce(cardinality(b_ids), 0) = cardinality(part.budgets);
            INSERT INTO billing_budget (id, day, week, month)
                SELECT DISTINCT x, today, this_week, this_month FROM unnest(part.budgets) x ORDER BY 1
                ON CONFLICT DO NOTHING;
        END LOOP;

        FOR item IN SELECT x.*,
                EXISTS (SELECT FROM accounts_apikey k WHERE k.id = x.key AND NOT k.is_disabled AND NOT k.is_management
                        AND k.deleted_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > moment)) AS key_lives,
                -- An id 300 s off would land in a wrong partition.
                abs(till_milliseconds(x.generation) - (extract(epoch FROM moment) * 1000)::bigint) > 300000 AS is_stale
            FROM jsonb_to_recordset(part.items) AS x(
                op text, generation uuid, key uuid, least bigint, want bigint, share bigint, budgets uuid[],
                limits bigint[], windows text[], charge bigint, list bigint, cost bigint, record jsonb,
                idempotency uuid, body text, answer text)
        LOOP
            IF item.op IN ('admit', 'extend') THEN
                before := 0;
                IF item.op = 'extend' THEN
                    SELECT wallet_amount INTO before FROM billing_hold WHERE generation = item.generation;
                    IF NOT FOUND THEN
                        results := results || '{"status": "gone"}'::jsonb;
                        CONTINUE;
                    END IF;
                END IF;
                IF item.idempotency IS NOT NULL AND item.key_lives THEN
                    DELETE FROM billing_idempotency
                        WHERE id = item.idempotency AND closed_at < moment - interval '24 hours';
                    SELECT jsonb_build_object('status', 'repeated', 'generation', x.generation, 'by', CASE
                            WHEN x.body_hash <> item.body THEN 'different' WHEN x.closed_at IS NULL THEN 'running'
                            WHEN x.answer IS NULL THEN 'too_large' ELSE 'answered' END)
                        INTO result FROM billing_idempotency x
                        WHERE x.id = item.idempotency AND x.generation <> item.generation;
                    IF FOUND THEN
                        results := results || result;
                        CONTINUE;
                    END IF;
                END IF;
                -- Who is metered only is never refused for want of credit.
                free := CASE w.billing WHEN 'unlimited' THEN 1::bigint << 62 ELSE w.credit - w.spent - w.held END;
                amount := least(item.want, greatest(item.least, before + free / coalesce(item.share, 1)));
                refusal := CASE
                    WHEN item.op = 'admit' AND NOT item.key_lives THEN '{"status": "revoked"}'
                    WHEN item.op = 'admit' AND item.is_stale THEN '{"status": "stale"}'
                    WHEN item.least - before > free
                        THEN jsonb_build_object('status', 'refused', 'by', 'credits', 'free', free, 'held', w.held) END;
                FOR n IN 1..cardinality(item.budgets) LOOP
                    CONTINUE WHEN item.limits[n] IS NULL OR refusal IS NOT NULL;
                    i := array_position(b_ids, item.budgets[n]);
                    room := item.limits[n] - b_held[i] - b_added[i] - CASE item.windows[n] WHEN 'daily' THEN b_used_day[i]
                        WHEN 'weekly' THEN b_used_week[i] WHEN 'monthly' THEN b_used_month[i] ELSE b_used[i] END;
                    IF item.least - before > room OR room <= 0 THEN
                        refusal := jsonb_build_object(
                            'status', 'refused', 'by', item.budgets[n], 'free', room, 'held', b_held[i]);
                    END IF;
                    amount := least(amount, before + room);
                END LOOP;

                IF refusal IS NULL THEN
                    IF item.op = 'extend' THEN
                        UPDATE billing_hold SET wallet_amount = greatest(amount, before),
                                list_amount = list_amount + greatest(amount - before, 0)
                            WHERE generation = item.generation
                            RETURNING jsonb_build_object('status', 'granted', 'amount', wallet_amount) INTO result;
                    ELSE
                        INSERT INTO billing_hold
                            (generation, organization_id, wallet_amount, list_amount, due_tick, budgets, record,
                             idempotency)
                            -- It expires 12 ticks after admit or last touch; a tick is 5 s or more.
                            VALUES (item.generation, w.organization_id, amount, amount, now_tick + 12, item.budgets,
                                    item.record, item.idempotency)
                            ON CONFLICT DO NOTHING
                            RETURNING jsonb_build_object('status', 'granted', 'amount', wallet_amount) INTO result;
                    END IF;
                    IF FOUND THEN
                        results := results || result;
                        amount := greatest(amount - before, 0);
                        w.held := w.held + amount;
                        FOR n IN 1..cardinality(item.budgets) LOOP
                            i := array_position(b_ids, item.budgets[n]);
                            b_held[i] := b_held[i] + amount;
                        END LOOP;
                        IF item.idempotency IS NOT NULL THEN
                            INSERT INTO billing_idempotency (id, organization_id, generation, body_hash, created_at)
                                VALUES (item.idempotency, w.organization_id, item.generation, item.body, moment);
                        END IF;
                        CONTINUE;
                    END IF;
                END IF;
                -- It may be the repetition of an admission: then what was granted stands.
                IF item.op = 'admit' THEN
                    SELECT jsonb_build_object('status', 'granted', 'amount', wallet_amount) INTO result
                        FROM billing_hold WHERE generation = item.generation;
                    refusal := coalesce(result, refusal);
                END IF;
                results := results || refusal;
                CONTINUE;
            END IF;

            -- settle and expire: the deleted row is the right to charge
            DELETE FROM billing_hold
                WHERE generation = item.generation AND (item.op = 'settle' OR due_tick <= now_tick) RETURNING * INTO h;
            IF NOT FOUND THEN
                SELECT jsonb_build_object('status', 'done', 'charge', x.charge, 'write_off', x.write_off)
                    INTO result FROM billing_generation x
                    WHERE x.id = item.generation AND item.op = 'settle' AND x.outcome <> 'expired';
                results := results || coalesce(result, '{"status": "gone"}');
                CONTINUE;
            END IF;
            IF item.op = 'settle' THEN
                amount := item.charge;
            ELSE
                -- Who may ask again for the answer does not pay for half of it.
                amount := CASE WHEN h.idempotency IS NULL THEN least(h.progress, h.wallet_amount) ELSE 0 END;
                item.list := amount;
                -- A process of the release before notes no cost.
                item.cost := coalesce(h.cost, h.progress);
                item.record := '{"outcome": "expired", "is_estimated": true}';
            END IF;
            charged := CASE w.billing WHEN 'unlimited' THEN amount
                ELSE least(amount, h.wallet_amount + greatest(w.credit - w.spent - w.held, 0)) END;
            IF item.op = 'settle' THEN
                g := jsonb_populate_record(jsonb_populate_record(till_blank(), h.record), item.record);
            ELSE
                BEGIN
                    g := jsonb_populate_record(jsonb_populate_record(till_blank(), h.record), item.record);
                EXCEPTION WHEN data_exception THEN
                    -- One record that the table refuses must not keep all others from expiring.
                    g := jsonb_populate_record(till_blank(), item.record);
                END;
            END IF;
            g.created_at := coalesce(g.created_at, to_timestamp(till_milliseconds(h.generation) / 1000.0));
            g.id := h.generation;
            g.organization_id := w.organization_id;
            g.charge := charged;
            g.write_off := amount - charged;
            g.list_charge := item.list;
            g.cost := item.cost;
            g.closed_at := moment;
            INSERT INTO billing_generation VALUES (g.*) ON CONFLICT DO NOTHING
                RETURNING jsonb_build_object('status', 'done', 'charge', charge, 'write_off', write_off) INTO result;
            IF NOT FOUND THEN
                -- Closed before: an admission of a connection that had died came to it late. Its hold alone ends.
                result := '{"status": "gone"}';
                charged := 0;
                amount := 0;
                item.list := 0;
                item.cost := 0;
            END IF;
            results := results || result;
            IF h.idempotency IS NOT NULL THEN
                UPDATE billing_idempotency SET closed_at = moment, answer = nullif(item.answer, '')
                    WHERE id = h.idempotency AND item.op = 'settle' AND item.answer IS NOT NULL;
                DELETE FROM billing_idempotency WHERE id = h.idempotency AND closed_at IS NULL;
            END IF;
            w.held := w.held - h.wallet_amount;
            w.spent := w.spent + charged;
            w.unposted_charge := w.unposted_charge + charged;
            w.unposted_cost := w.unposted_cost + item.cost;
            w.unposted_write_off := w.unposted_write_off + amount - charged;
            FOR n IN 1..cardinality(h.budgets) LOOP
                i := array_position(b_ids, h.budgets[n]);
                b_held[i] := b_held[i] - h.list_amount;
                b_added[i] := b_added[i] + item.list;
            END LOOP;
        END LOOP;

        UPDATE billing_wallet SET held = w.held, spent = w.spent, unposted_charge = w.unposted_charge,
            unposted_cost = w.unposted_cost, unposted_write_off = w.unposted_write_off
            WHERE organization_id = w.organization_id;
        UPDATE billing_budget b SET held = x.held, used = b.used + x.added,
            day = today, used_day = CASE WHEN b.day = today THEN b.used_day ELSE 0 END + x.added,
            week = this_week, used_week = CASE WHEN b.week = this_week THEN b.used_week ELSE 0 END + x.added,
            month = this_month, used_month = CASE WHEN b.month = this_month THEN b.used_month ELSE 0 END + x.added
            FROM unnest(b_ids, b_held, b_added) AS x(id, held, added) WHERE b.id = x.id;
    END LOOP;
    RETURN coalesce(to_jsonb(results), '[]');
END
$$;
