package alert_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/rollout/memstore"
)

func quiet(b *testing.B, s rollout.Store) *alert.Manager {
	m, err := alert.New(alert.Config{Store: s, Receivers: one(&receiver{})})
	if err != nil {
		b.Fatal(err)
	}
	return m
}

// BenchmarkSetKnown sets alerts that fire already.
func BenchmarkSetKnown(b *testing.B) {
	m := quiet(b, new(memstore.Store))
	var all []alert.Alert
	for i := range 100 {
		all = append(all, queue(fmt.Sprint("t", i)))
		if err := m.Set(b.Context(), all[i]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := m.Set(b.Context(), all[i%len(all)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkChange compares changes of the state in a file with one compare-and-set of a value of
// the same size, by turns, since the time of a write depends on what else the disk does. times
// is the ratio.
func BenchmarkChange(b *testing.B) {
	for _, name := range []string{"set", "notify"} {
		b.Run(name, func(b *testing.B) {
			s, err := boltstore.Open(filepath.Join(b.TempDir(), "db"))
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			m, a, rev := quiet(b, s), queue("chat"), rollout.Revision("")
			value, err := json.Marshal(make([]byte, 700))
			if err != nil {
				b.Fatal(err)
			}
			var n uint64
			var puts, changes time.Duration
			for b.Loop() {
				n++
				began := time.Now()
				if rev, err = s.Put(b.Context(), "x", value, rev); err != nil {
					b.Fatal(err)
				}
				puts += time.Since(began)
				began = time.Now()
				if name == "set" {
					a.Severity = alert.Severity(n % 4)
					err = m.Set(b.Context(), a)
				} else {
					e := event(rollout.Paused, n)
					if e.Rule = "limit"; n%2 == 0 {
						e = event(rollout.Resumed, n)
					}
					err = m.Notify(b.Context(), e)
				}
				if err != nil {
					b.Fatal(err)
				}
				changes += time.Since(began)
			}
			b.ReportMetric(changes.Seconds()/puts.Seconds(), "times")
		})
	}
}

// BenchmarkLook plans with 10,000 alerts that fire, of which 1,000 are kept.
func BenchmarkLook(b *testing.B) {
	m := quiet(b, new(memstore.Store))
	errs := make(chan error, 10_000)
	for i := range 10_000 {
		a := queue(fmt.Sprint("t", i%50))
		a.Labels["replica"] = fmt.Sprint(i)
		go func() { errs <- m.Set(context.WithoutCancel(b.Context()), a) }()
	}
	for range 10_000 {
		if err := <-errs; err != nil {
			b.Fatal(err)
		}
	}
	at := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		m.PlanForBenchmark(at)
	}
}
