package nginx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/serin-go/serin/strategies"
)

// Splitter puts splits in force in one nginx. It is safe for concurrent use;
// splits are set one after the other. There must be one Splitter for a file.
type Splitter struct {
	cfg    Config
	a, b   string // the addresses of the status server
	client *http.Client

	mu         sync.Mutex
	generation uint64 // of the split that was set last
}

// New returns a Splitter. It reads and writes nothing yet. The error joins what
// is wrong with cfg; see [Config.Validate].
func New(cfg Config) (*Splitter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Key == "" {
		cfg.Key = eachRequest
	}
	if cfg.Test == nil {
		cfg.Test = []string{"nginx", "-t"}
	}
	if cfg.Reload == nil {
		cfg.Reload = []string{"nginx", "-s", "reload"}
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	s := &Splitter{cfg: cfg}
	s.a, s.b, _ = ports(cfg.Status) // it is valid
	// Each question has its own connection: one that is kept alive would only
	// ever reach the worker that it began with. No proxy is asked.
	s.client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return s, nil
}

// Step is the smallest difference between two splits: 0.01 %.
const Step strategies.Weight = 1

// Sticky reports whether a user stays with an arm, which depends on Config.Key.
func (s *Splitter) Sticky() bool { return s.cfg.Key != eachRequest }

// CanSplit implements rollout.Prober. It reports, joined, everything in split
// that nginx cannot do; each problem is an [*checks.InvalidError] or one of package
// strategies. It reads and writes nothing.
func (s *Splitter) CanSplit(split strategies.Split) error { return s.problems(split) }

// Render returns the file for split. It returns the errors of [Splitter.CanSplit].
func (s *Splitter) Render(split strategies.Split) ([]byte, error) {
	if err := s.problems(split); err != nil {
		return nil, err
	}
	content, _ := s.file(split, s.a)
	return []byte(content), nil
}

// SetSplit implements rollout.Splitter. It returns when no worker of nginx accepts
// connections under the previous split. On an error it restores the previous file,
// and nginx loads that again if it may have loaded the new one; the error says if that
// fails too. It returns the errors of [Splitter.CanSplit], a [*CommandError], a
// [*MismatchError], or an error of the file system. A split with an older generation
// than the last one is ignored. Once nginx has been asked to load the file, the end of ctx
// is ignored, and Config.Timeout alone bounds the wait.
func (s *Splitter) SetSplit(ctx context.Context, split strategies.Split) error {
	if err := s.problems(split); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if split.Generation != 0 && split.Generation < s.generation {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	// The free port is for the new workers.
	listen, other := s.a, s.b
	inForce := s.ask(ctx, s.a)
	if inForce != "" {
		listen, other = s.b, s.a
	} else {
		inForce = s.ask(ctx, s.b)
	}
	before, err := os.ReadFile(s.cfg.Path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("nginx: %w", err)
	}
	missing := err != nil
	content, version := s.file(split, listen)
	if current, _ := s.file(split, other); inForce == s.answer(version) && string(before) == current {
		s.generation = split.Generation
		return nil
	}
	if err := write(s.cfg.Path, []byte(content)); err != nil {
		return fmt.Errorf("nginx: %w", err)
	}
	reloaded, err := s.load(ctx, version, listen, other)
	if err == nil {
		s.generation = split.Generation
		return nil
	}
	// What was in force stays in force, even if the caller has gone.
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Timeout)
	defer cancel()
	if missing {
		return errors.Join(err, os.Remove(s.cfg.Path))
	}
	e := write(s.cfg.Path, before)
	if e == nil && reloaded {
		e = run(undo, s.cfg.Reload)
	}
	if e == nil && reloaded && inForce != "" {
		e = s.inForce(undo, strings.TrimPrefix(inForce, s.answer("")), other, listen)
	}
	if e != nil {
		err = errors.Join(err, fmt.Errorf("nginx: the file before is not in force again: %w", e))
	}
	return err
}

// load has nginx load the file. It reports whether nginx may have begun to. From then on
// the end of ctx is ignored: until workers answer, it is unknown which file they have read.
func (s *Splitter) load(ctx context.Context, version, listen, other string) (bool, error) {
	if err := run(ctx, s.cfg.Test); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Timeout)
	defer cancel()
	if err := run(ctx, s.cfg.Reload); err != nil {
		return true, err
	}
	return true, s.inForce(ctx, version, listen, other)
}

// inForce waits until workers answer with a version on the address listen, and none accept
// on the address other.
func (s *Splitter) inForce(ctx context.Context, version, listen, other string) error {
	if err := s.await(ctx, version, func() (string, bool) {
		got := s.ask(ctx, listen)
		return fmt.Sprintf("%s answers %q", listen, got), got == s.answer(version)
	}); err != nil {
		return err
	}
	return s.await(ctx, version, func() (string, bool) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", other)
		if err == nil {
			_ = conn.Close()
		}
		return "workers with the version before still accept on " + other, errors.Is(err, syscall.ECONNREFUSED)
	})
}

// await asks until done says so, or ctx ends.
func (s *Splitter) await(ctx context.Context, version string, done func() (string, bool)) error {
	pause := time.NewTicker(2 * time.Millisecond)
	defer pause.Stop()
	for {
		got, ok := done()
		if ok {
			return nil
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return &MismatchError{Want: version, Got: got, Err: context.Cause(ctx)}
		}
	}
}

// ask returns the answer of the status server at an address, or "".
func (s *Splitter) ask(ctx context.Context, address string) string {
	ctx, cancel := context.WithTimeout(ctx, time.Second) // another program may have the port
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return ""
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 200))
	if err != nil {
		return ""
	}
	return string(body)
}

// run runs a command; its output is for the error.
func run(ctx context.Context, command []string) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.WaitDelay = time.Second
	output, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	output = bytes.TrimSpace(output)
	if len(output) > 1000 {
		output = output[len(output)-1000:]
	}
	return &CommandError{Command: strings.Join(command, " "), Output: string(output), Err: err}
}

// write replaces a file as a whole: nginx reads the old one or the new one, and
// so it does after a crash. The temporary file does not match "*.conf".
func write(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".split-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
