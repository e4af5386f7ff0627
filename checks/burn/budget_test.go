package burn

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/serin-go/serin/checks"
)

const (
	day   = 24 * time.Hour
	month = 30 * day
)

var threeNines = MustObjective("99.9%")

func near(t *testing.T, name string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9*math.Abs(want) {
		t.Errorf("%s = %v, want %v", name, got, want)
	}
}

// Rows V33 to V36: the four windows of the SRE workbook.
func TestRowsV33ToV36(t *testing.T) {
	for i, tt := range []struct {
		row             string
		month, february float64 // factors
		threshold       float64
		outage          time.Duration
	}{
		{"V33", 14.4, 13.44, 0.0144, 51840 * time.Millisecond},
		{"V34", 6, 5.6, 0.006, 129600 * time.Millisecond},
		{"V35", 3, 2.8, 0.003, 259200 * time.Millisecond},
		{"V36", 1, 28. / 30, 0.001, 259200 * time.Millisecond},
	} {
		w := DefaultWindows()[i]
		near(t, tt.row+" factor of 30 days", w.Factor(month), tt.month)
		near(t, tt.row+" factor of 28 days", w.Factor(28*day), tt.february)
		l := w.limit(threeNines, month)
		near(t, tt.row+" threshold", float64(l.is)/float64(l.of), tt.threshold)
		if got := w.Outage(threeNines, month); got != tt.outage {
			t.Errorf("%s: an outage is detected after %v, want %v", tt.row, got, tt.outage)
		}
	}
}

// pageQuick is a budget with the first window only.
func pageQuick(t *testing.T) *Budget {
	t.Helper()
	b, err := New(Config{Objective: threeNines, Windows: DefaultWindows()[:1]})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRowsV37AndV38BothWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pageQuick(t)
		b.Add(900, 100)
		if s := b.Report().Status; s != checks.Fail {
			t.Errorf("both windows burn: %v, want fail", s)
		}
		time.Sleep(6 * time.Minute)
		b.Add(1000, 0)
		if r := b.Report(); r.Status != checks.Pass || r.Windows[0].InLong.Bad != 100 || r.Windows[0].InShort.Bad != 0 {
			t.Errorf("V37, the short window has recovered: %+v, want pass", r)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := pageQuick(t)
		b.Add(100_000, 0)
		time.Sleep(30 * time.Minute)
		b.Add(900, 100)
		if r := b.Report(); r.Status != checks.Pass || r.Windows[0].InShort.Bad != 100 {
			t.Errorf("V38, only the short window burns: %+v, want pass", r)
		}
	})
}

// invalidIn reports whether err is an [*checks.InvalidError] of one field.
func invalidIn(err error, field string) bool {
	var invalid *checks.InvalidError
	return errors.As(err, &invalid) && invalid.Field == field
}

func TestRowV39LimitsThatCannotFire(t *testing.T) {
	for i, tt := range []struct{ below, from string }{
		{"93.0555%", "93.0556%"},
		{"83.3333%", "83.3334%"},
		{"66.6666%", "66.6667%"},
	} {
		windows := DefaultWindows()[i : i+1]
		if err := (Config{Objective: MustObjective(tt.below), Windows: windows}).Validate(); !invalidIn(err, "Config.Windows[0].Spend") {
			t.Errorf("%s: %v, want a limit that cannot fire", tt.below, err)
		}
		if err := (Config{Objective: MustObjective(tt.from), Windows: windows}).Validate(); err != nil {
			t.Errorf("%s: %v", tt.from, err)
		}
	}
}

func TestRowsV40AndV42FewRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pageQuick(t)
		if s := b.Report().Status; s != checks.Unknown {
			t.Errorf("V42, no requests: %v, want unknown", s)
		}
		b.Record(false)
		if s := b.Report().Status; s != checks.Unknown {
			t.Errorf("V40, 1 error of 1 request: %v, want unknown", s)
		}
		b.Add(98, 0)
		if s := b.Report().Status; s != checks.Unknown {
			t.Errorf("99 requests: %v, want unknown", s)
		}
		b = pageQuick(t)
		b.Add(100, 0)
		if r := b.Report(); r.Status != checks.Pass || r.Windows[0].Burn != 0 {
			t.Errorf("V42, traffic without errors: %+v, want pass and burn 0", r)
		}
	})
}

func TestRowV41ExactlyAtTheLimit(t *testing.T) {
	// What floating point makes of it.
	if ratio, factor, objective := 0.0144, 14.4, 0.999; ratio >= factor*(1-objective) {
		t.Error("floating point is not what it was")
	}
	synctest.Test(t, func(t *testing.T) {
		for _, n := range []int{1, 10, 1e6, 1e14} {
			b := pageQuick(t)
			b.Add(9856*n, 144*n)
			if s := b.Report().Status; s != checks.Pass {
				t.Errorf("%d of %d bad: %v, want pass", 144*n, 10_000*n, s)
			}
			b.Record(false)
			if s := b.Report().Status; s != checks.Fail {
				t.Errorf("one more than %d of %d bad: %v, want fail", 144*n, 10_000*n, s)
			}
		}
	})
}

// An outage is found at the computed time, within a sixtieth of the window.
func TestOutageDetection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pageQuick(t)
		for range 2 * 3600 {
			time.Sleep(time.Second)
			b.Add(100, 0)
		}
		began := time.Now()
		for b.Report().Status != checks.Fail {
			time.Sleep(time.Second)
			b.Add(0, 100)
			if time.Since(began) > time.Hour {
				t.Fatal("the outage was not found")
			}
		}
		if took := time.Since(began); took < 51*time.Second || took > 54*time.Second {
			t.Errorf("found after %v, want 51.84s to 52.7s, in whole seconds", took)
		}
	})
}

func TestTicketsWarn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New(Config{Objective: threeNines})
		if err != nil {
			t.Fatal(err)
		}
		b.Add(99_600, 400) // burn rate 4: beyond 3 and 1, not beyond 6 and 14.4
		res := b.Check(t.Context())
		if res.Status != checks.Warn || res.Summary == "" {
			t.Errorf("%v: %s, want warn", res.Status, res.Summary)
		}
		want := map[string]string{
			"objective":  "99.9%",
			"page 1h":    "pass: burn rate 4, limit 14.4, 400 of 100000 bad",
			"page 6h":    "pass: burn rate 4, limit 6, 400 of 100000 bad",
			"ticket 24h": "warn: burn rate 4, limit 3, 400 of 100000 bad",
			"ticket 72h": "warn: burn rate 4, limit 1, 400 of 100000 bad",
		}
		if diff := cmp.Diff(want, res.Evidence); diff != "" {
			t.Errorf("evidence (-want +got):\n%s", diff)
		}
		time.Sleep(80 * time.Hour)
		if res := b.Check(t.Context()); res.Status != checks.Unknown || !strings.Contains(res.Summary, "too few requests in 1h, 6h, 24h, 72h") {
			t.Errorf("after 80 hours of silence: %v: %s", res.Status, res.Summary)
		}
	})
}

// A window never forgets what is younger than its length, and always what is
// older by more than a sixtieth.
func TestRingCovers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := time.Duration(rapid.IntRange(1, 10_000).Draw(t, "length")) * time.Second
		r := &ring{width: length / slots}
		var now time.Duration
		var events []time.Duration
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			now += time.Duration(rapid.Int64Range(0, int64(length)).Draw(t, "gap") / int64(rapid.IntRange(1, 50).Draw(t, "often")))
			r.advance(now)
			r.add(Counts{Bad: 1, Total: 2})
			events = append(events, now)
			var least, most uint64
			for _, e := range events {
				if now-e < slots*r.width {
					least++
				}
				if now-e < (slots+1)*r.width {
					most++
				}
			}
			if r.sum.Bad < least || r.sum.Bad > most || r.sum.Total != 2*r.sum.Bad {
				t.Fatalf("at %v the window has %+v, want %d to %d", now, r.sum, least, most)
			}
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	b, err := New(Config{Objective: threeNines})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 1000 {
				b.Record(i%10 != 0)
				if i%100 == 0 {
					b.Check(t.Context())
				}
			}
		})
	}
	wg.Wait()
	for _, w := range b.Report().Windows {
		if w.InLong != (Counts{Bad: 800, Total: 8000}) {
			t.Errorf("%v: %+v, want 800 of 8000", w.Long, w.InLong)
		}
	}
}

func TestForRollout(t *testing.T) {
	for _, period := range []time.Duration{0, time.Minute, 20 * time.Minute, 26 * time.Hour, 30 * day} {
		cfg := Config{Objective: MustObjective("99%"), Period: max(period, time.Minute), Windows: ForRollout(period)}
		if err := cfg.Validate(); err != nil {
			t.Errorf("%v: %v", period, err)
		}
	}
	want := []float64{6, 2, 1}
	for i, w := range ForRollout(day) {
		near(t, "factor", w.Factor(day), want[i])
	}
	// Windows for 30 days do not fit: 2 % in an hour of a day is slow.
	near(t, "copied", DefaultWindows()[0].Factor(day), 0.48)
	synctest.Test(t, func(t *testing.T) {
		b, err := New(Config{Objective: MustObjective("99%"), Period: 20 * time.Minute, Windows: ForRollout(20 * time.Minute), MinEvents: 50})
		if err != nil {
			t.Fatal(err)
		}
		for range 60 {
			time.Sleep(time.Second)
			b.Add(10, 0)
		}
		for range 10 {
			time.Sleep(time.Second)
			b.Add(4, 6)
		}
		if s := b.Report().Status; s != checks.Fail {
			t.Errorf("60 %% errors for ten seconds of a rollout: %v, want fail", s)
		}
	})
}

func TestValidateReportsEverything(t *testing.T) {
	err := Config{Period: -time.Second, MinEvents: -1, Windows: []Window{
		{Severity: 7, Spend: 0, Long: time.Millisecond, Short: 1500 * time.Millisecond},
		{Spend: 100, Long: time.Hour, Short: 2 * time.Hour},
		{Spend: 100, Long: time.Hour, Short: 400 * day},
	}}.Validate()
	for _, want := range []string{
		"Objective", "Period", "MinEvents", "Windows[0].Severity", "Windows[0].Spend", "Windows[0].Long", "Windows[0].Short",
		"Windows[1].Short is 2h0m0s, want at most Long", "Windows[2].Short",
	} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	var invalid *checks.InvalidError
	if !errors.As(err, &invalid) {
		t.Errorf("%T is no *checks.InvalidError", err)
	}
	if _, err := New(Config{Objective: threeNines, Windows: []Window{}}); err == nil {
		t.Error("no windows were accepted")
	}
}

func TestObjectives(t *testing.T) {
	for text, want := range map[string]Objective{
		"99.9%": 999_000, "99.9": 999_000, " 99.9999 %": 999_999, "50": 500_000, "0.0001%": 1, "99.": 990_000,
	} {
		got, err := ParseObjective(text)
		if err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
		back, err := ParseObjective(got.String())
		if err != nil || back != got {
			t.Errorf("%q became %q and then %d, %v", text, got, back, err)
		}
	}
	for _, text := range []string{"", "%", "100%", "0", "-1", "99.99999", "1e2", "99,9", ".9", "+5", "9999", "99.-1"} {
		if o, err := ParseObjective(text); err == nil {
			t.Errorf("%q was taken for %v", text, o)
		}
	}
}

func FuzzParseObjective(f *testing.F) {
	f.Add("99.9%")
	f.Add("0.0001")
	f.Fuzz(func(t *testing.T, text string) {
		o, err := ParseObjective(text)
		if err != nil {
			return
		}
		if back, err := ParseObjective(o.String()); err != nil || back != o {
			t.Fatalf("%q became %q and then %d, %v", text, o, back, err)
		}
	})
}

func TestPlainData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pageQuick(t)
		b.Add(500, 500)
		r := b.Report()
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back Report
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, back); diff != "" {
			t.Errorf("%s (-before +after):\n%s", data, diff)
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	budget, err := New(Config{Objective: threeNines})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		budget.Record(true)
	}
}

func BenchmarkRecordParallel(b *testing.B) {
	budget, err := New(Config{Objective: threeNines})
	if err != nil {
		b.Fatal(err)
	}
	b.SetParallelism(8)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			budget.Record(true)
		}
	})
}

// What the doc says about memory.
func TestMemory(t *testing.T) {
	b, err := New(Config{Objective: threeNines})
	if err != nil {
		t.Fatal(err)
	}
	if size := len(b.rings) * int(unsafe.Sizeof(*b.rings[0])); size > 8<<10 {
		t.Errorf("the default windows take %d bytes, more than 8 KB", size)
	}
}
