import { MAX_STORED_MICRO } from '../../billing/ledger.ts'

const money = (column: string) => `${column} BETWEEN 0 AND ${MAX_STORED_MICRO}`

/**
 * The third schema: what operators say of accounts beside their limits, keys confined to some of them, and
 * what caches were worth.
 */
export const SCHEMA_3 = `
ALTER TABLE accounts ADD COLUMN tpm_limit INTEGER CHECK (tpm_limit > 0);
-- JSON: a list of words.
ALTER TABLE accounts ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
ALTER TABLE accounts ADD COLUMN cache_scope TEXT;
ALTER TABLE accounts ADD COLUMN hours TEXT;
-- The outbound proxy as people may see it, and whole.
ALTER TABLE accounts ADD COLUMN proxy TEXT CHECK ((proxy IS NULL) OR length(proxy) > 0);
ALTER TABLE accounts ADD COLUMN proxy_sealed BLOB;

-- List prices; made anew from the details by the migration.
ALTER TABLE usage_rollups ADD COLUMN cache_read_saved_micro INTEGER NOT NULL DEFAULT 0
  CHECK (${money('cache_read_saved_micro')});
ALTER TABLE usage_rollups ADD COLUMN cache_write_extra_micro INTEGER NOT NULL DEFAULT 0
  CHECK (${money('cache_write_extra_micro')});
ALTER TABLE usage_rollups ADD COLUMN routing_lost_micro INTEGER NOT NULL DEFAULT 0
  CHECK (${money('routing_lost_micro')});

-- JSON: a list of words; null: any account.
ALTER TABLE keys ADD COLUMN account_tags TEXT;

-- What upstream keeps in a workspace and answers have named: whose it is, and where.
CREATE TABLE upstream_objects (
  kind TEXT NOT NULL,
  -- Upstream's id; of what works as a secret a keyed hash.
  id TEXT NOT NULL,
  user_id TEXT NOT NULL REFERENCES users (id),
  account_id TEXT NOT NULL REFERENCES accounts (id),
  workspace TEXT,
  expires_at_ms INTEGER NOT NULL,
  PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX upstream_objects_by_end ON upstream_objects (expires_at_ms);
`
