package loadtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// planJSON is the form of a Plan in JSON. Durations are texts such as "1m30s".
type planJSON struct {
	Target        string               `json:"target,omitempty"`
	API           API                  `json:"api,omitempty"`
	Model         string               `json:"model,omitempty"`
	Prompts       []Prompt             `json:"prompts,omitempty"`
	Workload      *workloadJSON        `json:"workload,omitempty"`
	Pacer         *pacerJSON           `json:"pacer,omitempty"`
	Users         int                  `json:"users,omitempty"`
	Think         lasting              `json:"think,omitzero"`
	Conversations []Conversation       `json:"conversations,omitempty"`
	Start         time.Time            `json:"start,omitzero"`
	Duration      lasting              `json:"duration,omitzero"`
	Requests      int                  `json:"requests,omitempty"`
	MaxTokens     int                  `json:"max_tokens,omitempty"`
	Timeout       lasting              `json:"timeout,omitzero"`
	FirstToken    lasting              `json:"first_token_timeout,omitzero"`
	Idle          lasting              `json:"idle_timeout,omitzero"`
	Drain         lasting              `json:"drain,omitzero"`
	Workers       int                  `json:"workers,omitempty"`
	LagBound      lasting              `json:"lag_bound,omitzero"`
	WarmUp        lasting              `json:"warm_up,omitzero"`
	CoolDown      lasting              `json:"cool_down,omitzero"`
	SLOs          []SLO                `json:"slos,omitempty"`
	Thresholds    []analysis.Threshold `json:"thresholds,omitempty"`
	AbortOnBreach bool                 `json:"abort_on_breach,omitempty"`
	Record        bool                 `json:"record,omitempty"`
}

// lasting is a duration that is a text in JSON.
type lasting time.Duration

func (l lasting) MarshalText() ([]byte, error) { return []byte(time.Duration(l).String()), nil }

func (l *lasting) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*l = lasting(d)
	return err
}

// MarshalJSON implements [json.Marshaler]. What is code or secret is left out:
// Header, APIKey, Tokenizer, Prepare, Transport and the On functions. A Pacer or
// Workload from outside of this package cannot be written and is an
// [*InvalidError].
func (p Plan) MarshalJSON() ([]byte, error) {
	j := planJSON{
		Target: p.Target, API: p.API, Model: p.Model, Prompts: p.Prompts, Users: p.Users, Think: lasting(p.Think), Conversations: p.Conversations,
		Start: p.Start, Duration: lasting(p.Duration), Requests: p.Requests, MaxTokens: p.MaxTokens, Timeout: lasting(p.Timeout),
		FirstToken: lasting(p.FirstToken), Idle: lasting(p.Idle), Drain: lasting(p.Drain), Workers: p.Workers, LagBound: lasting(p.LagBound),
		WarmUp: lasting(p.WarmUp), CoolDown: lasting(p.CoolDown), SLOs: p.SLOs, Thresholds: p.Thresholds, AbortOnBreach: p.AbortOnBreach, Record: p.Record,
	}
	var err error
	if p.Pacer != nil {
		if j.Pacer, err = pacerToJSON(p.Pacer); err != nil {
			return nil, err
		}
	}
	if p.Workload != nil {
		if j.Workload, err = workloadToJSON(p.Workload); err != nil {
			return nil, err
		}
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements [json.Unmarshaler]. It does not check the plan; see
// [Plan.Validate]. Members that it does not know are errors. Fields of p that
// are never written are kept.
func (p *Plan) UnmarshalJSON(data []byte) error {
	var j planJSON
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&j); err != nil {
		return fmt.Errorf("loadtest: plan: %w", err)
	}
	p.Target, p.API, p.Model, p.Prompts, p.Users, p.Think, p.Conversations = j.Target, j.API, j.Model, j.Prompts, j.Users, time.Duration(j.Think), j.Conversations
	p.Start, p.Duration, p.Requests, p.MaxTokens, p.Timeout = j.Start, time.Duration(j.Duration), j.Requests, j.MaxTokens, time.Duration(j.Timeout)
	p.FirstToken, p.Idle, p.Drain, p.Workers, p.LagBound = time.Duration(j.FirstToken), time.Duration(j.Idle), time.Duration(j.Drain), j.Workers, time.Duration(j.LagBound)
	p.WarmUp, p.CoolDown, p.SLOs, p.Thresholds = time.Duration(j.WarmUp), time.Duration(j.CoolDown), j.SLOs, j.Thresholds
	p.AbortOnBreach, p.Record, p.Pacer, p.Workload = j.AbortOnBreach, j.Record, nil, nil
	var err error
	if j.Pacer != nil {
		if p.Pacer, err = j.Pacer.pacer(); err != nil {
			return err
		}
	}
	if j.Workload != nil {
		p.Workload, err = j.Workload.workload()
	}
	return err
}

// pacerJSON has one member, which names the kind of schedule.
type pacerJSON struct {
	Constant *struct {
		Rate float64 `json:"rate"`
	} `json:"constant,omitempty"`
	Poisson *struct {
		Rate float64 `json:"rate"`
		Seed uint64  `json:"seed"`
	} `json:"poisson,omitempty"`
	Gamma *struct {
		Rate  float64 `json:"rate"`
		Shape float64 `json:"shape"`
		Seed  uint64  `json:"seed"`
	} `json:"gamma,omitempty"`
	Ramp *struct {
		From float64 `json:"from"`
		To   float64 `json:"to"`
		Over lasting `json:"over"`
	} `json:"ramp,omitempty"`
	Sine *struct {
		Mean      float64 `json:"mean"`
		Amplitude float64 `json:"amplitude"`
		Period    lasting `json:"period"`
	} `json:"sine,omitempty"`
	Stages []stageJSON `json:"stages,omitempty"`
	Trace  *traceJSON  `json:"trace,omitempty"`
	Shard  *struct {
		Pacer *pacerJSON `json:"pacer"`
		Part  int        `json:"part"`
		Of    int        `json:"of"`
	} `json:"shard,omitempty"`
	After *struct {
		Pacer *pacerJSON `json:"pacer"`
		From  lasting    `json:"from"`
	} `json:"after,omitempty"`
	First *struct {
		Pacer    *pacerJSON `json:"pacer"`
		Requests int        `json:"requests"`
	} `json:"first,omitempty"`
}

type stageJSON struct {
	Pacer *pacerJSON `json:"pacer"`
	For   lasting    `json:"for"`
}

type traceJSON struct {
	Seed     uint64    `json:"seed"`
	Arrivals []Arrival `json:"arrivals"`
}

func pacerToJSON(p Pacer) (*pacerJSON, error) {
	j := new(pacerJSON)
	var inner *pacerJSON
	var err error
	switch p := p.(type) {
	case constant:
		j.Constant = &struct {
			Rate float64 `json:"rate"`
		}{p.rate}
	case poisson:
		j.Poisson = &struct {
			Rate float64 `json:"rate"`
			Seed uint64  `json:"seed"`
		}{p.rate, p.seed}
	case gamma:
		j.Gamma = &struct {
			Rate  float64 `json:"rate"`
			Shape float64 `json:"shape"`
			Seed  uint64  `json:"seed"`
		}{p.rate, p.shape, p.seed}
	case ramp:
		j.Ramp = &struct {
			From float64 `json:"from"`
			To   float64 `json:"to"`
			Over lasting `json:"over"`
		}{p.from, p.to, lasting(p.over)}
	case sine:
		j.Sine = &struct {
			Mean      float64 `json:"mean"`
			Amplitude float64 `json:"amplitude"`
			Period    lasting `json:"period"`
		}{p.mean, p.amplitude, lasting(p.period)}
	case staged:
		for _, s := range p {
			if inner, err = pacerToJSON(s.Pacer); err != nil {
				return nil, err
			}
			j.Stages = append(j.Stages, stageJSON{inner, lasting(s.For)})
		}
	case *Trace:
		j.Trace = &traceJSON{p.seed, p.arrivals}
	case shard:
		inner, err = pacerToJSON(p.of)
		j.Shard = &struct {
			Pacer *pacerJSON `json:"pacer"`
			Part  int        `json:"part"`
			Of    int        `json:"of"`
		}{inner, p.i, p.n}
	case after:
		inner, err = pacerToJSON(p.of)
		j.After = &struct {
			Pacer *pacerJSON `json:"pacer"`
			From  lasting    `json:"from"`
		}{inner, lasting(p.from)}
	case first:
		inner, err = pacerToJSON(p.of)
		j.First = &struct {
			Pacer    *pacerJSON `json:"pacer"`
			Requests int        `json:"requests"`
		}{inner, p.n}
	default:
		err = &InvalidError{"Pacer", fmt.Sprintf("%T", p), "one of this package, which has a form in JSON"}
	}
	return j, err
}

// pacer returns the schedule that j describes. Several members would be several
// schedules; the first that is set counts.
func (j *pacerJSON) pacer() (Pacer, error) {
	inner := func(j *pacerJSON) (Pacer, error) {
		if j == nil {
			return nil, nil // its absence is reported by Validate
		}
		return j.pacer()
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
		var stages []Stage
		for _, s := range j.Stages {
			p, err := inner(s.Pacer)
			if err != nil {
				return nil, err
			}
			stages = append(stages, Stage{p, time.Duration(s.For)})
		}
		return Stages(stages...), nil
	case j.Trace != nil:
		return j.Trace.trace()
	case j.Shard != nil:
		p, err := inner(j.Shard.Pacer)
		return Shard(p, j.Shard.Part, j.Shard.Of), err
	case j.After != nil:
		p, err := inner(j.After.Pacer)
		return After(p, time.Duration(j.After.From)), err
	case j.First != nil:
		p, err := inner(j.First.Pacer)
		return First(p, j.First.Requests), err
	}
	return nil, &InvalidError{"pacer", "{}", "one of constant, poisson, gamma, ramp, sine, stages, trace, shard, after, first"}
}

func (j *traceJSON) trace() (*Trace, error) {
	last := time.Duration(0)
	for i, a := range j.Arrivals {
		if a.At < last || min(a.Input, a.Output) < 0 || max(a.Input, a.Output) > maxLength {
			return nil, &InvalidError{fmt.Sprintf("trace.arrivals[%d]", i), a.At.String(), "instants in ascending order, with 0 to 1,048,576 tokens"}
		}
		last = a.At
	}
	if len(j.Arrivals) == 0 {
		return nil, &InvalidError{"len(trace.arrivals)", 0, "at least one"}
	}
	return &Trace{j.Arrivals, j.Seed}, nil
}

// workloadJSON has one member, which names the kind of workload.
type workloadJSON struct {
	Synthetic *Synthetic `json:"synthetic,omitempty"`
	HTTP      *Request   `json:"http,omitempty"`
	Targets   []Request  `json:"targets,omitempty"`
	Trace     *traceJSON `json:"trace,omitempty"`
}

func workloadToJSON(w Workload) (*workloadJSON, error) {
	switch w := w.(type) {
	case Synthetic:
		return &workloadJSON{Synthetic: &w}, nil
	case plain:
		return &workloadJSON{HTTP: &w.request}, nil
	case *Targets:
		return &workloadJSON{Targets: w.requests}, nil
	case *Trace:
		return &workloadJSON{Trace: &traceJSON{w.seed, w.arrivals}}, nil
	}
	return nil, &InvalidError{"Workload", fmt.Sprintf("%T", w), "one of this package, which has a form in JSON"}
}

func (j *workloadJSON) workload() (Workload, error) {
	switch {
	case j.Synthetic != nil:
		return *j.Synthetic, nil
	case j.HTTP != nil:
		return HTTP(j.HTTP.Method, j.HTTP.Path, j.HTTP.Body), nil
	case j.Targets != nil:
		t := &targetReader{}
		for i, r := range j.Targets {
			t.line = i + 1
			t.begin(r.Method, r.Path, r.Header, r.Body)
		}
		if len(t.errs) > 0 {
			return nil, t.errs[0]
		}
		return &Targets{t.all}, nil
	case j.Trace != nil:
		return j.Trace.trace()
	}
	return nil, &InvalidError{"workload", "{}", "one of synthetic, http, targets, trace"}
}
