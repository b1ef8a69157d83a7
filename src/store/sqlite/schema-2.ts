import { MAX_STORED_MICRO } from '../../billing/ledger.ts'

const money = (column: string) => `${column} BETWEEN 0 AND ${MAX_STORED_MICRO}`

/** The second schema: limits, marked-up holds, roll-ups, prices that people set, what threads cost. */
export const SCHEMA_2 = `
ALTER TABLE users ADD COLUMN low_balance_micro INTEGER CHECK (${money('low_balance_micro')});
ALTER TABLE users ADD COLUMN deleted_at_ms INTEGER;

ALTER TABLE keys ADD COLUMN spend_limit_micro INTEGER CHECK (${money('spend_limit_micro')});
ALTER TABLE keys ADD COLUMN spend_limit_period TEXT
  CHECK ((spend_limit_period IS NULL) = (spend_limit_micro IS NULL));
ALTER TABLE keys ADD COLUMN burn_limit_micro INTEGER CHECK (${money('burn_limit_micro')});
ALTER TABLE keys ADD COLUMN markup_n INTEGER CHECK (markup_n > 0);
ALTER TABLE keys ADD COLUMN markup_d INTEGER
  CHECK (coalesce(markup_d, 1) > 0 AND (markup_d IS NULL) = (markup_n IS NULL));
-- JSON of a DisconnectPolicy.
ALTER TABLE keys ADD COLUMN on_disconnect TEXT;

ALTER TABLE accounts ADD COLUMN day_cap_micro INTEGER CHECK (${money('day_cap_micro')});
ALTER TABLE accounts ADD COLUMN month_cap_micro INTEGER CHECK (${money('month_cap_micro')});

ALTER TABLE holds ADD COLUMN markup_n INTEGER NOT NULL DEFAULT 1 CHECK (markup_n > 0);
ALTER TABLE holds ADD COLUMN markup_d INTEGER NOT NULL DEFAULT 1 CHECK (markup_d > 0);
-- Start of the window of the key's spend limit that the request counts in; null: it counts in none.
ALTER TABLE holds ADD COLUMN limit_since_ms INTEGER;

-- The windows of a limited key that count: the one it is in, and earlier ones with open holds. What its
-- requests opened in them have cost, and what they hold.
CREATE TABLE key_spending (
  key_id TEXT NOT NULL REFERENCES keys (id),
  since_ms INTEGER NOT NULL,
  until_ms INTEGER NOT NULL CHECK (until_ms > since_ms),
  spent_micro INTEGER NOT NULL CHECK (${money('spent_micro')}),
  held_micro INTEGER NOT NULL CHECK (${money('held_micro')}),
  PRIMARY KEY (key_id, since_ms)
) STRICT, WITHOUT ROWID;

-- Sums of usage by the quarter of an hour (ms / 900000) in which the request's id was made. List costs are
-- kept with the account that they were paid to, which after a reroute is not that of the request.
CREATE TABLE usage_rollups (
  quarter INTEGER NOT NULL,
  key_id TEXT NOT NULL REFERENCES keys (id),
  model TEXT NOT NULL,
  account_id TEXT NOT NULL,
  status_class INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  errors INTEGER NOT NULL,
  refused INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cache_read_tokens INTEGER NOT NULL,
  cache_write_5m_tokens INTEGER NOT NULL,
  cache_write_1h_tokens INTEGER NOT NULL,
  cost_micro INTEGER NOT NULL CHECK (${money('cost_micro')}),
  list_cost_micro INTEGER NOT NULL CHECK (${money('list_cost_micro')}),
  PRIMARY KEY (quarter, key_id, model, account_id, status_class)
) STRICT, WITHOUT ROWID;
-- What one key has spent, without reading everybody's; written only when a row is new.
CREATE INDEX usage_rollups_by_key ON usage_rollups (key_id, quarter);

-- Refunds are few, and a charge must be able to name its own.
CREATE INDEX ledger_refunds ON ledger (request_id) WHERE type = 'refund';

CREATE TABLE price_changes (
  seq INTEGER PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind = 'price' OR kind = 'markup' OR kind = 'alias' OR kind = 'served'),
  subject TEXT NOT NULL,
  -- JSON.
  value TEXT NOT NULL,
  effective_at_ms INTEGER NOT NULL,
  source TEXT NOT NULL,
  actor TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL
) STRICT;
CREATE TRIGGER price_changes_keeps_rows BEFORE UPDATE ON price_changes
BEGIN SELECT RAISE(ABORT, 'price changes are append-only'); END;
CREATE TRIGGER price_changes_keeps_all_rows BEFORE DELETE ON price_changes
BEGIN SELECT RAISE(ABORT, 'price changes are append-only'); END;
ALTER TABLE change_counters ADD COLUMN prices INTEGER NOT NULL DEFAULT 0;
CREATE TRIGGER price_changes_counts_insert AFTER INSERT ON price_changes
BEGIN UPDATE change_counters SET prices = prices + 1; END;

CREATE TABLE threads (
  message_id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id),
  account_id TEXT NOT NULL REFERENCES accounts (id),
  total_tokens INTEGER NOT NULL CHECK (total_tokens >= 0),
  at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Old ones are forgotten. Times only grow, so this index is written at its end.
CREATE INDEX threads_by_age ON threads (at_ms);

CREATE TABLE memory (
  name TEXT NOT NULL PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
`
