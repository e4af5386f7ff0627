package traffic_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
)

// pacing gives out the events of a stream at their times, as the network does: what
// has come while nobody was reading is there at once.
type pacing struct {
	began  time.Time
	events []string
	every  time.Duration
	next   int
}

func (p *pacing) Read(b []byte) (int, error) {
	if p.next == len(p.events) {
		return 0, io.EOF
	}
	time.Sleep(time.Until(p.began.Add(time.Duration(p.next+1) * p.every)))
	n := copy(b, p.events[p.next])
	p.next++
	return n, nil
}

func (p *pacing) Close() error { return nil }

// network is a transport to a model that sends a token every 100 ms.
type network struct{}

func (n network) RoundTrip(*http.Request) (*http.Response, error) {
	events := []string{role}
	for range 20 {
		events = append(events, token("word "))
	}
	p := &pacing{began: time.Now(), events: append(events, finish+done), every: 100 * time.Millisecond}
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: p, ContentLength: -1}, nil
}

// slowly is a caller who takes the third chunk only after five seconds.
type slowly struct {
	header http.Header
	chunks int
}

func (s *slowly) Header() http.Header { return s.header }
func (s *slowly) WriteHeader(int)     {}
func (s *slowly) Flush()              {}
func (s *slowly) Write(p []byte) (int, error) {
	if s.chunks++; s.chunks == 3 {
		time.Sleep(5 * time.Second)
	}
	return len(p), nil
}

// TestSlowCaller: a caller who holds up a stream does not make the model look slow,
// in either shape.
func TestSlowCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []analysis.Observation
		r, err := traffic.New(traffic.Config{
			Arms:             map[string]traffic.Backend{"new": {URL: "http://model", Transport: network{}}},
			Observe:          func(o analysis.Observation) { seen = append(seen, o) },
			FirstByteTimeout: -1,
		})
		if err != nil {
			t.Fatal(err)
		}
		req, _ := http.NewRequest(http.MethodPost, "http://gateway"+chat, strings.NewReader(streaming))
		r.ServeHTTP(&slowly{header: http.Header{}}, req)

		resp, err := r.RoundTripper().RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4096)
		for i := 0; ; i++ {
			if i == 3 {
				time.Sleep(5 * time.Second)
			}
			if _, err := resp.Body.Read(b); err != nil {
				break
			}
		}
		for i, o := range seen {
			// 22 events, 100 ms apart; the caller was slow for 5 s in which all came.
			if o.ClientStall < 4*time.Second || o.Latency > 2500*time.Millisecond || o.Stall > 200*time.Millisecond || o.TTFT != 200*time.Millisecond || o.Class != analysis.OK {
				t.Errorf("%d: %v: latency %v, TTFT %v, stall %v, held up by the caller for %v", i, o.Class, o.Latency, o.TTFT, o.Stall, o.ClientStall)
			}
		}
		if len(seen) != 2 {
			t.Errorf("%d observations", len(seen))
		}
	})
}

// TestSlowModel: a model that halts looks slow, whatever the caller does.
func TestSlowModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen analysis.Observation
		halts := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			stream(w, role, token("one"))
			time.Sleep(2 * time.Second)
			stream(w, token("two"), token("three"), finish, done)
		})
		r, err := traffic.New(traffic.Config{
			Arms: map[string]traffic.Backend{"new": {Handler: halts}}, Observe: func(o analysis.Observation) { seen = o }, FirstByteTimeout: -1,
		})
		if err != nil {
			t.Fatal(err)
		}
		req, _ := http.NewRequest(http.MethodPost, "http://gateway"+chat, strings.NewReader(streaming))
		r.ServeHTTP(&slowly{header: http.Header{}, chunks: 10}, req)
		if seen.Stall != 2*time.Second || seen.ClientStall != 0 || seen.Latency != 2*time.Second {
			t.Errorf("stall %v, by the caller %v, latency %v", seen.Stall, seen.ClientStall, seen.Latency)
		}
	})
}
