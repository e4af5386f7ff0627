package pgstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
)

// Config says where the store is. URL is required.
type Config struct {
	// URL is what pgx takes: "postgres://user@host:5432/db?sslmode=verify-full",
	// or keywords and values. Several hosts may be named; the one that can write
	// is used.
	URL string `env:"DATABASE_URL"`
	// Table holds the documents, one a row. It is created if it is not there.
	// Empty means "serin". A schema may go before it: "ops.serin".
	Table string `env:"SERIN_TABLE"`
}

var tableName = regexp.MustCompile(`^([a-z_][a-z0-9_]{0,40}\.)?[a-z_][a-z0-9_]{0,40}$`)

// Store is a [rollout.Store] in a table of a PostgreSQL database. It may be used
// concurrently, and by any number of processes.
type Store struct {
	pool    *pgxpool.Pool
	table   string
	channel string
	closed  atomic.Bool
	ctx     context.Context // ends with Close, for watches
	stop    context.CancelFunc
}

var (
	_ rollout.Store       = (*Store)(nil)
	_ rollout.Sharer      = (*Store)(nil)
	_ rollout.Conditional = (*Store)(nil)
)

// Validate reports everything that is wrong with cfg, joined; each problem is a
// [*checks.InvalidError].
func (cfg Config) Validate() error {
	var errs []error
	if cfg.Table != "" && !tableName.MatchString(cfg.Table) {
		errs = append(errs, &checks.InvalidError{Package: "pgstore", Field: "Config.Table", Value: cfg.Table, Want: "a name that matches " + tableName.String()})
	}
	if cfg.URL == "" {
		errs = append(errs, &checks.InvalidError{Package: "pgstore", Field: "Config.URL", Value: "", Want: "where the database is, such as postgres://host/db"})
	} else if _, err := pgxpool.ParseConfig(cfg.URL); err != nil {
		errs = append(errs, &checks.InvalidError{Package: "pgstore", Field: "Config.URL", Value: "...", Want: "what pgx can parse: " + err.Error()})
	}
	return errors.Join(errs...)
}

// Open connects and creates the table if it is not there. It connects only to a server
// that takes writes, so it does not stay with a server that has become a standby. It
// returns the errors of [Config.Validate], or the error of the server.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Table == "" {
		cfg.Table = "serin"
	}
	pc, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("pgstore: %w", err)
	}
	pc.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("pgstore: %w", err)
	}
	s := &Store{pool: pool, table: cfg.Table, channel: strings.ReplaceAll(cfg.Table, ".", "_") + "_changed"}
	s.ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.create(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// create makes the table. An advisory lock keeps processes that start together
// from stepping on each other's feet.
func (s *Store) create(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, fmt.Sprintf(`
		SELECT pg_advisory_lock(hashtext('%[1]s'));
		CREATE SEQUENCE IF NOT EXISTS %[1]s_rev;
		CREATE TABLE IF NOT EXISTS %[1]s (
			key   text COLLATE "C" PRIMARY KEY,
			value bytea NOT NULL,
			rev   bigint NOT NULL
		);
		SELECT pg_advisory_unlock(hashtext('%[1]s'))`, s.table))
	return s.wrap("creating "+s.table, err)
}

// Shared implements [rollout.Sharer].
func (s *Store) Shared() bool { return true }

// Get implements [rollout.Store].
func (s *Store) Get(ctx context.Context, key string) (rollout.Entry, error) {
	e := rollout.Entry{Key: key}
	var rev int64
	err := s.pool.QueryRow(ctx, "SELECT value, rev FROM "+s.table+" WHERE key = $1", key).Scan(&e.Value, &rev)
	if errors.Is(err, pgx.ErrNoRows) {
		return rollout.Entry{}, fmt.Errorf("pgstore: %s: %w", key, rollout.ErrNotFound)
	} else if err != nil {
		return rollout.Entry{}, s.wrap(key, err)
	}
	e.Revision = revision(rev)
	return e, nil
}

// GetIf implements [rollout.Conditional].
func (s *Store) GetIf(ctx context.Context, key string, known rollout.Revision) (rollout.Entry, error) {
	was, err := strconv.ParseInt(string(known), 10, 64)
	if err != nil {
		return s.Get(ctx, key)
	}
	e := rollout.Entry{Key: key}
	var rev int64
	err = s.pool.QueryRow(ctx, "SELECT CASE WHEN rev <> $2 THEN value END, rev FROM "+s.table+" WHERE key = $1", key, was).Scan(&e.Value, &rev)
	if errors.Is(err, pgx.ErrNoRows) {
		return rollout.Entry{}, fmt.Errorf("pgstore: %s: %w", key, rollout.ErrNotFound)
	} else if err != nil {
		return rollout.Entry{}, s.wrap(key, err)
	}
	e.Revision = revision(rev)
	return e, nil
}

// quiet are keys of which no process asks for hints: their notifications would wake all of
// them for each write of any.
var quiet = []string{"evidence/", "lease/"}

// Put implements [rollout.Store]. It is one statement, so it is applied as a
// whole or not at all, and the notification leaves with its commit. Evidence and leases
// are stored without one.
func (s *Store) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
	if len(value) > rollout.MaxValue {
		return "", &rollout.ValueSizeError{Key: key, Size: len(value)}
	}
	if value == nil {
		value = []byte{}
	}
	notify := ", pg_notify($3, $1)"
	if slices.ContainsFunc(quiet, func(prefix string) bool { return strings.HasPrefix(key, prefix) }) {
		notify = ", $3::text"
	}
	var row pgx.Row
	if prev == "" {
		row = s.pool.QueryRow(ctx, fmt.Sprintf(`
			WITH put AS (
				INSERT INTO %[1]s (key, value, rev) VALUES ($1, $2, nextval('%[1]s_rev'))
				ON CONFLICT (key) DO NOTHING RETURNING rev
			) SELECT rev%[2]s FROM put`, s.table, notify), key, value, s.channel)
	} else {
		was, err := strconv.ParseInt(string(prev), 10, 64)
		if err != nil {
			return "", fmt.Errorf("pgstore: %s: revision %q was never given out: %w", key, prev, rollout.ErrConflict)
		}
		row = s.pool.QueryRow(ctx, fmt.Sprintf(`
			WITH put AS (
				UPDATE %[1]s SET value = $2, rev = nextval('%[1]s_rev')
				WHERE key = $1 AND rev = $4 RETURNING rev
			) SELECT rev%[2]s FROM put`, s.table, notify), key, value, s.channel, was)
	}
	var rev int64
	err := row.Scan(&rev, nil)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("pgstore: %s: %w", key, rollout.ErrConflict)
	} else if err != nil {
		return "", s.wrap(key, err)
	}
	return revision(rev), nil
}

// Delete implements [rollout.Store], as Put does. A key that is put again has a
// greater revision, since all keys take theirs from one sequence.
func (s *Store) Delete(ctx context.Context, key string, prev rollout.Revision) error {
	was, err := strconv.ParseInt(string(prev), 10, 64)
	if err != nil {
		return fmt.Errorf("pgstore: %s: revision %q was never given out: %w", key, prev, rollout.ErrConflict)
	}
	err = s.pool.QueryRow(ctx, fmt.Sprintf(`
		WITH gone AS (
			DELETE FROM %[1]s WHERE key = $1 AND rev = $2 RETURNING rev
		) SELECT rev, pg_notify($3, $1) FROM gone`, s.table), key, was, s.channel).Scan(&was, nil)
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("pgstore: %s: %w", key, rollout.ErrConflict)
	} else if err != nil {
		return s.wrap(key, err)
	}
	return nil
}

func revision(n int64) rollout.Revision { return rollout.Revision(strconv.FormatInt(n, 10)) }

// List implements [rollout.Store].
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[rollout.Entry, error] {
	return func(yield func(rollout.Entry, error) bool) {
		entries, err := s.entries(ctx, "SELECT key, value, rev FROM "+s.table+" WHERE starts_with(key, $1) ORDER BY key", prefix)
		if err != nil {
			yield(rollout.Entry{}, s.wrap(prefix, err))
			return
		}
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// entries reads what a query returns. All are read before any is given out, so that a
// slow caller holds no connection.
func (s *Store) entries(ctx context.Context, query string, args ...any) ([]rollout.Entry, error) {
	rows, err := s.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (e rollout.Entry, err error) {
		var rev int64
		err = row.Scan(&e.Key, &e.Value, &rev)
		e.Revision = revision(rev)
		return e, err
	})
}

// ListIf implements [rollout.Conditional], with one query for the revisions and one for
// the values that are not known.
func (s *Store) ListIf(ctx context.Context, prefix string, known map[string]rollout.Revision) iter.Seq2[rollout.Entry, error] {
	return func(yield func(rollout.Entry, error) bool) {
		entries, err := s.entries(ctx, "SELECT key, NULL::bytea, rev FROM "+s.table+" WHERE starts_with(key, $1) ORDER BY key", prefix)
		var unknown []string
		for _, e := range entries {
			if e.Revision != known[e.Key] {
				unknown = append(unknown, e.Key)
			}
		}
		values := make(map[string]rollout.Entry, len(unknown))
		if err == nil && len(unknown) > 0 {
			var read []rollout.Entry
			read, err = s.entries(ctx, "SELECT key, value, rev FROM "+s.table+" WHERE key = ANY($1)", unknown)
			for _, e := range read {
				values[e.Key] = e
			}
		}
		if err != nil {
			yield(rollout.Entry{}, s.wrap(prefix, err))
			return
		}
		for _, e := range entries {
			if e.Revision != known[e.Key] {
				var there bool
				if e, there = values[e.Key]; !there {
					continue // deleted meanwhile
				}
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Watch implements [rollout.Store], by LISTEN on a connection of its own. When
// the connection is lost a new one is made, and the channel receives, since
// something may have been missed.
func (s *Store) Watch(ctx context.Context, prefix string) (<-chan struct{}, error) {
	conn, err := s.listen(ctx)
	if err != nil {
		return nil, err
	}
	changed := make(chan struct{}, 1)
	hint := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.ctx, cancel)
	go func() {
		defer cancel()
		defer stop()
		for {
			n, err := conn.WaitForNotification(ctx)
			switch {
			case ctx.Err() != nil:
				_ = conn.Close(context.WithoutCancel(ctx))
				return
			case err == nil:
				if strings.HasPrefix(n.Payload, prefix) {
					hint()
				}
				continue
			}
			_ = conn.Close(ctx)
			for {
				if conn, err = s.listen(ctx); err == nil {
					break
				}
				select {
				case <-ctx.Done():
					return
				case <-time.After(reconnectAfter):
				}
			}
			hint()
		}
	}()
	return changed, nil
}

const reconnectAfter = 500 * time.Millisecond

// listen opens a connection that hears of changes.
func (s *Store) listen(ctx context.Context) (*pgx.Conn, error) {
	if s.closed.Load() {
		return nil, s.wrap("watch", rollout.ErrClosed)
	}
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return nil, s.wrap("watch", err)
	}
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{s.channel}.Sanitize()); err != nil {
		return nil, errors.Join(s.wrap("watch", err), conn.Close(ctx))
	}
	return conn, nil
}

// Close implements [rollout.Store]. It waits for what is running.
func (s *Store) Close() error {
	if !s.closed.Swap(true) {
		s.stop()
		s.pool.Close()
	}
	return nil
}

// readOnly is what a server says that has become a standby.
const readOnly = "25006"

// wrap says what an error is about. An outcome that is unknown stays unknown.
func (s *Store) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	if s.closed.Load() {
		return fmt.Errorf("pgstore: %s: %w", what, rollout.ErrClosed)
	}
	var said *pgconn.PgError
	if errors.As(err, &said) && said.Code == readOnly {
		s.pool.Reset() // look for the server that can write
	}
	return fmt.Errorf("pgstore: %s: %w", what, err)
}
