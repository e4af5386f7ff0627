package enginetest_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/internal/worlds"
)

// numberHeader carries the number of a request within its rollout.
const numberHeader = "Request-Number"

// fleet is the servers of one version, without a network.
type fleet struct {
	service worlds.Service
	seed    uint64        // with the number of a request, it decides the answer
	servers chan struct{} // one place each; nil: no request waits for a server
	asked   atomic.Int64
}

// RoundTrip implements [http.RoundTripper].
func (f *fleet) RoundTrip(req *http.Request) (*http.Response, error) {
	f.asked.Add(1)
	if req.Body != nil {
		_, _ = io.Copy(io.Discard, req.Body)
		_ = req.Body.Close()
	}
	n, err := strconv.ParseUint(req.Header.Get(numberHeader), 10, 64)
	if err != nil {
		return nil, err
	}
	ctx := req.Context()
	free := func() {}
	if f.servers != nil {
		select { // waiting senders are served in their order
		case f.servers <- struct{}{}:
			free = func() { <-f.servers }
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	resp, err := serve(ctx, f.service.Draw(rand.New(rand.NewPCG(f.seed, n))), free)
	if err != nil {
		free()
		return nil, err
	}
	resp.Request = req
	return resp, nil
}

// serve returns the response whose answer is a, once its header has come. Free is called
// when the answer ends, but not with an error.
func serve(ctx context.Context, a worlds.Request, free func()) (*http.Response, error) {
	resp := &http.Response{
		StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, ContentLength: -1,
		Header: http.Header{"Content-Type": {"application/json"}},
	}
	b := &body{ctx: ctx, free: free}
	switch {
	case a.Latency == worlds.Never:
		<-ctx.Done()
		return nil, context.Cause(ctx)
	case a.Outcome == worlds.Failed:
		resp.StatusCode = http.StatusInternalServerError
		b.chunks = []string{`{"error":{"message":"out of memory","type":"server_error"}}`}
	case a.Outcome != worlds.OK:
		return nil, fmt.Errorf("no answer has the outcome %d", a.Outcome)
	case !a.Stream:
		b.chunks = []string{document}
	default:
		resp.Header.Set("Content-Type", "text/event-stream")
		for range a.Tokens - 1 {
			b.chunks = append(b.chunks, token)
		}
		b.gap = a.ITL
		b.chunks = append(b.chunks, fmt.Sprintf(lastToken, a.Tokens))
	}
	before := a.Latency
	if a.Stream && a.TTFT > 0 {
		before = a.TTFT
	}
	if err := wait(ctx, before); err != nil {
		return nil, err
	}
	resp.Body = b
	return resp, nil
}

const (
	document  = `{"choices":[{"index":0,"message":{"role":"assistant","content":"yes"},"finish_reason":"stop"}],"usage":{"prompt_tokens":500,"completion_tokens":20}}`
	token     = `data: {"choices":[{"index":0,"delta":{"content":"yes"}}]}` + "\n\n"
	lastToken = `data: {"choices":[{"index":0,"delta":{"content":"!"},"finish_reason":"stop"}],"usage":{"prompt_tokens":500,"completion_tokens":%d}}` + "\n\ndata: [DONE]\n\n"
)

// wait waits for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// body is an answer whose chunks come one by one.
type body struct {
	ctx    context.Context
	free   func() // nil once the server is free
	gap    time.Duration
	chunks []string
	begun  bool
	rest   *strings.Reader
}

func (b *body) Read(p []byte) (int, error) {
	if b.rest == nil || b.rest.Len() == 0 {
		if len(b.chunks) == 0 {
			b.end()
			return 0, io.EOF
		}
		if b.begun && b.gap > 0 {
			if err := wait(b.ctx, b.gap); err != nil {
				return 0, err
			}
		}
		b.begun, b.rest, b.chunks = true, strings.NewReader(b.chunks[0]), b.chunks[1:]
	}
	return b.rest.Read(p)
}

func (b *body) Close() error {
	b.end()
	return nil
}

func (b *body) end() {
	if b.free != nil {
		b.free()
		b.free = nil
	}
}
