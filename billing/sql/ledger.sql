-- The book refuses what would make it untrue.
CREATE FUNCTION ledger_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE 'ledger rows are never changed or deleted' USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER ledger_is_final BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_ledgerentry
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_final();
CREATE TRIGGER ledger_is_final BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_ledgertransaction
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_final();

CREATE FUNCTION ledger_is_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT sum(amount) FROM billing_ledgerentry WHERE transaction_id = NEW.transaction_id) <> 0 THEN
        RAISE 'ledger transaction % does not sum to zero', NEW.transaction_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER ledger_is_balanced AFTER INSERT ON billing_ledgerentry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_is_balanced();

-- Wallets and budgets are updated all the time: free space in each page keeps the updates on it (HOT).
ALTER TABLE billing_wallet SET (fillfactor = 30);
ALTER TABLE billing_budget SET (fillfactor = 30);
ALTER TABLE billing_hold SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- An amount below 0 would turn a charge into a gift.
ALTER TABLE billing_hold ADD CHECK (wallet_amount >= 0), ADD CHECK (list_amount >= 0);
ALTER TABLE billing_generation
    ADD CHECK (charge >= 0), ADD CHECK (write_off >= 0), ADD CHECK (list_charge >= 0), ADD CHECK (cost >= 0);

INSERT INTO billing_tick (id, value, ticked_at) VALUES (1, 0, clock_timestamp());
