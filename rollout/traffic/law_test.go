package traffic_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	answers "github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/cache"
	"github.com/serin-go/serin/rollout/traffic/replicas"
	"github.com/serin-go/serin/strategies"
)

// lawful is a request of the table of routes and what its sending may cause.
type lawful struct {
	requests string // METHOD path, one on a line
	body     string
	most     int  // requests that servers accept together
	refusals bool // an answer of 400 or more has caused nothing
	gets     bool // repeating it is harmless
}

const (
	askChat      = `{"model":"m","stream":true,"temperature":0,"messages":[{"role":"user","content":"Hi"}]}`
	askTools     = `{"model":"m","input":"Hi","tools":[{"type":"mcp","server_label":"x"}],"web_search_options":{}}`
	askLater     = `{"model":"m","input":"Hi","background":true}`
	askContinued = `{"model":"m","input":"Hi","previous_response_id":"resp_1"}`
)

// inferences may be answered by the candidate's pool twice, each time with one resend
// to a connection that was idle, by the baseline's pool as often, and by the mirror's.
const inferences = 3 * 2 * 2

var law = []lawful{
	{most: inferences, body: askChat, requests: `
		POST /v1/chat/completions
		POST /v1/completions
		POST /v1/embeddings
		POST /v1/moderations
		POST /v1/images/generations
		POST /v1/audio/speech
		POST /v1/audio/transcriptions
		POST /v1/rerank
		POST /score
		POST /v1/classify
		POST /pooling
		POST /invocations
		POST /openai/deployments/gpt/chat/completions
		POST /v1/messages
		POST /v1beta/models/gemini:generateContent
		POST /v1beta/models/gemini:streamGenerateContent
		POST /v1beta/models/gemini:embedContent
		POST /v1/projects/p/locations/l/publishers/google/models/gemini:rawPredict
		POST /api/chat
		POST /api/generate
		POST /api/embed
		POST /generate
		POST /generate_stream
		POST /completion
		POST /infill
		POST /v1/chat
		POST /v2/chat
		POST /v2/embed
		POST /v2/rerank
		POST /model/anthropic.claude/invoke
		POST /model/anthropic.claude/converse-stream`},
	{most: 1, refusals: true, body: askTools, requests: `
		POST /v1/responses
		POST /v1/chat/completions`},
	{most: 1, refusals: true, body: askLater, requests: `
		POST /v1/responses`},
	{most: 2, body: askContinued, requests: `
		POST /v1/responses`},
	{gets: true, requests: `
		GET /v1/models
		GET /v1/models/m
		GET /health
		GET /api/tags
		GET /v1/files/file-1
		GET /v1/batches
		GET /v1/responses/resp_1
		GET /odd
		HEAD /v1/chat/completions
		OPTIONS /v1/chat/completions`},
	{most: 1, body: `{}`, requests: `
		POST /v1/batches
		POST /v1/batches/b/cancel
		POST /v1/files
		DELETE /v1/files/file-1
		POST /v1/uploads
		POST /v1/uploads/u/parts
		POST /v1/uploads/u/complete
		POST /v1/uploads/u/cancel
		POST /v1/fine_tuning/jobs
		POST /v1/fine_tuning/jobs/j/cancel
		POST /v1/vector_stores
		POST /v1/vector_stores/v/files
		DELETE /v1/vector_stores/v
		POST /v1/assistants
		POST /v1/threads
		POST /v1/threads/t/runs
		POST /v1/conversations
		POST /v1/conversations/c/items
		POST /v1/containers
		POST /v1/skills
		POST /v1/evals
		POST /v1/evals/e/runs
		POST /v1/videos
		DELETE /v1/responses/resp_1
		POST /v1/responses/resp_1/cancel
		POST /v1/chat/completions/c1
		DELETE /v1/models/m
		POST /v1/realtime/sessions
		POST /v1/realtime/client_secrets
		POST /v1/realtime/calls
		POST /v1/messages/batches
		POST /v1/messages/batches/b/cancel
		DELETE /v1/messages/batches/b
		POST /v1/agents
		POST /v1/sessions
		POST /v1/environments
		POST /v1/memory_stores
		POST /v1/deployments
		POST /upload/v1beta/files
		DELETE /v1beta/files/f
		POST /v1beta/cachedContents
		PATCH /v1beta/cachedContents/c
		POST /v1beta/models/gemini:batchGenerateContent
		POST /v1beta/models/gemini:asyncBatchEmbedContent
		POST /v1/projects/p/locations/l/publishers/google/models/veo:predictLongRunning
		POST /v1beta/tunedModels
		POST /v1/projects/p/locations/l/tuningJobs
		POST /v1beta/corpora
		POST /api/blobs/sha256:1
		POST /slots/1
		POST /v1/datasets
		POST /v1/embed-jobs
		POST /v1/connectors
		POST /async-invoke`},
	{most: 1, body: `{}`, requests: `
		POST /v1/organization/users
		DELETE /v1/organization/users/u
		POST /v1/projects
		POST /sleep
		POST /wake_up
		POST /pause
		POST /resume
		POST /reset_prefix_cache
		POST /flush_cache
		POST /v1/load_lora_adapter
		POST /v1/unload_lora_adapter
		POST /update_weights_from_disk
		POST /init_weights_update_group
		POST /collective_rpc
		POST /start_profile
		POST /stop_profile
		POST /abort_request
		POST /api/pull
		POST /api/push
		POST /api/create
		POST /api/copy
		DELETE /api/delete
		POST /api/signout
		POST /lora-adapters`},
	{most: 1, body: askChat, requests: `
		POST /odd
		PUT /v1/odd
		PATCH /v1/odd
		DELETE /v1/odd
		POST /v1/chat/completions/../odd
		PURGE /v1/odd`},
}

// fault is what every server does to a request at one instant.
type fault struct {
	name   string
	early  bool     // after the first byte of the request
	send   []string // parts of the answer
	status int
	whole  bool // the answer ends well
	silent bool // and nothing comes until the caller has left
	gone   bool // the caller leaves at this instant
}

func faults() []fault {
	head := func(status int, kind string) string {
		return fmt.Sprintf("HTTP/1.1 %d Status\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\nLocation: /elsewhere\r\n\r\n", status, kind)
	}
	chunk := func(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }
	const stream = "text/event-stream"
	all := []fault{
		{name: "after the first byte of the request", early: true},
		{name: "after the last byte of the request"},
		{name: "after an informational status", send: []string{"HTTP/1.1 103 Early Hints\r\n\r\n"}},
		{name: "after the first byte of the answer", send: []string{"H"}},
		{name: "after the first byte of the body", status: 200, send: []string{head(200, "application/json"), "1\r\n{"}},
		{name: "before content", status: 200, send: []string{head(200, stream), chunk(role)}},
		{name: "after content", status: 200, send: []string{head(200, stream), chunk(role), chunk(token("Hi"))}},
		{name: "at the last byte", status: 200, send: []string{head(200, stream), chunk(goodStream), "0\r\n\r"}},
		{name: "an error event", status: 200, whole: true, send: []string{head(200, stream), chunk(limited), "0\r\n\r\n"}},
		{name: "a page", status: 200, whole: true, send: []string{head(200, "text/html"), chunk("<html>"), "0\r\n\r\n"}},
		{name: "a good answer", status: 200, whole: true, send: []string{head(200, stream), chunk(goodStream), "0\r\n\r\n"}},
		{name: "silence", silent: true},
		{name: "the caller leaves before an answer", gone: true, silent: true},
		{name: "the caller leaves at the header", gone: true, silent: true, status: 200, send: []string{head(200, stream)}},
		{name: "the caller leaves after content", gone: true, silent: true, status: 200, send: []string{head(200, stream), chunk(token("Hi"))}},
		{name: "the caller leaves at a refusal", gone: true, silent: true, status: 503, send: []string{head(503, "application/json")}},
	}
	for _, status := range []int{204, 302, 400, 404, 408, 409, 429, 500, 503} {
		all = append(all, fault{name: fmt.Sprint("after the header of a ", status), status: status, send: []string{head(status, "application/json")}})
		if status != 204 {
			all = append(all, fault{name: fmt.Sprint("a whole ", status), status: status, whole: true, send: []string{head(status, "application/json"), chunk("{}"), "0\r\n\r\n"}})
		}
	}
	return all
}

// scene is one run: what servers do, and what has come to them.
type scene struct {
	fault
	run               string
	leave             context.CancelFunc
	accepted, refused atomic.Int32
}

// stage is a set of servers that all play the same scene.
type stage struct {
	t     *testing.T
	scene atomic.Pointer[scene]
}

// server starts a server and returns its URL.
func (s *stage) server() string {
	return accept(s.t, func(conn net.Conn) {
		for s.play(conn) {
		}
	})
}

// play plays one request of a connection, and reports whether another may follow.
func (s *stage) play(conn net.Conn) bool {
	in := bufio.NewReader(conn)
	if _, err := in.Peek(1); err != nil {
		return false
	}
	now := s.scene.Load()
	if now.early {
		return false
	}
	req, err := http.ReadRequest(in)
	if err != nil {
		return false
	}
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return false
	}
	if req.Header.Get("X-Run") != now.run {
		return false // of a run before, and given up
	}
	now.accepted.Add(1)
	if now.status >= 400 {
		now.refused.Add(1)
	}
	if req.Method == http.MethodHead || now.status == http.StatusNoContent {
		return false // which has no body
	}
	for _, part := range now.send {
		if _, err := io.WriteString(conn, part); err != nil {
			return false
		}
	}
	if now.gone {
		now.leave()
	}
	if now.silent {
		_, _ = in.ReadByte() // until the connection is closed
	}
	return now.whole
}

// pool returns three replicas behind a cache, with hedging.
func (s *stage) pool(arm string, c *cache.Cache) traffic.Backend {
	var list []replicas.Replica
	for range 3 {
		list = append(list, replicas.Replica{URL: s.server()})
	}
	pool, err := replicas.New(replicas.Config{Replicas: list, Hedge: 5 * time.Millisecond, EjectAfter: 1 << 30})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = pool.Close() })
	return traffic.Backend{URL: "http://" + arm, Transport: c.Transport(arm, pool), Price: tokenPrice}
}

// TestEffectsLaw sends each request of the table of routes with a fault at each
// instant, in both shapes, over cold and warm connections, with fallbacks, second
// opinions, pools, hedges, copies and a cache. Servers never accept a request with
// effects twice, and an inference at most twice for each attempt, which is charged:
// an attempt may be resent once if an idle connection had been closed.
func TestEffectsLaw(t *testing.T) {
	runs, serial, most := 0, 0, 0
	var charged atomic.Int64
	s := &stage{t: t}
	remembered, err := cache.New(cache.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = remembered.Close() })
	arms := map[string]traffic.Backend{"old": s.pool("old", remembered), "new": s.pool("new", remembered), "copy": s.pool("copy", remembered)}
	arms["plain"] = traffic.Backend{URL: s.server(), Price: tokenPrice} // without a pool
	newRouter := func(candidate, baseline string) *traffic.Router {
		r, err := traffic.New(traffic.Config{
			Arms: arms, AllowControl: true, FirstByteTimeout: 20 * time.Millisecond, Stall: 20 * time.Millisecond, Patience: -1, RescueRatio: 1e9,
			Charged: func(traffic.Charge) { charged.Add(1) }, Mirror: traffic.Mirroring{Timeout: 50 * time.Millisecond},
			Split: strategies.Split{
				Arms:    []strategies.Arm{{Name: baseline}, {Name: candidate, Weight: strategies.Full}, {Name: "copy"}},
				Mirrors: []strategies.Mirror{{Arm: "copy", Share: strategies.Full}},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	send := func(r *traffic.Router, shape, method, path, body string, f fault) *scene {
		ctx, leave := context.WithCancel(context.Background())
		defer leave()
		serial++
		now := &scene{fault: f, run: fmt.Sprint(serial), leave: leave}
		s.scene.Store(now)
		req := httptest.NewRequestWithContext(ctx, method, "http://gateway"+path, strings.NewReader(body))
		req.URL.Path, req.URL.RawPath = path, ""
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+now.run)
		req.Header.Set("X-Run", now.run)
		func() {
			defer func() { _ = recover() }() // how a handler breaks an answer off
			if shape == "handler" {
				r.ServeHTTP(httptest.NewRecorder(), req)
				return
			}
			req.RequestURI = ""
			resp, err := r.RoundTripper().RoundTrip(req)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}()
		return now
	}
	quiet := func(r *traffic.Router) {
		waitFor(t, func() bool {
			n := r.PendingCopies()
			for _, a := range r.Stats() {
				n += int64(a.InFlight)
			}
			return n == 0
		})
	}
	for _, l := range law {
		for line := range strings.Lines(strings.TrimSpace(l.requests)) {
			method, path, _ := strings.Cut(strings.TrimSpace(line), " ")
			// New ones for each route, since the number of fallbacks is bounded.
			routers := []*traffic.Router{newRouter("new", "old"), newRouter("plain", "old"), newRouter("new", "plain")}
			for i, f := range faults() {
				for j, shape := range []string{"handler", "transport"} {
					r := routers[(i+j+runs)%len(routers)]
					if (i+runs/2)%2 == 0 { // leave idle connections
						send(r, shape, "GET", "/v1/models", "", fault{status: 200, whole: true, send: []string{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"}})
					}
					charged.Store(0)
					now := send(r, shape, method, path, l.body, f)
					quiet(r)
					runs++
					accepted := int(now.accepted.Load())
					if l.refusals {
						accepted -= int(now.refused.Load())
					}
					most = max(most, accepted)
					if !l.gets && accepted > l.most {
						t.Errorf("%s %s, %s, %s: %d requests were accepted, at most %d may be", method, path, f.name, shape, accepted, l.most)
					}
					if kind := answers.RouteOf(method, path).Kind; kind == answers.Inference && 2*int(charged.Load()) < int(now.accepted.Load()) {
						t.Errorf("%s %s, %s, %s: %d charges for %d requests that were accepted", method, path, f.name, shape, charged.Load(), now.accepted.Load())
					}
				}
			}
		}
	}
	t.Logf("%d runs, at most %d requests accepted for one", runs, most)
}
