package traffic_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
)

// TestSecondOpinion: where the fault may be the caller's, the baseline decides whose
// it was, and its answer is the caller's.
func TestSecondOpinion(t *testing.T) {
	retry := http.Header{"Retry-After": {"7"}}
	baselines := map[string]func() *script{
		"good":    func() *script { return documentOf(says("Hello")) },
		"rejects": func() *script { return &script{status: 422, chunks: []string{`{"error":"old"}`}, header: retry} },
		"limits":  func() *script { return &script{status: 429, chunks: []string{`{"error":"old"}`}, header: retry} },
		"fails":   func() *script { return &script{status: 500, chunks: []string{`{"error":"old"}`}} },
		"is down": func() *script { return &script{broken: errReset} },
		"moves on": func() *script {
			return &script{status: 302, chunks: []string{"Found"}, header: http.Header{"Location": {"/login"}}}
		},
	}
	for _, status := range []int{400, 401, 403, 404, 413, 415, 422, 429, 451, 408, 409, 424, 425, 499} {
		for name, baseline := range baselines {
			for _, mode := range []string{"", "NoSecondOpinion", "NoFallback"} {
				for _, size := range []int{20, 100 << 10} {
					t.Run(fmt.Sprint(status, " ", name, " ", mode, " ", size), func(t *testing.T) {
						text := `{"error":"` + strings.Repeat("n", size) + `"}`
						candidate := func() *script { return &script{status: status, chunks: []string{text[:10], text[10:]}} }
						rejected, limited := true, status == 429
						switch status {
						case 408, 409, 424, 425, 499:
							rejected = false
						}
						falls := mode == "" || mode == "NoSecondOpinion" && !rejected
						class := analysis.Rejected
						switch {
						case limited:
							class = analysis.Limited
						case !rejected, falls && name == "good":
							class = analysis.Error
						}
						old := baseline()
						r, d := scripted(t, old, candidate(), func(c *traffic.Config) {
							c.NoSecondOpinion, c.NoFallback = mode == "NoSecondOpinion", mode == "NoFallback"
						})
						n := 0
						for shape, send := range local(r) {
							got := send(t.Context(), chat, "{}")
							n++
							want := result{status: status, body: text, version: "new"}
							if falls {
								want = result{status: old.status, body: strings.Join(old.chunks, ""), version: "old"}
								if name == "good" {
									want.status = 200
								}
								if got.header.Get("Retry-After") != old.header.Get("Retry-After") {
									t.Errorf("%s: Retry-After %q, want %q", shape, got.header.Get("Retry-After"), old.header.Get("Retry-After"))
								}
							}
							switch {
							case falls && name == "is down" && shape == "transport":
								if !errors.Is(got.err, errReset) {
									t.Errorf("%s: %v, want what the baseline's connection says", shape, got.err)
								}
							case falls && name == "is down":
								if got.status != 502 || got.version != "old" {
									t.Errorf("%s: got %d of %s", shape, got.status, got.version)
								}
							case got.status != want.status || got.body != want.body || got.version != want.version || got.err != nil:
								t.Errorf("%s: got %d %.60q (%d bytes) of %s, %v, want %d (%d bytes) of %s", shape, got.status, got.body, len(got.body), got.version, got.err, want.status, len(want.body), want.version)
							}
							if o := d.last(t, n); o.Class != class || o.Arm != "new" || o.Why != fmt.Sprint("status ", status) {
								t.Errorf("%s: %v (%s) of %s, want %v", shape, o.Class, o.Why, o.Arm, class)
							}
						}
						s := armStats(t, r, "new")
						if want := map[bool]uint64{true: 2}[falls]; s.Fallbacks != want || s.Requests != 2 || !maps.Equal(s.ByClass, map[analysis.Class]uint64{class: 2}) {
							t.Errorf("stats %+v, want %d fallbacks", s, want)
						}
						if asked := old.asked.Load(); asked != map[bool]int64{true: 2}[falls] || armStats(t, r, "old").Requests != 0 {
							t.Errorf("the baseline was asked %d times, and has %d requests of its own", asked, armStats(t, r, "old").Requests)
						}
						idle(t, r)
					})
				}
			}
		}
	}
}

// TestSecondOpinionIsBounded: opinions count as fallbacks, so a candidate that rejects
// everything cannot double the baseline's load.
func TestSecondOpinionIsBounded(t *testing.T) {
	r, d := scripted(t, documentOf(says("Hello")), &script{status: 404}, func(c *traffic.Config) { c.FallbackRatio = 0.001 })
	send := local(r)["handler"]
	n := 0
	for range 300 {
		if send(t.Context(), chat, "{}").status == 404 {
			n++
		}
	}
	d.wait(t, 300)
	if s := armStats(t, r, "new"); n < 100 || s.Fallbacks < 90 || s.Fallbacks > 110 || s.ByClass[analysis.Rejected] != uint64(n) {
		t.Errorf("%d callers were rejected, %+v", n, s)
	}
}

// TestReportedBeforeTheBaselineAnswers: a failure is known when the baseline is
// asked, not when it has answered, and stays what it was if the caller leaves
// meanwhile; where the baseline decides what it was, it is known with its status.
func TestReportedBeforeTheBaselineAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		candidate func() *script
		body      string
		early     bool
		class     analysis.Class
	}{
		"error":                  {func() *script { return &script{status: 500, chunks: []string{"no"}} }, "{}", true, analysis.Error},
		"no connection":          {func() *script { return &script{broken: errReset} }, "{}", true, analysis.Error},
		"invalid document":       {func() *script { return documentOf("{}") }, "{}", true, analysis.Invalid},
		"error in a stream":      {func() *script { return streamOf(role, inBand) }, streaming, true, analysis.Error},
		"hangs behind its error": {func() *script { s := streamOf(role, inBand); s.hangs = true; return s }, streaming, true, analysis.Error},
		"limited in a stream":    {func() *script { return streamOf(role, limited) }, streaming, true, analysis.Limited},
		"rejected":               {func() *script { return &script{status: 404, chunks: []string{"no"}} }, "{}", false, analysis.Rejected},
	} {
		for _, leaves := range []bool{false, true} {
			for _, shape := range []string{"handler", "transport"} {
				t.Run(fmt.Sprint(name, " ", shape, " leaves ", leaves), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						old := &script{mute: true}
						if !leaves {
							old = documentOf(says("Hello"))
							old.before = 30 * time.Second // less than any limit
						}
						var exposed []traffic.Exposure
						r, d := scripted(t, old, tt.candidate(), func(c *traffic.Config) {
							c.Exposed = func(e traffic.Exposure) { exposed = append(exposed, e) }
						})
						ctx, cancel := context.WithCancel(t.Context())
						defer cancel()
						ended := make(chan result, 1)
						go func() { ended <- local(r)[shape](ctx, chat, tt.body) }()
						synctest.Wait()
						if old.asked.Load() != 1 {
							t.Fatal("the baseline was not asked")
						}
						if n := len(d.seen); (n == 1) != tt.early {
							t.Errorf("%d observations while the baseline is thinking", n)
						}
						if tt.early && (len(exposed) != 1 || exposed[0].Served != "old" || exposed[0].Class != tt.class) {
							t.Errorf("exposures %+v", exposed)
						}
						if s := armStats(t, r, "old"); s.InFlight != 1 {
							t.Errorf("%d in flight at the baseline", s.InFlight)
						}
						if leaves {
							cancel()
						}
						got := <-ended
						synctest.Wait()
						want := tt.class
						if !leaves && !tt.early {
							want = analysis.Error // the baseline shows it
						}
						if len(d.seen) != 1 || d.seen[0].Class != want || d.seen[0].Arm != "new" || len(exposed) != 1 {
							t.Errorf("observations %+v, want one: %v", d.seen, want)
						}
						switch {
						case leaves && old.left.Load() != 1:
							t.Error("the baseline goes on without a caller")
						case !leaves && (got.err != nil || got.body != says("Hello") || got.version != "old"):
							t.Errorf("got %+v", got)
						}
						idle(t, r)
					})
				})
			}
		}
	}
}
