-- The totals of a day follow its sums, whoever writes those: each statement adds what it wrote and takes off what it took.
CREATE OR REPLACE FUNCTION usage_totals() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    sign CONSTANT int := TG_ARGV[0];
BEGIN
    INSERT INTO billing_usagetotal AS total (
        day, by, name, requests, errors, prompt_tokens, completion_tokens, charge, cost, write_off
    )
    SELECT day, part.by, part.name, sign * sum(requests), sign * sum(errors), sign * sum(prompt_tokens),
        sign * sum(completion_tokens), sign * sum(charge), sign * sum(cost), sign * sum(write_off)
    FROM changed CROSS JOIN LATERAL (VALUES
        ('organization', organization_id::text), ('model', model), ('provider', provider)
    ) AS part(by, name)
    GROUP BY 1, 2, 3
    -- Whoever writes the same rows at the same time locks them in the same order.
    ORDER BY 1, 2, 3
    ON CONFLICT (by, day, name) DO UPDATE SET
        requests = total.requests + EXCLUDED.requests,
        errors = total.errors + EXCLUDED.errors,
        prompt_tokens = total.prompt_tokens + EXCLUDED.prompt_tokens,
        completion_tokens = total.completion_tokens + EXCLUDED.completion_tokens,
        charge = total.charge + EXCLUDED.charge,
        cost = total.cost + EXCLUDED.cost,
        write_off = total.write_off + EXCLUDED.write_off;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER usage_totals_insert AFTER INSERT ON billing_usageday
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION usage_totals('1');
CREATE OR REPLACE TRIGGER usage_totals_delete AFTER DELETE ON billing_usageday
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION usage_totals('-1');
CREATE OR REPLACE TRIGGER usage_totals_before AFTER UPDATE ON billing_usageday
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION usage_totals('-1');
CREATE OR REPLACE TRIGGER usage_totals_after AFTER UPDATE ON billing_usageday
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION usage_totals('1');
