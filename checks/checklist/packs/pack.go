package packs

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/bounded"
)

// Bounds of a pack.
const (
	maxData     = 1 << 20 // bytes of JSON
	maxControls = 1000
	maxItems    = 20
	maxText     = 1 << 10 // bytes
	maxProblems = 100     // that are reported of members
)

// day is the format of dates.
const day = "2006-01-02"

// Pack is a set of controls, such as a regulation. It is plain data in the format of
// [Parse].
type Pack struct {
	// ID is the first part of the names of its controls, such as "gdpr". 1 to 64 lower-case
	// letters, digits and hyphens.
	ID    string `json:"id"`
	Title string `json:"title"`
	// Version is the version of the data, not of the regulation.
	Version string `json:"version"`
	// Checked is the day on which the data was checked against Source, such as "2026-11-29".
	Checked string `json:"checked"`
	// AppliesFrom is the day from which the controls apply. If empty, they always apply.
	AppliesFrom string `json:"applies_from,omitempty"`
	// Source says what the data was checked against.
	Source string `json:"source"`
	// Controls are 1 to 1000 controls with different IDs.
	Controls []Control `json:"controls"`
}

// Control is one requirement of a pack.
type Control struct {
	// ID is the number in the source, such as "32" or "CC6.1". Letters, digits, dots and
	// hyphens.
	ID    string `json:"id"`
	Title string `json:"title"`
	// Items suggests items of a checklist, in plain words. 1 to 20.
	Items []string `json:"items"`
	// Why is the reason for the control.
	Why string `json:"why"`
	// AppliesFrom is the day from which the control applies. Default: the day of the pack.
	AppliesFrom string `json:"applies_from,omitempty"`
}

// ready has the ready packs.
//
//go:embed data/*.json
var ready embed.FS

// All returns the ready packs, by ID. The caller may change them.
func All() []Pack {
	names, _ := fs.Glob(ready, "data/*.json") // the pattern is valid
	var all []Pack
	for _, name := range names {
		data, err := ready.ReadFile(name)
		if err != nil {
			continue
		}
		if p, err := Parse(data); err == nil {
			all = append(all, p)
		}
	}
	return all
}

// Get returns the ready pack with the ID. ok is false if there is no such pack.
func Get(id string) (p Pack, ok bool) {
	for _, p := range All() {
		if p.ID == id {
			return p, true
		}
	}
	return Pack{}, false
}

// Parse reads a pack from JSON of at most 1 MiB. It refuses unknown and repeated members,
// data after the pack, and all that [Pack.Validate] refuses. The error joins one
// [*checks.InvalidError] for each mistake.
func Parse(data []byte) (Pack, error) {
	if len(data) > maxData {
		return Pack{}, invalid("data", fmt.Sprintf("%d bytes", len(data)), "at most 1 MiB")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	var p Pack
	if err := d.Decode(&p); err != nil {
		if e := (*json.UnmarshalTypeError)(nil); errors.As(err, &e) {
			return Pack{}, invalid("data."+e.Field, e.Value, "a value of type "+e.Type.String())
		}
		return Pack{}, invalid("data", err.Error(), "JSON of a pack")
	}
	if _, err := d.Token(); err != io.EOF {
		return Pack{}, invalid("data", "more than one value", "JSON of a pack")
	}
	m := members{d: json.NewDecoder(bytes.NewReader(data))}
	m.value("")
	if err := errors.Join(m.errs...); err != nil {
		return Pack{}, err
	}
	if err := p.Validate(); err != nil {
		return Pack{}, err
	}
	return p, nil
}

func invalid(field string, value any, want string) error {
	return &checks.InvalidError{Package: "packs", Field: field, Value: value, Want: want}
}

// members looks for unknown and repeated members of objects, which package json accepts.
type members struct {
	d    *json.Decoder
	errs []error
}

// value reads one value of a valid document.
func (m *members) value(path string) {
	t, _ := m.d.Token()
	switch t {
	case json.Delim('{'):
		known := []string{"id", "title", "items", "why", "applies_from"}
		if path == "" {
			known = []string{"id", "title", "version", "checked", "applies_from", "source", "controls"}
		}
		var seen []string
		for m.d.More() {
			t, _ := m.d.Token()
			name, _ := t.(string)
			at := strings.TrimPrefix(path+"."+bounded.Name(name), ".")
			if slices.Contains(known, name) && !slices.Contains(seen, name) {
				seen = append(seen, name)
				m.value(at)
				continue
			}
			if len(m.errs) < maxProblems {
				m.errs = append(m.errs, invalid(at, bounded.Name(name), "each of the members "+strings.Join(known, ", ")+" once"))
			}
			var skipped json.RawMessage
			_ = m.d.Decode(&skipped)
		}
		_, _ = m.d.Token()
	case json.Delim('['):
		for i := 0; m.d.More(); i++ {
			m.value(fmt.Sprintf("%s[%d]", path, i))
		}
		_, _ = m.d.Token()
	}
}

// Validate returns an error that joins one [*checks.InvalidError] for each mistake: a name
// that is empty, too long or occurs twice, a date that is not one.
func (p Pack) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) { errs = append(errs, invalid(field, value, want)) }
	text := func(field, value string) {
		if value == "" || len(value) > maxText || !bounded.Printable(value) {
			bad(field, short(value), "1 to 1024 bytes that print")
		}
	}
	date := func(field, value string) {
		if _, err := time.Parse(day, value); err != nil {
			bad(field, short(value), "a day such as 2026-11-29")
		}
	}
	if p.ID == "" || len(p.ID) > 64 || strings.Trim(p.ID, lower+digits+"-") != "" {
		bad("id", short(p.ID), "1 to 64 lower-case letters, digits and hyphens")
	}
	text("title", p.Title)
	text("version", p.Version)
	text("source", p.Source)
	date("checked", p.Checked)
	if p.AppliesFrom != "" {
		date("applies_from", p.AppliesFrom)
	}
	if n := len(p.Controls); n == 0 || n > maxControls {
		bad("controls", n, "1 to 1000 controls")
		return errors.Join(errs...)
	}
	seen := make(map[string]bool, len(p.Controls))
	for i, c := range p.Controls {
		at := fmt.Sprintf("controls[%d].", i)
		if c.ID == "" || len(c.ID) > 63 || strings.Trim(c.ID, lower+strings.ToUpper(lower)+digits+".-") != "" {
			bad(at+"id", short(c.ID), "1 to 63 letters, digits, dots and hyphens")
		} else if seen[c.ID] {
			bad(at+"id", c.ID, "a different ID for each control")
		}
		seen[c.ID] = true
		text(at+"title", c.Title)
		text(at+"why", c.Why)
		if n := len(c.Items); n == 0 || n > maxItems {
			bad(at+"items", n, "1 to 20 suggestions")
		} else {
			for j, s := range c.Items {
				text(fmt.Sprintf("%sitems[%d]", at, j), s)
			}
		}
		if c.AppliesFrom != "" {
			date(at+"applies_from", c.AppliesFrom)
		}
	}
	return errors.Join(errs...)
}

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	digits = "0123456789"
)

// short is a text in an error.
func short(s string) string { return strings.ToValidUTF8(s[:min(len(s), 80)], "\uFFFD") }
