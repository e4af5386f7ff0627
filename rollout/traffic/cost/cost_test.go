package cost_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/cost"
)

const prices = `{"large-2026-08-01":{"input":2.50,"cache_read":0.25,"output":10,"reasoning":12.000001,"web_search":0.01,"tiers":{"batch":{"input":1.25}},"long_context":{"above":200000,"price":{"input":5,"output":15}}},"large*":{"input":3,"output":12},"large-mini*":{"input":0.1,"output":0.4}}`

func TestBook(t *testing.T) {
	b, err := cost.ReadBook(strings.NewReader(prices))
	if err != nil {
		t.Fatal(err)
	}
	large, mini := traffic.Price{Input: 3_000_000, Output: 12_000_000}, traffic.Price{Input: 100_000, Output: 400_000}
	for model, want := range map[string]traffic.Price{
		"large-2026-08-01": {
			Input: 2_500_000, CacheRead: 250_000, Output: 10_000_000, Reasoning: 12_000_001, WebSearch: 10_000,
			Tiers:       map[string]traffic.Price{"batch": {Input: 1_250_000}},
			LongContext: traffic.LongContext{Above: 200_000, Price: &traffic.Price{Input: 5_000_000, Output: 15_000_000}},
		},
		"large-2026-09-01": large, "large": large, "large-mini": mini, "large-mini-2026": mini,
	} {
		got, ok := b.Price(model)
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("%s: %t (-want +got):\n%s", model, ok, diff)
		}
	}
	for _, model := range []string{"", "small", "Large", "larg"} {
		if p, ok := b.Price(model); ok || p.Known() {
			t.Errorf("%q has a price, %+v", model, p)
		}
	}
}

func TestInvalidBooks(t *testing.T) {
	for text, want := range map[string]string{ // the field, or "" for an error of package json
		`{"a":{"inputs":1}}`: "", `{"a":{"input":-1}}`: `"a".Input`, `{"a":{"input":1e3}}`: `"a".Input`, `{"a":{"input":"1"}}`: `"a".Input`, `{"a":{"input":0.0000001}}`: `"a".Input`,
		`{"a":{}}`: `"a"`, `{"":{"input":1}}`: `""`, `{"a*b":{"input":1}}`: `"a*b"`, `{"a":{"input":1}} {}`: "", `[1]`: "", `{"a":{"input":99999999999999}}`: `"a".Input`,
		`{"a":{"cached":1}}`: "", `{"a":{"tiers":{"batch":{"inputs":1}}}}`: "", `{"a":{"tiers":{"batch":null}}}`: `"a".Tiers[batch]`,
		`{"a":{"long_context":{"price":{"input":1}}}}`: `"a".LongContext.Above`, `{"a":{"long_context":{"above":1}}}`: `"a".LongContext.Price`, ``: "",
	} {
		_, err := cost.ReadBook(strings.NewReader(text))
		var bad *checks.InvalidError
		if err == nil || want != "" && (!errors.As(err, &bad) || bad.Field != want) {
			t.Errorf("%s: %v, want an error about %s", text, err, want)
		}
	}
	_, err := cost.ReadBook(strings.NewReader(`{"b":{"input":"x","long_context":{"above":1,"price":{"output":-1}}},"a":{"tiers":{"c":{"image":1e9},"b":{"request":-1}}}}`))
	if diff := cmp.Diff([]string{`"a".Tiers[b].Request`, `"a".Tiers[c].Image`, `"b".Input`, `"b".LongContext.Price.Output`}, fields(err)); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	for range 20 {
		_, err = cost.NewBook(map[string]traffic.Price{"a": {Input: 1, Tiers: map[string]traffic.Price{"b": {Input: -1}, "a": {Input: -1}, "c": {}}}})
		if diff := cmp.Diff([]string{`"a".Tiers[a].Input`, `"a".Tiers[b].Input`, `"a".Tiers[c]`}, fields(err)); diff != "" {
			t.Fatalf("fields (-want +got):\n%s", diff)
		}
	}
	_, err = cost.NewBook(map[string]traffic.Price{"a": {Input: -1}, "b": {CacheRead: -1}})
	if diff := cmp.Diff([]string{`"a".Input`, `"b".CacheRead`}, fields(err)); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}

// fields returns the fields of all InvalidErrors in err.
func fields(err error) (all []string) {
	for bad := range checks.Invalid(err) {
		all = append(all, bad.Field)
	}
	return all
}

func FuzzReadBook(f *testing.F) {
	f.Add(prices)
	f.Add(`{"a":{"input":1.5}}`)
	f.Fuzz(func(t *testing.T, text string) {
		b, err := cost.ReadBook(strings.NewReader(text))
		if err != nil {
			return
		}
		b.Price("a")
	})
}

func pay(l *cost.Ledger, arm, tenant string, money analysis.Money) {
	l.Observe(analysis.Observation{Class: analysis.OK, Arm: arm, Unit: tenant, Cost: money})
}

func TestLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := cost.NewLedger(cost.Config{Window: 24 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		pay(l, "1.4.0", "ana", 100)
		time.Sleep(12 * time.Hour)
		pay(l, "1.5.0", "ana", 20)
		pay(l, "1.5.0", "ben", 3)
		pay(l, "1.5.0", "ben", -1)
		if l.Spent("ana") != 120 || l.Spent("ben") != 3 || l.Spent("cem") != 0 || l.Total() != 123 {
			t.Errorf("ana %d, ben %d, cem %d, all %d", l.Spent("ana"), l.Spent("ben"), l.Spent("cem"), l.Total())
		}
		time.Sleep(13 * time.Hour)
		if l.Spent("ana") != 20 || l.Total() != 23 {
			t.Errorf("a day later: ana %d, all %d", l.Spent("ana"), l.Total())
		}
		time.Sleep(100 * time.Hour)
		if l.Spent("ana") != 0 || l.Total() != 0 {
			t.Errorf("long after that: ana %d, all %d", l.Spent("ana"), l.Total())
		}
		want := []cost.Spending{{Arm: "1.4.0", Requests: 1, Cost: 100}, {Arm: "1.5.0", Requests: 3, Unknown: 1, Cost: 23}}
		if diff := cmp.Diff(want, l.Arms()); diff != "" {
			t.Errorf("arms (-want +got):\n%s", diff)
		}
	})
}

func TestTenantsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := cost.NewLedger(cost.Config{Window: time.Hour, Tenants: 3})
		if err != nil {
			t.Fatal(err)
		}
		for _, tenant := range []string{"a", "b", "c", "d", "e"} {
			pay(l, "1", tenant, 10)
		}
		if l.Spent("a") != 10 || l.Spent("d") != 0 || l.Spent("") != 20 || l.Total() != 50 {
			t.Errorf("a %d, d %d, the others %d, all %d", l.Spent("a"), l.Spent("d"), l.Spent(""), l.Total())
		}
		time.Sleep(2 * time.Hour)
		pay(l, "1", "d", 10)
		if l.Spent("d") != 10 {
			t.Error("there is room again, but not for d")
		}
	})
}

func TestCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := cost.NewLedger(cost.Config{Window: 24 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		budget := cost.Budget{Limit: 1000}
		want := func(status checks.Status) {
			t.Helper()
			if r := l.Check(budget).Check(t.Context()); r.Status != status || r.Summary == "" {
				t.Errorf("%v, want %v: %s", r.Status, status, r.Summary)
			}
		}
		want(checks.Pass)
		pay(l, "1", "ana", 200) // in an hour, which is a sixth of 1,200 a day
		want(checks.Pass)
		time.Sleep(time.Hour)
		want(checks.Warn)
		time.Sleep(5 * time.Hour)
		want(checks.Pass)
		pay(l, "1", "ana", 650)
		want(checks.Warn)
		pay(l, "1", "ana", 150)
		want(checks.Fail)
		time.Sleep(30 * time.Hour)
		want(checks.Pass)
		pay(l, "1", "ana", -1)
		want(checks.Warn)
		for _, b := range []cost.Budget{{}, {Limit: -1}, {Limit: 1, WarnAt: 2}} {
			if r := l.Check(b).Check(t.Context()); r.Status != checks.Unknown || r.Err == nil {
				t.Errorf("%+v: %+v", b, r)
			}
		}
	})
}

func TestGuard(t *testing.T) {
	l, err := cost.NewLedger(cost.Config{})
	if err != nil {
		t.Fatal(err)
	}
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { pay(l, "1", r.Header.Get("X-Tenant"), 40) })
	guard := l.Guard(next, func(r *http.Request) string { return r.Header.Get("X-Tenant") }, func(tenant string) analysis.Money {
		return map[string]analysis.Money{"ana": 100}[tenant]
	})
	for tenant, codes := range map[string][]int{"ana": {200, 200, 200, 429, 429}, "ben": {200, 200, 200, 200, 200}} {
		for i, want := range codes {
			req := httptest.NewRequest(http.MethodPost, "/", nil)
			req.Header.Set("X-Tenant", tenant)
			w := httptest.NewRecorder()
			guard.ServeHTTP(w, req)
			if w.Code != want {
				t.Errorf("%s, request %d: %d, want %d", tenant, i, w.Code, want)
			}
			if want == 429 && (w.Header().Get("Retry-After") != "3600" || !strings.Contains(w.Body.String(), "budget_exceeded")) {
				t.Errorf("%v %s", w.Header(), w.Body)
			}
		}
	}
}

func TestConcurrent(t *testing.T) {
	l, err := cost.NewLedger(cost.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 1000 {
				pay(l, "1", fmt.Sprint(i%3), 1)
				l.Total()
			}
		})
	}
	wg.Wait()
	if l.Total() != 8000 {
		t.Errorf("%d, want 8000", l.Total())
	}
}

func TestBadConfig(t *testing.T) {
	_, err := cost.NewLedger(cost.Config{Window: -1, Tenants: -1, MaxBytes: -1})
	fields := map[string]bool{}
	for invalid := range checks.Invalid(err) {
		fields[invalid.Field] = true
	}
	for _, field := range []string{"Config.Window", "Config.Tenants", "Config.MaxBytes"} {
		if !fields[field] {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

func TestFormat(t *testing.T) {
	for m, want := range map[analysis.Money]string{0: "0.00", 12_500_000: "12.50", 125: "0.000125", -1_000_000: "-1.00", 1_234_567: "1.234567", -1 << 63: "-9223372036854.775808"} {
		if got := cost.Format(m); got != want {
			t.Errorf("Format(%d) = %s, want %s", m, got, want)
		}
	}
}

func Example() {
	book, err := cost.ReadBook(strings.NewReader(`{"tinylm*": {"input": 0.50, "output": 2}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	price, known := book.Price("tinylm-2026-11")
	fmt.Println(cost.Format(price.Output), known)

	ledger, err := cost.NewLedger(cost.Config{Window: 24 * time.Hour})
	if err != nil {
		fmt.Println(err)
		return
	}
	ledger.Observe(analysis.Observation{Class: analysis.OK, Arm: "1.5.0", Unit: "ana", Cost: 42_000_000})
	result := ledger.Check(cost.Budget{Limit: 40_000_000}).Check(context.Background())
	fmt.Println(result.Status, cost.Format(ledger.Spent("ana")))
	// Output:
	// 2.00 true
	// fail 42.00
}

func ExampleLedger_Reserve() {
	ledger, err := cost.NewLedger(cost.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	const limit, estimate = 100, 80
	first, ok := ledger.Reserve("ana", limit, estimate)
	fmt.Println("admitted:", ok)
	second, ok := ledger.Reserve("ana", limit, estimate)
	fmt.Println("admitted:", ok)
	_, ok = ledger.Reserve("ana", limit, estimate)
	fmt.Println("admitted:", ok)

	first.Charge(traffic.Charge{Arm: "1.5.0", Cost: 10}) // it fails
	first.Charge(traffic.Charge{Arm: "1.4.0", Cost: 30}) // the fallback
	first.Release()
	second.Release() // no server was asked
	fmt.Println("spent:", ledger.Spent("ana"))
	// Output:
	// admitted: true
	// admitted: true
	// admitted: false
	// spent: 40
}
