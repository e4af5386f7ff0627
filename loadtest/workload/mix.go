package workload

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/serin-go/serin/checks"
)

// Mix is a workload that mixes several ones at random, by weight, such as the requests
// for a base model and for its LoRA adapters. Equal seeds give an equal mix.
type Mix struct {
	// Parts are the workloads, from 1 to 64.
	Parts []Part
	// Seed is the seed of the order. The parts have seeds of their own.
	Seed uint64
}

// Part is a part of a [Mix].
type Part struct {
	// Name is the tag of the requests in results and in the report. It is required, up
	// to 64 bytes long and different for each part.
	Name string
	// Weight is the share of the requests relative to the other parts, above 0.
	Weight float64
	// Model is the name of the model, such as a LoRA adapter. If empty, it is the model
	// of the plan. The model in a prompt's ExtraBody takes precedence over both.
	Model string
	// Workload has the requests: request n of the mix, if it is of this part, is request n
	// of Workload. It must not be a Mix, or a Trace with sessions, whose turns would be
	// torn apart.
	Workload Workload
}

const (
	maxParts    = 64 // of a mix
	maxPartName = 64 // bytes
)

// Request returns the request with number seq.
func (m Mix) Request(seq uint64) Request {
	// Not the generator of the parts, which would draw the same numbers.
	rng := rand.New(rand.NewPCG(m.Seed^0x9e3779b97f4a7c15, seq))
	p := m.Parts[weighted(rng, len(m.Parts), func(i int) float64 { return m.Parts[i].Weight })]
	r := p.Workload.Request(seq)
	r.Tag = p.Name
	if r.Model == "" {
		r.Model = p.Model
	}
	return r
}

// Validate returns an error that joins a [*checks.InvalidError] for each invalid field, and
// the errors of the parts.
func (m Mix) Validate() error {
	var errs []error
	if n := len(m.Parts); n == 0 || n > maxParts {
		errs = append(errs, invalid("len(Mix.Parts)", n, fmt.Sprintf("1 to %d parts", maxParts)))
	}
	names := make(map[string]bool)
	for i, p := range m.Parts {
		field := fmt.Sprintf("Mix.Parts[%d]", i)
		if p.Name == "" || len(p.Name) > maxPartName || names[p.Name] || strings.ContainsFunc(p.Name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			errs = append(errs, invalid(field+".Name", p.Name[:min(len(p.Name), maxPartName)], "a name of up to 64 bytes that no other part has"))
		}
		names[p.Name] = true
		if !(p.Weight > 0) || math.IsInf(p.Weight, 0) {
			errs = append(errs, invalid(field+".Weight", p.Weight, "a number above 0"))
		}
		switch w := p.Workload.(type) {
		case nil:
			errs = append(errs, invalid(field+".Workload", nil, "a workload"))
			continue
		case Mix:
			errs = append(errs, invalid(field+".Workload", "a Mix", "a workload that is not a Mix"))
			continue
		case *Targets:
			if p.Model != "" {
				errs = append(errs, invalid(field+".Model", p.Model, "no model for Targets, whose bodies are sent as they are"))
			}
		case *Trace:
			if w != nil && len(w.links) > 0 {
				errs = append(errs, invalid(field+".Workload", w.String(), "a trace without sessions"))
			}
		}
		if v, ok := p.Workload.(interface{ Validate() error }); ok {
			errs = append(errs, checks.Within(v.Validate(), "workload", "", field+".Workload"))
		}
	}
	return errors.Join(errs...)
}

// WithTokenizer returns m with the lengths of its parts exact by count, as far as they
// have generated prompts; see [Synthetic.WithTokenizer].
func (m Mix) WithTokenizer(count func(text string) int) (Workload, error) {
	m.Parts = slices.Clone(m.Parts)
	for i, p := range m.Parts {
		w, ok := p.Workload.(interface {
			WithTokenizer(count func(text string) int) (Workload, error)
		})
		if !ok {
			continue
		}
		var err error
		if m.Parts[i].Workload, err = w.WithTokenizer(count); err != nil {
			return nil, err
		}
	}
	return m, nil
}
