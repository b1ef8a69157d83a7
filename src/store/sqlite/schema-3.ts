/** The third schema: what operators say of accounts beside their limits, and keys confined to some of them. */
export const SCHEMA_3 = `
ALTER TABLE accounts ADD COLUMN tpm_limit INTEGER CHECK (tpm_limit > 0);
-- JSON: a list of words.
ALTER TABLE accounts ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
ALTER TABLE accounts ADD COLUMN cache_scope TEXT;
ALTER TABLE accounts ADD COLUMN hours TEXT;
-- The outbound proxy as people may see it, and whole.
ALTER TABLE accounts ADD COLUMN proxy TEXT CHECK ((proxy IS NULL) OR length(proxy) > 0);
ALTER TABLE accounts ADD COLUMN proxy_sealed BLOB;

-- JSON: a list of words; null: any account.
ALTER TABLE keys ADD COLUMN account_tags TEXT;
`
