package traffic_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
)

// tokens returns n events with a token each.
func tokens(n int) []string {
	var all []string
	for range n {
		all = append(all, token("x"))
	}
	return all
}

// evenly returns n equal pauses.
func evenly(n int, d time.Duration) []time.Duration {
	all := make([]time.Duration, n)
	for i := range all {
		all[i] = d
	}
	return all
}

// TestTimeLimits: each limit, at its end and not before, for the candidate whose
// request the baseline can serve, and for the baseline, which has no replacement.
func TestTimeLimits(t *testing.T) {
	const second, minute = time.Second, time.Minute
	pings := func(n int, every time.Duration, rest ...string) *script {
		s := streamOf()
		for range n {
			s.chunks = append(s.chunks, ": ping\n\n")
		}
		s.pauses = evenly(n, every)
		s.chunks = append(s.chunks, rest...)
		return s
	}
	hanging := func(s *script) *script { s.hangs = true; return s }
	for name, tt := range map[string]struct {
		model func() *script
		body  string
		after time.Duration // the request was cancelled at the model; 0 if it was not
		class analysis.Class
		why   string
		began bool // content has reached the caller
	}{
		"a stream without a byte":     {func() *script { return &script{mute: true} }, streaming, minute, analysis.Timeout, "no first byte", false},
		"a header and no byte":        {func() *script { return hanging(streamOf()) }, streaming, minute, analysis.Timeout, "no first byte", false},
		"a stream just in time":       {func() *script { s := streamOf(role, token("x"), finish, done); s.before = minute - 1; return s }, streaming, 0, analysis.OK, "", true},
		"a document without a byte":   {func() *script { return &script{mute: true} }, "{}", 10 * minute, analysis.Timeout, "no first byte", false},
		"a document just in time":     {func() *script { s := documentOf(says("x")); s.before = 10*minute - 1; return s }, "{}", 0, analysis.OK, "", true},
		"a document that stalls":      {func() *script { return hanging(documentOf(`{"choices":`)) }, "{}", minute, analysis.Timeout, "stalled", false},
		"a late document that stalls": {func() *script { s := hanging(documentOf(`{"choices":`)); s.before = 90 * second; return s }, "{}", 150 * second, analysis.Timeout, "stalled", false},
		"a role and silence":          {func() *script { return hanging(streamOf(role)) }, streaming, minute, analysis.Timeout, "stalled", false},
		"silence behind token 10":     {func() *script { s := hanging(streamOf(tokens(10)...)); s.pauses = evenly(10, second); return s }, streaming, 70 * second, analysis.Timeout, "stalled", true},
		"slow, but not silent": {func() *script {
			s := streamOf(append(tokens(5), finish, done)...)
			s.pauses = evenly(7, minute-1)
			return s
		}, streaming, 0, analysis.OK, "", true},
		"pings for 4 minutes":  {func() *script { return pings(16, 15*second, role, token("x"), finish, done) }, streaming, 0, analysis.OK, "", true},
		"pings without an end": {func() *script { return pings(100, 15*second) }, streaming, 5*minute + 15*second, analysis.Timeout, "stalled", false},
		"a document of white space": {func() *script {
			s := documentOf("")
			s.chunks, s.pauses = slices.Repeat([]string{" "}, 100), evenly(100, 30*second)
			return s
		}, "{}", 10*minute + 30*second, analysis.Timeout, "stalled", false},
		"white space for 9 minutes": {func() *script {
			s := documentOf("")
			s.chunks, s.pauses = append(slices.Repeat([]string{" "}, 18), says("x")), evenly(18, 30*second)
			return s
		}, "{}", 0, analysis.OK, "", true},
		"pings without an end behind tokens": {func() *script { s := pings(100, 15*second); s.chunks = append(tokens(4), s.chunks...); return s }, streaming, 6 * minute, analysis.Timeout, "stalled", true},
	} {
		for _, arm := range []string{"candidate", "baseline"} {
			for _, shape := range []string{"handler", "transport"} {
				t.Run(fmt.Sprint(name, " ", arm, " ", shape), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						m := tt.model()
						old := documentOf(says("of the baseline"))
						if tt.body == streaming {
							old = streamOf(role, token("of the baseline"), finish, done)
						}
						r, d := scripted(t, old, m, func(c *traffic.Config) {
							if arm == "baseline" {
								c.Arms["old"], c.Split = c.Arms["new"], split(7, 0)
							}
							c.PeekTimeout = time.Hour // the limits alone decide
						})
						began := time.Now()
						got := local(r)[shape](t.Context(), chat, tt.body)
						took := time.Since(began)
						synctest.Wait() // for the model to see it
						o := d.one(t)
						if o.Class != tt.class || o.Why != tt.why {
							t.Errorf("%v (%s) after %v, want %v (%s)", o.Class, o.Why, took, tt.class, tt.why)
						}
						if tt.after > 0 {
							at := time.Unix(0, m.leftAt.Load()).Sub(began)
							if m.left.Load() != 1 || at < tt.after || at > tt.after+50*time.Millisecond {
								t.Errorf("the model saw %d cancels, at %v, want one at %v", m.left.Load(), at, tt.after)
							}
							if o.Latency < tt.after || o.Latency > tt.after+50*time.Millisecond {
								t.Errorf("latency %v", o.Latency)
							}
						}
						switch {
						case tt.class == analysis.OK:
							if got.err != nil || got.body != strings.Join(m.chunks, "") {
								t.Errorf("got %q, %v", got.body, got.err)
							}
						case tt.began: // cut, never ended cleanly
							if got.err == nil || !strings.HasPrefix(got.body, tokens(4)[0]) {
								t.Errorf("got %.80q, %v", got.body, got.err)
							}
						case arm == "candidate":
							if got.err != nil || got.body != strings.Join(old.chunks, "") || got.version != "old" {
								t.Errorf("got %.80q of %s, %v", got.body, got.version, got.err)
							}
						case got.err == nil && got.status != http.StatusGatewayTimeout:
							t.Errorf("got %d, %q", got.status, got.body)
						}
						idle(t, r)
					})
				})
			}
		}
	}
}

// TestLimitsOfTheFallback: the baseline that serves in place of a candidate has all
// its time.
func TestLimitsOfTheFallback(t *testing.T) {
	for _, shape := range []string{"handler", "transport"} {
		synctest.Test(t, func(t *testing.T) {
			old := streamOf(role, token("x"), finish, done)
			old.before = 50 * time.Second
			r, d := scripted(t, old, &script{mute: true}, nil)
			if got := local(r)[shape](t.Context(), chat, streaming); got.err != nil || got.version != "old" || got.status != 200 {
				t.Errorf("%s: got %+v", shape, got)
			}
			if o := d.one(t); o.Class != analysis.Timeout || o.Latency != time.Minute {
				t.Errorf("%s: %v after %v", shape, o.Class, o.Latency)
			}

			// And no more than that.
			hangs := &script{mute: true}
			r, d = scripted(t, hangs, &script{mute: true}, nil)
			began := time.Now()
			got := local(r)[shape](t.Context(), chat, streaming)
			synctest.Wait() // for the model to see it
			if took := time.Since(began); took != 2*time.Minute || hangs.left.Load() != 1 || got.err == nil && got.status != 504 {
				t.Errorf("%s: %+v after %v", shape, got, took)
			}
			d.one(t)
			idle(t, r)
		})
	}
}

// TestRefusalThatStalls: a refusal whose body does not come is an error for the caller
// if the baseline is not asked for a second opinion.
func TestRefusalThatStalls(t *testing.T) {
	for _, body := range []string{"", `{"error":`} {
		synctest.Test(t, func(t *testing.T) {
			arm := &script{status: 404, hangs: true}
			if body != "" {
				arm.chunks = []string{body}
			}
			r, d := scripted(t, documentOf(says("x")), arm, func(c *traffic.Config) { c.NoSecondOpinion = true })
			if got := local(r)["handler"](t.Context(), chat, "{}"); got.status != http.StatusGatewayTimeout || got.version != "new" {
				t.Errorf("%q, handler: %+v", body, got)
			}
			if got := local(r)["transport"](t.Context(), chat, "{}"); got.err == nil {
				t.Errorf("%q, transport: %+v", body, got)
			}
			for _, o := range d.wait(t, 2) {
				if o.Class != analysis.Rejected || o.Arm != "new" {
					t.Errorf("%q: %+v", body, o)
				}
			}
		})
	}
}

// TestLeaving: callers who leave before there is content, or in a silence that is
// long for this answer, were kept waiting; others had enough.
func TestLeaving(t *testing.T) {
	const ms = time.Millisecond
	paced := func(first, gap time.Duration, n int) func() *script {
		return func() *script {
			s := streamOf(tokens(n)...)
			s.pauses, s.hangs = append([]time.Duration{first}, evenly(n-1, gap)...), true
			return s
		}
	}
	for name, tt := range map[string]struct {
		model func() *script
		body  string
		at    time.Duration
		class analysis.Class
	}{
		"before a header":                {func() *script { return &script{mute: true} }, streaming, 10 * ms, analysis.Abandoned},
		"before content":                 {func() *script { s := streamOf(role); s.hangs = true; return s }, streaming, 10 * ms, analysis.Abandoned},
		"within pings":                   {func() *script { s := streamOf(": ping\n\n", ": ping\n\n"); s.hangs = true; return s }, streaming, 10 * ms, analysis.Abandoned},
		"a document":                     {func() *script { s := documentOf(`{"choices":[`); s.hangs = true; return s }, "{}", 10 * ms, analysis.Abandoned},
		"as soon as content came":        {paced(100*ms, 0, 1), streaming, 101 * ms, analysis.Cancelled},
		"one token, within its time":     {paced(100*ms, 0, 1), streaming, 199 * ms, analysis.Cancelled},
		"one token, and a silence":       {paced(100*ms, 0, 1), streaming, 201 * ms, analysis.Abandoned},
		"flowing":                        {paced(100*ms, 100*ms, 10), streaming, 550 * ms, analysis.Cancelled},
		"within three gaps":              {paced(100*ms, 100*ms, 10), streaming, 1000*ms + 299*ms, analysis.Cancelled},
		"beyond three gaps":              {paced(100*ms, 100*ms, 10), streaming, 1000*ms + 301*ms, analysis.Abandoned},
		"slow, within a second":          {paced(3000*ms, 2000*ms, 3), streaming, 7999 * ms, analysis.Cancelled},
		"slow, beyond a second":          {paced(3000*ms, 2000*ms, 3), streaming, 8001 * ms, analysis.Abandoned},
		"a silence in the midst of slow": {paced(3000*ms, 2000*ms, 3), streaming, 6500 * ms, analysis.Abandoned},
		"an answer that was complete": {func() *script {
			s := streamOf(role, token("x"), finish, done)
			s.hangs = true
			return s
		}, streaming, 5000 * ms, analysis.OK},
	} {
		for _, shape := range []string{"handler", "transport", "transport, closed", "deadline"} {
			t.Run(name+" "+shape, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := tt.model()
					r, d := scripted(t, documentOf(says("x")), m, nil)
					began := time.Now()
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					switch shape {
					case "deadline": // one's own
						ctx, cancel = context.WithTimeout(t.Context(), tt.at)
						defer cancel()
						local(r)["transport"](ctx, chat, tt.body)
					case "transport, closed":
						req, _ := http.NewRequest(http.MethodPost, "http://models"+chat, strings.NewReader(tt.body))
						header := make(chan *http.Response, 1)
						go func() {
							resp, err := r.RoundTripper().RoundTrip(req.WithContext(ctx))
							if err == nil {
								go func() { _, _ = io.Copy(io.Discard, resp.Body) }()
							}
							header <- resp
						}()
						time.Sleep(tt.at)
						synctest.Wait()
						select {
						case resp := <-header:
							_ = resp.Body.Close()
						default: // there is nothing to close yet
							cancel()
							<-header
						}
					default:
						time.AfterFunc(tt.at, cancel)
						local(r)[shape](ctx, chat, tt.body)
					}
					synctest.Wait()
					o := d.one(t)
					if o.Class != tt.class {
						t.Errorf("%v (%s), want %v", o.Class, o.Why, tt.class)
					}
					if o.Class == analysis.Abandoned && (o.Latency < tt.at || o.Latency > tt.at+10*ms) {
						t.Errorf("the wait was %v, want %v", o.Latency, tt.at)
					}
					if m.left.Load() != 1 || time.Since(began) > tt.at+50*ms {
						t.Errorf("the model saw %d cancels, and it is %v", m.left.Load(), time.Since(began))
					}
					if s := armStats(t, r, "new"); s.Fallbacks != 0 {
						t.Error("it fell back for a caller who is gone")
					}
					idle(t, r)
				})
			})
		}
	}
}

// TestPausesOfTheCaller: a caller who does not read for longer than all limits has
// an answer nevertheless.
func TestPausesOfTheCaller(t *testing.T) {
	events := append(append([]string{role, token("x")}, strings.SplitAfter(strings.Repeat(": ping\n\n", 5), "\n\n")[:5]...), token("x"), finish, done)
	want := strings.Join(events, "")
	t.Run("transport", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, d := scripted(t, documentOf(says("x")), streamOf(events...), nil)
			req, _ := http.NewRequest(http.MethodPost, "http://models"+chat, strings.NewReader(streaming))
			resp, err := r.RoundTripper().RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			buf := make([]byte, 1000)
			for {
				n, err := resp.Body.Read(buf)
				got = append(got, buf[:n]...)
				if err == io.EOF {
					break
				} else if err != nil {
					t.Fatalf("after %d bytes: %v", len(got), err)
				}
				time.Sleep(20 * time.Minute)
			}
			if o := d.one(t); string(got) != want || o.Class != analysis.OK {
				t.Errorf("%v (%s), got %q", o.Class, o.Why, got)
			}
			idle(t, r)
		})
	})
	t.Run("handler", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := streamOf(events...)
			m.pauses = evenly(len(events), time.Millisecond)
			r, d := scripted(t, documentOf(says("x")), m, nil)
			w := &pausing{ResponseRecorder: httptest.NewRecorder()}
			req := httptest.NewRequest(http.MethodPost, chat, strings.NewReader(streaming))
			r.ServeHTTP(w, req.WithContext(context.WithValue(t.Context(), http.ServerContextKey, new(http.Server))))
			if o := d.one(t); w.Body.String() != want || o.Class != analysis.OK {
				t.Errorf("%v (%s), got %q", o.Class, o.Why, w.Body.String())
			}
			idle(t, r)
		})
	})
}

// pausing is a caller who takes 20 minutes for each chunk but the first, which the
// proxy flushes in two goroutines.
type pausing struct {
	*httptest.ResponseRecorder
	flushed int
}

func (p *pausing) FlushError() error {
	if p.flushed++; p.flushed > 2 {
		time.Sleep(20 * time.Minute)
	}
	return nil
}

// TestDrainBeforeTheFirstByte: an arm that may not go on before it has answered is
// not charged, and the baseline serves.
func TestDrainBeforeTheFirstByte(t *testing.T) {
	for _, shape := range []string{"handler", "transport"} {
		for name, m := range map[string]func() *script{
			"no header": func() *script { return &script{mute: true} },
			"a role":    func() *script { s := streamOf(role); s.hangs = true; return s },
		} {
			synctest.Test(t, func(t *testing.T) {
				r, d := scripted(t, streamOf(role, token("x"), finish, done), m(), func(c *traffic.Config) { c.Drain = -1 })
				ended := make(chan result, 1)
				go func() { ended <- local(r)[shape](t.Context(), chat, streaming) }()
				synctest.Wait()
				if err := r.SetSplit(t.Context(), split(8, 0)); err != nil {
					t.Fatal(err)
				}
				if got := <-ended; got.err != nil || got.version != "old" {
					t.Errorf("%s, %s: got %+v", shape, name, got)
				}
				if o := d.one(t); o.Class != analysis.Cancelled || o.Arm != "new" {
					t.Errorf("%s, %s: %v (%s)", shape, name, o.Class, o.Why)
				}
				idle(t, r)
			})
		}
	}
}

// TestPatience: a candidate is waited for no longer than the baseline's own times
// justify, on the same interface and for the same form.
func TestPatience(t *testing.T) {
	for _, shape := range []string{"handler", "transport"} {
		t.Run(shape, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var body string
				old := scripts(func() *script {
					s := documentOf(says("of the baseline"))
					if body == streaming {
						s = streamOf(role, token("of the baseline"), finish, done)
					}
					s.before = 800 * time.Millisecond
					return s
				})
				r, _ := scripted(t, old, &script{mute: true}, func(c *traffic.Config) { c.FallbackRatio = 1000 })
				send := local(r)[shape]
				wait := func(b string) time.Duration {
					t.Helper()
					if err := r.SetSplit(t.Context(), split(0, 10_000)); err != nil {
						t.Fatal(err)
					}
					body = b
					began := time.Now()
					if got := send(t.Context(), chat, b); got.version != "old" || got.status != 200 {
						t.Errorf("got %+v", got)
					}
					return time.Since(began) - 800*time.Millisecond
				}
				teach := func(b string, n int) {
					t.Helper()
					if err := r.SetSplit(t.Context(), split(0, 0)); err != nil {
						t.Fatal(err)
					}
					body = b
					for range n {
						send(t.Context(), chat, b)
					}
				}
				teach(streaming, 199)
				if got := wait(streaming); got != time.Minute {
					t.Errorf("with 199 answers the candidate is waited for %v", got)
				}
				teach(streaming, 1)
				if got := wait(streaming); got < 8*time.Second || got > 8500*time.Millisecond {
					t.Errorf("with 200 answers after 800 ms the candidate is waited for %v", got)
				}
				if got := wait("{}"); got != 10*time.Minute {
					t.Errorf("for a document it is waited for %v", got)
				}
				time.Sleep(5 * time.Minute)
				if got := wait(streaming); got != time.Minute {
					t.Errorf("after more than 15 minutes the candidate is waited for %v", got)
				}
			})
		})
	}
}

// TestDeadlineOfTheCaller checks that a caller's own deadline is seen as that.
func TestDeadlineOfTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d := scripted(t, documentOf(says("x")), &script{mute: true}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if got := local(r)["transport"](ctx, chat, streaming); !errors.Is(got.err, context.DeadlineExceeded) {
			t.Errorf("got %+v", got)
		}
		if o := d.one(t); o.Class != analysis.Abandoned || o.Latency != 3*time.Second {
			t.Errorf("%v after %v", o.Class, o.Latency)
		}
	})
}
