package probe

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/internal/probing"
)

// SQLOptions configures [SQL].
type SQLOptions struct {
	// DB is the pool of connections. It is required.
	DB *sql.DB
	// Query must return a row. It may be sent up to three times. Default "SELECT 1".
	Query string
	// Replica requires that the server is a replica that lags by at most MaxLag.
	Replica bool
	// MaxLag is only used with Replica. Default 10 s.
	MaxLag time.Duration
	// LagQuery returns one row with the lag in seconds, or NULL if the server is not a
	// replica. It is only used with Replica. Default: a query for PostgreSQL 10 and later,
	// with a lag of 0 while the replica is connected and has replayed all that it has
	// received, and otherwise the time since the last replayed commit.
	LagQuery string
	// MaxTime is the time limit for everything, including the wait for a connection.
	// Default 10 s.
	MaxTime time.Duration
}

// SQL returns a check that a database answers a query, on one connection of the pool. It never
// holds more than one. An error of the driver is a Fail, as is a pool without a free
// connection until the time limit. Evidence: milliseconds of the query, milliseconds of the
// wait for a connection, the statistics of the pool (open connections, connections in use, the
// limit, and how often any caller had to wait), and the lag in seconds.
func SQL(o SQLOptions) checks.Check {
	bad := &invalid{options: "SQLOptions"}
	if o.DB == nil {
		bad.add("DB", nil, "a pool of connections")
	}
	if o.Query == "" {
		o.Query = "SELECT 1"
	}
	bad.limit("MaxTime", &o.MaxTime)
	bad.positive("MaxLag", o.MaxLag)
	if !o.Replica && (o.MaxLag > 0 || o.LagQuery != "") {
		bad.add("Replica", false, "true, since MaxLag or LagQuery is set")
	}
	if o.MaxLag == 0 {
		o.MaxLag = 10 * time.Second
	}
	if o.LagQuery == "" {
		o.LagQuery = postgresLag
	}
	requirements := []any{o.Query, o.Replica, o.MaxLag, o.LagQuery, o.MaxTime}
	return probing.New("sql", o.MaxTime, requirements, bad.err(), func(ctx context.Context) checks.Result {
		var r checks.Result
		for range 3 { // the server may have closed idle connections, as package sql expects
			if r = query(ctx, o); !errors.Is(r.Err, driver.ErrBadConn) {
				break
			}
		}
		return r
	})
}

// postgresLag is the lag of a PostgreSQL server. A replica without a connection to its
// primary has replayed all that it received, but lags. Only some users can read the status
// of the connection.
const postgresLag = `SELECT CASE
	WHEN NOT pg_is_in_recovery() THEN NULL
	WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
		AND EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status IS NULL OR status = 'streaming') THEN 0
	ELSE GREATEST(0, COALESCE(EXTRACT(EPOCH FROM now() - pg_last_xact_replay_timestamp())::float8, 'NaN'))
END`

// query runs the queries of o once.
func query(ctx context.Context, o SQLOptions) (r checks.Result) {
	evidence := make(map[string]string)
	defer func() {
		s := o.DB.Stats()
		evidence["open"], evidence["in use"] = strconv.Itoa(s.OpenConnections), strconv.Itoa(s.InUse)
		evidence["limit"], evidence["waits"] = strconv.Itoa(s.MaxOpenConnections), strconv.FormatInt(s.WaitCount, 10)
		r.Evidence = evidence
	}()
	start := time.Now()
	conn, err := o.DB.Conn(ctx)
	evidence["wait milliseconds"] = milliseconds(time.Since(start))
	if err != nil {
		return refused(ctx, "database: no connection", err)
	}
	defer conn.Close()
	start = time.Now()
	if ok, err := firstRow(ctx, conn, o.Query); err != nil {
		return refused(ctx, "database: query", err)
	} else if !ok {
		return checks.Result{Status: checks.Fail, Summary: "database: the query returns no row"}
	}
	evidence["milliseconds"] = milliseconds(time.Since(start))
	if !o.Replica {
		return checks.Result{Status: checks.Pass, Summary: "database: answers"}
	}
	var text sql.NullString
	if ok, err := firstRow(ctx, conn, o.LagQuery, &text); err != nil {
		return refused(ctx, "database: query of the lag", err)
	} else if !ok || !text.Valid {
		return checks.Result{Status: checks.Fail, Summary: "database: the server is not a replica"}
	}
	lag, err := strconv.ParseFloat(text.String, 64)
	if err != nil || !(lag >= 0) {
		return checks.Result{Summary: "database: the lag is not known", Err: fmt.Errorf("the lag is %.100q, want seconds from 0 on", text.String)}
	}
	evidence["lag"] = strconv.FormatFloat(lag, 'f', 1, 64)
	if lag > o.MaxLag.Seconds() {
		return checks.Result{Status: checks.Fail, Summary: fmt.Sprintf("database: the replica lags by %.1f s, want at most %v", lag, o.MaxLag)}
	}
	return checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("database: answers, and lags by %.1f s", lag)}
}

// firstRow reads the first row of a query into dest, and reports whether there is one.
func firstRow(ctx context.Context, conn *sql.Conn, query string, dest ...any) (bool, error) {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	if !rows.Next() {
		return false, rows.Err()
	}
	if len(dest) > 0 {
		err = rows.Scan(dest...)
	}
	return true, errors.Join(err, rows.Close(), rows.Err())
}
