package checks_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/serin-go/serin/checks"
)

func TestInvalidErrorQuotesWhatDoesNotShow(t *testing.T) {
	for _, c := range []struct {
		value any
		want  string
	}{
		{7, "p: F is 7, want w"},
		{nil, "p: F is <nil>, want w"},
		{"", `p: F is "", want w`},
		{"plain words", "p: F is plain words, want w"},
		{`"quoted"`, `p: F is "quoted", want w`},
		{`{A:"x"}`, `p: F is {A:"x"}, want w`},
		{"a\nb", `p: F is "a\nb", want w`},
		{"\x1b[2J", `p: F is "\x1b[2J", want w`},
	} {
		if got := (&checks.InvalidError{Package: "p", Field: "F", Value: c.value, Want: "w"}).Error(); got != c.want {
			t.Errorf("%#v: %s\nwant %s", c.value, got, c.want)
		}
	}
}

func fields(err error) (all []string) {
	for e := range checks.Invalid(err) {
		all = append(all, e.Package+" "+e.Field)
	}
	return all
}

func TestInvalidWalksWhatIsJoinedAndWrapped(t *testing.T) {
	a, b, c := &checks.InvalidError{Package: "p", Field: "A"}, &checks.InvalidError{Package: "p", Field: "B"}, &checks.InvalidError{Package: "q", Field: "C"}
	err := errors.Join(a, errors.New("no field"), fmt.Errorf("in between: %w", errors.Join(b, fmt.Errorf("%w and %w", c, a))))
	if got, want := fields(err), []string{"p A", "p B", "q C", "p A"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for e := range checks.Invalid(err) {
		if e.Field == "B" {
			break
		}
	}
	if got := fields(nil); got != nil {
		t.Errorf("nil holds %q", got)
	}
}

func TestWithinNamesThePathOnce(t *testing.T) {
	other := errors.New("no field")
	err := checks.Within(errors.Join(
		&checks.InvalidError{Package: "p", Field: "Split.Arms[0]", Value: 3, Want: "w"},
		fmt.Errorf("p: %w", &checks.InvalidError{Package: "p", Field: "Size"}),
		other,
	), "q", "Split", "Plan.Stages[1].Split")
	if got, want := fields(err), []string{"q Plan.Stages[1].Split.Arms[0]", "q Plan.Stages[1].Split.Size"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if !errors.Is(err, other) {
		t.Error("an error without a field is lost")
	}
	if checks.Within(nil, "q", "", "Plan") != nil {
		t.Error("nil became an error")
	}
}

func TestInvalidErrorHidesPasswords(t *testing.T) {
	for value, want := range map[string]string{
		"http://user:hunter2@h?x":     "p: F is http://xxxxx@h?x, want w",
		`"https://user:hunter2@h/v1"`: `p: F is "https://xxxxx@h/v1", want w`,
		"http://h/a@b":                "p: F is http://h/a@b, want w",
	} {
		if got := (&checks.InvalidError{Package: "p", Field: "F", Value: value, Want: "w"}).Error(); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	if got := (&checks.InvalidError{Package: "p", Field: "F", Value: "a\"b\nc\x1b[31m", Want: "w"}).Error(); got != `p: F is "a\"b\nc\x1b[31m", want w` {
		t.Errorf("%q", got)
	}
}

func TestWithinKeepsWhatIsWrapped(t *testing.T) {
	a, b := &checks.InvalidError{Package: "p", Field: "Splitter.X"}, &checks.InvalidError{Package: "p", Field: "[3].Name"}
	err := checks.Within(fmt.Errorf("in between: %w", errors.Join(a, b)), "q", "Split", "Plan")
	if got, want := fields(err), []string{"q Plan.Splitter.X", "q Plan[3].Name"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
