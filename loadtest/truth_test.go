package loadtest

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// pipes is a network of connections that need no system and so work in virtual
// time.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.done); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	a, b := net.Pipe()
	p.conns <- b
	return a, nil
}

// TestTruthInVirtualTime has the small language model speak through the whole of
// net/http at exact instants, of which the report must have every one.
func TestTruthInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model, err := modeltest.New(modeltest.Config{Seed: 2, TTFT: 120 * ms, TimePerToken: 12 * ms})
		if err != nil {
			t.Fatal(err)
		}
		network := pipes{make(chan net.Conn), make(chan struct{})}
		server := &http.Server{Handler: model}
		go func() { _ = server.Serve(network) }()
		transport := &http.Transport{DialContext: network.dial}
		p := Plan{Target: "http://model.test", Model: modeltest.DefaultModel, Prompts: []workload.Prompt{workload.Ask("What is light?"), workload.Ask("What is heat?")},
			Pacer: pace.Poisson(40, 5), Requests: 200, MaxTokens: 20, Transport: transport, OnInterval: func(*Report) {}}
		tokens := 0
		p.OnResult = func(r Result) {
			tokens += r.OutputTokens
			if n := time.Duration(r.OutputTokens); r.TTFT != 120*ms || r.TTFC != r.TTFT || r.E2E != 120*ms+(n-1)*12*ms || n > 1 && r.TPOT != 12*ms || r.Chunks != r.OutputTokens || r.NTPOT != r.E2E/n {
				t.Errorf("%+v", r)
			}
		}
		report, err := Run(t.Context(), p)
		if err != nil || report.Classes[analysis.OK] != 200 || report.SchedLag.Quantile(1) != 0 {
			t.Errorf("%v, %v", report, err)
		}
		if d := &report.ITL; d.Count() != uint64(tokens-200) || d.Quantile(0) != 12*ms || d.Quantile(1) != 12*ms || d.Quantile(0.5) != 12*ms && d.Count() <= exactly {
			t.Errorf("%d ITL from %v to %v", d.Count(), d.Quantile(0), d.Quantile(1))
		}
		transport.CloseIdleConnections()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
}

// spiedBody notes when each Read of it begins.
type spiedBody struct {
	io.ReadCloser
	mu     sync.Mutex
	begins []time.Time
}

func (b *spiedBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	b.begins = append(b.begins, time.Now())
	b.mu.Unlock()
	return b.ReadCloser.Read(p)
}

// TestTruthOnLoopback compares instants with what a real server did over real
// connections, without any tolerance: a chunk was noted neither before it was
// written nor after the next Read had begun.
func TestTruthOnLoopback(t *testing.T) {
	const tokens = 20
	var mu sync.Mutex
	written := make(map[string][]time.Time) // by request, right before each chunk
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		say := func(s string) {
			_, _ = io.WriteString(w, s)
			_ = http.NewResponseController(w).Flush()
		}
		say(role)
		time.Sleep(20 * ms)
		var at []time.Time
		for i := range tokens {
			at = append(at, time.Now())
			mu.Lock()
			written[r.Header.Get("X-Seq")] = at
			mu.Unlock()
			say(content(string(rune('a' + i))))
			time.Sleep(3 * ms)
		}
		say(goodTail)
	}))
	defer server.Close()
	spies := make(map[string]*spiedBody)
	base := NewTransport(8)
	defer base.CloseIdleConnections()
	p := Plan{
		Target: server.URL, Model: "m", Prompts: []workload.Prompt{workload.Ask("What is light?")}, Pacer: pace.Constant(40), Requests: 12, Record: true,
		Prepare: func(seq uint64, r *http.Request) { r.Header.Set("X-Seq", string(rune('A'+seq))) },
		Transport: roundTripFunc(func(r *http.Request) (*http.Response, error) {
			resp, err := base.RoundTrip(r)
			if err == nil {
				spy := &spiedBody{ReadCloser: resp.Body}
				resp.Body = spy
				mu.Lock()
				spies[r.Header.Get("X-Seq")] = spy
				mu.Unlock()
			}
			return resp, err
		}),
	}
	var results []Result
	p.OnResult = func(r Result) { results = append(results, r) }
	if _, err := Run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	var late []time.Duration
	for _, r := range results {
		name := string(rune('A' + r.Seq))
		said := chunkTimes(*r.Recording)
		at, reads := written[name], spies[name].begins
		if r.OutputTokens != tokens || len(said) != tokens || len(at) != tokens || len(reads) == 0 {
			t.Fatalf("request %s: %d tokens, %d chunks, %d written, %d reads of %d", name, r.OutputTokens, len(said), len(at), len(reads), len(r.Recording.Reads))
		}
		for i, m := range said {
			if noted := r.Sent.Add(m); noted.Before(at[i]) {
				t.Errorf("chunk %d was noted %v before it was written", i, at[i].Sub(noted))
			} else {
				late = append(late, noted.Sub(at[i]))
			}
		}
		// The last Read may have both bytes and the end, which is noted apart.
		for k, read := range r.Recording.Reads[:min(len(r.Recording.Reads), len(reads))] {
			noted := r.Sent.Add(read.At)
			if noted.Before(reads[k]) || k+1 < len(reads) && noted.After(reads[k+1]) {
				t.Errorf("read %d of %d was noted %v after it began", k, len(reads), noted.Sub(reads[k]))
			}
		}
		first, last := said[0], said[tokens-1]
		if r.TTFT != first || r.E2E != last || r.TPOT != (last-first)/(tokens-1) {
			t.Errorf("TTFT %v, E2E %v, TPOT %v, want %v, %v and %v", r.TTFT, r.E2E, r.TPOT, first, last, (last-first)/(tokens-1))
		}
	}
	slices.Sort(late)
	t.Logf("chunks were noted %v (median) and %v (p99) after the server began to write them", late[len(late)/2], late[len(late)*99/100])
}

// TestSplitAnywhere cuts the stream into two reads at each of its bytes.
func TestSplitAnywhere(t *testing.T) {
	text := ""
	for _, p := range spoken {
		text += p.data
	}
	want := split(t, text)
	for i := 1; i < len(text); i++ {
		if diff := cmp.Diff(want, split(t, text, i), cmpopts.IgnoreFields(Result{}, "Due", "Sent")); diff != "" {
			t.Fatalf("cut at byte %d (-whole +cut):\n%s", i, diff)
		}
	}
}

// split plays a stream in pieces that all come at one instant.
func split(t *testing.T, text string, cuts ...int) Result {
	t.Helper()
	var parts []part
	last := 0
	for _, cut := range append(cuts, len(text)) {
		if cut = min(max(cut, last), len(text)); cut > last {
			parts = append(parts, part{at: 100 * ms, data: text[last:cut]})
		}
		last = max(last, cut)
	}
	return one(t, script{parts: parts})
}

func FuzzSplit(f *testing.F) {
	f.Add(role+content("a")+content("\u00e9\U0001f600")+usage+done, uint16(3), uint16(300))
	f.Add(": x\r\ndata:{\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}\r\rdata: [DONE]", uint16(1), uint16(40))
	f.Fuzz(func(t *testing.T, text string, a, b uint16) {
		if len(text) > 64<<10 {
			return // the reader's buffer would cut it as well
		}
		want, got := split(t, text), split(t, text, int(min(a, b)), int(max(a, b)))
		for _, r := range []*Result{&want, &got} {
			r.Due, r.Sent = time.Time{}, time.Time{}
			if r.Err != nil { // its text may hold the head of the stream
				r.Err = io.EOF
			}
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateErrors()); diff != "" {
			t.Errorf("%q cut at %d and %d (-whole +cut):\n%s", text, a, b, diff)
		}
	})
}

// chunkTimes returns the instants of the chunks with content.
func chunkTimes(r Recording) (at []time.Duration) {
	for p, offset := range answer.Parts(answer.Route{}, r.Form, r.Body) {
		if p.Content == "" {
			continue
		}
		for _, read := range r.Reads {
			if offset -= read.Size; offset <= 0 {
				at = append(at, read.At)
				break
			}
		}
	}
	return at
}
