-- Moves what settlements have added to wallets into the ledger, at most 200 wallets a call. Returns how many.
-- No cursor over generations: their ids commit out of order, a cursor would skip.
CREATE OR REPLACE FUNCTION till_post() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    w billing_wallet;
    posted bigint := 0;
    transaction bigint;
BEGIN
    FOR w IN SELECT * FROM billing_wallet
        WHERE unposted_charge <> 0 OR unposted_cost <> 0 OR unposted_write_off <> 0
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
        UPDATE billing_wallet SET unposted_charge = 0, unposted_cost = 0, unposted_write_off = 0
            WHERE organization_id = w.organization_id;
        posted := posted + 1;
    END LOOP;
    RETURN posted;
END
$$;
