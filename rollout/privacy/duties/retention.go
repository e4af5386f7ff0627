package duties

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Class says how long data is kept. Several classes may name the same data; all of them bind.
type Class struct {
	// Name identifies the class, such as "AI Act 26(6)".
	Name string
	// Data are the kinds of data that it is about, such as "audit" and "logs".
	Data []string
	// Least is how long the data is kept at least, and Most at most. Zero means no bound.
	Least, Most time.Duration
}

// Retention decides what may be removed and what must be. Make one with [NewRetention]. It is
// immutable.
type Retention struct{ bounds map[string]bounds }

type bounds struct {
	least, most     time.Duration
	atLeast, atMost string // the classes that set them
}

// NewRetention returns the retention of some classes. Classes that contradict each other are
// errors: a floor of one that is above the ceiling of another for the same data. Errors join a
// [*checks.InvalidError] for each problem.
func NewRetention(classes ...Class) (*Retention, error) {
	var errs []error
	r := &Retention{make(map[string]bounds)}
	for i, c := range classes {
		field := fmt.Sprintf("classes[%d]", i)
		if c.Name == "" || slices.ContainsFunc(classes[:i], func(o Class) bool { return o.Name == c.Name }) {
			errs = append(errs, invalid(field+".Name", c.Name, "a name that no other class has"))
		}
		if len(c.Data) == 0 || slices.Contains(c.Data, "") {
			errs = append(errs, invalid(field+".Data", fmt.Sprintf("%q", c.Data), "at least one kind of data, and none empty"))
		}
		if c.Least < 0 || c.Most < 0 || c.Least == 0 && c.Most == 0 {
			errs = append(errs, invalid(field, fmt.Sprintf("%v to %v", c.Least, c.Most), "a positive Least or Most"))
		}
		for _, d := range c.Data {
			b := r.bounds[d]
			if c.Least > b.least {
				b.least, b.atLeast = c.Least, c.Name
			}
			if c.Most > 0 && (b.most == 0 || c.Most < b.most) {
				b.most, b.atMost = c.Most, c.Name
			}
			r.bounds[d] = b
		}
	}
	for i, c := range classes {
		for _, d := range c.Data {
			if b := r.bounds[d]; b.most > 0 && b.least > b.most && c.Name == b.atLeast {
				errs = append(errs, invalid(fmt.Sprintf("classes[%d].Least", i), b.least, fmt.Sprintf("at most %v, the Most of %s for %s", b.most, b.atMost, d)))
			}
		}
	}
	return r, errors.Join(errs...)
}

// Prefix is the begin of a record that is to be removed.
type Prefix struct {
	Data           string
	Oldest, Newest time.Time // of its entries
	// Exported and Checkpointed report whether its entries are in an archive, and whether a
	// checkpoint that stays covers them, by which the rest verifies.
	Exported, Checkpointed bool
	// Hold is the reference of a legal hold, or "".
	Hold string
}

// Removable returns nil if a prefix may be removed, and otherwise every reason against it.
// Data that no class names is kept.
func (r *Retention) Removable(p Prefix, now time.Time) error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("duties: %s is kept: "+format, append([]any{p.Data}, args...)...))
	}
	b, ok := r.bounds[p.Data]
	switch until := p.Newest.Add(b.least); {
	case !ok:
		bad("no class names it")
	case p.Newest.IsZero():
		bad("the time of its newest entry is not known")
	case now.Before(until):
		bad("%s demands it until %s", b.atLeast, until.UTC().Format(time.RFC3339))
	}
	if !p.Exported {
		bad("it is not exported")
	}
	if !p.Checkpointed {
		bad("no checkpoint covers it")
	}
	if p.Hold != "" {
		bad("it is on legal hold %s", p.Hold)
	}
	return errors.Join(errs...)
}

// Overdue returns an error if data with the given oldest entry is kept for too long. A legal
// hold suspends it.
func (r *Retention) Overdue(p Prefix, now time.Time) error {
	b, ok := r.bounds[p.Data]
	if !ok {
		return fmt.Errorf("duties: %s: no class names it", p.Data)
	}
	if p.Oldest.IsZero() || p.Hold != "" || b.most == 0 || !now.After(p.Oldest.Add(b.most)) {
		return nil
	}
	return fmt.Errorf("duties: %s is kept too long: %s demands its removal by %s", p.Data, b.atMost, p.Oldest.Add(b.most).UTC().Format(time.RFC3339))
}
