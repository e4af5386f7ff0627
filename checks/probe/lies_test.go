package probe_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/probe"
)

// TestServersThatLie: answers that look well and are not.
func TestServersThatLie(t *testing.T) {
	least := 2.0
	smi := func(text string) probe.GPUOptions {
		return probe.GPUOptions{Query: func(context.Context) ([]byte, error) { return []byte(text), nil }}
	}
	page := func(text string) *http.Client {
		return in(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			io.WriteString(w, text)
		})
	}
	chat := func(h http.HandlerFunc) checks.Check {
		return probe.Completion(probe.Endpoint{URL: "http://model", Model: "m", Client: in(h)}, probe.CompletionOptions{Stream: true})
	}
	const spoken = `{"object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"data: [DONE]"}}]}`
	other := strings.Replace(last, `"m"`, `"n"`, 1)
	many := strings.TrimSuffix(last, "}") + `,"usage":{"prompt_tokens":3,"completion_tokens":5000,"total_tokens":5003}}`
	for name, c := range map[string]struct {
		check checks.Check
		want  checks.Status
	}{
		"an error for a list of models": {probe.Server(probe.ServerOptions{URL: "http://model", Kind: "ollama", Client: in(document(`{"error":"backend is down"}`))}), checks.Unknown},
		"null for a list of models":     {probe.Server(probe.ServerOptions{URL: "http://model", Kind: "ollama", Client: in(document(`null`))}), checks.Unknown},
		"an empty list of models":       {probe.Server(probe.ServerOptions{URL: "http://model", Kind: "ollama", Model: "m", Client: in(document(`{"models":[]}`))}), checks.Fail},
		"a GPU that reports nothing":    {probe.GPU(smi("0, [N/A], [N/A], [N/A], [N/A]\n")), checks.Unknown},
		"one GPU twice":                 {probe.GPU(smi("0, 1, 100, 1, 40\n0, 1, 100, 1, 40\n")), checks.Unknown},
		"blanks of an exporter":         {probe.GPU(probe.GPUOptions{URL: "http://gpu/metrics", Client: page("DCGM_FI_DEV_FB_USED{gpu=\"0\"} 2147483632\n")}), checks.Unknown},
		"an error behind an allowed one": {probe.GPU(probe.GPUOptions{URL: "http://gpu/metrics", AllowXID: []int{43}, Client: page(
			"DCGM_FI_DEV_FB_USED{gpu=\"0\"} 5\nDCGM_FI_DEV_XID_ERRORS{gpu=\"0\",pod=\"a\"} 31\nDCGM_FI_DEV_XID_ERRORS{gpu=\"0\",pod=\"b\"} 43\n")}), checks.Fail},
		"one series twice": {probe.Metrics(probe.MetricsOptions{URL: "http://m/metrics", Client: page("up{a=\"1\",b=\"2\"} 1\nup{b=\"2\",a=\"1\"} 1\n"),
			Want: []probe.MetricRule{{Name: "up", Sum: true, Min: &least}}}), checks.Unknown},
		"a value of 1970":          {probe.Metrics(probe.MetricsOptions{URL: "http://m/metrics", Client: page("up 3 1000\n"), Want: []probe.MetricRule{{Name: "up", Min: &least}}}), checks.Unknown},
		"the end as text":          {chat(events(spoken, last)), checks.Fail},
		"another model at the end": {chat(events(first, other, "[DONE]")), checks.Fail},
		"too many tokens":          {chat(events(first, many, "[DONE]")), checks.Fail},
	} {
		t.Run(name, func(t *testing.T) { want(t, c.check, c.want) })
	}
}

// TestLateAnswer: an answer after the time limit does not pass, even if the client ignores
// the limit.
func TestLateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := &http.Client{Transport: lateTransport{}}
		want(t, probe.Completion(probe.Endpoint{URL: "http://model", Model: "m", MaxTime: time.Second, Client: late}, probe.CompletionOptions{}), checks.Fail)
	})
}

// lateTransport answers after a minute, whatever the context says.
type lateTransport struct{}

func (lateTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(time.Minute)
	body := strings.NewReplacer("%q", `"m"`).Replace(whole)
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}
