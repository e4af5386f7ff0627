package cost_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic/cost"
)

// TestGuardBinds lets 64 callers of each of 100 tenants ask until they are refused.
// What a request costs is known when it ends; no limit is exceeded by more than one
// answer.
func TestGuardBinds(t *testing.T) {
	const largest, tenants, callers = 50, 100, 64
	l := newLedger(t, cost.Config{Estimate: func(*http.Request) analysis.Money { return largest }})
	limit := func(tenant string) analysis.Money {
		n, _ := strconv.Atoi(tenant)
		return analysis.Money(1 + 37*n)
	}
	next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		pay(l, "1", r.Header.Get("X-Tenant"), rand.N[analysis.Money](largest+1))
	})
	guard := l.Guard(next, func(r *http.Request) string { return r.Header.Get("X-Tenant") }, limit)
	ask := func(tenant string) (admitted bool) {
		req := httptest.NewRequest(http.MethodPost, "/", nil)
		req.Header.Set("X-Tenant", tenant)
		w := httptest.NewRecorder()
		guard.ServeHTTP(w, req)
		return w.Code == http.StatusOK
	}
	var all sync.WaitGroup
	for i := range tenants {
		for range callers {
			all.Go(func() {
				for range 10 {
					ask(fmt.Sprint(i))
				}
			})
		}
	}
	all.Wait()
	for i := range tenants {
		name := fmt.Sprint(i)
		for ask(name) {
		}
		most, spent := limit(name), l.Spent(name)
		if spent < most || spent >= most+largest {
			t.Errorf("tenant %d has spent %d of %d", i, spent, most)
		}
		if reserved, open := l.Reserved(name); reserved != 0 || open != 0 {
			t.Errorf("tenant %d has %d reserved by %d requests after the last one", i, reserved, open)
		}
	}
}

// TestReservationsBind is the same with reservations that are charged: some requests
// fail, some need a fallback, and some costs are not known.
func TestReservationsBind(t *testing.T) {
	const largest, tenants, callers = 50, 100, 64
	l := newLedger(t, cost.Config{})
	limit := func(i int) analysis.Money { return analysis.Money(1 + 37*i) }
	ask := func(i int) (admitted bool) {
		r, ok := l.Reserve(fmt.Sprint(i), limit(i), largest)
		if !ok {
			return false
		}
		defer r.Release()
		switch rand.IntN(4) {
		case 0: // a failure before a server was asked
		case 1:
			r.Charge("1.5.0", -1)
		case 2:
			part := rand.N[analysis.Money](largest)
			r.Charge("1.5.0", part)
			r.Charge("1.4.0", rand.N[analysis.Money](largest-part+1))
		default:
			r.Charge("1.4.0", rand.N[analysis.Money](largest+1))
		}
		return true
	}
	var all sync.WaitGroup
	for i := range tenants {
		for range callers {
			all.Go(func() {
				for range 20 {
					ask(i)
				}
			})
		}
	}
	all.Wait()
	for i := range tenants {
		for ask(i) {
		}
		if spent := l.Spent(fmt.Sprint(i)); spent < limit(i) || spent >= limit(i)+largest {
			t.Errorf("tenant %d has spent %d of %d", i, spent, limit(i))
		}
		if reserved, open := l.Reserved(fmt.Sprint(i)); reserved != 0 || open != 0 {
			t.Errorf("tenant %d has %d reserved by %d requests after the last one", i, reserved, open)
		}
	}
}

func TestReservation(t *testing.T) {
	l := newLedger(t, cost.Config{})
	first, ok := l.Reserve("ana", 100, 60)
	if !ok {
		t.Fatal("an empty account is refused")
	}
	second, ok := l.Reserve("ana", 100, 60) // 60 are reserved, which is less than 100
	if !ok {
		t.Fatal("refused below the limit")
	}
	if _, ok := l.Reserve("ana", 100, 0); ok {
		t.Error("admitted with 120 of 100 reserved")
	}
	if _, ok := l.Reserve("ana", 0, 60); !ok {
		t.Error("refused without a limit")
	}
	first.Charge("1.5.0", 10)
	first.Charge("1.4.0", 100) // more than is reserved
	first.Release()
	if spent := l.Spent("ana"); spent != 110 {
		t.Errorf("spent %d, want 110", spent)
	}
	second.Charge("1.5.0", -1)
	second.Charge("1.5.0", -1) // nothing is left that could stand for it
	if spent := l.Spent("ana"); spent != 170 {
		t.Errorf("spent %d, want 170", spent)
	}
	second.Release()
	second.Charge("1.5.0", 5) // a copy that has ended late
	if spent, total := l.Spent("ana"), l.Total(); spent != 175 || total != 175 {
		t.Errorf("spent %d, total %d, want 175", spent, total)
	}
	if r, ok := l.Reserve("ben", 10, -5); !ok {
		t.Error("a negative amount is refused")
	} else {
		r.Release()
	}
	var none *cost.Reservation
	none.Charge("1.5.0", 1)
	none.Release()
}

// TestGuardRefuses: a function of the program that panics refuses the request before a
// server is asked, and so does a price that is not known.
func TestGuardRefuses(t *testing.T) {
	panics := func() { panic("boom") }
	for name, tt := range map[string]struct {
		tenant, limit, estimate func()
		amount                  analysis.Money
		unpriced                bool
		code                    int
		text                    string
		panics                  uint64
	}{
		"nothing panics":   {code: 200},
		"tenant":           {tenant: panics, code: 429, text: "budget_unknown", panics: 1},
		"limit":            {limit: panics, code: 429, text: "budget_unknown", panics: 1},
		"estimate":         {estimate: panics, code: 429, text: "budget_unknown", panics: 1},
		"no price":         {amount: -1, code: 429, text: "price_unknown"},
		"no price allowed": {amount: -1, unpriced: true, code: 200},
	} {
		t.Run(name, func(t *testing.T) {
			call := func(f func()) {
				if f != nil {
					f()
				}
			}
			l := newLedger(t, cost.Config{Unpriced: tt.unpriced, Estimate: func(*http.Request) analysis.Money { call(tt.estimate); return tt.amount }})
			asked := false
			guard := l.Guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }),
				func(*http.Request) string { call(tt.tenant); return "ana" },
				func(string) analysis.Money { call(tt.limit); return 100 })
			w := httptest.NewRecorder()
			guard.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
			if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.text) || asked != (tt.code == 200) || l.Stats().Panics != tt.panics {
				t.Errorf("%d %s, asked %t, %+v", w.Code, w.Body, asked, l.Stats())
			}
		})
	}
}

// TestGuardReleasesAfterPanic: a handler that panics leaves nothing reserved.
func TestGuardReleasesAfterPanic(t *testing.T) {
	l := newLedger(t, cost.Config{Estimate: func(*http.Request) analysis.Money { return 5 }})
	guard := l.Guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		func(*http.Request) string { return "ana" }, func(string) analysis.Money { return 100 })
	func() {
		defer func() {
			if recover() != http.ErrAbortHandler {
				t.Error("the panic of the handler is lost")
			}
		}()
		guard.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil))
	}()
	if reserved, open := l.Reserved("ana"); reserved != 0 || open != 0 {
		t.Errorf("%d reserved by %d requests", reserved, open)
	}
}
