-- Moves what settlements have added to one wallet into the ledger. Says whether there was anything.
--
-- Promotional credit is spent first, the first to expire first. Whoever gives such credit or lets it expire posts before
-- (billing/ledger.py), so that it pays for what was used while it was there.
CREATE OR REPLACE FUNCTION till_post_wallet(wallet uuid) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    w billing_wallet;
    promotion record;
    taken bigint;
    promotional bigint := 0;
    transaction bigint;
BEGIN
    SELECT * INTO w FROM billing_wallet WHERE organization_id = wallet
        AND (unposted_charge <> 0 OR unposted_cost <> 0 OR unposted_fee <> 0 OR unposted_write_off <> 0)
        FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    FOR promotion IN SELECT id, remaining FROM billing_promotion
        WHERE organization_id = wallet AND remaining > 0 ORDER BY expires_at NULLS LAST, id
    LOOP
        taken := least(promotion.remaining, w.unposted_charge - promotional);
        EXIT WHEN taken <= 0;
        UPDATE billing_promotion SET remaining = remaining - taken WHERE id = promotion.id;
        promotional := promotional + taken;
    END LOOP;
    INSERT INTO billing_ledgertransaction (kind, organization_id) VALUES ('usage', wallet) RETURNING id INTO transaction;
    INSERT INTO billing_ledgerentry (transaction_id, organization_id, account, amount)
        SELECT transaction, wallet, account, amount FROM (VALUES
            ('promotional', -promotional), ('wallet', promotional - w.unposted_charge),
            ('write_off', -w.unposted_write_off), ('fees', w.unposted_fee),
            ('revenue', w.unposted_charge + w.unposted_write_off - w.unposted_fee),
            ('provider_cost', -w.unposted_cost), ('provider_payable', w.unposted_cost)
        ) AS line(account, amount) WHERE amount <> 0;
    UPDATE billing_wallet
        SET unposted_charge = 0, unposted_cost = 0, unposted_fee = 0, unposted_write_off = 0
        WHERE organization_id = wallet;
    RETURN true;
END
$$;

-- At most 200 wallets a call (POSTED_AT_ONCE in billing/ledger.py). Returns how many.
-- A wallet that somebody else has locked is left to the next run: who waits for it would keep the others locked meanwhile.
-- No cursor over generations: their ids commit out of order, a cursor would skip.
CREATE OR REPLACE FUNCTION till_post() RETURNS bigint LANGUAGE sql AS $$
    WITH due AS MATERIALIZED (
        SELECT organization_id FROM billing_wallet
            WHERE unposted_charge <> 0 OR unposted_cost <> 0 OR unposted_fee <> 0 OR unposted_write_off <> 0
            ORDER BY organization_id LIMIT 200 FOR NO KEY UPDATE SKIP LOCKED
    )
    SELECT count(*) FILTER (WHERE till_post_wallet(organization_id)) FROM due
$$;
