package cluster_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/cluster"
	"github.com/serin-go/serin/loadtest/pace"
)

// TestEightProcessesOfWhichThreeAreLost has eight processes join over HTTPS with mutual
// TLS. During the run, two of them are killed, one is stopped, and another process joins.
// Each request is accounted for by number, and what the report has of a worker that was
// not lost is what that worker has written down.
func TestEightProcessesOfWhichThreeAreLost(t *testing.T) {
	target := startModel(t)
	a := newAuthority(t)
	c, err := cluster.New(cluster.Config{MinWorkers: 8, Lead: time.Second, Silence: 15 * time.Second, Names: []string{"worker"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	url, dir := a.serveTLS(t, c), t.TempDir()
	a.save(dir)
	start := func(name string) child {
		return startProcess(t, filepath.Join(dir, name+".jsonl"), joinVar+"="+url, tlsVar+"="+dir)
	}
	workers := make(map[string]child)
	for i := range 8 {
		name := fmt.Sprintf("w%d", i)
		workers[name] = start(name)
	}
	p := testPlan(target)
	p.Pacer, p.Duration = pace.Constant(40), 8*time.Second
	var once sync.Once
	joined := make(chan child, 1)
	p.OnInterval = func(r *loadtest.Report) {
		if r.Sent == 0 {
			return
		}
		once.Do(func() {
			for name, signal := range map[string]syscall.Signal{"w0": syscall.SIGKILL, "w3": syscall.SIGKILL, "w5": syscall.SIGSTOP} {
				if err := workers[name].cmd.Process.Signal(signal); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			go func() { joined <- start("late") }() // it takes some time
		})
	}
	r, err := c.Run(t.Context(), p)
	workers["late"] = <-joined
	defer func() { _ = workers["w5"].cmd.Process.Kill() }()
	if err != nil {
		t.Fatal(err)
	}
	if r.Sent+r.Unsent+r.Missing != 320 || r.Missing == 0 || !strings.Contains(r.Notes[len(r.Notes)-1], fmt.Sprintf("the plan has 320 requests: %d sent, %d unsent, %d missing", r.Sent, r.Unsent, r.Missing)) {
		t.Errorf("%d sent, %d unsent, %d missing, want 320:\n%v", r.Sent, r.Unsent, r.Missing, r)
	}
	lost, sent := make(map[string]bool), make(map[string]int)
	for _, note := range r.Notes[:len(r.Notes)-1] {
		name, rest, _ := strings.Cut(strings.TrimPrefix(note, "worker "), ",")
		_, rest, _ = strings.Cut(rest, ", sent ")
		var n int
		if _, err := fmt.Sscanf(rest, "%d requests of", &n); err != nil {
			t.Errorf("%q: %v", note, err)
		}
		sent[name] += n
		lost[name] = lost[name] || strings.Contains(note, "LOST")
	}
	for _, name := range []string{"w0", "w3", "w5"} {
		if !lost[name] {
			t.Errorf("%s is not lost:\n%s", name, strings.Join(r.Notes, "\n"))
		}
	}
	for name, w := range workers {
		if lost[name] {
			continue // it may have written more than it has reported
		}
		if wrote := summarise(t, w).Sent; wrote != sent[name] {
			t.Errorf("%s wrote %d results down, the report has %d of it", name, wrote, sent[name])
		}
	}
	t.Logf("%d sent, %d unsent, %d missing:\n%s", r.Sent, r.Unsent, r.Missing, strings.Join(r.Notes, "\n"))
}
