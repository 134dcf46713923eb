-- Who published a version and what they wrote; null for versions from before.
ALTER TABLE configurations
    ADD COLUMN source text,
    ADD COLUMN applied_by text,
    ADD COLUMN written text;

-- The version in force is a tenant's newest.
CREATE INDEX configurations_by_tenant ON configurations (tenant, version DESC);
