package corpus_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/corpus"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

var seeds = flag.Int("seeds", 4, "runs of each mixture")

const chatRoute = "/v1/chat/completions"

// chatRows returns rows that answer the default request of the chat route, which
// wants a stream or not.
func chatRows(stream bool, wanted func(corpus.Row) bool) (rows []corpus.Row) {
	for _, row := range corpus.Rows() {
		if row.Route == chatRoute && row.Stream == stream && row.Ask == nil && row.Method == http.MethodPost && wanted(row) {
			rows = append(rows, row)
		}
	}
	return rows
}

// caller takes an answer and throws it away.
type caller struct {
	header http.Header
	status int
}

func (c *caller) Header() http.Header { return c.header }
func (c *caller) Flush()              {}
func (c *caller) WriteHeader(status int) {
	if c.status == 0 && status >= 200 {
		c.status = status
	}
}
func (c *caller) Write(p []byte) (int, error) {
	c.WriteHeader(http.StatusOK)
	return len(p), nil
}

// outcome is how a rollout went.
type outcome struct {
	phase  strategies.Phase
	reason string
	seen   int // callers who have seen a failure
	asked  int
	after  time.Duration
	most   strategies.Weight
}

// ended is how a trial ended.
type ended struct {
	rollout.Status
	after time.Duration
	most  strategies.Weight // the largest of the candidate
}

// trial rolls 1.5.0 out under simulated time, with 100 requests a second, until the
// rollout has ended or for the given time. request returns what sends the n-th
// request, and is called in order.
func trial(t *testing.T, cfg traffic.Config, s strategies.Strategy, within time.Duration, request func(router *traffic.Router, n int) func()) (end ended) {
	t.Helper()
	cfg.Split = strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Full}}}
	router, err := traffic.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := rollout.Open(t.Context(), rollout.Config{Store: new(memstore.Store), Targets: map[string]rollout.Splitter{"chat": router}})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	ctx, stop := context.WithTimeout(t.Context(), within)
	defer stop()
	var callers sync.WaitGroup
	callers.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			callers.Go(request(router, n))
			time.Sleep(10 * time.Millisecond)
		}
	})
	began := time.Now()
	id, err := engine.Start(ctx, rollout.Plan{
		Analysis:  analysis.Plan{Metrics: whatForm()},
		Target:    "chat",
		Baseline:  versioning.Release{Version: versioning.MustParse("1.4.0")},
		Candidate: versioning.Release{Version: versioning.MustParse("1.5.0")},
		Strategy:  s,
	}, rollout.Actor{Name: "ana"})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range engine.Events(ctx, id, 1) {
		if err != nil {
			break
		}
		end.most = max(end.most, router.Split().Weight("1.5.0"))
	}
	end.after = time.Since(began)
	if end.Status, err = engine.Status(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	stop()
	callers.Wait()
	return end
}

// roll carries out the README's plan under 100 requests a second of 1,000 users:
// nothing but defaults. answers picks what the candidate answers to a request that
// wants a stream or not; the second result says whether that is a failure.
func roll(t *testing.T, seed uint64, limit time.Duration, answers func(rng *rand.Rand, stream bool) (http.Handler, bool)) (out outcome) {
	synctest.Test(t, func(t *testing.T) {
		good := map[bool]http.Handler{}
		for _, stream := range []bool{false, true} {
			good[stream] = chatRows(stream, func(r corpus.Row) bool { return r.Name == goodRow[stream] })[0]
		}
		var mu sync.Mutex
		rng := rand.New(rand.NewPCG(seed, 7))
		failing := make(map[string]bool) // by request
		serve := func(candidate bool) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				stream := r.Header.Get("X-Stream") == "true"
				_, _ = io.Copy(io.Discard, r.Body)
				mu.Lock()
				h, wait := good[stream], 30+time.Duration(rng.ExpFloat64()*20)
				if candidate {
					fails := false
					h, fails = answers(rng, stream)
					failing[r.Header.Get("X-Number")] = fails
				}
				mu.Unlock()
				time.Sleep(wait * time.Millisecond)
				h.ServeHTTP(w, r)
			})
		}
		var seen, asked atomic.Int64
		who := rand.New(rand.NewPCG(seed, 11))
		end := trial(t, traffic.Config{
			Arms: map[string]traffic.Backend{"1.4.0": {Handler: serve(false)}, "1.5.0": {Handler: serve(true)}},
		}, nil, limit, func(router *traffic.Router, n int) func() {
			unit, number, stream := strconv.Itoa(who.IntN(1000)), strconv.Itoa(n), who.IntN(2) == 0
			return func() {
				body := fmt.Sprintf(`{"model":"m","stream":%t,"messages":[{"role":"user","content":"hi"}]}`, stream)
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://models"+chatRoute, strings.NewReader(body))
				req.Header = http.Header{"Content-Type": {"application/json"}, traffic.UnitHeader: {unit}, "X-Number": {number}, "X-Stream": {strconv.FormatBool(stream)}}
				w := &caller{header: make(http.Header)}
				func() {
					defer func() { _ = recover() }() // a server would cut the connection
					router.ServeHTTP(w, req)
				}()
				asked.Add(1)
				mu.Lock()
				defer mu.Unlock()
				if failing[number] && w.header.Get(traffic.VersionHeader) == "1.5.0" {
					seen.Add(1)
				}
				delete(failing, number)
			}
		})
		out.phase, out.reason, out.after, out.most = end.Phase, end.Reason, end.after, end.most
		out.seen, out.asked = int(seen.Load()), int(asked.Load())
	})
	return out
}

// goodRow names the answers of the baseline.
var goodRow = map[bool]string{false: "chat document", true: "chat stream"}

// failingRows are the rows of classes that are failures, by whether a stream is
// wanted.
func failingRows(stream bool) []corpus.Row {
	return chatRows(stream, func(r corpus.Row) bool {
		return (r.After == nil || r.After.What == corpus.Cut) && r.Status >= 200 && !slices.ContainsFunc(r.Class, func(class string) bool {
			return !slices.Contains([]string{"error", "truncated", "empty", "invalid", "limited", "rejected", "timeout"}, class)
		})
	})
}

// TestMixtures rolls out candidates that fail a part of their requests, in all the
// ways that the corpus knows.
func TestMixtures(t *testing.T) {
	rows := map[bool][]corpus.Row{false: failingRows(false), true: failingRows(true)}
	good := map[bool]http.Handler{}
	for stream, name := range goodRow {
		good[stream] = chatRows(stream, func(r corpus.Row) bool { return r.Name == name })[0]
	}
	for _, share := range []float64{0.01, 0.02, 0.05, 0.2, 1} {
		right, most, asked := 0, 0, 0
		var slowest time.Duration
		for seed := range uint64(*seeds) {
			o := roll(t, seed, 6*time.Hour, func(rng *rand.Rand, stream bool) (http.Handler, bool) {
				if rng.Float64() >= share {
					return good[stream], false
				}
				all := rows[stream]
				return all[rng.IntN(len(all))], true
			})
			if o.phase == strategies.RolledBack && o.seen < 50 {
				right++
			} else {
				t.Logf("%g %%, seed %d: %v, %d of %d callers have seen a failure: %s", 100*share, seed, o.phase, o.seen, o.asked, o.reason)
			}
			most, asked, slowest = max(most, o.seen), asked+o.asked, max(slowest, o.after)
		}
		t.Logf("%4g %%: %d of %d rolled back in time; at most %d callers saw a failure, at most %v", 100*share, right, *seeds, most, slowest.Round(time.Second))
		if need := *seeds; right < need && !(share == 0.01 && right >= need-max(1, need*5/100)) {
			t.Errorf("%g %%: %d of %d were rolled back before 50 callers had seen a failure", 100*share, right, need)
		}
	}
}

// unfinished reports whether the answer of a chat row has no finish reason.
func unfinished(row corpus.Row) bool {
	r := answer.Reader{Ask: answer.AskOf(answer.RouteOf("POST", row.Route), "", row.Request())}
	at, _ := row.Play(r.Start, r.Feed)
	o := r.End(at, answer.Cause{})
	return o.Unfinished
}

// whatForm returns the default metrics, except the ones that are about how long answers
// are: the rows are of different lengths.
func whatForm() []analysis.Metric {
	return slices.DeleteFunc(analysis.DefaultMetrics(), func(m analysis.Metric) bool {
		return m.Name == analysis.OutputLength().Name || m.Name == analysis.LengthCuts().Name || m.Name == analysis.Cost().Name
	})
}

// TestForms rolls out candidates that are as good as the baseline and say it in
// another form: audio, images, tool calls, reasoning, other members in another
// order, other chunks. The same seed without the difference is the control.
func TestForms(t *testing.T) {
	forms := map[bool][]corpus.Row{}
	for _, stream := range []bool{false, true} {
		forms[stream] = chatRows(stream, func(r corpus.Row) bool {
			return r.After == nil && len(r.Class) == 1 && r.Class[0] == "ok" && !unfinished(r)
		})
	}
	rolledBack, unmeasured, slower := 0, 0, 0
	for seed := range uint64(*seeds) {
		run := func(forms map[bool][]corpus.Row) outcome {
			return roll(t, seed, time.Hour, func(rng *rand.Rand, stream bool) (http.Handler, bool) {
				all := forms[stream]
				return all[rng.IntN(len(all))], false
			})
		}
		other := run(forms)
		same := run(map[bool][]corpus.Row{false: {goodOf(false)}, true: {goodOf(true)}})
		switch {
		case other.phase == same.phase:
		case other.phase == strategies.RolledBack:
			rolledBack++
			t.Errorf("seed %d: rolled back for its form, the control is %v: %s", seed, same.phase, other.reason)
		case other.phase != strategies.Promoted:
			unmeasured++
			t.Errorf("seed %d: %v after an hour, the control is %v: %s", seed, other.phase, same.phase, other.reason)
		}
		if other.seen > 0 {
			t.Errorf("seed %d: %d callers have seen a failure", seed, other.seen)
		}
		if other.after > same.after {
			slower++
		}
	}
	t.Logf("%d forms of documents and %d of streams: %d of %d rolled back, %d not decided, %d later than the control",
		len(forms[false]), len(forms[true]), rolledBack, *seeds, unmeasured, slower)
}

func goodOf(stream bool) corpus.Row {
	return chatRows(stream, func(r corpus.Row) bool { return r.Name == goodRow[stream] })[0]
}

// TestUseless rolls out candidates that answer no request at all: their share of
// the traffic never rises.
func TestUseless(t *testing.T) {
	const first = 500 // the first stage's share
	hangs := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	status := func(code int, location string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if location != "" {
				w.Header().Set("Location", location)
			}
			w.WriteHeader(code)
		})
	}
	for name, h := range map[string]http.Handler{
		"rejects": status(404, ""), "hangs": hangs, "redirects": status(302, "/login"), "says nothing": status(204, ""), "limits": status(429, ""),
		"closes": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
	} {
		t.Run(name, func(t *testing.T) {
			o := roll(t, 1, time.Hour, func(*rand.Rand, bool) (http.Handler, bool) { return h, true })
			if o.phase != strategies.RolledBack || o.most > first || o.seen > 0 {
				t.Errorf("%v after %v, at most %v, %d callers have seen a failure: %s", o.phase, o.after, o.most, o.seen, o.reason)
			}
			t.Logf("rolled back after %v: %s", o.after.Round(time.Millisecond), o.reason)
		})
	}
}
