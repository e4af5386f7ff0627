package cost_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/heaptest"
	"github.com/serin-go/serin/rollout/traffic/cost"
)

func newLedger(t testing.TB, cfg cost.Config) *cost.Ledger {
	t.Helper()
	l, err := cost.NewLedger(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestWorkIsConstant counts the accounts that are looked at for one observation: of a
// known tenant, of a newcomer who is charged to the common account, and of a newcomer
// who replaces the oldest tenant.
func TestWorkIsConstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tenants = 20_000
		l := newLedger(t, cost.Config{Tenants: tenants, Window: time.Hour})
		most, before := uint64(0), uint64(0)
		observe := func(name string) {
			pay(l, "1.5.0", name, 1)
			after := l.Visits()
			most, before = max(most, after-before), after
		}
		work := func(what string, n int) {
			t.Helper()
			start := before
			for i := range n {
				observe(fmt.Sprint(what, i))
			}
			t.Logf("%s: %.2f accounts an observation, %d at most", what, float64(before-start)/float64(n), most)
			if before-start > uint64(3*n) || most > 40 {
				t.Errorf("%s: %d accounts for %d observations, %d at most", what, before-start, n, most)
			}
			most = 0
		}
		work("first", tenants)
		work("first", tenants) // which are known by now
		work("common", tenants)
		if s := l.Stats(); s.Tenants != tenants || s.Shared != tenants {
			t.Errorf("%+v", s)
		}
		time.Sleep(2 * time.Hour)
		work("later", tenants)
		if s := l.Stats(); s.Tenants != tenants || s.Shared != tenants || l.Spent("later7") != 1 || l.Spent("first7") != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestOldestGoesFirst: a newcomer replaces the tenant that was not seen for the longest
// time, unless that one has spent something or has a request under way.
func TestOldestGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(t, cost.Config{Window: time.Hour, Tenants: 3})
		for _, tenant := range []string{"a", "b", "c", "a"} {
			pay(l, "1", tenant, 10)
		}
		time.Sleep(2 * time.Hour)
		pay(l, "1", "c", 10)
		pay(l, "1", "d", 10) // in the place of b
		pay(l, "1", "a", 10)
		pay(l, "1", "e", 10) // c is the oldest, and has spent
		for tenant, want := range map[string]analysis.Money{"a": 10, "b": 0, "c": 10, "d": 10, "e": 0, "": 10} {
			if got := l.Spent(tenant); got != want {
				t.Errorf("%q: %d, want %d", tenant, got, want)
			}
		}
		time.Sleep(2 * time.Hour)
		r, ok := l.Reserve("c", 100, 50)
		pay(l, "1", "d", 10)
		pay(l, "1", "a", 10)
		pay(l, "1", "f", 10) // c has a request under way
		if !ok || l.Spent("f") != 0 || l.Spent("") != 10 {
			t.Errorf("%t, f %d, common %d", ok, l.Spent("f"), l.Spent(""))
		}
		r.Release()
		pay(l, "1", "f", 10)
		if l.Spent("f") != 10 {
			t.Errorf("f %d", l.Spent("f"))
		}
	})
}

// TestMemoryOfLedger fills ledgers with tenants of all lengths of names.
func TestMemoryOfLedger(t *testing.T) {
	for _, length := range []int{8, 100, 128, 129, 10_000} {
		const bound = 4 << 20
		before := heaptest.InUse()
		l := newLedger(t, cost.Config{MaxBytes: bound})
		for i := range 15_000 {
			pay(l, "1.5.0", fmt.Sprintf("%0*d", length, i), 1)
		}
		after := heaptest.InUse()
		s := l.Stats()
		t.Logf("names of %d bytes: %d tenants, %d bytes by count, %d on the heap", length, s.Tenants, s.Bytes, after-before)
		if after-before > bound || s.Bytes > bound || s.Tenants < 5_000 {
			t.Errorf("names of %d bytes: %d on the heap, %+v", length, after-before, s)
		}
		runtime.KeepAlive(l)
	}
	l := newLedger(t, cost.Config{})
	for i := range 3_000 {
		pay(l, fmt.Sprint("arm-", i), "ana", 1)
	}
	if n := len(l.Arms()); n > 1_001 || l.Total() != 3_000 {
		t.Errorf("%d arms, %d spent", n, l.Total())
	}
}

// TestNamesOfTenants: names that are long or cannot be printed have an account like all
// others, under a hash that is the same in all processes.
func TestNamesOfTenants(t *testing.T) {
	l := newLedger(t, cost.Config{})
	names := []string{"ana", "Zoë", "家", strings.Repeat("x", 128), strings.Repeat("x", 129), strings.Repeat("y", 129), "a\nb", "a\x00", "\xff", "\xfe", "zero\u200bwidth"}
	for i, name := range names {
		pay(l, "1", name, analysis.Money(i+1))
	}
	for i, name := range names {
		if got := l.Spent(name); got != analysis.Money(i+1) {
			t.Errorf("%.20q: %d, want %d", name, got, i+1)
		}
	}
	if got := l.Spent("0ec9eb33e74510bcdd1f2ea55206e82f"); got != 5 {
		t.Errorf("129 times x: %d by its hash, want 5", got)
	}
}

// TestPanicOfTenant: a request whose payer cannot be determined is charged to the
// common account.
func TestPanicOfTenant(t *testing.T) {
	var log bytes.Buffer
	l := newLedger(t, cost.Config{
		Tenant: func(o analysis.Observation) string {
			if o.Unit == "" {
				panic("boom")
			}
			return o.Unit
		},
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	pay(l, "1", "ana", 1)
	pay(l, "1", "", 2)
	pay(l, "1", "", 4)
	if s := l.Stats(); s.Panics != 2 || s.Shared != 2 || l.Spent("") != 6 || l.Spent("ana") != 1 || l.Total() != 7 {
		t.Errorf("%+v, common %d, total %d", s, l.Spent(""), l.Total())
	}
	if n := strings.Count(log.String(), "function=Tenant"); n != 1 {
		t.Errorf("%d lines: %s", n, log.String())
	}
}

func TestLargeAmounts(t *testing.T) {
	l := newLedger(t, cost.Config{})
	for range 3 {
		pay(l, "1", "ana", 1<<62)
	}
	if spent := l.Spent("ana"); spent != 1<<63-1 || l.Total() != spent || l.Arms()[0].Cost != spent {
		t.Errorf("ana %d, all %d, arms %+v", spent, l.Total(), l.Arms())
	}
}

// names of 100,000 tenants, the default of Config.Tenants.
func names(prefix string) []string {
	all := make([]string, 100_000)
	for i := range all {
		all[i] = fmt.Sprint(prefix, i)
	}
	return all
}

func BenchmarkObserve(b *testing.B) {
	known, newcomers := names("user-"), names("newcomer-")
	full := func(b *testing.B, cfg cost.Config) *cost.Ledger {
		l := newLedger(b, cfg)
		for _, name := range known {
			pay(l, "1.5.0", name, 100)
		}
		return l
	}
	b.Run("one tenant", func(b *testing.B) {
		l := newLedger(b, cost.Config{})
		b.ReportAllocs()
		for b.Loop() {
			pay(l, "1.5.0", "ana", 100)
		}
	})
	b.Run("known", func(b *testing.B) {
		l := full(b, cost.Config{})
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			pay(l, "1.5.0", known[i*7919%len(known)], 100)
		}
	})
	b.Run("newcomer", func(b *testing.B) {
		l := full(b, cost.Config{})
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			pay(l, "1.5.0", newcomers[i%len(newcomers)], 100)
		}
	})
	b.Run("newcomer who replaces", func(b *testing.B) {
		l, both := full(b, cost.Config{Window: 24 * time.Millisecond}), append(newcomers, known...)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			pay(l, "1.5.0", both[i%len(both)], 0) // its last account has been replaced since
		}
	})
}

// TestSeries: what an arm costs, by the second and by the request, is of the time between two
// looks.
func TestSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(t, cost.Config{})
		pay(l, "1.4.0", "ana", 1_000_000)
		series := cost.Series(l)
		look := func() string {
			time.Sleep(time.Minute)
			now := time.Now()
			return fmt.Sprint(len(series), " ", series["cost"](now), " ", series["cost of 1.4.0"](now), " ", series["cost of a request of 1.4.0"](now))
		}
		steps := []struct {
			pay  func()
			want string
		}{
			{func() {}, "3 NaN NaN NaN"},
			{func() {
				pay(l, "1.4.0", "ben", 90_000_000)
				pay(l, "1.4.0", "ana", 30_000_000)
				pay(l, "1.5.0", "ana", 60_000_000)
			}, "3 3 2 60"},
			{func() {}, "3 0 0 NaN"},
			{func() { time.Sleep(time.Hour) }, "3 NaN NaN NaN"},
		}
		for i, step := range steps {
			step.pay()
			if got := look(); got != step.want {
				t.Errorf("look %d: %s, want %s", i, got, step.want)
			}
		}
	})
}
