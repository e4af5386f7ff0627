package drill_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checkstest"
	"github.com/serin-go/serin/rollout/drill"
)

var oneTwoOne = map[string]int{"a": 1, "b": 2, "c": 1}

// fixed answers with the given number of requests for each of the servers a, b, c.
func fixed(a, b, c int) func(context.Context, int) (string, error) {
	return func(_ context.Context, seq int) (string, error) {
		switch {
		case seq < a:
			return "a", nil
		case seq < a+b:
			return "b", nil
		case seq < a+b+c:
			return "c", nil
		}
		return "", errTwin
	}
}

// drawn answers by chance, in proportion to the weights. Request seq always has the same
// answer.
func drawn(seed uint64, weights map[string]float64) func(context.Context, int) (string, error) {
	servers := slices.Sorted(maps.Keys(weights))
	total := 0.0
	for _, w := range weights {
		total += w
	}
	return func(_ context.Context, seq int) (string, error) {
		x := rand.New(rand.NewPCG(seed, uint64(seq))).Float64() * total
		for _, s := range servers {
			if x -= weights[s]; x < 0 {
				return s, nil
			}
		}
		return servers[len(servers)-1], nil
	}
}

func TestBalanceComputesP(t *testing.T) {
	for _, tt := range []struct {
		a, b, c int
		chi2, p string
		status  checks.Status
	}{
		{480, 1040, 480, "3.2", "0.2019", checks.Pass},
		{400, 1200, 400, "80", "4.248e-18", checks.Fail},
		{500, 1000, 500, "0", "1", checks.Pass}, // closer than chance
		{0, 1000, 1000, "1000", "7.125e-218", checks.Fail},
	} {
		res := drill.Balance(drill.BalanceOptions{Send: fixed(tt.a, tt.b, tt.c), Weights: oneTwoOne}).Check(t.Context())
		want(t, res, tt.status)
		if e := res.Evidence; e["chi-squared"] != tt.chi2 || e["degrees of freedom"] != "2" || e["p"] != tt.p {
			t.Errorf("%d, %d, %d: %v, want chi-squared %s and p %s", tt.a, tt.b, tt.c, e, tt.chi2, tt.p)
		}
	}
}

// TestBalanceFindsAPreferredServer: of weights 1:2:1, one server gets 20 % more than its
// share, and the others have the rest.
func TestBalanceFindsAPreferredServer(t *testing.T) {
	preferred := map[string]float64{"a": 0.3, "b": 0.5 * 0.7 / 0.75, "c": 0.25 * 0.7 / 0.75}
	fair := map[string]float64{"a": 0.25, "b": 0.5, "c": 0.25}
	want(t, drill.Balance(drill.BalanceOptions{Send: drawn(1, preferred), Weights: oneTwoOne}).Check(t.Context()), checks.Fail)
	want(t, drill.Balance(drill.BalanceOptions{Send: drawn(1, fair), Weights: oneTwoOne}).Check(t.Context()), checks.Pass)
	found, alarms := 0, 0
	const runs = 25
	for seed := range uint64(runs) {
		if drill.Balance(drill.BalanceOptions{Send: drawn(seed, preferred), Weights: oneTwoOne}).Check(t.Context()).Status == checks.Fail {
			found++
		}
		if drill.Balance(drill.BalanceOptions{Send: drawn(seed, fair), Weights: oneTwoOne}).Check(t.Context()).Status != checks.Pass {
			alarms++
		}
	}
	t.Logf("found in %d of %d runs, false alarms in %d", found, runs, alarms)
	if found < 22 || alarms > 0 {
		t.Errorf("found in %d of %d runs, false alarms in %d", found, runs, alarms)
	}
}

func TestBalanceUnknownServer(t *testing.T) {
	send := func(_ context.Context, seq int) (string, error) {
		return []string{"a", "b", "c", "b"}[seq%4][:1], nil
	}
	res := drill.Balance(drill.BalanceOptions{Send: send, Weights: map[string]int{"a": 1, "b": 2}}).Check(t.Context())
	want(t, res, checks.Fail)
	if !strings.Contains(res.Summary, `"c"`) {
		t.Errorf("%q does not name the server", res.Summary)
	}
}

func TestBalanceFailedRequests(t *testing.T) {
	var asked atomic.Int64
	every := func(n int) func(context.Context, int) (string, error) {
		return func(_ context.Context, seq int) (string, error) {
			asked.Add(1)
			if seq%n == 0 {
				return "", errTwin
			}
			return []string{"a", "b", "c", "b"}[(seq/n)%4], nil
		}
	}
	res := drill.Balance(drill.BalanceOptions{Send: every(100), Weights: oneTwoOne, Concurrency: 1}).Check(t.Context())
	want(t, res, checks.Unknown)
	if !errors.Is(res.Err, errTwin) {
		t.Errorf("%v, want the error of the request", res.Err)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("%d requests, want none after the first one has failed", n)
	}
	want(t, drill.Balance(drill.BalanceOptions{Send: every(100), Weights: oneTwoOne, MaxFailed: 0.01}).Check(t.Context()), checks.Pass)
	want(t, drill.Balance(drill.BalanceOptions{Send: every(99), Weights: oneTwoOne, MaxFailed: 0.01}).Check(t.Context()), checks.Unknown)
}

// TestBalanceHangs: a request without an answer has failed.
func TestBalanceHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := fixed(480, 1040, 480)
		send := func(ctx context.Context, seq int) (string, error) {
			if seq == 7 {
				<-ctx.Done()
				return "", ctx.Err()
			}
			return answers(ctx, seq)
		}
		res := drill.Balance(drill.BalanceOptions{Send: send, Weights: oneTwoOne}).Check(t.Context())
		want(t, res, checks.Unknown)
		if !errors.Is(res.Err, context.DeadlineExceeded) {
			t.Error(res.Err)
		}
		want(t, drill.Balance(drill.BalanceOptions{Send: send, Weights: oneTwoOne, MaxFailed: 0.001}).Check(t.Context()), checks.Pass)
	})
}

// TestBalanceWeightZero: a server with weight 0 must not answer.
func TestBalanceWeightZero(t *testing.T) {
	for server, status := range map[string]checks.Status{"b": checks.Pass, "drained": checks.Fail} {
		res := drill.Balance(drill.BalanceOptions{N: 20, Weights: map[string]int{"a": 1, "b": 1, "drained": 0},
			Send: func(_ context.Context, seq int) (string, error) { return []string{"a", server}[seq%2], nil }}).Check(t.Context())
		want(t, res, status)
	}
}

func TestBalanceInvalidOptions(t *testing.T) {
	send := fixed(480, 1040, 480)
	for name, tt := range map[string]struct {
		o    drill.BalanceOptions
		want []string
	}{
		"zero":             {drill.BalanceOptions{}, []string{"BalanceOptions.Send", "BalanceOptions.Weights"}},
		"one server":       {drill.BalanceOptions{Send: send, Weights: map[string]int{"a": 1}}, []string{"BalanceOptions.Weights"}},
		"weight 0":         {drill.BalanceOptions{Send: send, Weights: map[string]int{"a": 1, "b": 0}}, []string{"BalanceOptions.Weights"}},
		"weight -1":        {drill.BalanceOptions{Send: send, Weights: map[string]int{"a": 1, "b": 1, "c": -1}}, []string{`BalanceOptions.Weights["c"]`}},
		"expects below 5":  {drill.BalanceOptions{Send: send, Weights: oneTwoOne, N: 19}, []string{"BalanceOptions.N"}},
		"fewer by failure": {drill.BalanceOptions{Send: send, Weights: oneTwoOne, N: 20, MaxFailed: 0.05}, []string{"BalanceOptions.N"}},
		"negative":         {drill.BalanceOptions{Send: send, Weights: oneTwoOne, N: -1, MinP: -1, MaxFailed: -1, Concurrency: -1, Timeout: -1}, []string{"BalanceOptions.Concurrency", "BalanceOptions.MaxFailed", "BalanceOptions.MinP", "BalanceOptions.N", "BalanceOptions.Timeout"}},
		"too much":         {drill.BalanceOptions{Send: send, Weights: oneTwoOne, N: 1e6 + 1, MinP: 1, MaxFailed: 1, Concurrency: 1001}, []string{"BalanceOptions.Concurrency", "BalanceOptions.MaxFailed", "BalanceOptions.MinP", "BalanceOptions.N"}},
		"never enough":     {drill.BalanceOptions{Send: send, Weights: map[string]int{"a": 1, "b": 1e6}}, []string{"BalanceOptions.Weights"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := fields(t, drill.Balance(tt.o).Check(t.Context())); !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
	want(t, drill.Balance(drill.BalanceOptions{Send: fixed(5, 10, 5), Weights: oneTwoOne, N: 20}).Check(t.Context()), checks.Pass)
}

func TestBalanceConformance(t *testing.T) {
	checkstest.Exercise(t, func(*testing.T) checks.Check {
		return drill.Balance(drill.BalanceOptions{Send: fixed(480, 1040, 480), Weights: oneTwoOne})
	})
	digests(t, drill.Balance(drill.BalanceOptions{Send: fixed(1, 1, 1), Weights: oneTwoOne}),
		drill.Balance(drill.BalanceOptions{Weights: map[string]int{"c": 1, "b": 2, "a": 1}, N: 2000}),
		drill.Balance(drill.BalanceOptions{Weights: map[string]int{"c": 1, "b": 2, "a": 2}}),
		drill.Balance(drill.BalanceOptions{Weights: oneTwoOne, N: 2001}),
		drill.Balance(drill.BalanceOptions{Weights: oneTwoOne, MinP: 0.01}))
}

// TestPanicsAreContained: a function that panics, or ends its goroutine, is a request that
// failed.
func TestPanicsAreContained(t *testing.T) {
	res := drill.Balance(drill.BalanceOptions{Weights: oneTwoOne, Send: func(context.Context, int) (string, error) { panic("twin") }}).Check(t.Context())
	want(t, res, checks.Unknown)
	if p := new(checks.PanicError); !errors.As(res.Err, &p) || p.Value != "twin" {
		t.Errorf("%v, want the panic", res.Err)
	}
	res = drill.Balance(drill.BalanceOptions{Weights: oneTwoOne, Send: func(context.Context, int) (string, error) { quits(); return "a", nil }}).Check(t.Context())
	want(t, res, checks.Unknown)
}

// TestOneRunAtATime: a second run waits while the first one runs, and is refused while a
// function has not returned that the first one has abandoned.
func TestOneRunAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		c := drill.Balance(drill.BalanceOptions{Weights: oneTwoOne, Concurrency: 1, Send: func(context.Context, int) (string, error) {
			<-release
			return "a", nil
		}})
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan checks.Result)
		go func() { first <- c.Check(ctx) }()
		synctest.Wait()
		hurry, stop := context.WithTimeout(t.Context(), time.Millisecond)
		defer stop()
		if res := c.Check(hurry); res.Status != checks.Unknown || !errors.Is(res.Err, drill.ErrBusy) || !errors.Is(res.Err, context.DeadlineExceeded) {
			t.Errorf("%v, %v, want ErrBusy", res.Status, res.Err)
		}
		cancel()
		began := time.Now()
		res := <-first
		want(t, res, checks.Unknown)
		if !errors.Is(res.Err, context.Canceled) {
			t.Errorf("%v, want the cause of the end", res.Err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("returned %v after the end of its context, want 1s", took)
		}
		if res := c.Check(t.Context()); !errors.Is(res.Err, drill.ErrBusy) {
			t.Errorf("%v, want ErrBusy while a request has not returned", res.Err)
		}
		close(release)
		synctest.Wait()
		want(t, c.Check(t.Context()), checks.Fail) // all by a
	})
}

// TestRunsFollowEachOther: calls for several candidates at once all get a result of their own.
func TestRunsFollowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inside, sent atomic.Int64
		c := drill.Balance(drill.BalanceOptions{Weights: oneTwoOne, Concurrency: 1, Send: func(context.Context, int) (string, error) {
			if inside.Add(1) > 1 {
				t.Error("two runs at once")
			}
			defer inside.Add(-1)
			sent.Add(1)
			time.Sleep(time.Millisecond)
			return "a", nil
		}})
		want(t, c.Check(t.Context()), checks.Fail) // all by a
		each := sent.Load()
		var calls sync.WaitGroup
		for range 5 {
			calls.Go(func() { want(t, c.Check(t.Context()), checks.Fail) })
		}
		calls.Wait()
		if sent.Load() != 6*each {
			t.Errorf("%d requests in 6 runs, want %d in each", sent.Load(), each)
		}
	})
}

// TestErrorsHideSecrets: URLs in errors of the twin lose password and query.
func TestErrorsHideSecrets(t *testing.T) {
	res := drill.Balance(drill.BalanceOptions{Weights: oneTwoOne, Send: func(context.Context, int) (string, error) {
		return "", fmt.Errorf("ask: %w", &url.Error{Op: "Post", URL: "https://ana:secret1@twin.example/v1?key=secret2", Err: errTwin})
	}}).Check(t.Context())
	text := res.Err.Error()
	if strings.Contains(text, "secret") || strings.Contains(text, "ana") || !strings.Contains(text, "twin.example/v1") {
		t.Error(text)
	}
	if !errors.Is(res.Err, errTwin) {
		t.Error("the error is not wrapped")
	}
	for _, secret := range []string{"password=hunter2", `{"password":"hunter2"}`, "api_key: hunter2", "Bearer hunter2", "app:hunter2@tcp(db:3306)/x", "postgres://u:hun/ter2@db"} {
		res := drill.Balance(drill.BalanceOptions{Weights: oneTwoOne, Send: func(_ context.Context, seq int) (string, error) {
			if seq < 8 {
				return "http://ana:hunter2@10.0.0.9", nil // without a weight
			}
			return "", errors.New("ask: " + secret + " refused")
		}}).Check(t.Context())
		if text := fmt.Sprint(res); strings.Contains(text, "hunter2") || strings.Contains(text, "ter2") {
			t.Errorf("%s: %s", secret, text)
		}
		o := warm()
		o.Load = func(context.Context) (float64, error) { return 0, errors.New(secret) }
		if res := drill.WarmBaseline(o).Check(t.Context()); res.Err == nil || strings.Contains(res.Err.Error(), "ter2") {
			t.Errorf("%s: %v", secret, res.Err)
		}
	}
	long := drill.Balance(drill.BalanceOptions{Weights: oneTwoOne, Send: func(context.Context, int) (string, error) {
		return "", errors.New(strings.Repeat("\x00ü", 1<<20))
	}}).Check(t.Context())
	if n := len(long.Err.Error()); n > 1024 || strings.Contains(long.Err.Error(), "\x00") {
		t.Errorf("an error of %d bytes", n)
	}
}

// ExampleBalance tests whether a load balancer follows its weights.
func ExampleBalance() {
	servers := []string{"gpu-1", "gpu-2", "gpu-3", "gpu-2"}
	check := drill.Balance(drill.BalanceOptions{
		// Send asks the load balancer of the twin. Here, it goes round robin.
		Send: func(_ context.Context, seq int) (string, error) { return servers[seq%4], nil },
		Weights: map[string]int{
			"gpu-1": 1, "gpu-2": 2, "gpu-3": 1,
		},
	})
	res := check.Check(context.Background())
	fmt.Println(res.Status, res.Summary)
	n, _ := strconv.Atoi(res.Evidence["requests"])
	fmt.Println(n, "requests, p", res.Evidence["p"])
	// Output:
	// pass 2000 answers of 3 servers follow the weights, p 1
	// 2000 requests, p 1
}
