package workload

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
)

// workloadJSON is the JSON of a Workload. It has one member. HTTP was written by
// older versions and is only read.
type workloadJSON struct {
	Synthetic *Synthetic `json:"synthetic,omitempty"`
	HTTP      *Request   `json:"http,omitempty"`
	Targets   []Request  `json:"targets,omitempty"`
	Requests  Requests   `json:"requests,omitempty"`
	Trace     *traceJSON `json:"trace,omitempty"`
	Mix       *mixJSON   `json:"mix,omitempty"`
}

type mixJSON struct {
	Seed  uint64     `json:"seed,omitempty"`
	Parts []partJSON `json:"parts"`
}

type partJSON struct {
	Name     string          `json:"name"`
	Weight   float64         `json:"weight"`
	Model    string          `json:"model,omitempty"`
	Workload json.RawMessage `json:"workload"`
}

type traceJSON struct {
	Seed     uint64    `json:"seed"`
	Arrivals []arrival `json:"arrivals"`
	Failed   int       `json:"failed,omitempty"`
}

// Marshal returns the JSON of w: an object with one member, which names the kind
// of workload. A Workload of another package is a [*checks.InvalidError].
func Marshal(w Workload) ([]byte, error) {
	var j workloadJSON
	switch w := w.(type) {
	case Synthetic:
		j.Synthetic = &w
	case *Targets:
		j.Targets = w.requests
	case Requests:
		j.Requests = w
	case *Trace:
		j.Trace = &traceJSON{w.seed, w.arrivals, w.failed}
	case Mix:
		j.Mix = &mixJSON{Seed: w.Seed}
		for i, p := range w.Parts {
			part, err := Marshal(p.Workload)
			if err != nil {
				return nil, checks.Within(err, "workload", "", fmt.Sprintf("Mix.Parts[%d]", i))
			}
			j.Mix.Parts = append(j.Mix.Parts, partJSON{p.Name, p.Weight, p.Model, part})
		}
	default:
		return nil, invalid("Workload", fmt.Sprintf("%T", w), "a Synthetic, Requests, *Targets, *Trace or Mix")
	}
	return json.Marshal(j)
}

// Unmarshal returns the Workload that [Marshal] wrote. Other JSON, also with unknown
// members, is a [*checks.InvalidError].
func Unmarshal(data []byte) (Workload, error) {
	var j workloadJSON
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&j); err != nil {
		return nil, invalid("workload", strings.TrimPrefix(err.Error(), "json: "), "the JSON of a workload")
	}
	switch {
	case j.Synthetic != nil:
		return *j.Synthetic, nil
	case j.HTTP != nil:
		return HTTP(j.HTTP.Method, j.HTTP.Path, j.HTTP.Body), nil
	case j.Targets != nil:
		t := new(Targets)
		for _, r := range j.Targets {
			t.requests = append(t.requests, target(r.Method, r.Path, r.Header, r.Body))
		}
		return t, t.Validate()
	case j.Requests != nil:
		for i, r := range j.Requests {
			if r.Body == nil && r.Prompt.Messages == nil {
				j.Requests[i].Body = []byte{} // an empty body is omitted
			}
		}
		return j.Requests, j.Requests.Validate()
	case j.Trace != nil:
		return j.Trace.trace()
	case j.Mix != nil:
		return j.Mix.mix()
	}
	return nil, invalid("workload", "{}", "one of synthetic, targets, requests, trace, mix")
}

func (j *traceJSON) trace() (*Trace, error) {
	last := time.Duration(0)
	for i, a := range j.Arrivals {
		if a.At < last || min(a.Input, a.Output) < 0 || max(a.Input, a.Output) > maxLength {
			return nil, invalid(fmt.Sprintf("trace.arrivals[%d]", i), a.At.String(), "instants in ascending order, with 0 to 1,048,576 tokens")
		}
		if a.Blocks != nil && len(a.Blocks) != blocks(a.Input) {
			return nil, invalid(fmt.Sprintf("trace.arrivals[%d].hash_ids", i), len(a.Blocks), fmt.Sprintf("%d for an input of %d", blocks(a.Input), a.Input))
		}
		if err := checkSession(fmt.Sprintf("trace.arrivals[%d].session", i), a.Session); err != nil {
			return nil, err
		}
		last = a.At
	}
	if len(j.Arrivals) == 0 {
		return nil, invalid("len(trace.arrivals)", 0, "at least one")
	}
	return (&Trace{arrivals: j.Arrivals, seed: j.Seed, failed: max(0, j.Failed)}).linked(), nil
}

func (j *mixJSON) mix() (Mix, error) {
	m := Mix{Seed: j.Seed}
	for i, p := range j.Parts {
		var kind struct {
			Mix json.RawMessage `json:"mix"`
		}
		if json.Unmarshal(p.Workload, &kind) == nil && kind.Mix != nil {
			return m, invalid(fmt.Sprintf("mix.parts[%d].workload", i), "a mix", "a workload that is not a mix") // it could be nested without end
		}
		part, err := Unmarshal(p.Workload)
		if err != nil {
			return m, checks.Within(err, "workload", "", fmt.Sprintf("mix.parts[%d]", i))
		}
		m.Parts = append(m.Parts, Part{p.Name, p.Weight, p.Model, part})
	}
	return m, m.Validate()
}
