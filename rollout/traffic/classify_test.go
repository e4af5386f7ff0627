package traffic_test

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	answers "github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/rollout/traffic"
)

// TestClassify: the hook sees what was read and may change what it was, in both
// shapes, and what it says decides whether the baseline serves.
func TestClassify(t *testing.T) {
	const odd = `{"odd":"answer"}`
	for name, tt := range map[string]struct {
		path      string
		candidate *script
		hook      func(ask answers.Ask, head []byte, o *answers.Outcome)
		class     analysis.Class
		why       string
		falls     bool
	}{
		"nothing to change": {chat, documentOf(says("Hi")), func(answers.Ask, []byte, *answers.Outcome) {}, analysis.OK, "", false},
		"an unread answer is good": {"/v1/odd", documentOf(odd), func(_ answers.Ask, head []byte, o *answers.Outcome) {
			if string(head) == odd && o.Class == analysis.Unread {
				o.Class, o.Why = analysis.OK, ""
			}
		}, analysis.OK, "", false},
		"an invalid answer is good": {chat, documentOf(odd), func(_ answers.Ask, head []byte, o *answers.Outcome) {
			if string(head) == odd && o.Class == analysis.Invalid {
				o.Class, o.Why = analysis.OK, ""
			}
		}, analysis.OK, "", false},
		"a page is good": {chat, documentOf("<html>Hello"), func(_ answers.Ask, head []byte, o *answers.Outcome) {
			if string(head) == "<html>Hello" {
				o.Class, o.Why = analysis.OK, ""
			}
		}, analysis.OK, "", false},
		"a status is good": {chat, &script{status: 503, chunks: []string{odd}}, func(_ answers.Ask, _ []byte, o *answers.Outcome) {
			if o.Status == 503 {
				o.Class, o.Why = analysis.OK, ""
			}
		}, analysis.OK, "", false},
		"a good answer is an error": {chat, documentOf(says("Hi")), func(_ answers.Ask, head []byte, o *answers.Outcome) {
			o.Class, o.Why = analysis.Error, "too short"
			if head != nil {
				o.Why = "the answer can be seen"
			}
		}, analysis.Error, "too short", true},
		"a large page is not kept for it": {chat, documentOf("<html>" + strings.Repeat("x", 1<<20)), func(_ answers.Ask, _ []byte, o *answers.Outcome) {
			o.Class, o.Why = analysis.OK, ""
		}, analysis.OK, "", true},
		"no answer is no success": {chat, &script{broken: errReset}, func(_ answers.Ask, _ []byte, o *answers.Outcome) {
			o.Class, o.Why = analysis.OK, ""
		}, analysis.Error, "no answer", true},
		"half an answer is no success": {chat, &script{chunks: []string{`{"od`}, broken: errReset}, func(_ answers.Ask, _ []byte, o *answers.Outcome) {
			o.Class, o.Why = analysis.OK, ""
		}, analysis.Truncated, "broken off", true},
		"another failure": {chat, &script{chunks: []string{`{"od`}, broken: errReset}, func(_ answers.Ask, _ []byte, o *answers.Outcome) {
			o.Class, o.Why = analysis.Error, "worker lost"
		}, analysis.Error, "worker lost", true},
		"panics": {chat, documentOf(odd), func(answers.Ask, []byte, *answers.Outcome) { panic("no") }, analysis.Invalid, "no choices", true},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			r, d := scripted(t, documentOf(says("of the baseline")), tt.candidate, func(c *traffic.Config) {
				c.Classify = tt.hook
				c.Logger = slog.New(slog.NewTextHandler(&log, nil))
			})
			n := 0
			for shape, send := range local(r) {
				got := send(t.Context(), tt.path, "{}")
				n++
				want := result{status: max(200, tt.candidate.status), body: strings.Join(tt.candidate.chunks, ""), version: "new"}
				if tt.falls {
					want = result{status: 200, body: says("of the baseline"), version: "old"}
				}
				if got.status != want.status || got.body != want.body || got.version != want.version || got.err != nil {
					t.Errorf("%s: got %d %.60q of %s, %v, want %d %.60q", shape, got.status, got.body, got.version, got.err, want.status, want.body)
				}
				if o := d.last(t, n); o.Class != tt.class || o.Why != tt.why || (o.Err == nil) != (o.Class == analysis.OK) {
					t.Errorf("%s: %v (%s), %v, want %v (%s)", shape, o.Class, o.Why, o.Err, tt.class, tt.why)
				}
			}
			if said := strings.Contains(log.String(), "function=Classify"); said != (name == "panics") {
				t.Errorf("the log says\n%s", log.String())
			}
			idle(t, r)
		})
	}
}

// TestClassifyCannotHide: an answer that was broken off, or came too late, or whose
// caller has left, is no success whatever the hook says.
func TestClassifyCannotHide(t *testing.T) {
	for name, tt := range map[string]struct {
		candidate *script
		leaveAt   time.Duration
		class     analysis.Class
	}{
		"broken off": {&script{kind: "text/event-stream", chunks: []string{role, token("Hel")}, broken: errReset}, 0, analysis.Truncated},
		"stalled":    {&script{kind: "text/event-stream", chunks: []string{role, token("Hel")}, hangs: true}, 0, analysis.Timeout},
		"late":       {&script{mute: true}, 0, analysis.Timeout},
		"abandoned":  {&script{mute: true}, 10 * time.Second, analysis.Abandoned},
		"cancelled": {&script{
			kind: "text/event-stream", chunks: []string{role, token("Hel"), token("lo")}, pauses: []time.Duration{0, 4 * time.Second}, hangs: true,
		}, 4*time.Second + 100*time.Millisecond, analysis.Cancelled},
	} {
		for _, shape := range []string{"handler", "transport"} {
			t.Run(name+" "+shape, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r, d := scripted(t, documentOf(says("Hi")), tt.candidate, func(c *traffic.Config) {
						c.NoFallback = true
						c.Classify = func(_ answers.Ask, _ []byte, o *answers.Outcome) { o.Class, o.Why = analysis.OK, "" }
					})
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					if tt.leaveAt > 0 {
						time.AfterFunc(tt.leaveAt, cancel)
					}
					local(r)[shape](ctx, chat, streaming)
					if o := d.one(t); o.Class != tt.class || o.Why == "" || o.Err == nil {
						t.Errorf("%v (%s), %v, want %v", o.Class, o.Why, o.Err, tt.class)
					}
				})
			})
		}
	}
}

// TestRoutesHook: it goes before the table, and a panic leaves the table in force.
func TestRoutesHook(t *testing.T) {
	var log bytes.Buffer
	r, d := scripted(t, documentOf(says("of the baseline")), documentOf(says("Hello")), func(c *traffic.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		c.Routes = func(method, path string) (answers.Route, bool) {
			switch {
			case path == "/own":
				return answers.Route{API: answers.Chat, Kind: answers.Inference}, method == "POST"
			case path == "/none":
				panic("no")
			case strings.HasPrefix(path, "/files/"):
				return answers.Route{Kind: answers.Resource}, true
			case strings.HasPrefix(path, "/hidden/"):
				return answers.Route{}, true
			}
			return answers.Route{API: answers.Messages, Kind: answers.Inference}, false
		}
	})
	n := 0
	for shape, send := range local(r) {
		for path, class := range map[string]analysis.Class{"/own": analysis.OK, chat: analysis.OK, "/v1/odd": analysis.Unread, "/hidden" + chat: analysis.Unread, "/none": analysis.Unread} {
			send(t.Context(), path, "{}")
			n++
			if o := d.last(t, n); o.Class != class || o.Arm != "new" || o.Route != "POST "+path {
				t.Errorf("%s, %s: %v of %s (%s), want %v", shape, path, o.Class, o.Arm, o.Route, class)
			}
		}
		if got := send(t.Context(), "/files/x", "{}"); got.version != "old" {
			t.Errorf("%s: a resource is served by %q", shape, got.version)
		}
		n++
		if o := d.last(t, n); o.Class != analysis.Unread || o.Arm != "old" {
			t.Errorf("%s: a resource is observed as %v of %s", shape, o.Class, o.Arm)
		}
	}
	d.wait(t, n)
	if !strings.Contains(log.String(), "function=Routes") {
		t.Errorf("the log says\n%s", log.String())
	}
}

// TestFinishReasonsHook: what a finish reason means can be said, and those that are
// not known are counted by name, within bounds.
func TestFinishReasonsHook(t *testing.T) {
	ends := func(reason string) *script {
		return documentOf(strings.Replace(says("Hello"), `"stop"`, `"`+reason+`"`, 1))
	}
	for name, tt := range map[string]struct {
		reason string
		class  analysis.Class
		falls  bool
	}{
		"known":             {"length", analysis.OK, false},
		"said to be good":   {"done_thinking", analysis.OK, false},
		"said to decline":   {"blocked_by_us", analysis.Refused, false},
		"said to be broken": {"eos", analysis.Error, true},
		"not known":         {"whatever", analysis.Invalid, true},
	} {
		reasons := map[string]answers.End{"done_thinking": answers.Natural, "blocked_by_us": answers.Declined, "eos": answers.Failure}
		r, d := scripted(t, documentOf(says("of the baseline")), ends(tt.reason), func(c *traffic.Config) { c.FinishReasons = reasons })
		clear(reasons) // the router has a copy
		n := 0
		for shape, send := range local(r) {
			got := send(t.Context(), chat, "{}")
			n++
			if o := d.last(t, n); o.Class != tt.class || (got.version == "old") != tt.falls {
				t.Errorf("%s, %s: %v (%s), served by %s", name, shape, o.Class, o.Why, got.version)
			}
		}
		want := map[string]uint64(nil)
		if tt.class == analysis.Invalid {
			want = map[string]uint64{"whatever": 2}
		}
		if s := armStats(t, r, "new"); !maps.Equal(s.FinishReasons, want) {
			t.Errorf("%s: finish reasons %v", name, s.FinishReasons)
		}
	}

	var mu sync.Mutex
	next := 0
	r, _ := scripted(t, documentOf(says("of the baseline")), roundTrip(nil), nil)
	if err := r.SetBackend("new", traffic.Backend{URL: "http://new.invalid", Transport: scripts(func() *script {
		mu.Lock()
		defer mu.Unlock()
		next++
		return ends(strings.Repeat("r", next))
	})}); err != nil {
		t.Fatal(err)
	}
	send := local(r)["handler"]
	for range 50 {
		send(t.Context(), chat, "{}")
	}
	s := armStats(t, r, "new")
	if len(s.FinishReasons) != 33 || s.FinishReasons["other"] != 18 || s.FinishReasons["rrr"] != 1 || !maps.Equal(s.Why, map[string]uint64{"unknown finish reason": 50}) {
		t.Errorf("%d names, %v; why %v", len(s.FinishReasons), s.FinishReasons, s.Why)
	}
}
