package corpus_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/corpus"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// TestFallback sends each answer as a candidate's, beside a baseline that answers
// everything. What is known to be a failure before its first content does not reach
// the caller, what is good reaches the caller byte by byte, and the class is the same
// as without a baseline; but what the baseline does not reject is an error.
func TestFallback(t *testing.T) {
	shelf := new(shelf)
	candidate := httptest.NewServer(shelf)
	defer candidate.Close()
	const instead = `{"choices":[{"index":0,"message":{"content":"instead"},"finish_reason":"stop"}]}`
	baseline := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, instead)
	}))
	defer baseline.Close()
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	total, fell := 0, 0
	for _, row := range corpus.Rows() {
		path, _, _ := strings.Cut(row.Route, "?")
		if row.After != nil && row.After.What != corpus.Cut || row.Status < 200 || !answer.RouteOf(row.Method, path).Measured() {
			continue
		}
		total++
		shelf.put(row)
		for _, shape := range []string{"handler", "transport"} {
			seen := make(chan analysis.Observation, 1)
			r, err := traffic.New(traffic.Config{
				Arms:    map[string]traffic.Backend{"1.4.0": {URL: baseline.URL, Transport: transport}, "1.5.0": {URL: candidate.URL, Transport: transport}},
				Split:   strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0"}, {Name: "1.5.0", Weight: strategies.Full}}},
				Observe: func(o analysis.Observation) { seen <- o },
			})
			if err != nil {
				t.Fatal(err)
			}
			var base string
			client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			if shape == "handler" {
				front := httptest.NewServer(r)
				defer front.Close()
				base = front.URL
			} else {
				base, client.Transport = "http://models", r.RoundTripper()
			}
			req, _ := http.NewRequest(row.Method, base+row.Route, bytes.NewReader(row.Request()))
			req.Header.Set("Content-Type", "application/json")
			var body []byte
			var version string
			if resp, err := client.Do(req); err == nil {
				body, _ = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				version = resp.Header.Get(traffic.VersionHeader)
			}
			o := <-seen
			if class := o.Class.String(); !slices.Contains(row.Class, class) && !(class == "error" && slices.Contains(row.Class, "rejected")) {
				t.Errorf("%s, %s: class %v (%s), want %v", shape, row.Name, o.Class, o.Why, row.Class)
			}
			took := version == "1.4.0"
			if took {
				fell++
			}
			switch {
			case row.Fallback != nil && took != *row.Fallback:
				t.Errorf("%s, %s: the baseline has served: %t, want %t (%v, %s)", shape, row.Name, took, *row.Fallback, o.Class, o.Why)
			case took && string(body) != instead:
				t.Errorf("%s, %s: the caller got %.100q of the baseline", shape, row.Name, body)
			case !took && row.After == nil && row.HTTPHeader().Get("Content-Length") == "" && row.Status != http.StatusNoContent && !bytes.Equal(body, row.Body()):
				t.Errorf("%s, %s: the caller got %d of %d bytes", shape, row.Name, len(body), len(row.Body()))
			}
		}
	}
	t.Logf("%d answers in two shapes, the baseline has served %d times", total, fell)
}
