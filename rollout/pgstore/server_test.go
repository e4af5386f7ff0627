package pgstore_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// server is a PostgreSQL server of the test's own.
type server struct {
	t    testing.TB
	bin  string
	dir  string
	port int
	as   *syscall.SysProcAttr
	url  string
}

// serve starts a server, or skips if there is none to start.
func serve(t testing.TB) *server {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		if path, err := exec.LookPath("initdb"); err == nil {
			found = []string{path}
		}
	}
	if len(found) == 0 {
		t.Skip("needs PostgreSQL: apt-get install postgresql")
	}
	s := &server{t: t, bin: filepath.Dir(found[len(found)-1])}
	dir, err := os.MkdirTemp("", "pgstore")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s.dir = dir
	if os.Getuid() == 0 { // which PostgreSQL refuses to run as
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Skip("needs a user postgres, since this is root: apt-get install postgresql")
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
		s.as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	s.run("initdb", "-D", s.data(), "-A", "trust", "-U", "serin", "--no-sync")
	s.start()
	t.Cleanup(func() { s.stop("immediate") })
	s.url = fmt.Sprintf("postgres://serin@127.0.0.1:%d/postgres?sslmode=disable", s.port)
	return s
}

func (s *server) data() string { return filepath.Join(s.dir, "data") }

func (s *server) start() {
	s.run("pg_ctl", "-D", s.data(), "-w", "-l", filepath.Join(s.dir, "log"),
		"-o", fmt.Sprintf("-p %d -k %s -c listen_addresses=127.0.0.1 -c max_connections=200", s.port, s.dir), "start")
}

// stop stops the server; "immediate" is like pulling the plug of its processes.
func (s *server) stop(mode string) { s.run("pg_ctl", "-D", s.data(), "-m", mode, "-w", "stop") }

func (s *server) run(name string, args ...string) {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir, cmd.SysProcAttr = s.dir, s.as
	log, err := os.CreateTemp("", "pg")
	if err != nil {
		s.t.Fatal(err)
	}
	defer os.Remove(log.Name())
	cmd.Stdout, cmd.Stderr = log, log // not a pipe: the server would keep it open
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(log.Name())
		s.t.Fatal(fmt.Errorf("%s %v: %w\n%s", name, args, errors.Join(err, log.Close()), text))
	}
	log.Close()
}
