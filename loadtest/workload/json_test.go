package workload

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serin-go/serin/checks"
)

// foreign is a Workload of another package.
type foreign struct{}

func (foreign) Request(uint64) Request { return Request{Prompt: Ask("a")} }

func TestOldHTTPWorkloadsAreRead(t *testing.T) {
	w, err := Unmarshal([]byte(`{"http":{"method":"PUT","path":"/x","body":"eQ==","plain":true}}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(HTTP("PUT", "/x", []byte("y")).Request(3), w.Request(7), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestInvalidWorkloads(t *testing.T) {
	var invalid *checks.InvalidError
	if _, err := Marshal(foreign{}); !errors.As(err, &invalid) || invalid.Field != "Workload" {
		t.Errorf("a Workload of another package: %v", err)
	}
	for text, field := range map[string]string{
		`{}`: "workload", `{"targets":[{"method":"GET","path":"x"}]}`: "Targets[0].Path", `{"targets":[{"method":"G T","path":"/x"}]}`: "Targets[0].Method",
		`{"trace":{"arrivals":[{"input":513,"hash_ids":[1]}]}}`: "trace.arrivals[0].hash_ids", `{"trace":{"arrivals":[{"session":"a b"}]}}`: "trace.arrivals[0].session", `{"trace":{}}`: "len(trace.arrivals)", `{"trace":{"arrivals":[{"at_ns":0,"input":-1}]}}`: "trace.arrivals[0]",
	} {
		if _, err := Unmarshal([]byte(text)); !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%s: %v, want an invalid %s", text, err, field)
		}
	}
	for _, text := range []string{`{"synthetic":{"colour":1}}`, `[]`, `{"synthetic":`} {
		if _, err := Unmarshal([]byte(text)); !errors.As(err, &invalid) || invalid.Field != "workload" {
			t.Errorf("%s: %v, want an invalid workload", text, err)
		}
	}
	if err := (*Targets)(nil).Validate(); !errors.As(err, &invalid) {
		t.Errorf("no targets: %v", err)
	}
	if err := HTTP("", "", nil).Validate(); err != nil {
		t.Errorf("the defaults of HTTP: %v", err)
	}
}
