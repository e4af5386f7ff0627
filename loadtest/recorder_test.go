package loadtest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/modeltest"
)

// TestRecordedTrafficIsReplayed records a run at a server and sends it again.
func TestRecordedTrafficIsReplayed(t *testing.T) {
	model, err := modeltest.New(modeltest.Config{Seed: 3, Length: 12, TruncateRate: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	for _, redact := range []func(string) string{nil, strings.ToUpper, func(string) string { return "" }} {
		var file bytes.Buffer
		recorder, err := NewRecorder(RecorderConfig{Next: model, Out: &file, Redact: redact})
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(recorder)
		p := Plan{Target: server.URL, Model: modeltest.DefaultModel, Pacer: Poisson(200, 1), Requests: 60, MaxTokens: 9, Prompts: []Prompt{Ask("What is a secret?")}}
		report, err := Run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		server.Close() // waits for the handlers
		if redact == nil && strings.Contains(file.String(), "secret") {
			t.Error("a prompt was written although nothing redacts it")
		}
		trace, err := ReadTrace(&file, TraceOptions{Scale: 10})
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

func TestRecorderReadsAllInterfaces(t *testing.T) {
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	for body, want := range map[string]string{
		`{"messages":[{"role":"user","content":"one"}]}`: `"messages":[{"role":"user","content":"ONE"}]`,
		`{"prompt":"two"}`:  `"messages":[{"role":"user","content":"TWO"}]`,
		`{"input":"three"}`: `"messages":[{"role":"user","content":"THREE"}]`,
		`{"input":[{"role":"system","content":"four"}]}`:                 `"messages":[{"role":"system","content":"FOUR"}]`,
		`{"input":[{"role":"user","content":[{"type":"input_image"}]}]}`: `"output_length":0}`,
		`{"prompt":[1,2,3]}`: `"output_length":0}`, `{"prompt":`: `"output_length":0}`, ``: `"output_length":0}`,
	} {
		var file bytes.Buffer
		recorder, err := NewRecorder(RecorderConfig{Next: next, Out: &file, Redact: strings.ToUpper})
		if err != nil {
			t.Fatal(err)
		}
		recorder.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader(body)))
		if !strings.Contains(file.String(), want) {
			t.Errorf("%s is recorded as %s", body, file.String())
		}
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestRecorderServesDespiteErrors(t *testing.T) {
	recorder, err := NewRecorder(RecorderConfig{Out: brokenWriter{}, Next: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	recorder.ServeHTTP(w, httptest.NewRequest("POST", "/", strings.NewReader("{")))
	if w.Code != 204 || recorder.Err() == nil {
		t.Errorf("status %d, error %v", w.Code, recorder.Err())
	}
	if _, err := NewRecorder(RecorderConfig{MaxBody: -1}); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("not all problems: %v", err)
	}
}
