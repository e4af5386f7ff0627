// Package pgstore answers: where are rollouts kept when several machines drive
// them? In a table of a PostgreSQL database. It is a [rollout.Store]; give the
// engine a replica's name besides, or have it make one up:
//
//	store, err := pgstore.Open(ctx, pgstore.Config{URL: os.Getenv("DATABASE_URL")})
//	...
//	engine, err := rollout.Open(ctx, rollout.Config{Store: store, Replica: hostname, ...})
//
// # What it promises
//
// No split brain on one primary: each Put is one statement that compares and
// sets one row. Across a failover that holds only if the standby is synchronous;
// with an asynchronous one, what was acknowledged may be lost, which the engine
// notices (it refuses to follow a store that has gone back) and cannot repair.
// Connections are made only to a server that takes writes, and are made anew
// when it turns out not to (SQLSTATE 25006).
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
