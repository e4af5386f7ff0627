package workload

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

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
