package drift

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/internal/probing"
)

// Finding is something that a person must look at: the model may need tuning.
type Finding struct {
	// What has moved: a [Feature], or the name of an evaluation.
	What string
	// Text says by how much.
	Text string
	// Owner must look at it until Due.
	Owner string
	Since time.Time
	Due   time.Time
}

// Options configures [Check].
type Options struct {
	// Reference returns the profile of the time when the model was tuned, and Current the
	// present one, such as of the last week. Both are required.
	Reference, Current func(ctx context.Context) (*Profile, error) `json:"-"`
	// Evals are evaluations of the model that is deployed, by name, for instance from
	// package release. One that fails is a finding.
	Evals map[string]checks.Check `json:"-"`
	// Owner is who must look at findings. It is required.
	Owner string
	// Within is the time that the owner has. Default 14 days.
	Within time.Duration
	// Found is called for each new finding, such as to note it in a ledger. It must not block.
	Found func(f Finding) `json:"-"`
	// Since returns when a finding was made first, the zero time if it is new. Default: the
	// check remembers it, until the process ends.
	Since func(what string) time.Time `json:"-"`
}

// Check returns a check that neither prompts nor answers have moved, and that evaluations hold.
// A finding is a Warn until it is due, and a Fail afterwards. The result is Unknown without
// enough samples, if a profile cannot be read, or if an evaluation is Unknown and nothing else
// is found. Evidence: the index of each feature.
func Check(o Options) checks.Check {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "drift", Field: "Options." + field, Value: value, Want: want})
	}
	if o.Reference == nil {
		bad("Reference", nil, "a function that returns a profile")
	}
	if o.Current == nil {
		bad("Current", nil, "a function that returns a profile")
	}
	if strings.TrimSpace(o.Owner) == "" {
		bad("Owner", o.Owner, "a person or a team")
	}
	if o.Within < 0 {
		bad("Within", o.Within, "a positive duration, or 0 for 14 days")
	}
	if o.Within == 0 {
		o.Within = 14 * 24 * time.Hour
	}
	o.Evals = maps.Clone(o.Evals)
	names := slices.Sorted(maps.Keys(o.Evals))
	for _, name := range names {
		if o.Evals[name] == nil {
			bad(fmt.Sprintf("Evals[%q]", name), nil, "a check")
		}
	}
	c := &looking{Options: o, names: names, first: make(map[string]time.Time)}
	return probing.New("drift", time.Hour, struct {
		Options
		Names []string
	}{o, names}, errors.Join(errs...), c.look)
}

// looking is the state of a check.
type looking struct {
	Options
	names []string

	mu    sync.Mutex
	first map[string]time.Time // when findings were made, by what
}

func (c *looking) look(ctx context.Context) checks.Result {
	reference, err := c.Reference(ctx)
	if err != nil || reference == nil {
		return unread(ctx, "the profile of the reference", err)
	}
	current, err := c.Current(ctx)
	if err != nil || current == nil {
		return unread(ctx, "the present profile", err)
	}
	r := checks.Result{Evidence: make(map[string]string)}
	found, fine := make(map[string]string), make(map[string]bool)
	var unclear []string
	shifts := Compare(reference, current)
	known := 0
	for _, s := range shifts {
		if !s.Known {
			continue // a feature that few requests have, such as a score
		}
		known++
		r.Evidence[string(s.Feature)] = fmt.Sprintf("%.3f", s.Index)
		if s.Moved {
			size := "moved"
			if s.Large {
				size = "moved much"
			}
			found[string(s.Feature)] = fmt.Sprintf("%s, %s, index %.2f", size, s.Text, s.Index)
		}
		fine[string(s.Feature)] = !s.Moved
	}
	if known == 0 {
		unclear = append(unclear, fmt.Sprintf("%d and %d samples, want at least %d", reference.Samples(), current.Samples(), minSamples))
	}
	for _, name := range c.names {
		switch e := c.Evals[name].Check(ctx); e.Status {
		case checks.Pass, checks.Warn:
			fine[name] = true
		case checks.Fail:
			found[name] = cmp.Or(e.Summary, "it fails")
		default:
			unclear = append(unclear, name+": "+e.Summary)
		}
	}
	findings := c.findings(found, fine)
	if len(findings) == 0 && len(unclear) > 0 {
		r.Summary = strings.Join(unclear, "; ")
		return r
	}
	if len(findings) == 0 {
		r.Status, r.Summary = checks.Pass, fmt.Sprintf("%d features as in the reference", known)
		return r
	}
	r.Status = checks.Warn
	var texts []string
	for _, f := range findings {
		text := fmt.Sprintf("%s: %s (%s, due %s)", f.What, f.Text, f.Owner, f.Due.Format(time.DateOnly))
		if !time.Now().Before(f.Due) {
			r.Status, text = checks.Fail, text+", overdue"
		}
		texts = append(texts, text)
	}
	r.Summary = strings.Join(append(texts, unclear...), "; ")
	return r
}

// findings returns findings by what has moved, and reports those that are new. One that is fine
// again is forgotten; one that is not known now is not.
func (c *looking) findings(found map[string]string, fine map[string]bool) (list []Finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.first, func(what string, _ time.Time) bool { return fine[what] })
	for _, what := range slices.Sorted(maps.Keys(found)) {
		since, known := c.first[what]
		if c.Since != nil && !known {
			since = c.Since(what)
		}
		f := Finding{What: what, Text: found[what], Owner: c.Owner, Since: since}
		isNew := since.IsZero()
		if isNew {
			f.Since = time.Now()
		}
		c.first[what], f.Due = f.Since, f.Since.Add(c.Within)
		if isNew && c.Found != nil {
			c.report(f)
		}
		list = append(list, f)
	}
	return list
}

// report calls Found, whose panics end nothing.
func (c *looking) report(f Finding) {
	defer func() { _ = recover() }()
	c.Found(f)
}

// unread is the result without a profile.
func unread(ctx context.Context, what string, err error) checks.Result {
	if r, ended := probing.Ended(ctx, what); ended {
		return r
	}
	if err == nil {
		err = errors.New("nothing to read: the source returned nil")
	}
	return checks.Result{Summary: fmt.Sprintf("%s: %.300s", what, err.Error()), Err: err}
}
