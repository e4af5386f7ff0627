package cost_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/cost"
	"github.com/serin-go/serin/strategies"
)

// chat is a backend that reports as many output tokens as the request allows at most,
// or fewer.
func chat(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		MaxTokens int `json:"max_tokens"`
	}
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],`+
		`"usage":{"prompt_tokens":1,"completion_tokens":%d}}`, 1+rand.IntN(max(ask.MaxTokens, 1)))
}

// sometimes is a backend that fails every other request.
func sometimes(w http.ResponseWriter, r *http.Request) {
	if rand.IntN(2) == 0 {
		http.Error(w, "broken", http.StatusInternalServerError)
		return
	}
	chat(w, r)
}

// newRouter returns a router with a baseline and a candidate of half the traffic.
func newRouter(t *testing.T, price traffic.Price, configure func(*traffic.Config)) *traffic.Router {
	t.Helper()
	cfg := traffic.Config{
		Arms: map[string]traffic.Backend{
			"1.4.0": {Handler: http.HandlerFunc(chat), Price: price},
			"1.5.0": {Handler: http.HandlerFunc(sometimes), Price: price},
		},
		Split:         strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Full / 2}, {Name: "1.5.0", Weight: strategies.Full / 2}}},
		FallbackRatio: 1e9,
	}
	if configure != nil {
		configure(&cfg)
	}
	r, err := traffic.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tenantHeader(r *http.Request) string { return r.Header.Get("X-Tenant") }

// ask sends a chat request of a tenant and returns the status.
func ask(h http.Handler, tenant string, maxTokens int) int {
	body := fmt.Sprintf(`{"model":"m","max_tokens":%d,"messages":[{"role":"user","content":"Hi"}]}`, maxTokens)
	req := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
	req.Header.Set("X-Tenant", tenant)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w.Code
}

// TestGuardBinds lets 64 callers of each of 100 tenants ask until they are refused.
// What a request costs is known when it ends, and some need a fallback. No limit is
// exceeded by more than one answer.
func TestGuardBinds(t *testing.T) {
	const maxTokens, tenants, callers = 50, 100, 64
	const largest = 1_000 * (maxTokens + 10) // with the input
	l := newLedger(t, cost.Config{})
	limit := func(tenant string) analysis.Money {
		n, _ := strconv.Atoi(tenant)
		return analysis.Money(1_000 + 37_000*n)
	}
	guard := l.Guard(newRouter(t, traffic.Price{Input: 1e9, Output: 1e9}, nil), tenantHeader, limit)
	var all sync.WaitGroup
	for i := range tenants {
		for range callers {
			all.Go(func() {
				for ask(guard, fmt.Sprint(i), maxTokens) == http.StatusOK {
				}
			})
		}
	}
	all.Wait()
	for i := range tenants {
		name := fmt.Sprint(i)
		for ask(guard, name, maxTokens) == http.StatusOK {
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

// TestGuardChargesOnce: a ledger that observes or charges what its guard charges
// already counts it once, whatever the configuration names.
func TestGuardChargesOnce(t *testing.T) {
	for name, configure := range map[string]func(*cost.Ledger, *traffic.Config){
		"guard alone": func(*cost.Ledger, *traffic.Config) {},
		"observed":    func(l *cost.Ledger, c *traffic.Config) { c.Observe = l.Observe },
		"charged":     func(l *cost.Ledger, c *traffic.Config) { c.Charged = l.Charge },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger(t, cost.Config{})
			var sum analysis.Money
			router := newRouter(t, traffic.Price{Output: 1e6}, func(c *traffic.Config) {
				configure(l, c)
				charged := c.Charged
				c.Charged = func(x traffic.Charge) {
					sum += x.Cost
					if charged != nil {
						charged(x)
					}
				}
			})
			guard := l.Guard(router, tenantHeader, func(string) analysis.Money { return 0 })
			for range 100 {
				if code := ask(guard, "ana", 1); code != http.StatusOK {
					t.Fatalf("status %d", code)
				}
			}
			if l.Spent("ana") != 100 || l.Total() != 100 || sum != 100 {
				t.Errorf("ana has spent %d, all %d, charged were %d, want 100 of one token each", l.Spent("ana"), l.Total(), sum)
			}
			ask(router, "", 1) // past the guard
			if want := analysis.Money(map[bool]int{true: 100, false: 101}[name == "guard alone"]); l.Total() != want && name != "observed" {
				t.Errorf("all have spent %d after a request past the guard, want %d", l.Total(), want)
			}
		})
	}
}

// TestCopiesAreChargedToTheirArm: copies for mirrors cost their arm and no tenant.
func TestCopiesAreChargedToTheirArm(t *testing.T) {
	l := newLedger(t, cost.Config{})
	l.Charge(traffic.Charge{Arm: "1.5.0", Tenant: "ana", Attempt: traffic.Mirror, Cost: 7})
	l.Charge(traffic.Charge{Arm: "1.5.0", Tenant: "ana", Attempt: traffic.Fallback, Cost: 5, Estimated: true})
	l.Charge(traffic.Charge{Arm: "1.5.0", Unit: "ben", Cost: -1})
	if l.Spent("ana") != 5 || l.Total() != 12 || l.Spent("") != 0 {
		t.Errorf("ana has spent %d, the common account %d, all %d, want 5, 0 and 12", l.Spent("ana"), l.Spent(""), l.Total())
	}
	want := []cost.Spending{{Arm: "1.5.0", Requests: 3, Unknown: 1, Estimated: 1, Cost: 12}}
	if diff := cmp.Diff(want, l.Arms()); diff != "" {
		t.Errorf("arms (-want +got):\n%s", diff)
	}
}

// TestReservationsBind is the same with reservations of a program's own: some requests
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
			r.Charge(traffic.Charge{Arm: "1.5.0", Cost: -1})
		case 2:
			part := rand.N[analysis.Money](largest)
			r.Charge(traffic.Charge{Arm: "1.5.0", Cost: part})
			r.Charge(traffic.Charge{Arm: "1.4.0", Cost: rand.N[analysis.Money](largest - part + 1)})
		default:
			r.Charge(traffic.Charge{Arm: "1.4.0", Cost: rand.N[analysis.Money](largest + 1)})
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
	first.Charge(traffic.Charge{Arm: "1.5.0", Cost: 10})
	first.Charge(traffic.Charge{Arm: "1.4.0", Cost: 100}) // more than is reserved
	first.Release()
	if spent := l.Spent("ana"); spent != 110 {
		t.Errorf("spent %d, want 110", spent)
	}
	second.Charge(traffic.Charge{Arm: "1.5.0", Cost: -1})
	second.Charge(traffic.Charge{Arm: "1.5.0", Cost: -1}) // nothing is left that could stand for it
	if spent := l.Spent("ana"); spent != 170 {
		t.Errorf("spent %d, want 170", spent)
	}
	second.Release()
	second.Charge(traffic.Charge{Arm: "1.5.0", Cost: 5}) // a copy that has ended late
	if spent, total := l.Spent("ana"), l.Total(); spent != 175 || total != 175 {
		t.Errorf("spent %d, total %d, want 175", spent, total)
	}
	if r, ok := l.Reserve("ben", 10, -5); !ok {
		t.Error("a negative amount is refused")
	} else {
		r.Release()
	}
	var none *cost.Reservation
	none.Charge(traffic.Charge{Arm: "1.5.0", Cost: 1})
	none.Release()
}

// TestGuardRefuses: a function of the program that panics refuses the request before a
// server is asked, and so does a price that is not known.
func TestGuardRefuses(t *testing.T) {
	panics := func() { panic("boom") }
	for name, tt := range map[string]struct {
		tenant, limit func()
		price         traffic.Price
		most          analysis.Money
		unpriced      bool
		code          int
		text          string
		panics        uint64
	}{
		"nothing panics":        {price: traffic.Price{Output: 1}, most: 100, code: 200},
		"tenant":                {tenant: panics, most: 100, code: 429, text: "budget_unknown", panics: 1},
		"limit":                 {limit: panics, most: 100, code: 429, text: "budget_unknown", panics: 1},
		"no price":              {most: 100, code: 429, text: "price_unknown"},
		"no price and no limit": {code: 200},
		"no price, but it may":  {most: 100, unpriced: true, code: 200},
	} {
		t.Run(name, func(t *testing.T) {
			call := func(f func()) {
				if f != nil {
					f()
				}
			}
			l := newLedger(t, cost.Config{Unpriced: tt.unpriced})
			asked := false
			router, err := traffic.New(traffic.Config{Arms: map[string]traffic.Backend{"a": {Price: tt.price, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = true
				chat(w, r)
			})}}})
			if err != nil {
				t.Fatal(err)
			}
			guard := l.Guard(router,
				func(*http.Request) string { call(tt.tenant); return "ana" },
				func(string) analysis.Money { call(tt.limit); return tt.most })
			req := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"m","messages":[]}`))
			w := httptest.NewRecorder()
			guard.ServeHTTP(w, req)
			if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.text) || asked != (tt.code == 200) || l.Stats().Panics != tt.panics {
				t.Errorf("%d %s, asked %t, %+v", w.Code, w.Body, asked, l.Stats())
			}
		})
	}
}

// TestGuardReleasesAfterPanic: a handler that panics leaves nothing reserved.
func TestGuardReleasesAfterPanic(t *testing.T) {
	l := newLedger(t, cost.Config{})
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

// atOnce lets 64 callers ask together, of which none has an answer before all have
// asked or were refused.
func atOnce(l *cost.Ledger, limit analysis.Money, price traffic.Price, path, kind, body, answer string) (served int64, err error) {
	const callers = 64
	var asked sync.WaitGroup
	asked.Add(callers)
	router, err := traffic.New(traffic.Config{Arms: map[string]traffic.Backend{"a": {Price: price, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		asked.Done()
		asked.Wait()
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	})}}})
	if err != nil {
		return 0, err
	}
	guard := l.Guard(router, func(*http.Request) string { return "ana" }, func(string) analysis.Money { return limit })
	var n atomic.Int64
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
			req.Header.Set("Content-Type", kind)
			w := httptest.NewRecorder()
			if guard.ServeHTTP(w, req); w.Code == http.StatusTooManyRequests {
				asked.Done()
			} else {
				n.Add(1)
			}
		})
	}
	all.Wait()
	return n.Load(), nil
}

// TestGuardReservesForAll: what a request may cost on top of its tokens is reserved too.
// The limit is one and a half answers; 64 callers ask together.
func TestGuardReservesForAll(t *testing.T) {
	const json = "application/json"
	for name, tt := range map[string]struct {
		path, kind, body, answer string
		price                    traffic.Price
		cost                     analysis.Money
	}{
		"tokens": {"/v1/chat/completions", json, `{"model":"m","max_tokens":1000,"messages":[]}`,
			`{"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":1000}}`,
			traffic.Price{Input: 1e6, Output: 1e6}, 1010},
		"images": {"/v1/images/generations", json, `{"model":"m","prompt":"a cat","n":2}`, `{"created":1,"data":[{"url":"http://x/1"},{"url":"http://x/2"}]}`,
			traffic.Price{Image: 40_000}, 80_000},
		"minutes": {"/v1/audio/transcriptions", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b--\r\n",
			`{"text":"Hi","usage":{"type":"duration","seconds":600}}`, traffic.Price{AudioMinute: 6_000}, 60_000},
		"the tier that is asked for": {"/v1/chat/completions", json, `{"model":"m","service_tier":"priority","max_tokens":500,"messages":[]}`,
			`{"service_tier":"priority","choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":500}}`,
			traffic.Price{Input: 1e3, Output: 1e3, Tiers: map[string]traffic.Price{"priority": {Input: 1e9, Output: 1e9}}}, 510_000},
		"searches": {"/v1/messages", json, `{"model":"m","max_tokens":5,"messages":[],"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":5}]}`,
			`{"type":"message","role":"assistant","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":10,"output_tokens":5,"server_tool_use":{"web_search_requests":5}}}`,
			traffic.Price{Input: 1e6, Output: 1e6, WebSearch: 10_000}, 50_015},
		"an answer that comes later": {"/v1/responses", json, `{"model":"m","background":true,"max_output_tokens":4000,"input":"Hi"}`,
			`{"id":"resp_1","object":"response","status":"queued","output":[]}`, traffic.Price{Input: 1e6, Output: 1e6}, 4_001},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger(t, cost.Config{})
			limit := tt.cost * 3 / 2
			served, err := atOnce(l, limit, tt.price, tt.path, tt.kind, tt.body, tt.answer)
			if err != nil {
				t.Fatal(err)
			}
			if spent := l.Spent("ana"); spent < tt.cost || spent >= limit+tt.cost+100 {
				t.Errorf("spent %d by %d answers of %d, the limit is %d", spent, served, tt.cost, limit)
			}
		})
	}
}

// TestGuardKnowsTheModel: the price is known wherever a request names its model.
func TestGuardKnowsTheModel(t *testing.T) {
	book, err := cost.NewBook(map[string]traffic.Price{"m": {Input: 1e6, Output: 1e6}})
	if err != nil {
		t.Fatal(err)
	}
	router, err := traffic.New(traffic.Config{Arms: map[string]traffic.Backend{"a": {PriceOf: book.Price, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	})}}})
	if err != nil {
		t.Fatal(err)
	}
	guard := newLedger(t, cost.Config{}).Guard(router, tenantHeader, func(string) analysis.Money { return 1e12 })
	for name, tt := range map[string]struct{ path, kind, body string }{
		"in the body":          {"/v1/chat/completions", "application/json", `{"model":"m","messages":[]}`},
		"in Gemini's path":     {"/v1beta/models/m:generateContent", "application/json", `{"contents":[]}`},
		"in Azure's path":      {"/openai/deployments/m/chat/completions?api-version=1", "application/json", `{"messages":[]}`},
		"in a form":            {"/v1/audio/transcriptions", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b--\r\n"},
		"in the path, encoded": {"/v1beta/models/%6d:generateContent", "application/json", `{"contents":[]}`},
	} {
		req := httptest.NewRequest(http.MethodPost, tt.path, strings.NewReader(tt.body))
		req.Header.Set("Content-Type", tt.kind)
		w := httptest.NewRecorder()
		if guard.ServeHTTP(w, req); w.Code == http.StatusTooManyRequests {
			t.Errorf("%s: refused, %s", name, w.Body)
		}
	}
}

// TestReservationForManyRequests: what a request that has ended has not used is there
// for the next one.
func TestReservationForManyRequests(t *testing.T) {
	l := newLedger(t, cost.Config{})
	router := newRouter(t, traffic.Price{Input: 1, Output: 1e6}, nil)
	r, ok := l.Reserve("ana", 10_000, 0)
	if !ok {
		t.Fatal("refused with nothing spent")
	}
	for i := range 100 {
		req := httptest.NewRequest(http.MethodPost, "http://model/v1/chat/completions", strings.NewReader(`{"model":"m","max_tokens":1,"messages":[]}`))
		w := httptest.NewRecorder()
		if router.ServeHTTP(w, req.WithContext(traffic.WithAccount(req.Context(), r))); w.Code != http.StatusOK {
			t.Fatalf("request %d: status %d, %s", i, w.Code, w.Body)
		}
	}
	if reserved, _ := l.Reserved("ana"); reserved != 0 {
		t.Errorf("%d are reserved after the last request", reserved)
	}
	r.Release()
}

// TestRefusalSaysWhy: a budget that others have reserved is not one that is spent.
func TestRefusalSaysWhy(t *testing.T) {
	l := newLedger(t, cost.Config{})
	limit := func(string) analysis.Money { return 10 }
	guard := l.Guard(newRouter(t, traffic.Price{Output: 1e6}, nil), tenantHeader, limit)
	refusal := func() (code, after string) {
		req := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{}`))
		req.Header.Set("X-Tenant", "ana")
		w := httptest.NewRecorder()
		guard.ServeHTTP(w, req)
		for _, code := range []string{"budget_reserved", "budget_exceeded"} {
			if strings.Contains(w.Body.String(), code) {
				return code, w.Header().Get("Retry-After")
			}
		}
		return w.Body.String(), ""
	}
	r, _ := l.Reserve("ana", 10, 10)
	if code, after := refusal(); code != "budget_reserved" || after != "1" {
		t.Errorf("refused with %s, Retry-After %s, while others are under way", code, after)
	}
	r.Charge(traffic.Charge{Arm: "1.4.0", Cost: 10})
	r.Release()
	if code, after := refusal(); code != "budget_exceeded" || after != "3600" {
		t.Errorf("refused with %s, Retry-After %s, when all is spent", code, after)
	}
}
