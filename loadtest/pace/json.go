package pace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"time"
)

// Marshal returns the JSON of p: an object with one member, which names the kind
// of schedule, such as {"poisson":{"rate":20,"seed":1}}. A Pacer of another
// package that has a method Len is written as a list of its instants. Others are
// a [*checks.InvalidError].
func Marshal(p Pacer) ([]byte, error) {
	j, err := toJSON(p)
	if err != nil {
		return nil, err
	}
	return json.Marshal(j)
}

// Unmarshal returns the Pacer that [Marshal] wrote. It does not validate the
// Pacer's parameters. Other JSON, also with unknown members, is a
// [*checks.InvalidError].
func Unmarshal(data []byte) (Pacer, error) {
	var j pacerJSON
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&j); err != nil {
		return nil, invalid("pacer", strings.TrimPrefix(err.Error(), "json: "), "the JSON of a schedule")
	}
	return j.pacer()
}

// pacerJSON is the JSON of a Pacer. It has one member.
type pacerJSON struct {
	Constant *constantJSON `json:"constant,omitempty"`
	Poisson  *poissonJSON  `json:"poisson,omitempty"`
	Gamma    *gammaJSON    `json:"gamma,omitempty"`
	Ramp     *rampJSON     `json:"ramp,omitempty"`
	Sine     *sineJSON     `json:"sine,omitempty"`
	Stages   []stageJSON   `json:"stages,omitempty"`
	Trace    *traceJSON    `json:"trace,omitempty"`
	Shard    *shardJSON    `json:"shard,omitempty"`
	After    *afterJSON    `json:"after,omitempty"`
	First    *firstJSON    `json:"first,omitempty"`
	Without  *withoutJSON  `json:"without,omitempty"`
	Merge    []*pacerJSON  `json:"merge,omitempty"`
}

type (
	constantJSON struct {
		Rate float64 `json:"rate"`
	}
	poissonJSON struct {
		Rate float64 `json:"rate"`
		Seed uint64  `json:"seed"`
	}
	gammaJSON struct {
		Rate  float64 `json:"rate"`
		Shape float64 `json:"shape"`
		Seed  uint64  `json:"seed"`
	}
	rampJSON struct {
		From float64  `json:"from"`
		To   float64  `json:"to"`
		Over duration `json:"over"`
	}
	sineJSON struct {
		Mean      float64  `json:"mean"`
		Amplitude float64  `json:"amplitude"`
		Period    duration `json:"period"`
	}
	stageJSON struct {
		Pacer *pacerJSON `json:"pacer"`
		For   duration   `json:"for"`
	}
	shardJSON struct {
		Pacer *pacerJSON `json:"pacer"`
		Part  int        `json:"part"`
		Of    int        `json:"of"`
	}
	afterJSON struct {
		Pacer *pacerJSON `json:"pacer"`
		From  duration   `json:"from"`
	}
	firstJSON struct {
		Pacer    *pacerJSON `json:"pacer"`
		Requests int        `json:"requests"`
	}
	withoutJSON struct {
		Pacer *pacerJSON `json:"pacer"`
		From  duration   `json:"from"`
		Part  int        `json:"part"`
		Of    int        `json:"of"`
	}
	// traceJSON is a list of instants. Older versions also wrote the seed and
	// what the requests ask; both are ignored.
	traceJSON struct {
		Seed     json.RawMessage `json:"seed,omitempty"`
		Arrivals []arrivalJSON   `json:"arrivals"`
	}
	arrivalJSON struct {
		At     time.Duration   `json:"at_ns"`
		Input  json.RawMessage `json:"input,omitempty"`
		Output json.RawMessage `json:"output,omitempty"`
		Prompt json.RawMessage `json:"prompt,omitempty"`
	}
)

// duration is a text such as "1m30s" in JSON.
type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = duration(v)
	return err
}

func toJSON(p Pacer) (*pacerJSON, error) {
	j := new(pacerJSON)
	var inner *pacerJSON
	var err error
	switch p := p.(type) {
	case nil:
		return nil, nil // Validate reports it
	case constant:
		j.Constant = &constantJSON{p.rate}
	case poisson:
		j.Poisson = &poissonJSON{p.rate, p.seed}
	case gamma:
		j.Gamma = &gammaJSON{p.rate, p.shape, p.seed}
	case ramp:
		j.Ramp = &rampJSON{p.from, p.to, duration(p.over)}
	case sine:
		j.Sine = &sineJSON{p.mean, p.amplitude, duration(p.period)}
	case stages:
		for _, s := range p {
			if inner, err = toJSON(s.Pacer); err != nil {
				return nil, err
			}
			j.Stages = append(j.Stages, stageJSON{inner, duration(s.For)})
		}
	case shard:
		inner, err = toJSON(p.of)
		j.Shard = &shardJSON{inner, p.i, p.n}
	case after:
		inner, err = toJSON(p.of)
		j.After = &afterJSON{inner, duration(p.from)}
	case first:
		inner, err = toJSON(p.of)
		j.First = &firstJSON{inner, p.n}
	case without:
		inner, err = toJSON(p.of)
		j.Without = &withoutJSON{inner, duration(p.from), p.i, p.n}
	case merged:
		for _, part := range p {
			if inner, err = toJSON(part); err != nil {
				return nil, err
			}
			j.Merge = append(j.Merge, inner)
		}
	case interface {
		Pacer
		Len() int
	}:
		j.Trace = new(traceJSON)
		for at := range p.Arrivals() {
			j.Trace.Arrivals = append(j.Trace.Arrivals, arrivalJSON{At: at})
		}
	default:
		err = invalid("Pacer", fmt.Sprintf("%T", p), "a Pacer of this package, or one with a method Len() int")
	}
	return j, err
}

// pacer returns the Pacer that j describes. If j has several members, the first
// of them counts.
func (j *pacerJSON) pacer() (Pacer, error) {
	if j == nil {
		return nil, nil // Validate reports it
	}
	switch {
	case j.Constant != nil:
		return Constant(j.Constant.Rate), nil
	case j.Poisson != nil:
		return Poisson(j.Poisson.Rate, j.Poisson.Seed), nil
	case j.Gamma != nil:
		return Gamma(j.Gamma.Rate, j.Gamma.Shape, j.Gamma.Seed), nil
	case j.Ramp != nil:
		return Ramp(j.Ramp.From, j.Ramp.To, time.Duration(j.Ramp.Over)), nil
	case j.Sine != nil:
		return Sine(j.Sine.Mean, j.Sine.Amplitude, time.Duration(j.Sine.Period)), nil
	case j.Stages != nil:
		var all []Stage
		for _, s := range j.Stages {
			p, err := s.Pacer.pacer()
			if err != nil {
				return nil, err
			}
			all = append(all, Stage{p, time.Duration(s.For)})
		}
		return Stages(all...), nil
	case j.Trace != nil:
		return j.Trace.recorded()
	case j.Shard != nil:
		p, err := j.Shard.Pacer.pacer()
		return Shard(p, j.Shard.Part, j.Shard.Of), err
	case j.After != nil:
		p, err := j.After.Pacer.pacer()
		return After(p, time.Duration(j.After.From)), err
	case j.First != nil:
		p, err := j.First.Pacer.pacer()
		return First(p, j.First.Requests), err
	case j.Without != nil:
		p, err := j.Without.Pacer.pacer()
		return Without(p, time.Duration(j.Without.From), j.Without.Part, j.Without.Of), err
	case j.Merge != nil:
		var all []Pacer
		for _, part := range j.Merge {
			p, err := part.pacer()
			if err != nil {
				return nil, err
			}
			all = append(all, p)
		}
		return Merge(all...), nil
	}
	return nil, invalid("pacer", "{}", "one of constant, poisson, gamma, ramp, sine, stages, trace, shard, after, first, without, merge")
}

// recorded is a schedule of listed instants.
type recorded []time.Duration

func (j *traceJSON) recorded() (recorded, error) {
	var all recorded
	last := time.Duration(0)
	for i, a := range j.Arrivals {
		if a.At < last {
			return nil, invalid(fmt.Sprintf("trace.arrivals[%d].at_ns", i), int64(a.At), "instants of at least 0 in ascending order")
		}
		last = a.At
		all = append(all, a.At)
	}
	if len(all) == 0 {
		return nil, invalid("len(trace.arrivals)", 0, "at least one")
	}
	return all, nil
}

func (r recorded) Len() int { return len(r) }

func (r recorded) Arrivals() iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		for _, at := range r {
			if !yield(at) {
				return
			}
		}
	}
}

func (r recorded) String() string { return fmt.Sprintf("%d recorded arrivals", len(r)) }
