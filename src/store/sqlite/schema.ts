/** Marks a file as ours (`PRAGMA application_id`): "ccgt". */
export const APPLICATION_ID = 0x63636774

// Rules of the house: all tables STRICT; times are ms since the epoch; money is integer micro-dollars and
// checked to fit a safe integer; ids sort by time, so tables keyed by them need no time index. The tables
// that every request writes (holds, ledger, usage) have no index that scatters by user or key: each such
// index dirties one more page per request, which measured at 8 µs.
const MAX = '9007199254740991'
const money = (column: string) => `${column} BETWEEN -${MAX} AND ${MAX}`
// Not IN: for three values or more SQLite builds a table of them at every insert, which costs 1 µs.
const oneOf = (column: string, values: readonly string[]) =>
  values.map((value) => `${column} = '${value}'`).join(' OR ')

/** The first schema. Later changes are migrations of their own, never edits here. */
export const SCHEMA_1 = `
CREATE TABLE meta (
  name TEXT NOT NULL PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE change_counters (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  keys INTEGER NOT NULL,
  accounts INTEGER NOT NULL
) STRICT;
INSERT INTO change_counters (one, keys, accounts) VALUES (1, 0, 0);

CREATE TABLE users (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  email TEXT UNIQUE,
  state TEXT NOT NULL CHECK (${oneOf('state', ['active', 'suspended'])}),
  note TEXT,
  created_at_ms INTEGER NOT NULL
) STRICT;

-- last_entry_id heads a chain of ledger.previous_id: a user's history without an index to maintain.
CREATE TABLE wallets (
  user_id TEXT NOT NULL PRIMARY KEY REFERENCES users (id),
  balance_micro INTEGER NOT NULL CHECK (${money('balance_micro')}),
  held_micro INTEGER NOT NULL CHECK (held_micro BETWEEN 0 AND ${MAX}),
  last_entry_id TEXT REFERENCES ledger (id)
) STRICT, WITHOUT ROWID;

CREATE TABLE keys (
  id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id),
  name TEXT NOT NULL,
  digest BLOB NOT NULL UNIQUE,
  last4 TEXT NOT NULL,
  rpm_limit INTEGER,
  concurrency_limit INTEGER,
  models TEXT NOT NULL,
  note TEXT,
  expires_at_ms INTEGER,
  created_at_ms INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  revoked_at_ms INTEGER,
  revoked_reason TEXT
) STRICT;
CREATE UNIQUE INDEX keys_by_name ON keys (user_id, name) WHERE revoked_at_ms IS NULL;

-- Written at most once a minute per key; newer uses are in usage.
CREATE TABLE key_activity (
  key_id TEXT NOT NULL PRIMARY KEY REFERENCES keys (id),
  last_used_at_ms INTEGER NOT NULL,
  last_ip TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  provider TEXT NOT NULL,
  base_url TEXT NOT NULL,
  allow_private INTEGER NOT NULL,
  sealed BLOB,
  credential_last4 TEXT NOT NULL,
  credential_fingerprint TEXT NOT NULL,
  credential_version INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  weight INTEGER NOT NULL,
  rpm_limit INTEGER,
  concurrency_limit INTEGER,
  models TEXT NOT NULL,
  note TEXT,
  created_at_ms INTEGER NOT NULL,
  disabled_at_ms INTEGER,
  disabled_by TEXT,
  disabled_reason TEXT,
  cooldown_cleared_at_ms INTEGER,
  cooldown_until_ms INTEGER,
  removed_at_ms INTEGER,
  CHECK ((sealed IS NULL) = (removed_at_ms IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX accounts_by_name ON accounts (name) WHERE removed_at_ms IS NULL;

CREATE TABLE account_health (
  account_id TEXT NOT NULL REFERENCES accounts (id),
  model_class TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  http_status INTEGER,
  upstream_request_id TEXT,
  since_ms INTEGER NOT NULL,
  until_ms INTEGER,
  step INTEGER NOT NULL,
  credential_version INTEGER NOT NULL,
  PRIMARY KEY (account_id, model_class)
) STRICT, WITHOUT ROWID;

CREATE TABLE account_headroom (
  account_id TEXT NOT NULL PRIMARY KEY REFERENCES accounts (id),
  requests_limit INTEGER,
  requests_remaining INTEGER,
  input_tokens_limit INTEGER,
  input_tokens_remaining INTEGER,
  output_tokens_limit INTEGER,
  output_tokens_remaining INTEGER,
  reset_at_ms INTEGER,
  organization_id TEXT,
  workspace_id TEXT,
  updated_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE account_events (
  seq INTEGER PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES accounts (id),
  at_ms INTEGER NOT NULL,
  kind TEXT NOT NULL,
  message TEXT NOT NULL,
  request_id TEXT
) STRICT;
CREATE INDEX account_events_by_account ON account_events (account_id, seq);

CREATE TABLE boots (
  id TEXT NOT NULL PRIMARY KEY,
  pid INTEGER NOT NULL,
  pid_started_at TEXT,
  pid_space TEXT,
  version TEXT NOT NULL,
  listen TEXT NOT NULL,
  public_url TEXT NOT NULL,
  demo INTEGER NOT NULL,
  started_at_ms INTEGER NOT NULL,
  heartbeat_at_ms INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (${oneOf('state', ['serving', 'draining', 'stopped'])})
) STRICT;

CREATE TABLE holds (
  request_id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id),
  key_id TEXT NOT NULL REFERENCES keys (id),
  boot_id TEXT NOT NULL,
  account_id TEXT REFERENCES accounts (id),
  model TEXT NOT NULL,
  stream INTEGER NOT NULL,
  amount_micro INTEGER NOT NULL CHECK (amount_micro BETWEEN 0 AND ${MAX}),
  opened_at_ms INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (${oneOf('state', ['open', 'settled', 'voided'])}),
  phase TEXT NOT NULL CHECK (${oneOf('phase', ['sent', 'started'])}),
  progress TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX holds_open ON holds (request_id) WHERE state = 'open';

CREATE TABLE ledger (
  id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id),
  type TEXT NOT NULL CHECK (${oneOf('type', ['charge', 'grant', 'adjust', 'refund', 'forfeit'])}),
  amount_micro INTEGER NOT NULL CHECK (${money('amount_micro')}),
  balance_after_micro INTEGER NOT NULL CHECK (${money('balance_after_micro')}),
  previous_id TEXT REFERENCES ledger (id),
  request_id TEXT REFERENCES holds (request_id),
  ref TEXT,
  note TEXT,
  actor TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  -- A charge takes its id from its request: the primary key allows one per request.
  CHECK (type <> 'charge' OR (amount_micro <= 0 AND substr(id, 5) = substr(request_id, 5))),
  CHECK (type <> 'grant' OR amount_micro > 0)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX ledger_by_ref ON ledger (ref) WHERE ref IS NOT NULL;

CREATE TRIGGER ledger_keeps_rows BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_keeps_all_rows BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

-- seq is the order of writing, so that a reader of new rows misses none however long its request ran.
CREATE TABLE usage (
  seq INTEGER PRIMARY KEY,
  request_id TEXT NOT NULL,
  user_id TEXT NOT NULL REFERENCES users (id),
  key_id TEXT NOT NULL REFERENCES keys (id),
  account_id TEXT REFERENCES accounts (id),
  model TEXT NOT NULL,
  http_status INTEGER NOT NULL,
  stream INTEGER NOT NULL,
  attempt_count INTEGER NOT NULL,
  cost_micro INTEGER NOT NULL CHECK (cost_micro BETWEEN 0 AND ${MAX}),
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cache_read_tokens INTEGER NOT NULL,
  cache_write_5m_tokens INTEGER NOT NULL,
  cache_write_1h_tokens INTEGER NOT NULL,
  -- What no list filters or sums by: a JSON array in the order of DETAILS in usage-rows.ts.
  details TEXT NOT NULL
) STRICT;
-- Narrow copy of each row in the order of requests: lists, sums and the monitor read only this.
CREATE INDEX usage_by_request ON usage (
  request_id, user_id, key_id, account_id, model, http_status, stream, attempt_count, cost_micro,
  input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens
);

CREATE TABLE audit (
  id TEXT NOT NULL PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  before TEXT,
  after TEXT
) STRICT;
CREATE TRIGGER audit_keeps_rows BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_keeps_all_rows BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

${counterTriggers('keys', 'keys')}
${counterTriggers('users', 'keys')}
${counterTriggers('accounts', 'accounts')}
`

function counterTriggers(table: string, counter: string): string {
  return ['INSERT', 'UPDATE', 'DELETE']
    .map(
      (event) => `CREATE TRIGGER ${table}_counts_${event.toLowerCase()} AFTER ${event} ON ${table}
BEGIN UPDATE change_counters SET ${counter} = ${counter} + 1; END;`,
    )
    .join('\n')
}
