package loadtest

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// TestRecordedTrafficIsReplayed records a run at a server and sends it again.
func TestRecordedTrafficIsReplayed(t *testing.T) {
	model, err := modeltest.New(modeltest.Config{Seed: 3, Length: 12, TruncateRate: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	for _, redact := range []func(string) string{nil, strings.ToUpper, func(string) string { return "" }} {
		var file bytes.Buffer
		recorder, err := workload.NewRecorder(workload.RecorderConfig{Next: model, Out: &file, Redact: redact})
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(recorder)
		p := Plan{Target: server.URL, Model: modeltest.DefaultModel, Pacer: pace.Poisson(200, 1), Requests: 60, MaxTokens: 9, Prompts: []workload.Prompt{workload.Ask("What is a secret?")}}
		report, err := Run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		server.Close() // waits for the handlers
		if redact == nil && strings.Contains(file.String(), "secret") {
			t.Error("a prompt was written although nothing redacts it")
		}
		trace, err := workload.ReadTrace(&file, workload.TraceOptions{Scale: 10})
		if err != nil || trace.Len() != 60 || recorder.Err() != nil {
			t.Fatal(trace, err, recorder.Err())
		}
		full := 0
		for i := range uint64(60) {
			if r := trace.Request(i); r.MaxTokens == 9 {
				full++
			}
		}
		if full < report.Classes[analysis.OK]/2 {
			t.Errorf("%d answers of full length recorded, %d were good", full, report.Classes[analysis.OK])
		}
		if got := trace.Request(0).Prompt.Messages[0].Content; redact != nil && redact("a") == "A" && got != "WHAT IS A SECRET?" {
			t.Errorf("prompt %q", got)
		}
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }
