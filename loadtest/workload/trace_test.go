package workload_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/loadtest/workload"
)

// TestTraceWithoutRequests: a trace that cannot be asked for a request is refused.
func TestTraceWithoutRequests(t *testing.T) {
	for name, trace := range map[string]*workload.Trace{"nil": nil, "zero": {}} {
		var invalid *checks.InvalidError
		if err := trace.Validate(); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFailedRequestsOfATrace: requests that had failed are left out, and counted.
func TestFailedRequestsOfATrace(t *testing.T) {
	for name, text := range map[string]string{
		"BurstGPT": "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n1,m,472,18,490,a\n2,m,1087,0,1087,a\n3,m,417,276,693,a\n",
		"Azure":    "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.68,4,9\n2023-11-16 18:15:47.68,4,0\n2023-11-16 18:15:48.68,4,9\n",
		"Mooncake": `{"timestamp":1,"input_length":4,"output_length":9}` + "\n" + `{"timestamp":2,"input_length":4,"output_length":0}` + "\n" + `{"timestamp":3,"input_length":4,"output_length":9}`,
	} {
		trace, err := workload.ReadTrace(strings.NewReader(text), workload.TraceOptions{})
		if err != nil {
			t.Fatal(name, err)
		}
		data, err := workload.Marshal(trace)
		if err != nil {
			t.Fatal(name, err)
		}
		back, err := workload.Unmarshal(data)
		if err != nil {
			t.Fatal(name, err)
		}
		for _, trace := range []*workload.Trace{trace, back.(*workload.Trace)} {
			if trace.Len() != 2 || trace.Failed() != 1 || trace.Request(1).MaxTokens < 9 || !strings.Contains(trace.String(), "without 1 that had failed") {
				t.Errorf("%s: %v", name, trace)
			}
		}
	}
	embeddings, err := workload.ReadTrace(strings.NewReader(`{"timestamp":1,"input_length":4,"output_length":0}`), workload.TraceOptions{})
	if err != nil || embeddings.Len() != 1 || embeddings.Failed() != 0 {
		t.Errorf("embeddings: %v, %v", embeddings, err)
	}
	if _, err := workload.ReadTrace(strings.NewReader("Timestamp,Request tokens,Response tokens\n1,4,0\n9,4,4\n"), workload.TraceOptions{To: 1e9}); err == nil || !strings.Contains(err.Error(), "1 are left out") {
		t.Errorf("only failures: %v", err)
	}
}
