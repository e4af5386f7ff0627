package health_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checkstest"
	"github.com/serin-go/serin/checks/health"
)

var update = flag.Bool("update", false, "write the golden files")

// gives returns a check with always the same status.
func gives(s checks.Status) checks.Check {
	return checks.Func(func(context.Context) checks.Result { return checks.Result{Status: s, Summary: "is " + s.String()} })
}

// script returns a check that gives a result for each letter of a script, one a call: P, W,
// F, U, T for one that hangs until its context ends, C for a certain failure. The last one
// repeats.
func script(letters string) checks.Check {
	var calls atomic.Int64
	return checks.Func(func(ctx context.Context) checks.Result {
		switch letters[min(int(calls.Add(1)), len(letters))-1] {
		case 'P':
			return checks.Result{Status: checks.Pass}
		case 'W':
			return checks.Result{Status: checks.Warn, Summary: "slow"}
		case 'F':
			return checks.Result{Status: checks.Fail, Summary: "refused"}
		case 'C':
			return checks.Result{Status: checks.Fail, Summary: "closed", Evidence: map[string]string{"certain": "true"}}
		case 'T':
			<-ctx.Done()
			return checks.Result{Err: context.Cause(ctx)}
		}
		return checks.Result{Summary: "cannot look"}
	})
}

// start runs a monitor until the test ends.
func start(t *testing.T, c health.Config) *health.Monitor {
	t.Helper()
	m, err := health.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() {
		if err := m.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); run.Wait() })
	return m
}

// bubble runs a test with virtual time.
func bubble(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }

// get returns the status code and the body of an endpoint.
func get(h http.Handler) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	return w.Code, w.Body.String()
}

// component returns the state of a component.
func component(t *testing.T, m *health.Monitor, name string) health.ComponentReport {
	t.Helper()
	for _, c := range m.Report().Components {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no component %s", name)
	return health.ComponentReport{}
}

// after sleeps, and waits until everything is done that is due by then.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// TestHysteresis has components give sequences of results, one each 10 s.
func TestHysteresis(t *testing.T) {
	for _, c := range []struct{ results, want string }{
		{"FFPFFF", "ffffff"}, // one pass does not repair
		{"FFFP", "ffff"},
		{"FFFPP", "ffffp"},
		{"PPPFPF", "pppppp"}, // single failures are forgiven
		{"PFFPFFPFFF", "pppppppppf"},
		{"PTTT", "pppf"}, // a timeout is a failure
		{"PTFT", "pppf"},
		{"PFTPF", "ppppp"},
		{"PUUU", "pppu"}, // what cannot look is not well
		{"PUFU", "pppu"},
		{"PFFF" + "U", "pppfu"},
		{"PW", "pw"}, // warnings need no second look
		{"WP", "wp"},
		{"PFWF", "pppp"[:2] + "ww"},
		{"PC", "pf"}, // what is certain needs no second look
		{"PCPP", "pffp"},
		{"U", "u"},
	} {
		t.Run(c.results, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m := start(t, health.Config{Components: []health.Component{{Name: "a", Check: script(c.results)}}})
				got := ""
				after(5 * time.Second) // looks are at 0 s, 10 s, 20 s
				for range c.want {
					got += component(t, m, "a").Status.String()[:1]
					after(10 * time.Second)
				}
				if got != c.want {
					t.Errorf("statuses %s, want %s", got, c.want)
				}
			})
		})
	}
}

// TestDwell has a component that warns and passes in turn: readiness changes no more often
// than Dwell says, and ends with the present status.
func TestDwell(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := start(t, health.Config{
			Every: time.Second, Dwell: 10 * time.Second,
			Components: []health.Component{{Name: "a", Check: script(strings.Repeat("PW", 29) + "P")}},
		})
		last, changes, at := checks.Unknown, 0, time.Now()
		for range 600 {
			after(100 * time.Millisecond)
			if s := m.Report().Ready; s != last {
				if last != checks.Unknown {
					if since := time.Since(at); since < 10*time.Second-100*time.Millisecond {
						t.Errorf("changed to %v after %v", s, since)
					}
					changes++
				}
				last, at = s, time.Now()
			}
		}
		after(15 * time.Second)
		if last = m.Report().Ready; changes < 3 || changes > 6 || last != checks.Pass {
			t.Errorf("%d changes in a minute, finally %v", changes, last)
		}
	})
}

// TestCertainFailureSkipsDwell fails twice within Dwell.
func TestCertainFailureSkipsDwell(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := start(t, health.Config{Every: time.Second, Dwell: time.Hour, Components: []health.Component{{Name: "a", Check: script("PWC")}}})
		after(2500 * time.Millisecond)
		if s := m.Report().Ready; s != checks.Fail {
			t.Errorf("ready is %v", s)
		}
	})
}

// TestHungCheck has a check that does not return: it is called once, shown as hung, and the
// other components are checked as before. When it returns, it is called again.
func TestHungCheck(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		var calls, others atomic.Int64
		m := start(t, health.Config{Components: []health.Component{
			{Name: "deaf", Matters: health.Warn, Check: checks.Func(func(context.Context) checks.Result {
				if calls.Add(1) == 2 {
					<-release
				}
				return checks.Result{Status: checks.Pass}
			})},
			{Name: "other", Check: checks.Func(func(context.Context) checks.Result {
				others.Add(1)
				return checks.Result{Status: checks.Pass}
			})},
		}})
		after(30 * time.Second)
		goroutines := runtime.NumGoroutine()
		after(10 * time.Minute)
		if n := runtime.NumGoroutine() - goroutines; n > 0 {
			t.Errorf("%d goroutines more", n)
		}
		c := component(t, m, "deaf")
		if c.Status != checks.Fail || c.State != "hung" || calls.Load() != 2 {
			t.Errorf("component is %v %s after %d calls", c.Status, c.State, calls.Load())
		}
		if n := others.Load(); n < 60 {
			t.Errorf("the other component was checked %d times in 10 minutes", n)
		}
		for name, h := range map[string]http.Handler{"live": m.Live(), "ready": m.Ready(), "startup": m.Startup()} {
			if code, _ := get(h); code != http.StatusOK {
				t.Errorf("%s is %d", name, code)
			}
		}
		if _, body := get(m.All()); !strings.Contains(body, `"x-state":"hung"`) {
			t.Errorf("%s does not show it as hung", body)
		}
		close(release)
		after(time.Minute)
		if c := component(t, m, "deaf"); c.Status != checks.Pass || c.State != "" {
			t.Errorf("component is %v %s after it returned", c.Status, c.State)
		}
	})
}

// TestBrokenChecks has checks that panic and exit: each is Unknown, and nothing else is.
func TestBrokenChecks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := start(t, health.Config{Components: []health.Component{
			{Name: "panic", Matters: health.Live, Check: checks.Func(func(context.Context) checks.Result { panic("no such table") })},
			{Name: "exit", Matters: health.Info, Check: checks.Func(func(context.Context) checks.Result { runtime.Goexit(); return checks.Result{} })},
			{Name: "lies", Matters: health.Info, Check: gives(17)},
			{Name: "good", Check: gives(checks.Pass)},
		}})
		after(time.Second)
		for name, want := range map[string]checks.Status{"panic": checks.Unknown, "exit": checks.Unknown, "lies": checks.Unknown, "good": checks.Pass} {
			if c := component(t, m, name); c.Status != want {
				t.Errorf("%s is %v, want %v", name, c.Status, want)
			}
		}
		r := m.Report()
		if r.Live != checks.Warn || r.Ready != checks.Unknown || r.Startup != checks.Unknown {
			t.Errorf("live %v, ready %v, startup %v", r.Live, r.Ready, r.Startup)
		}
	})
}

// TestStale stops the checks, as a starved process would: readiness closes, startup and
// liveness stay.
func TestStale(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, err := health.New(health.Config{Components: []health.Component{{Name: "a", Check: gives(checks.Pass)}}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { _ = m.Run(ctx) })
		after(time.Second)
		cancel()
		run.Wait()
		if code, _ := get(m.Ready()); code != http.StatusOK {
			t.Errorf("ready is %d", code)
		}
		after(32 * time.Second) // three times Every, and Timeout
		code, body := get(m.Ready())
		if code != http.StatusServiceUnavailable || !strings.Contains(body, `"x-state":"unknown"`) {
			t.Errorf("ready is %d %s", code, body)
		}
		if c := component(t, m, "a"); c.Status != checks.Unknown || c.State != "outdated" {
			t.Errorf("component is %v %s", c.Status, c.State)
		}
		for name, h := range map[string]http.Handler{"live": m.Live(), "startup": m.Startup()} {
			if code, _ := get(h); code != http.StatusOK {
				t.Errorf("%s is %d", name, code)
			}
		}
		// It is checked again, and is ready again.
		go func() { _ = m.Run(t.Context()) }()
		after(15 * time.Second)
		if code, body := get(m.Ready()); code != http.StatusOK {
			t.Errorf("ready is %d %s", code, body)
		}
	})
}

// TestSharedDependency fails on three replicas: before startup all wait, later all stay
// ready and warn. A replica that is alone is not ready.
func TestSharedDependency(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var status atomic.Int64
		status.Store(int64(checks.Fail))
		database := checks.Func(func(context.Context) checks.Result { return checks.Result{Status: checks.Status(status.Load())} })
		var replicas []*health.Monitor
		for i := range 4 {
			replicas = append(replicas, start(t, health.Config{
				Alone:      i == 3,
				Components: []health.Component{{Name: "database", Check: database, Shared: true}},
			}))
		}
		expect := func(want ...int) {
			t.Helper()
			var got []int
			for _, m := range replicas {
				ready, _ := get(m.Ready())
				startup, _ := get(m.Startup())
				got = append(got, ready, startup)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("ready and startup of each (-want +got):\n%s", diff)
			}
		}
		after(time.Minute)
		expect(503, 503, 503, 503, 503, 503, 503, 503)
		status.Store(int64(checks.Pass))
		after(time.Minute)
		expect(200, 200, 200, 200, 200, 200, 200, 200)
		status.Store(int64(checks.Fail))
		after(time.Minute)
		expect(200, 200, 200, 200, 200, 200, 503, 200)
		if s := replicas[0].Report().Ready; s != checks.Warn {
			t.Errorf("ready is %v, want a warning", s)
		}
	})
}

// TestStartup takes longer than its limit, and then passes for good.
func TestStartup(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := start(t, health.Config{StartupLimit: time.Minute, Components: []health.Component{
			{Name: "weights", Check: script("FFFFFFFFFFPPFFFFFF")},
			{Name: "optional", Check: gives(checks.Fail), Matters: health.Warn},
		}})
		for _, c := range []struct {
			at            time.Duration
			startup, live checks.Status
		}{{time.Second, checks.Unknown, checks.Pass}, {65 * time.Second, checks.Fail, checks.Pass}, {115 * time.Second, checks.Pass, checks.Pass}, {175 * time.Second, checks.Pass, checks.Pass}} {
			after(c.at - time.Since(m.Report().At) - m.Report().At.Sub(start0))
			if r := m.Report(); r.Startup != c.startup || r.Live != c.live {
				t.Errorf("after %v: startup %v, live %v, want %v, %v", c.at, r.Startup, r.Live, c.startup, c.live)
			}
		}
		if r := m.Report(); r.Ready != checks.Fail {
			t.Errorf("ready is %v after three more failures", r.Ready)
		}
	})
}

// start0 is when each bubble of synctest begins.
var start0 = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// TestNeeds checks nothing that needs what is not good.
func TestNeeds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var calls atomic.Int64
		m := start(t, health.Config{Components: []health.Component{
			{Name: "schema", Needs: []string{"database"}, Check: checks.Func(func(context.Context) checks.Result {
				calls.Add(1)
				return checks.Result{Status: checks.Pass}
			})},
			{Name: "database", Needs: []string{"network"}, Check: script("P")},
			{Name: "network", Check: script("FFFPPPPFFFFFFFF")},
		}})
		after(25 * time.Second)
		for _, name := range []string{"schema", "database"} {
			if c := component(t, m, name); c.Status != checks.Unknown || c.State != "blocked" {
				t.Errorf("%s is %v %s", name, c.Status, c.State)
			}
		}
		if n := calls.Load(); n != 0 {
			t.Errorf("the schema was checked %d times", n)
		}
		after(20 * time.Second) // the network is good at 40 s
		if r := m.Report(); r.Ready != checks.Pass || calls.Load() == 0 {
			t.Errorf("ready is %v after %d calls", r.Ready, calls.Load())
		}
		before := calls.Load()
		after(100 * time.Second) // bad again at 90 s
		if c := component(t, m, "schema"); c.Status != checks.Unknown || c.State != "blocked" || calls.Load() > before+6 {
			t.Errorf("schema is %v %s after %d calls", c.Status, c.State, calls.Load())
		}
	})
}

// TestTimeoutsLeaveNoGoroutine has 100 components time out 100 times.
func TestTimeoutsLeaveNoGoroutine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var c health.Config
		for i := range 100 {
			c.Components = append(c.Components, health.Component{Name: fmt.Sprint(i), Matters: health.Info, Check: script("T")})
		}
		m := start(t, c)
		after(15 * time.Second)
		before := runtime.NumGoroutine()
		after(1000 * time.Second)
		if n := runtime.NumGoroutine(); n > before+100 { // those that are waiting now
			t.Errorf("%d goroutines, %d before 10,000 timeouts", n, before)
		}
		if c := component(t, m, "0"); c.Status != checks.Fail {
			t.Errorf("component is %v", c.Status)
		}
	})
}

// TestShutdownIsNoFailure ends Run while a check runs: its result is not counted.
func TestShutdownIsNoFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, err := health.New(health.Config{FailAfter: 1, Components: []health.Component{{Name: "a", Check: script("PT")}}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { _ = m.Run(ctx) })
		after(11 * time.Second)
		cancel()
		run.Wait()
		if c := component(t, m, "a"); c.Status != checks.Pass {
			t.Errorf("component is %v (%s)", c.Status, c.Output)
		}
	})
}

func TestWatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := start(t, health.Config{Dwell: -1, Components: []health.Component{{Name: "a", Check: script("PPWPFFFPP")}}})
		synctest.Wait() // until the first check has run
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		var got []string
		for r := range m.Watch(ctx) {
			if len(r.Components) != 1 || r.Components[0].Status != r.Ready {
				t.Errorf("incomplete report %+v", r)
			}
			got = append(got, r.Ready.String())
		}
		want := []string{"pass", "warn", "pass", "fail", "pass"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("reports (-want +got):\n%s", diff)
		}
	})
}

// TestSlowWatcher takes one report an hour of a component that flaps: it gets the newest.
func TestSlowWatcher(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := start(t, health.Config{Every: time.Second, Dwell: -1, Components: []health.Component{{Name: "a", Check: script(strings.Repeat("PW", 5000) + "FFF")}}})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Hour)
		defer cancel()
		var last checks.Status
		for r := range m.Watch(ctx) {
			last = r.Ready
			time.Sleep(time.Hour)
		}
		if last != checks.Fail {
			t.Errorf("the last report is %v", last)
		}
	})
}

func TestRunTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := start(t, health.Config{})
		after(time.Second)
		if err := m.Run(t.Context()); err == nil {
			t.Error("a second Run did not fail")
		}
	})
}

func TestBeatAndLock(t *testing.T) {
	bubble(t, func(t *testing.T) {
		beat := health.NewBeat(30 * time.Second)
		var mu sync.Mutex
		m := start(t, health.Config{Components: []health.Component{
			{Name: "loop", Matters: health.Live, Check: beat},
			{Name: "mutex", Matters: health.Live, Check: health.Lock(&mu)},
		}})
		for range 20 {
			after(5 * time.Second)
			beat.Beat()
		}
		if s := m.Report().Live; s != checks.Pass {
			t.Errorf("live is %v", s)
		}
		after(time.Minute + 30*time.Second)
		if code, _ := get(m.Live()); code != http.StatusServiceUnavailable {
			t.Errorf("live is %d while the loop stands still", code)
		}
		for range 20 {
			beat.Beat()
			after(5 * time.Second)
		}
		if s := m.Report().Live; s != checks.Pass {
			t.Errorf("live is %v after the loop runs again", s)
		}
		mu.Lock()
		for range 10 {
			beat.Beat()
			after(5 * time.Second)
		}
		if c := component(t, m, "mutex"); c.Status != checks.Fail {
			t.Errorf("the lock is %v", c.Status)
		}
		mu.Unlock()
	})
}

func TestBadConfig(t *testing.T) {
	pass := gives(checks.Pass)
	_, err := health.New(health.Config{
		Every: -1, Timeout: -1, Stale: -1, StartupLimit: -1, FailAfter: -1, PassAfter: -1,
		Components: []health.Component{
			{Name: "a:b", Check: pass},
			{Name: "", Check: pass},
			{Name: "c", Check: nil, Measurement: "x:y", Matters: 7, Every: -1, Timeout: -1},
			{Name: "c", Check: checks.Func(nil), Needs: []string{"nobody"}},
			{Name: "d", Check: pass, Needs: []string{"e"}},
			{Name: "e", Check: pass, Needs: []string{"f"}},
			{Name: "f", Check: pass, Needs: []string{"d"}},
			{Name: "g", Check: pass, Needs: []string{"g"}},
			{Name: "h", Check: pass, Matters: health.Live, Shared: true},
		},
	})
	var got []string
	for invalid := range checks.Invalid(err) {
		got = append(got, strings.TrimPrefix(invalid.Field, "Config."))
	}
	want := strings.Fields(`Every Timeout Stale StartupLimit FailAfter PassAfter
		Components[0].Name Components[1].Name
		Components[2].Measurement Components[2].Check Components[2].Matters Components[2].Every Components[2].Timeout
		Components[3].Name Components[3].Check
		Components[8].Shared
		Components[3].Needs[0] Components[4].Needs[0] Components[5].Needs[0] Components[6].Needs[0] Components[7].Needs[0]`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if _, err := health.New(health.Config{Stale: time.Second, Components: []health.Component{{Name: "a", Check: pass}}}); err == nil {
		t.Error("results that are outdated before the next check are accepted")
	}
}

// TestResponses compares the responses of all endpoints with golden files.
func TestResponses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fail := checks.Func(func(context.Context) checks.Result {
			return checks.Result{Status: checks.Fail, Err: errors.New("dial tcp 10.0.0.7:5432: connection refused\x1b[2J")}
		})
		var text strings.Builder
		for _, c := range []struct {
			name       string
			components []health.Component
			before     bool
		}{
			{name: "none"},
			{name: "pass", components: []health.Component{{Name: "store", Check: gives(checks.Pass)}, {Name: "loop", Matters: health.Live, Check: gives(checks.Pass)}}},
			{name: "warn", components: []health.Component{{Name: "store", Check: gives(checks.Pass)}, {Name: "disk", Measurement: "utilization", Check: gives(checks.Warn)}}},
			{name: "not important", components: []health.Component{{Name: "store", Check: gives(checks.Pass)}, {Name: "search", Check: fail, Matters: health.Warn}, {Name: "news", Check: fail, Matters: health.Info}}},
			{name: "fail", components: []health.Component{{Name: "store", Check: fail}, {Name: "loop", Matters: health.Live, Check: gives(checks.Fail)}}},
			{name: "blocked", components: []health.Component{{Name: "schema", Check: fail, Needs: []string{"store"}}, {Name: "store", Check: fail}}},
			{name: "before the first result", before: true, components: []health.Component{{Name: "store", Check: gives(checks.Pass)}}},
		} {
			config := health.Config{
				Version: "1.5", Release: "1.5.0+build.7", Service: "chat", Components: c.components,
				Details: func(r *http.Request) bool { return r.Header.Get("Authorization") != "" },
			}
			m, err := health.New(config)
			if err != nil {
				t.Fatal(err)
			}
			if !c.before {
				m = start(t, config)
			}
			after(10*time.Second - time.Millisecond)
			for _, e := range []struct {
				name    string
				handler http.Handler
				details string
			}{{"live", m.Live(), ""}, {"ready", m.Ready(), ""}, {"ready with details", m.Ready(), "yes"}, {"startup", m.Startup(), ""}, {"all with details", m.All(), "yes"}} {
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.Header.Set("Authorization", e.details)
				w := httptest.NewRecorder()
				e.handler.ServeHTTP(w, r)
				fmt.Fprintf(&text, "%s, %s: %d %v\n%s", c.name, e.name, w.Code, w.Header(), w.Body)
				var any map[string]any
				if err := json.Unmarshal(w.Body.Bytes(), &any); err != nil {
					t.Errorf("%s, %s: %v", c.name, e.name, err)
				}
				r.Method = http.MethodHead
				head := httptest.NewRecorder()
				e.handler.ServeHTTP(head, r)
				if head.Code != w.Code || head.Body.Len() > 0 || head.Header().Get("Content-Length") != w.Header().Get("Content-Length") {
					t.Errorf("%s, %s: HEAD is %d with %d bytes", c.name, e.name, head.Code, head.Body.Len())
				}
			}
		}
		const file = "testdata/responses.txt"
		if *update {
			if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), text.String()); diff != "" {
			t.Errorf("responses (-want +got):\n%s", diff)
		}
	})
}

func TestMethods(t *testing.T) {
	m, err := health.New(health.Config{})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	m.Ready().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST is %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

func TestReportSurvivesJSON(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := start(t, health.Config{Components: []health.Component{
			{Name: "a", Check: script("PC"), Matters: health.Live}, {Name: "b", Check: script("T"), Shared: true}, {Name: "c", Needs: []string{"b"}, Check: gives(checks.Pass)},
		}})
		after(15 * time.Second)
		before := m.Report()
		text, err := json.Marshal(before)
		if err != nil {
			t.Fatal(err)
		}
		var back health.Report
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, back); diff != "" {
			t.Errorf("reads back with differences (-want +got):\n%s", diff)
		}
	})
}

func TestChecksConform(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) checks.Check{
		"readiness": func(t *testing.T) checks.Check {
			return start(t, health.Config{Components: []health.Component{{Name: "a", Check: gives(checks.Pass)}}}).Check()
		},
		"beat": func(*testing.T) checks.Check { return health.NewBeat(time.Minute) },
		"lock": func(*testing.T) checks.Check { return health.Lock(new(sync.Mutex)) },
	} {
		t.Run(name, func(t *testing.T) { checkstest.Exercise(t, open) })
	}
}

// TestReadiness has the check name what is not good.
func TestReadiness(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := start(t, health.Config{Components: []health.Component{{Name: "store", Check: gives(checks.Fail)}, {Name: "disk", Check: gives(checks.Warn)}}})
		after(time.Second)
		r := m.Check().Check(t.Context())
		if r.Status != checks.Fail || r.Evidence["store"] != "fail" || r.Evidence["disk"] != "warn" {
			t.Errorf("result %+v", r)
		}
	})
}
