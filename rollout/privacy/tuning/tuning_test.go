package tuning_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/privacy"
	"github.com/serin-go/serin/rollout/privacy/tuning"
)

func TestK(t *testing.T) {
	rows := [][]string{{"1010", "34"}, {"1010", "34"}, {"1010", "35"}, {"1020", "35"}}
	decade := func(r []string) []string { return []string{r[0], r[1][:1] + "0s"} }
	zip2 := func(r []string) []string { return []string{r[0][:2], r[1]} }
	each := func(rows [][]string, f func([]string) []string) (out [][]string) {
		for _, r := range rows {
			out = append(out, f(r))
		}
		return out
	}
	decades := each(rows, decade)
	for i, tt := range []struct {
		rows [][]string
		want int
	}{{nil, 0}, {rows, 1}, {decades, 1}, {each(decades, zip2), 4}, {[][]string{{"a", "b"}, {"a\",\"b"}}, 1}} {
		if got := tuning.K(tt.rows); got != tt.want {
			t.Errorf("%d: k = %d, want %d", i, got, tt.want)
		}
	}
}

// config consents for everyone but bob.
func config(t *testing.T) tuning.Config {
	t.Helper()
	r, err1 := privacy.NewRedactor(privacy.Config{})
	p, err2 := privacy.NewPseudonyms(privacy.PseudonymKey{ID: "k1", Secret: []byte("0123456789abcdef0123456789abcdef")})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return tuning.Config{Purpose: "tuning", Redactor: r, Pseudonyms: p, Consent: func(_ context.Context, person, purpose string) (string, error) {
		if person == "bob" || purpose != "tuning" {
			return "", nil
		}
		return "consent-" + purpose, nil
	}}
}

func write(t *testing.T, c tuning.Config, rows ...tuning.Feedback) (tuning.Export, []tuning.Example, error) {
	t.Helper()
	e, err := tuning.New(c)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	x, err := e.Write(t.Context(), &b, all(rows))
	var lines []tuning.Example
	for line := range bytes.Lines(b.Bytes()) {
		var l tuning.Example
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	if err == nil && x.Sum != fmt.Sprintf("sha256:%x", sha256.Sum256(b.Bytes())) {
		t.Errorf("the sum is %s", x.Sum)
	}
	return x, lines, err
}

func all(rows []tuning.Feedback) iter.Seq2[tuning.Feedback, error] {
	return func(yield func(tuning.Feedback, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func TestExport(t *testing.T) {
	c := config(t)
	led, err := ledger.Open(t.Context(), ledger.Config{Store: new(memstore.Store)})
	if err != nil {
		t.Fatal(err)
	}
	defer led.Close()
	c.Notes = led.Notebook(rollout.Actor{Name: "service"})
	c.Erased = func(_ context.Context, person string) (privacy.Tombstone, bool, error) {
		return privacy.Tombstone{}, person == "carol", nil
	}
	long := "Why is the sky blue in the day, and why is it red in the evening when the sun goes down behind the hills?"
	x, lines, err := write(t, c,
		tuning.Feedback{Person: "alice", Tenant: "a", Request: "r1", Version: "1.5.0", Rating: 1, Prompt: "I am alice, alice@example.com", Answer: "Hello, alice"},
		tuning.Feedback{Person: "bob", Tenant: "a", Request: "r2", Prompt: "no consent", Answer: "x"},
		tuning.Feedback{Person: "carol", Tenant: "a", Request: "r3", Prompt: "erased", Answer: "x"},
		tuning.Feedback{Person: "dave", Tenant: "a", Request: "r4", Version: "1.5.0", Prompt: long, Answer: "It is scattered."},
		tuning.Feedback{Person: "erin", Tenant: "a", Request: "r5", Version: "1.5.0", Prompt: strings.ToUpper(long) + "!!", Answer: "It is scattered"},
		tuning.Feedback{Person: "alice", Tenant: "b", Request: "r6", Version: "1.4.0", Prompt: "something else entirely", Answer: "yes"},
	)
	if err != nil || x.Written != 3 || x.NoConsent != 1 || x.Erased != 1 || x.Duplicates != 1 || x.Suppressed != 0 || len(lines) != 3 {
		t.Fatalf("%+v, %v", x, err)
	}
	want := tuning.Example{Person: c.Pseudonyms.Of("a", "alice"), Request: "r1", Version: "1.5.0", Rating: 1, Prompt: "I am [PERSON], [EMAIL]",
		Answer: "Hello, [PERSON]", Consent: "consent-tuning", Redactor: c.Redactor.Digest()}
	if fmt.Sprint(lines[0]) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", lines[0], want)
	}
	if lines[0].Person == lines[2].Person {
		t.Error("two tenants have one pseudonym")
	}
	var noted []string
	err = c.Notes.Notes(t.Context(), 0, func(_ uint64, name string, what json.RawMessage) error {
		noted = append(noted, name+string(what))
		return nil
	})
	if err != nil || len(noted) != 1 || !strings.Contains(noted[0], x.Sum) {
		t.Errorf("noted: %q, %v", noted, err)
	}
}

// TestExportIsAnonymous: small groups are generalised, and left out at the end.
func TestExportIsAnonymous(t *testing.T) {
	c := config(t)
	c.K = 3
	c.Quasi = []tuning.Quasi{
		{Name: "age", Levels: []func(string) string{func(v string) string { return v[:1] + "0s" }}},
		{Name: "zip", Levels: []func(string) string{func(v string) string { return v }, func(v string) string { return v[:2] }}},
	}
	row := func(person, zip, age string) tuning.Feedback {
		return tuning.Feedback{Person: person, Prompt: fmt.Sprintf("% x", sha256.Sum256([]byte(person+zip))), Characteristics: map[string]string{"zip": zip, "age": age, "shoe size": "42"}}
	}
	rows := []tuning.Feedback{
		row("p1", "1010", "34"), row("p2", "1010", "34"), row("p3", "1010", "34"), // as they are
		row("p4", "1020", "35"), row("p5", "1020", "36"), row("p6", "1020", "37"), // by decades
		row("p7", "2010", "41"), row("p8", "2020", "42"), row("p9", "2030", "43"), // by two digits, too
		row("q1", "9999", "99"), row("q1", "9998", "98"), row("q1", "9997", "97"), // one person
	}
	x, lines, err := write(t, c, rows...)
	if err != nil || x.Written != 9 || x.Suppressed != 3 || x.K != 3 {
		t.Fatalf("%+v, %v", x, err)
	}
	var table [][]string
	for _, l := range lines {
		if len(l.Characteristics) != 2 {
			t.Errorf("%v; want only what is listed", l.Characteristics)
		}
		table = append(table, []string{l.Characteristics["zip"], l.Characteristics["age"]})
	}
	if k := tuning.K(table); k != 3 {
		t.Errorf("k = %d of %v", k, table)
	}
	for _, want := range [][]string{{"1010", "34"}, {"1020", "30s"}, {"20", "40s"}} {
		if !slices.ContainsFunc(table, func(r []string) bool { return slices.Equal(r, want) }) {
			t.Errorf("no row %v in %v", want, table)
		}
	}
	// Values that are the same text once they are joined are not alike.
	two := config(t)
	two.K, two.Quasi = 2, []tuning.Quasi{{Name: "zip"}, {Name: "age"}}
	if x, _, err := write(t, two, row("p1", "1\x00", "2"), row("p2", "1", "\x002")); err != nil || x.Written != 0 || x.Suppressed != 2 {
		t.Errorf("%+v, %v; want two rows that are suppressed", x, err)
	}
	if rows[3].Characteristics["age"] != "35" {
		t.Error("the rows of the caller have changed")
	}
	// A consent that is withdrawn between reading and writing makes the group too small.
	asked := 0
	c.Consent = func(_ context.Context, person, _ string) (string, error) {
		if person == "p1" {
			if asked++; asked > 1 {
				return "", nil
			}
		}
		return "yes", nil
	}
	if x, lines, err := write(t, c, rows...); err == nil || slices.ContainsFunc(lines, func(l tuning.Example) bool { return l.Person == c.Pseudonyms.Of("", "p1") }) {
		t.Errorf("%+v, %v; want an error, and no line of p1", x, err)
	}
}

func TestExportErrors(t *testing.T) {
	down := errors.New("down")
	row := tuning.Feedback{Person: "alice", Prompt: "x"}
	for name, change := range map[string]func(*tuning.Config){
		"consent": func(c *tuning.Config) {
			c.Consent = func(context.Context, string, string) (string, error) { return "yes", down }
		},
		"erased": func(c *tuning.Config) {
			c.Erased = func(context.Context, string) (privacy.Tombstone, bool, error) {
				return privacy.Tombstone{}, false, down
			}
		},
	} {
		c := config(t)
		change(&c)
		if x, lines, err := write(t, c, row); !errors.Is(err, down) || len(lines) > 0 {
			t.Errorf("%s: %+v, %v", name, x, err)
		}
	}
	e, err := tuning.New(config(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Write(t.Context(), &bytes.Buffer{}, func(yield func(tuning.Feedback, error) bool) { yield(row, down) }); !errors.Is(err, down) {
		t.Errorf("rows: %v", err)
	}
	if _, err := e.Write(t.Context(), full{down}, all([]tuning.Feedback{row})); !errors.Is(err, down) {
		t.Errorf("writer: %v", err)
	}
	_, err = tuning.New(tuning.Config{K: 1, Quasi: []tuning.Quasi{{Name: "zip", Levels: []func(string) string{nil}}, {Name: "zip"}}})
	var fields []string
	for e := range checks.Invalid(err) {
		fields = append(fields, e.Field)
	}
	slices.Sort(fields)
	if want := []string{"Config.Consent", "Config.K", "Config.Pseudonyms", "Config.Purpose", "Config.Quasi[0].Levels[0]", "Config.Quasi[1].Name", "Config.Redactor"}; !slices.Equal(fields, want) {
		t.Errorf("%q, want %q", fields, want)
	}
}

type full struct{ err error }

func (f full) Write([]byte) (int, error) { return 0, f.err }
