-- The generations table, partitioned by month of its UUIDv7; what no month takes lands in the default partition.
ALTER TABLE billing_generation RENAME TO billing_generation_plain;
CREATE TABLE billing_generation (LIKE billing_generation_plain INCLUDING DEFAULTS) PARTITION BY RANGE (id);
DROP TABLE billing_generation_plain;
ALTER TABLE billing_generation ADD PRIMARY KEY (id);
CREATE INDEX billing_generation_of_org ON billing_generation (organization_id, id DESC);
CREATE TABLE billing_generation_default PARTITION OF billing_generation DEFAULT;

-- Makes the partitions of this month and the `ahead` next ones, as far as they are missing.
CREATE FUNCTION generation_partitions(ahead int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    month date;
    name text;
BEGIN
    FOR n IN 0..ahead LOOP
        month := date_trunc('month', now() AT TIME ZONE 'UTC') + n * interval '1 month';
        name := 'billing_generation_' || to_char(month, 'YYYY_MM');
        IF to_regclass(name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF billing_generation FOR VALUES FROM (%L) TO (%L)',
                           name, uuid7_floor(month), uuid7_floor((month + interval '1 month')::date));
        END IF;
    END LOOP;
END
$$;

-- The smallest UUIDv7 of a day.
CREATE FUNCTION uuid7_floor(day date) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM day) * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid
$$;
