// Package pgstore stores rollouts in a table of a PostgreSQL database, for several
// processes. It is a [rollout.Store]. The engine also needs the name of a replica. By
// default it makes one up:
//
//	store, err := pgstore.Open(ctx, pgstore.Config{URL: os.Getenv("DATABASE_URL")})
//	...
//	engine, err := rollout.Open(ctx, rollout.Config{Store: store, Replica: hostname, ...})
//
// # What it promises
//
// No split brain on one primary: each Put is one statement that compares and sets one
// row. Across a failover this holds only if the standby is synchronous. With an
// asynchronous standby, acknowledged writes may be lost. The engine detects that and
// refuses to follow the store, but cannot repair it.
// The store connects only to a server that takes writes, and reconnects when a server
// no longer does (SQLSTATE 25006).
//
// Needed rights: CREATE in the schema for the first start, then SELECT, INSERT
// and UPDATE on the table and USAGE on its sequence. Nothing is ever deleted.
// Who can write the table can forge approvals; keep checkpoints of the audit
// trail elsewhere (package rollout/audit).
//
// # Dependencies
//
// github.com/jackc/pgx/v5: the PostgreSQL driver, with LISTEN and a pool. It is
// why this is a module of its own.
package pgstore
