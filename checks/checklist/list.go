package checklist

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/bounded"
)

const (
	maxItems = 1000 // of a list
	maxTitle = 1024 // bytes of a title, a reason and an address
)

// Section is a named part of a checklist.
type Section struct {
	Name  string
	Items []Item
}

// List is a checklist. Make one with [New]. It is immutable and safe for concurrent use.
type List struct {
	name     string
	sections []Section
	items    map[string]*Item
	order    [][]string // IDs in generations: each needs only items of earlier ones
	digest   string
	only     []string // names of the sections that are reported; nil means all
	invalid  error
}

// New returns a list of all sections, in the given order. It returns an error that joins
// one [*checks.InvalidError] for each mistake: an item without an owner, a name that occurs
// twice, an item that needs an unknown one or, through others, itself.
func New(name string, sections ...Section) (*List, error) {
	l := &List{name: name, items: make(map[string]*Item)}
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "checklist", Field: field, Value: value, Want: want})
	}
	if !named(name) {
		bad("name", name, "1 to 128 bytes that print")
	}
	if len(sections) == 0 {
		bad("sections", "empty", "at least one section")
	}
	seen := make(map[string]bool)
	for i, s := range sections {
		at := fmt.Sprintf("sections[%d]", i)
		if !named(s.Name) || seen[s.Name] {
			bad(at+".Name", s.Name, "1 to 128 bytes that print, different for each section")
		}
		seen[s.Name] = true
		if len(s.Items) == 0 {
			bad(at+".Items", "empty", "at least one item")
		}
		s.Items = slices.Clone(s.Items)
		for j := range s.Items {
			item := &s.Items[j]
			item.Needs, item.Controls = slices.Clone(item.Needs), slices.Clone(item.Controls)
			if item.Attest != nil {
				a := *item.Attest
				a.Rules = slices.Clone(a.Rules)
				for k := range a.Rules {
					a.Rules[k].Roles = slices.Clone(a.Rules[k].Roles)
				}
				item.Attest = &a
			}
			at := fmt.Sprintf("%s.Items[%d]", at, j)
			if _, twice := l.items[item.ID]; !named(item.ID) || twice {
				bad(at+".ID", item.ID, "1 to 128 bytes that print, different for each item")
			}
			l.items[item.ID] = item
			item.problems(func(field string, value any, want string) { bad(at+"."+field, value, want) })
		}
		l.sections = append(l.sections, s)
	}
	if len(l.items) > maxItems {
		bad("sections", len(l.items), fmt.Sprintf("at most %d items", maxItems))
	}
	for i, s := range l.sections {
		for j, item := range s.Items {
			for k, id := range item.Needs {
				if l.items[id] == nil {
					bad(fmt.Sprintf("sections[%d].Items[%d].Needs[%d]", i, j, k), id, "the ID of an item of the list")
				}
			}
		}
	}
	if len(errs) == 0 {
		if circle := l.sort(); circle != nil {
			bad("Needs", strings.Join(circle, " -> "), "items that do not need themselves")
		}
	}
	if len(errs) == 0 {
		var err error
		if l.digest, err = l.hash(); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return l, nil
}

func named(s string) bool {
	return strings.TrimSpace(s) != "" && len(s) <= bounded.MaxName && bounded.Printable(s)
}

// control is the name of a control: a pack, a colon, and an id.
var control = regexp.MustCompile(`^[A-Za-z0-9._-]+:[A-Za-z0-9._-]+$`)

// problems reports what is wrong with an item by itself.
func (i *Item) problems(bad func(field string, value any, want string)) {
	if !named(i.Owner) {
		bad("Owner", i.Owner, "a person or a team, 1 to 128 bytes that print")
	}
	if i.Check == nil && i.Attest == nil && i.Skip == "" {
		bad("Check", nil, "a check, or Attest for an item that people vouch for")
	}
	if i.Valid < 0 {
		bad("Valid", i.Valid, "a positive duration, or 0 to run the check each time")
	}
	if i.Valid > 0 && i.Check == nil {
		bad("Valid", i.Valid, "0, since there is no check; Attest.Valid is for votes")
	}
	switch i.Scope {
	case OfCandidate, OfPlan, OfTarget, OfOrganisation:
	default:
		bad("Scope", i.Scope, "one of the constants")
	}
	switch i.Level {
	case Must, Should, Info:
	default:
		bad("Level", i.Level, "one of the constants")
	}
	if i.Skip != "" && i.Level == Must {
		bad("Skip", i.Skip, "empty, since items of level Must cannot be skipped")
	}
	for _, text := range []struct{ field, value string }{{"Title", i.Title}, {"Skip", i.Skip}, {"Runbook", i.Runbook}} {
		if len(text.value) > maxTitle || !bounded.Printable(text.value) || text.value != "" && strings.TrimSpace(text.value) == "" {
			bad(text.field, text.value, fmt.Sprintf("at most %d bytes that print", maxTitle))
		}
	}
	for k, c := range i.Controls {
		if !control.MatchString(c) || !named(c) {
			bad(fmt.Sprintf("Controls[%d]", k), c, "a pack and a control, such as gdpr:32")
		}
	}
	if i.Attest == nil {
		return
	}
	if i.Attest.Valid < 0 {
		bad("Attest.Valid", i.Attest.Valid, "a positive duration, or 0 for 90 days")
	}
	if i.Attest.MFA < 0 {
		bad("Attest.MFA", i.Attest.MFA, "a positive duration, or 0 for none")
	}
	if len(i.Attest.Rules) > 10 {
		bad("Attest.Rules", len(i.Attest.Rules), "at most 10 rules")
	}
	for k, r := range i.Attest.Rules {
		if r.Need < 0 || r.Need > 10 {
			bad(fmt.Sprintf("Attest.Rules[%d].Need", k), r.Need, "1 to 10, or 0 for 1")
		}
		if slices.Contains(r.Roles, "") {
			bad(fmt.Sprintf("Attest.Rules[%d].Roles", k), r.Roles, "roles that are not empty")
		}
	}
}

// sort sets l.order. It returns the IDs of a circle of needs, or nil.
func (l *List) sort() []string {
	left := make(map[string]bool, len(l.items))
	for id := range l.items {
		left[id] = true
	}
	for len(left) > 0 {
		var free []string
		for _, s := range l.sections {
			for _, item := range s.Items {
				if left[item.ID] && !slices.ContainsFunc(item.Needs, func(n string) bool { return left[n] }) {
					free = append(free, item.ID)
				}
			}
		}
		if len(free) == 0 {
			return l.circle(left)
		}
		for _, id := range free {
			delete(left, id)
		}
		l.order = append(l.order, free)
	}
	return nil
}

// circle returns a circle among items that each need another one of them.
func (l *List) circle(left map[string]bool) []string {
	ids := make([]string, 0, len(left))
	for id := range left {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	path := []string{ids[0]}
	for {
		last := l.items[path[len(path)-1]]
		next := last.Needs[slices.IndexFunc(last.Needs, func(n string) bool { return left[n] })]
		if i := slices.Index(path, next); i >= 0 {
			return append(path[i:], next)
		}
		path = append(path, next)
	}
}

// hash returns the digest of the list.
func (l *List) hash() (string, error) {
	var lines []string
	for _, s := range l.sections {
		for _, i := range s.Items {
			check, err := checks.DigestOf(i.Check)
			if err != nil {
				return "", fmt.Errorf("checklist: item %s: %w", i.ID, err)
			}
			line, err := declared{s.Name, i.ID, i.Title, i.Owner, check, i.Attest, i.Valid, i.Scope, i.Needs, i.Level, i.Firm, i.Skip, i.Controls, i.Runbook}.marshal()
			if err != nil {
				return "", fmt.Errorf("checklist: item %s: %w", i.ID, err)
			}
			lines = append(lines, string(line))
		}
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(l.name + "\n" + strings.Join(lines, "\n")))
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// Digest identifies the declarations of all items and the digests of their checks. The
// order of sections and items does not matter.
func (l *List) Digest() string { return l.digest }

// Items yields the items that a report of l has, in order. The caller must not change them.
func (l *List) Items(yield func(section string, i Item) bool) {
	for _, s := range l.sections {
		if l.only != nil && !slices.Contains(l.only, s.Name) {
			continue
		}
		for _, i := range s.Items {
			if !yield(s.Name, i) {
				return
			}
		}
	}
}

// Only returns a list that reports only the given sections. Items of other sections are
// still evaluated if an item needs them. If a section does not exist, every report of the
// list is Unknown.
func (l *List) Only(sections ...string) *List {
	only := *l
	only.only = append([]string{}, sections...)
	for i, name := range sections {
		if !slices.ContainsFunc(l.sections, func(s Section) bool { return s.Name == name }) || l.only != nil && !slices.Contains(l.only, name) {
			only.invalid = errors.Join(only.invalid, &checks.InvalidError{Package: "checklist", Field: fmt.Sprintf("sections[%d]", i), Value: name, Want: "the name of a section of the list"})
		}
	}
	if len(sections) == 0 {
		only.invalid = errors.Join(only.invalid, &checks.InvalidError{Package: "checklist", Field: "sections", Value: "empty", Want: "at least one section"})
	}
	sum := sha256.Sum256([]byte(l.digest + "\n" + strings.Join(slices.Compact(sorted(sections)), "\n")))
	only.digest = "sha256:" + hex.EncodeToString(sum[:])
	return &only
}
