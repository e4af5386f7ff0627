package pgstore_test

import (
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/probe"
)

// replica starts a streaming replica of s.
func (s *server) replica() *server {
	s.t.Helper()
	r := &server{t: s.t, bin: s.bin, as: s.as}
	dir, err := os.MkdirTemp("", "pgstore")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { os.RemoveAll(dir) })
	r.dir = dir
	if s.as != nil {
		if err := os.Chown(dir, int(s.as.Credential.Uid), int(s.as.Credential.Gid)); err != nil {
			s.t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	r.port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	r.run("pg_basebackup", "-D", r.data(), "-d", s.url, "-R", "-X", "stream", "--checkpoint=fast", "--no-sync")
	conf, err := os.OpenFile(filepath.Join(r.data(), "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = conf.WriteString("wal_retrieve_retry_interval = '100ms'\n") // instead of 5 s
	if err := errors.Join(err, conf.Close()); err != nil {
		s.t.Fatal(err)
	}
	r.start()
	s.t.Cleanup(func() { r.stop("immediate") })
	r.url = fmt.Sprintf("postgres://serin@127.0.0.1:%d/postgres?sslmode=disable", r.port)
	return r
}

// pool opens a pool of one connection.
func (s *server) pool() *sql.DB {
	s.t.Helper()
	db, err := sql.Open("pgx", s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	s.t.Cleanup(func() { db.Close() })
	return db
}

// TestProbe checks a real PostgreSQL server, and a replica of it that stops replaying and
// then loses its primary.
func TestProbe(t *testing.T) {
	primary := serve(t)
	replica := primary.replica()
	write, read := primary.pool(), replica.pool()
	exec := func(db *sql.DB, query string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	check := func(db *sql.DB, o probe.SQLOptions) checks.Result {
		o.DB = db
		return probe.SQL(o).Check(t.Context())
	}
	lag := probe.SQLOptions{Replica: true, MaxLag: time.Minute}
	// becomes waits until the check has a status.
	becomes := func(o probe.SQLOptions, status checks.Status) checks.Result {
		t.Helper()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for end := time.After(time.Minute); ; {
			r := check(read, o)
			if r.Status == status {
				return r
			}
			select {
			case <-end:
				t.Fatalf("%v, want %v: %s %v", r.Status, status, r.Summary, r.Err)
			case <-tick.C:
			}
		}
	}
	if r := check(write, probe.SQLOptions{}); r.Status != checks.Pass || r.Evidence["open"] != "1" {
		t.Errorf("%+v", r)
	}
	if r := check(write, lag); r.Status != checks.Fail {
		t.Errorf("the primary: %+v", r)
	}
	if r := check(write, probe.SQLOptions{Query: "SELECT x FROM none"}); r.Status != checks.Fail || r.Err == nil {
		t.Errorf("no table: %+v", r)
	}
	tight := probe.SQLOptions{Replica: true, MaxLag: time.Nanosecond}
	pause := func() {
		t.Helper()
		exec(read, "SELECT pg_wal_replay_pause()")
		becomes(probe.SQLOptions{Query: "SELECT 1 WHERE pg_get_wal_replay_pause_state() = 'paused'"}, checks.Pass)
	}

	// Before the first commit is replayed, the age of the data is not known.
	becomes(tight, checks.Pass)
	pause()
	exec(write, "CREATE TABLE t (x int)")
	becomes(tight, checks.Unknown)
	exec(read, "SELECT pg_wal_replay_resume()")
	becomes(tight, checks.Pass) // all is replayed: no lag, however long ago the last commit was

	// Without replay, the lag grows beyond any limit that is small enough.
	becomes(probe.SQLOptions{Query: "SELECT 1 FROM pg_class WHERE relname = 't'"}, checks.Pass)
	pause()
	exec(write, "INSERT INTO t VALUES (1)")
	if r := becomes(tight, checks.Fail); r.Evidence["lag"] == "" {
		t.Error(r.Evidence)
	}
	if r := check(read, lag); r.Status != checks.Pass {
		t.Errorf("a lag below the limit: %+v", r)
	}
	exec(read, "SELECT pg_wal_replay_resume()")
	becomes(tight, checks.Pass)

	// Without its primary, the replica does not know what it misses.
	write.Close()
	primary.stop("fast")
	becomes(tight, checks.Fail)
	primary.start()
	becomes(tight, checks.Pass)

	read.Close()
	if r := check(replica.pool(), probe.SQLOptions{}); r.Status != checks.Pass {
		t.Errorf("%+v", r)
	}
	replica.stop("fast")
	defer replica.start() // it is stopped with the test
	if r := check(replica.pool(), probe.SQLOptions{}); r.Status != checks.Fail || r.Err == nil || errors.Is(r.Err, sql.ErrConnDone) {
		t.Errorf("stopped: %+v", r)
	}
}
