package pace

import (
	"errors"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
)

// listed is a Pacer of another package with a known length.
type listed []time.Duration

func (l listed) Arrivals() iter.Seq[time.Duration] { return slices.Values(l) }
func (l listed) Len() int                          { return len(l) }

// endless is a Pacer of another package without a length.
type endless struct{}

func (endless) Arrivals() iter.Seq[time.Duration] { return Constant(1).Arrivals() }

func TestPacersSurviveJSON(t *testing.T) {
	for _, p := range []Pacer{
		Constant(3), Poisson(4, 5), Gamma(3, 0.5, 6), Ramp(1, 9, time.Minute), Sine(5, 4, time.Hour), listed{0, 5, 5, 9 * time.Second},
		Stages(Stage{Constant(4), time.Second}, Stage{Ramp(4, 0, time.Second), 2 * time.Second}), Shard(After(First(Poisson(4, 5), 30), time.Second), 1, 2),
		Without(Poisson(4, 5), 3*time.Second, 1, 4), Merge(Shard(Constant(3), 0, 2), After(Shard(Constant(3), 1, 2), time.Second)),
	} {
		data, err := Marshal(p)
		if err != nil {
			t.Errorf("%v: %v", p, err)
			continue
		}
		back, err := Unmarshal(data)
		if err != nil {
			t.Errorf("%s: %v", data, err)
			continue
		}
		if diff := cmp.Diff(instants(p, 50), instants(back, 50)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", data, diff)
		}
		if again, err := Marshal(back); err != nil || string(again) != string(data) {
			t.Errorf("%s becomes %s, %v", data, again, err)
		}
	}
}

func TestOldTracesAreRead(t *testing.T) {
	p, err := Unmarshal([]byte(`{"trace":{"seed":4,"arrivals":[{"at_ns":0,"input":37,"output":4,"prompt":{"messages":[]}},{"at_ns":9,"input":1,"output":2}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]time.Duration{0, 9}, instants(p, 9)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestInvalidPacerJSON(t *testing.T) {
	var invalid *checks.InvalidError
	if _, err := Marshal(Shard(endless{}, 0, 1)); !errors.As(err, &invalid) || invalid.Field != "Pacer" {
		t.Errorf("a Pacer without a length: %v", err)
	}
	for text, field := range map[string]string{
		`{}`: "pacer", `{"stages":[{"pacer":{}}]}`: "pacer", `{"trace":{}}`: "len(trace.arrivals)",
		`{"trace":{"arrivals":[{"at_ns":5},{"at_ns":4}]}}`: "trace.arrivals[1].at_ns", `{"trace":{"arrivals":[{"at_ns":-1}]}}`: "trace.arrivals[0].at_ns",
	} {
		if _, err := Unmarshal([]byte(text)); !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%s: %v, want an invalid %s", text, err, field)
		}
	}
	for _, text := range []string{`[]`, `{"constant":{"speed":3}}`, `{"ramp":{"over":"soon"}}`, `{"constant":`} {
		if _, err := Unmarshal([]byte(text)); !errors.As(err, &invalid) || invalid.Field != "pacer" {
			t.Errorf("%s: %v, want an invalid pacer", text, err)
		}
	}
	if p, err := Unmarshal([]byte(`{"first":{"requests":3}}`)); err != nil || checkPacer("Pacer", p) == nil {
		t.Errorf("a First without a Pacer is valid: %v, %v", p, err)
	}
}
