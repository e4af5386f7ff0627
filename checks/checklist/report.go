package checklist

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/visible"
)

// Report is the state of a list at one time. It is plain data.
type Report struct {
	// List is the name of the list, and Digest its digest.
	List    string         `json:"list"`
	Digest  string         `json:"digest"`
	Subject checks.Subject `json:"subject"`
	At      time.Time      `json:"at"`
	// State is Fail if an item of level Must is Fail or Expired, or lacks votes or a
	// waiver that has ended. It is Unknown if another one does not hold, Warn if an item
	// warns, is waived, or is of level Should and does not hold, and otherwise Pass.
	State State `json:"state"`
	// Score is the score of the weakest section, from 0 to 1. It informs, and opens
	// nothing.
	Score    float64         `json:"score"`
	Sections []SectionReport `json:"sections"`
	// Problem is why the list itself cannot be evaluated, or "".
	Problem string `json:"problem,omitempty"`
}

// SectionReport is the state of a section.
type SectionReport struct {
	Name string `json:"name"`
	// Score is the mean over the items: 1 for one that passed automatically, 0.5 for one
	// that people vouch for, that warns or is waived, and 0 for others. Skipped items do
	// not count. It follows the ML Test Score (Breck et al., 2017).
	Score float64      `json:"score"`
	Items []ItemReport `json:"items"`
}

// ItemReport is the state of an item.
type ItemReport struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Owner string `json:"owner"`
	State State  `json:"state"`
	Level Level  `json:"level,omitempty"`
	// Automated reports whether a check verifies the item.
	Automated bool `json:"automated"`
	// Text says why the state is as it is. Error is the error of a check or a source.
	Text  string `json:"text,omitempty"`
	Error string `json:"error,omitempty"`
	// People have vouched for the item, or waived it.
	People []string `json:"people,omitempty"`
	// Since is the time of the oldest evidence, and Until when the item lapses; zero means
	// no evidence, or that the item is evaluated each time.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Link and Sum are the proof that a person gave.
	Link string `json:"link,omitempty"`
	Sum  string `json:"sum,omitempty"`
	// Evidence has the measured values of the check.
	Evidence map[string]string `json:"evidence,omitempty"`
	Controls []string          `json:"controls,omitempty"`
	Runbook  string            `json:"runbook,omitempty"`

	lacking bool
}

// with returns r with what is known about it. Texts come from outside: they are bounded, and
// print.
func (r ItemReport) with(h half) ItemReport {
	r.lacking = h.lacking
	res := bound(checks.Result{Evidence: h.evidence, Err: h.err})
	r.State, r.Evidence = h.state, res.Evidence
	r.Text, r.Link, r.Sum = visible.Line(cut(h.text, maxText)), visible.Line(cut(h.link, maxText)), visible.Line(cut(h.sum, maxText))
	for _, p := range h.people {
		r.People = append(r.People, visible.Line(cut(p, maxText)))
	}
	if !h.since.IsZero() {
		r.Since = h.since.UTC()
	}
	if !h.till.IsZero() {
		r.Until = h.till.UTC()
	}
	if res.Err != nil {
		r.Error = res.Err.Error()
	}
	return r
}

func (r ItemReport) score() float64 {
	switch {
	case r.State == Pass && r.Automated:
		return 1
	case r.State.Holds():
		return 0.5
	}
	return 0
}

// report puts the finished items together.
func (e *evaluation) report() Report {
	r := Report{List: e.list.name, Digest: e.list.digest, Subject: e.subject, At: e.now, State: Pass, Score: 1}
	for _, s := range e.list.sections {
		if e.list.only != nil && !slices.Contains(e.list.only, s.Name) {
			continue
		}
		sec := SectionReport{Name: s.Name}
		sum, count := 0.0, 0
		for _, i := range s.Items {
			item := e.items[i.ID]
			sec.Items = append(sec.Items, item)
			if item.State != Skipped {
				sum, count = sum+item.score(), count+1
			}
			r.State = worse(r.State, item.weight())
		}
		sec.Score = 1
		if count > 0 {
			sec.Score = sum / float64(count)
		}
		r.Score = min(r.Score, sec.Score)
		r.Sections = append(r.Sections, sec)
	}
	if err := e.list.invalid; err != nil {
		r.Problem, r.State, r.Score = err.Error(), Unknown, 0
	}
	return r
}

// weight is what an item contributes to the state of its list.
func (r ItemReport) weight() State {
	switch {
	case r.Level == Info || r.State == Pass || r.State == Skipped && r.Level != Must:
		return Pass
	case r.State.Holds() || r.Level == Should:
		return Warn
	case r.State == Fail || r.State == Expired || r.lacking:
		return Fail
	}
	return Unknown
}

func worse(a, b State) State {
	if severity(b) > severity(a) {
		return b
	}
	return a
}

// items yields all items.
func (r Report) items(yield func(ItemReport) bool) {
	for _, s := range r.Sections {
		for _, i := range s.Items {
			if !yield(i) {
				return
			}
		}
	}
}

// shut returns the items that keep the list shut.
func (r Report) shut() []ItemReport {
	var all []ItemReport
	for i := range r.items {
		if !holds(i.weight()) {
			all = append(all, i)
		}
	}
	return all
}

func holds(s State) bool { return s == Pass || s == Warn }

// tally counts items, those that hold, and those that are waived.
func (r Report) tally() (all, hold, waived int) {
	for i := range r.items {
		all++
		if i.State.Holds() {
			hold++
		}
		if i.State == Waived {
			waived++
		}
	}
	return all, hold, waived
}

// maxText bounds the texts of an item, in bytes.
const maxText = 4 << 10

// maxSummary is the size of a summary that every engine keeps whole.
const maxSummary = 1000

// Result returns the result of a check: Pass, Warn, Fail or Unknown. The summary names what
// keeps the list shut. Evidence: list, digest, holding, score, report, which is [Report.Sum].
func (r Report) Result() checks.Result {
	all, hold, waived := r.tally()
	res := checks.Result{Evidence: map[string]string{
		"list": r.List, "digest": r.Digest, "score": strconv.FormatFloat(r.Score, 'f', 2, 64),
		"holding": fmt.Sprintf("%d of %d, %d waived", hold, all, waived), "report": r.Sum(),
	}}
	// The items count, whatever the state of the report says.
	state := r.State
	for i := range r.items {
		state = worse(state, i.weight())
	}
	if r.Problem != "" || all == 0 {
		state = worse(state, Unknown)
	}
	switch state {
	case Pass:
		res.Status = checks.Pass
	case Warn:
		res.Status = checks.Warn
	case Fail:
		res.Status = checks.Fail
	}
	shut := r.shut()
	if r.Problem != "" {
		res.Summary = r.Problem
		return res
	}
	if len(shut) == 0 {
		res.Summary = fmt.Sprintf("checklist %s: %d of %d items hold", r.List, hold, all)
		if !holds(state) { // a report that was altered
			res.Summary = fmt.Sprintf("checklist %s is %v", r.List, state)
		}
		return res
	}
	var text strings.Builder
	fmt.Fprintf(&text, "checklist %s: %d of %d items do not hold", r.List, len(shut), all)
	for n, i := range shut {
		line := fmt.Sprintf("; %s (%s, %s): %s", i.ID, i.State, i.Owner, cut(i.Text, 300))
		if text.Len()+len(line) > maxSummary {
			fmt.Fprintf(&text, "; and %d more", len(shut)-n)
			break
		}
		text.WriteString(line)
	}
	res.Summary = text.String()
	return res
}

// cut shortens a text at a rune.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n] + "…"
}

// Sum returns "sha256:" and the SHA-256 of the report as [Report.WriteJSON] writes it.
func (r Report) Sum() string {
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		return ""
	}
	sum := sha256.Sum256(b.Bytes())
	return "sha256:" + hex.EncodeToString(sum[:])
}

// WriteJSON writes the report as indented JSON, which unmarshals into a Report.
func (r Report) WriteJSON(w io.Writer) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("checklist: %w", err)
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// Reports is an optional interface for a [Source]. If implemented, the check of a list
// stores its reports under their sums, so that the evidence of a result leads to every line.
// While status and summary stay the same, the result names the report with which they
// began.
type Reports interface {
	KeepReport(ctx context.Context, sum string, report []byte) error
}

// check is the check of [List.Check].
type check struct {
	list *List
	src  Source

	mu   sync.Mutex
	last map[checks.Subject]checks.Result // whose reports were stored
}

// Check returns a check of the whole list, for rollout.Config.Checks. Its digest is the
// digest of the list, so that an approval does not survive a list that has lost an item.
// Concurrent calls for one subject share one evaluation. See [Report.Result].
func (l *List) Check(src Source) checks.Check { return checks.Cached(0, &check{list: l, src: src}) }

// Digest implements checks.Digester.
func (c *check) Digest() string { return c.list.digest }

// Check implements checks.Check.
func (c *check) Check(ctx context.Context) checks.Result {
	if err := ctx.Err(); err != nil {
		return checks.Result{Summary: "checklist " + c.list.name + " is not evaluated", Err: err}
	}
	r := c.list.Run(ctx, c.src)
	res := r.Result()
	keep, ok := c.src.(Reports)
	if !ok {
		return res
	}
	subject := r.Subject
	subject.Until = time.Time{}
	c.mu.Lock()
	last, stored := c.last[subject]
	c.mu.Unlock()
	if stored && last.Status == res.Status && last.Summary == res.Summary {
		res.Evidence = maps.Clone(last.Evidence)
		return res
	}
	var b bytes.Buffer
	err := r.WriteJSON(&b)
	if err == nil {
		err = keep.KeepReport(ctx, res.Evidence["report"], b.Bytes())
	}
	if err != nil {
		return checks.Result{Summary: "the report of checklist " + r.List + " is not stored", Evidence: res.Evidence, Err: err}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil || len(c.last) >= maxSubjects {
		c.last = make(map[checks.Subject]checks.Result)
	}
	c.last[subject] = res
	res.Evidence = maps.Clone(res.Evidence)
	return res
}

// maxSubjects bounds the subjects whose last result a check remembers.
const maxSubjects = 64

// Due is evidence that lapses.
type Due struct {
	Item  string `json:"item"`
	Owner string `json:"owner"`
	// State is the present state of the item.
	State State     `json:"state"`
	Until time.Time `json:"until"`
}

// Due returns the items whose evidence or waiver lapses until at, the soonest first. Items
// that have lapsed already are included. It reads the records only, and runs no check: a
// check without Valid counts as passed.
func (l *List) Due(ctx context.Context, src Source, at time.Time) []Due {
	var all []Due
	for i := range l.evaluate(ctx, src, true).report().items {
		if !i.Until.IsZero() && !i.Until.After(at) {
			all = append(all, Due{Item: i.ID, Owner: i.Owner, State: i.State, Until: i.Until})
		}
	}
	slices.SortStableFunc(all, func(a, b Due) int { return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.Item, b.Item)) })
	return all
}
