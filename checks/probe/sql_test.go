package probe_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checkstest"
	"github.com/serin-go/serin/checks/probe"
)

// database is a driver whose queries are the text of their answer: "none", "hang", "error",
// "break", or one value.
type database struct {
	mu         sync.Mutex
	open, most int
	queries    int
	stale      int // connections that turn out to be closed
	dial       error
	hangs      chan struct{}
	values     map[string]driver.Value
}

func (d *database) Connect(context.Context) (driver.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dial != nil {
		return nil, d.dial
	}
	d.open++
	d.most = max(d.most, d.open)
	return &session{d}, nil
}

func (d *database) Driver() driver.Driver { return nil }

type session struct{ d *database }

func (s *session) Prepare(string) (driver.Stmt, error) { return nil, errors.ErrUnsupported }
func (s *session) Begin() (driver.Tx, error)           { return nil, errors.ErrUnsupported }
func (s *session) Close() error {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	s.d.open--
	return nil
}

func (s *session) QueryContext(ctx context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	s.d.queries++
	if s.d.stale > 0 {
		s.d.stale--
		return nil, driver.ErrBadConn
	}
	switch query {
	case "hang":
		close(s.d.hangs)
		<-ctx.Done()
		return nil, ctx.Err()
	case "late":
		<-ctx.Done() // and answers nevertheless
	case "error":
		return nil, errors.New("no table, for postgres://user:hidden@host/db")
	case "none":
		return new(result), nil
	case "break":
		return &result{err: io.ErrUnexpectedEOF}, nil
	}
	value, ok := s.d.values[query]
	if !ok {
		value = int64(1)
	}
	return &result{value: value, left: 1}, nil
}

// result is at most one row.
type result struct {
	value driver.Value
	left  int
	err   error
}

func (r *result) Columns() []string { return []string{"x"} }
func (r *result) Close() error      { return nil }
func (r *result) Next(dest []driver.Value) error {
	if r.err != nil {
		return r.err
	}
	if r.left--; r.left < 0 {
		return io.EOF
	}
	dest[0] = r.value
	return nil
}

// pooled opens a pool that is closed with the test.
func pooled(t *testing.T, d *database) *sql.DB {
	db := sql.OpenDB(d)
	t.Cleanup(func() { db.Close() })
	return db
}

func TestSQL(t *testing.T) {
	values := map[string]driver.Value{
		"lag 3": 3.5, "lag 30": "30", "lag 0": int64(0), "lag NULL": nil, "lag NaN": math.NaN(), "lag -1": -1.0, "lag x": "x",
	}
	for name, c := range map[string]struct {
		d    *database
		o    probe.SQLOptions
		want checks.Status
	}{
		"answers":           {&database{}, probe.SQLOptions{}, checks.Pass},
		"no row":            {&database{}, probe.SQLOptions{Query: "none"}, checks.Fail},
		"error":             {&database{}, probe.SQLOptions{Query: "error"}, checks.Fail},
		"broken off":        {&database{}, probe.SQLOptions{Query: "break"}, checks.Fail},
		"no connection":     {&database{dial: errors.New("no password=hidden")}, probe.SQLOptions{}, checks.Fail},
		"too slow":          {&database{hangs: make(chan struct{})}, probe.SQLOptions{Query: "hang", MaxTime: 10 * time.Millisecond}, checks.Fail},
		"too late":          {&database{}, probe.SQLOptions{Query: "late", MaxTime: 10 * time.Millisecond}, checks.Fail},
		"stale connections": {&database{stale: 2}, probe.SQLOptions{}, checks.Pass},
		"always closed":     {&database{stale: 100}, probe.SQLOptions{}, checks.Fail},
		"lag":               {&database{}, probe.SQLOptions{Replica: true, LagQuery: "lag 3"}, checks.Pass},
		"lag as text":       {&database{}, probe.SQLOptions{Replica: true, LagQuery: "lag 30"}, checks.Fail},
		"allowed lag":       {&database{}, probe.SQLOptions{Replica: true, LagQuery: "lag 30", MaxLag: 30 * time.Second}, checks.Pass},
		"no lag":            {&database{}, probe.SQLOptions{Replica: true, LagQuery: "lag 0"}, checks.Pass},
		"not a replica":     {&database{}, probe.SQLOptions{Replica: true, LagQuery: "lag NULL"}, checks.Fail},
		"no row of lag":     {&database{}, probe.SQLOptions{Replica: true, LagQuery: "none"}, checks.Fail},
		"lag is not known":  {&database{}, probe.SQLOptions{Replica: true, LagQuery: "lag NaN"}, checks.Unknown},
		"negative lag":      {&database{}, probe.SQLOptions{Replica: true, LagQuery: "lag -1"}, checks.Unknown},
		"lag is no number":  {&database{}, probe.SQLOptions{Replica: true, LagQuery: "lag x"}, checks.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			c.d.values = values
			c.o.DB = pooled(t, c.d)
			r := want(t, probe.SQL(c.o), c.want)
			if strings.Contains(fmt.Sprint(r, r.Err), "hidden") {
				t.Error(r)
			}
			if r.Evidence["wait milliseconds"] == "" || r.Evidence["open"] == "" || r.Evidence["waits"] != "0" || r.Status == checks.Pass && r.Evidence["milliseconds"] == "" {
				t.Error(r.Evidence)
			}
			if _, ok := r.Evidence["lag"]; r.Status == checks.Pass && ok != c.o.Replica {
				t.Error(r.Evidence)
			}
			if c.d.most > 1 || c.o.DB.Stats().InUse != 0 {
				t.Errorf("%d connections, %d in use afterwards", c.d.most, c.o.DB.Stats().InUse)
			}
			if name == "always closed" && c.d.queries != 3 {
				t.Errorf("%d queries", c.d.queries)
			}
		})
	}
}

func TestSQLPool(t *testing.T) {
	d := &database{hangs: make(chan struct{})}
	db := pooled(t, d)
	db.SetMaxOpenConns(1)
	busy, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r := want(t, probe.SQL(probe.SQLOptions{DB: db, MaxTime: time.Second}), checks.Fail); r.Evidence["waits"] != "1" || r.Evidence["in use"] != "1" || r.Evidence["limit"] != "1" {
		t.Error(r.Evidence)
	}
	busy.Close()
	checkstest.Exercise(t, func(*testing.T) checks.Check {
		return probe.SQL(probe.SQLOptions{DB: db, Replica: true, LagQuery: "lag"})
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-d.hangs; cancel() }()
	if r := probe.SQL(probe.SQLOptions{DB: db, Query: "hang"}).Check(ctx); r.Status != checks.Unknown || !errors.Is(r.Err, context.Canceled) {
		t.Errorf("%+v", r)
	}
	if d.most > 1 {
		t.Errorf("%d connections", d.most)
	}
}

func TestSQLBadOptions(t *testing.T) {
	got := fields(t, probe.SQL(probe.SQLOptions{MaxTime: -1, MaxLag: -1, LagQuery: "x"}))
	if s := fmt.Sprint(got); s != "[SQLOptions.DB SQLOptions.MaxTime SQLOptions.MaxLag SQLOptions.Replica]" {
		t.Error(s)
	}
}
