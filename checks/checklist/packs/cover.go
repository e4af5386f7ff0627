package packs

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/internal/visible"
)

// Notice is part of every coverage and of every result of a [Check].
const Notice = "engineering evidence, not legal advice"

// Coverage shows which items serve which controls. It is plain data. Equal lists, packs and
// times give equal coverages.
type Coverage struct {
	// At is the time at which the dates of the controls are evaluated.
	At time.Time `json:"at"`
	// Packs are the packs without their controls.
	Packs []Pack `json:"packs"`
	// Controls are all controls of the packs, in the order of the packs.
	Controls []ControlReport `json:"controls"`
	// Strays are names of controls that no pack has, in the order of the items. A ready pack
	// that was not given counts as well.
	Strays []Stray `json:"strays,omitempty"`
	Notice string  `json:"notice"`
	// Problem is why the report of the list cannot be evaluated, or "".
	Problem string `json:"problem,omitempty"`
}

// ControlReport is a control with the items that serve it.
type ControlReport struct {
	// Control is the name, such as "gdpr:32".
	Control string `json:"control"`
	Title   string `json:"title"`
	Why     string `json:"why"`
	// Applies reports whether the control applies at the time of the coverage, and From is
	// its date, or "".
	Applies bool   `json:"applies"`
	From    string `json:"from,omitempty"`
	// Items serve the control, in the order of the list. Suggested describes items that
	// could.
	Items     []ItemState `json:"items,omitempty"`
	Suggested []string    `json:"suggested"`
}

// ItemState is an item that serves a control.
type ItemState struct {
	ID    string `json:"id"`
	Owner string `json:"owner"`
	// State is the state of the item. In the coverage of [Cover] it is always Unknown.
	State checklist.State `json:"state"`
}

// Stray is the name of a control that no pack has, such as a misspelled one.
type Stray struct {
	Item    string `json:"item"`
	Control string `json:"control"`
}

// Cover compares a list with packs at the present time, without evidence. It returns an
// error that joins one [*checks.InvalidError] for each mistake: no list, no pack, a pack
// that [Pack.Validate] refuses or whose ID occurs twice.
func Cover(list *checklist.List, packs ...Pack) (Coverage, error) {
	if err := valid(list, packs); err != nil {
		return Coverage{}, err
	}
	c := newCover(packs, time.Now())
	for _, i := range list.Items {
		c.add(ItemState{ID: i.ID, Owner: i.Owner}, i.Controls)
	}
	return c.Coverage, nil
}

// CoverReport compares the report of a list with packs, with the states of its items and at
// its time. It returns the errors of [Cover].
func CoverReport(r checklist.Report, packs ...Pack) (Coverage, error) {
	if err := validPacks(packs); err != nil {
		return Coverage{}, err
	}
	return coverReport(r, packs), nil
}

func coverReport(r checklist.Report, packs []Pack) Coverage {
	c := newCover(packs, r.At)
	for _, s := range r.Sections {
		for _, i := range s.Items {
			c.add(ItemState{ID: i.ID, Owner: i.Owner, State: i.State}, i.Controls)
		}
	}
	if c.Problem = visible.Line(r.Problem); r.At.IsZero() {
		c.Problem = cmp.Or(c.Problem, "the report has no time")
	}
	return c.Coverage
}

func valid(list *checklist.List, packs []Pack) error {
	err := validPacks(packs)
	if list == nil {
		err = errors.Join(invalid("list", "nil", "a checklist"), err)
	}
	return err
}

func validPacks(packs []Pack) error {
	var errs []error
	if len(packs) == 0 {
		errs = append(errs, invalid("packs", "empty", "at least one pack"))
	}
	seen := make(map[string]bool)
	for i, p := range packs {
		at := fmt.Sprintf("packs[%d]", i)
		if err := p.Validate(); err != nil {
			errs = append(errs, checks.Within(err, "packs", "", at))
		} else if seen[p.ID] {
			errs = append(errs, invalid(at+".id", p.ID, "a different ID for each pack"))
		}
		seen[p.ID] = true
	}
	return errors.Join(errs...)
}

// cover collects a coverage.
type cover struct {
	Coverage
	at    map[string]int  // index of a control
	known map[string]bool // controls of ready packs that were not given; read when needed
}

func newCover(packs []Pack, at time.Time) *cover {
	c := &cover{Coverage: Coverage{At: at.UTC().Round(0), Notice: Notice}, at: make(map[string]int)}
	for _, p := range packs {
		for _, control := range p.Controls {
			from := cmp.Or(control.AppliesFrom, p.AppliesFrom)
			start, _ := time.Parse(day, from) // zero if there is no date
			r := ControlReport{
				Control: p.ID + ":" + control.ID, Title: control.Title, Why: control.Why,
				Applies: !at.Before(start), From: from, Suggested: slices.Clone(control.Items),
			}
			c.at[r.Control] = len(c.Controls)
			c.Controls = append(c.Controls, r)
		}
		p.Controls = nil
		c.Packs = append(c.Packs, p)
	}
	return c
}

// elsewhere reports whether a ready pack that was not given has the control.
func (c *cover) elsewhere(name string) bool {
	if c.known == nil {
		c.known = make(map[string]bool)
		for _, p := range All() {
			if slices.ContainsFunc(c.Packs, func(given Pack) bool { return given.ID == p.ID }) {
				continue
			}
			for _, control := range p.Controls {
				c.known[p.ID+":"+control.ID] = true
			}
		}
	}
	return c.known[name]
}

// add adds an item and the controls that it names.
func (c *cover) add(i ItemState, controls []string) {
	controls = slices.Clone(controls)
	slices.Sort(controls)
	for _, name := range slices.Compact(controls) {
		if n, ok := c.at[name]; ok {
			c.Controls[n].Items = append(c.Controls[n].Items, i)
		} else if !c.elsewhere(name) {
			c.Strays = append(c.Strays, Stray{Item: i.ID, Control: name})
		}
	}
}

// Missing returns the controls that apply and have no item.
func (c Coverage) Missing() []ControlReport {
	return c.where(func(r ControlReport) bool { return r.Applies && len(r.Items) == 0 })
}

// Open returns the controls that apply and have an item that does not hold. In the coverage
// of [Cover] no item holds.
func (c Coverage) Open() []ControlReport {
	return c.where(func(r ControlReport) bool {
		return r.Applies && slices.ContainsFunc(r.Items, func(i ItemState) bool { return !i.State.Holds() })
	})
}

func (c Coverage) where(f func(ControlReport) bool) []ControlReport {
	var all []ControlReport
	for _, r := range c.Controls {
		if f(r) {
			all = append(all, r)
		}
	}
	return all
}

// status is the status of a control that applies, and the reason unless it is Pass.
func (r ControlReport) status() (checks.Status, string) {
	if len(r.Items) == 0 {
		return checks.Fail, "no item"
	}
	status := checks.Pass
	var why []string
	for _, i := range r.Items {
		s := checks.Unknown // blocked and skipped as well
		switch i.State {
		case checklist.Pass:
			continue
		case checklist.Warn, checklist.Waived:
			s = checks.Warn
		case checklist.Fail, checklist.Expired:
			s = checks.Fail
		}
		status = status.Worse(s)
		why = append(why, fmt.Sprintf("%s is %v (%s)", i.ID, i.State, i.Owner))
	}
	return status, strings.Join(why, ", ")
}

// maxSummary is the size of a summary that every engine keeps whole.
const maxSummary = 1000

// Result returns the result of a check: Fail if a control that applies has no item, or one
// that is Fail or Expired; Unknown if an item does not hold for another reason; Warn if an
// item warns or is waived, or if an item names a control that no pack has; otherwise Pass.
// Controls that do not apply yet are only counted. If none applies, nothing was looked at,
// and the result is Unknown. An Unknown has its reason in Err. Evidence: packs, controls,
// later, notice.
func (c Coverage) Result() checks.Result {
	status := checks.Pass
	var lines []string
	apply, later, hold, unknown := 0, 0, 0, 0
	for _, r := range c.Controls {
		if !r.Applies {
			later++
			continue
		}
		apply++
		s, why := r.status()
		if s.Opens() {
			hold++
		}
		if s != checks.Pass {
			lines = append(lines, fmt.Sprintf("%s (%s): %s", r.Control, r.Title, why))
		}
		if s == checks.Unknown {
			unknown++
		}
		status = status.Worse(s)
	}
	for _, s := range c.Strays {
		status = status.Worse(checks.Warn)
		lines = append(lines, fmt.Sprintf("item %s names %s, which no pack has", s.Item, s.Control))
	}
	var names []string
	for _, p := range c.Packs {
		names = append(names, fmt.Sprintf("%s %s (checked %s)", p.ID, p.Version, p.Checked))
	}
	res := checks.Result{Status: status, Evidence: map[string]string{
		"packs": strings.Join(names, ", "), "controls": fmt.Sprintf("%d of %d hold", hold, apply), "later": strconv.Itoa(later), "notice": Notice,
	}}
	problem := c.Problem
	switch {
	case problem != "":
	case len(c.Controls) == 0:
		problem = "there are no controls"
	case apply == 0:
		problem = fmt.Sprintf("no control applies yet, %d apply later", later)
	}
	if problem != "" {
		res.Status, res.Summary, res.Err = checks.Unknown, problem, errors.New("packs: coverage: "+problem)
		return res
	}
	if status == checks.Unknown {
		res.Err = fmt.Errorf("packs: coverage: %d of %d controls have items whose state is not known", unknown, apply)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%d of %d controls that apply hold", hold, apply)
	if later > 0 {
		fmt.Fprintf(&text, ", %d apply later", later)
	}
	for n, line := range lines {
		line = "; " + visible.Line(line)
		if text.Len()+len(line) > maxSummary-20 {
			fmt.Fprintf(&text, "; and %d more", len(lines)-n)
			break
		}
		text.WriteString(line)
	}
	res.Summary = text.String()
	return res
}

// check is the check of [Check].
type check struct {
	checks.Func
	digest string
}

// Digest implements [checks.Digester].
func (c *check) Digest() string { return c.digest }

// Check returns a check that evaluates list with the records of src, and passes if every
// control that applies has an item and all its items hold; see [Coverage.Result]. Its digest
// identifies the list and the packs. It does not fail: if [Cover] would return an error,
// every result is Unknown and has that error. An item without Valid runs again, also if
// another check evaluates the same list.
func Check(src checklist.Source, list *checklist.List, packs ...Pack) checks.Check {
	bad := valid(list, packs)
	own := make([]Pack, len(packs))
	for i, p := range packs {
		p.Controls = slices.Clone(p.Controls)
		for j := range p.Controls {
			p.Controls[j].Items = slices.Clone(p.Controls[j].Items)
		}
		own[i] = p
	}
	text, err := json.Marshal(own)
	bad = errors.Join(bad, err)
	if list != nil {
		text = append(text, list.Digest()...)
	}
	sum := sha256.Sum256(text)
	return &check{digest: "sha256:" + hex.EncodeToString(sum[:]), Func: func(ctx context.Context) checks.Result {
		if bad != nil {
			return checks.Result{Summary: "the packs cannot be evaluated", Err: bad}
		}
		if err := ctx.Err(); err != nil {
			return checks.Result{Summary: "the packs are not evaluated", Err: err}
		}
		return coverReport(list.Run(ctx, src), own).Result()
	}}
}
