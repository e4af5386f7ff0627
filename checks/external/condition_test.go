package external

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestConditions(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, tt := range []struct {
		text   string
		values []float64
		want   bool
	}{
		{"result[0] >= 0.95", []float64{0.95}, true},
		{"result[0] >= 0.95", []float64{0.9499}, false},
		{"result[1] < 2e3", []float64{9e9, 1999}, true},
		{"result < -1.5", []float64{-2}, true},
		{"result<=.5e-1", []float64{0.05}, true},
		{"result == 1 || result == 2", []float64{2}, true},
		{"result != 1 && result != 2", []float64{2}, false},
		{"result > 1 && result < 3 || result == 9", []float64{9}, true},
		{"result == 9 || result > 1 && result < 3", []float64{2}, true},
		{"(result == 9 || result > 1) && result < 3", []float64{9}, false},
		{"!(result > 1)", []float64{1}, true},
		{"!!(result > 1)", []float64{1}, false},
		{"len(result) == 0", nil, true},
		{"len(result) > 0 && result[0] > 5", nil, false}, // the second is not looked at
		{"len(result) == 0 || result[0] > 5", nil, true},
		{"isNaN(result[0])", []float64{nan}, true},
		{"isNaN(result) || result > 3", []float64{4}, true},
		{"isInf(result)", []float64{-inf}, true},
		{"result > 3", []float64{nan}, false},
		{"result <= 3", []float64{nan}, false},
		{"result != 3", []float64{nan}, true},
		{"all(result, # < 5)", []float64{1, 2, 3}, true},
		{"all(result, # < 5)", []float64{1, 6, 3}, false},
		{"all(result, {# < 5 && # > 0})", []float64{1, 2}, true},
		{"any(result, # >= 5)", []float64{1, 6, 3}, true},
		{"any(result, # >= result[0])", []float64{1}, true},
		{"all(result, isNaN(#))", nil, true},
		{"any(result, true)", nil, false},
		{"default(result[0], 0) < 1", nil, true},
		{"default(result, 7) == 7", []float64{nan}, true},
		{"default(result, 7) == 3", []float64{3}, true},
		{"asFloat(result[0]) >= 0.5 && asInt(result[0]) == 0", []float64{0.7}, true},
		{"true", nil, true},
		{"false", nil, false},
		{"1 < 2", nil, true},
	} {
		c, err := ParseCondition(tt.text)
		if err != nil {
			t.Error(err)
			continue
		}
		if got, err := c.Holds(tt.values); err != nil || got != tt.want {
			t.Errorf("%q of %v: %v, %v, want %v", tt.text, tt.values, got, err, tt.want)
		}
	}
}

func TestConditionsWithoutValues(t *testing.T) {
	for _, tt := range []struct {
		text   string
		values []float64
	}{
		{"result[0] > 1", nil},
		{"result[2] > 1", []float64{1, 2}},
		{"result > 1", []float64{1, 2}},
		{"1 < result", nil},
		{"!(result[0] > 1)", nil},
		{"all(result, # < result[5])", []float64{1}},
	} {
		if _, err := MustCondition(tt.text).Holds(tt.values); !errors.Is(err, errNoValue) {
			t.Errorf("%q of %v: %v, want %v", tt.text, tt.values, err, errNoValue)
		}
	}
	if b, err := (Condition{}).Holds([]float64{1}); b || err != nil {
		t.Errorf("the zero condition: %v, %v", b, err)
	}
}

func TestConditionErrors(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"result[0]", "want =="},
		{"result[0] >", "have the end, want a number"},
		{"result[0] > 1 2", `have "2", want &&, || or the end`},
		{"result[-1] > 1", "an index from 0"},
		{"result[0 > 1", `want "]"`},
		{"# > 1", "# only inside all or any"},
		{"all(result, any(result, # > 1))", "no nested all or any"},
		{"all(result, # > 1", `want ")"`},
		{"all(result, {# > 1)", `want "}"`},
		{"all(values, # > 1)", `want "result"`},
		{"result > 1 &&", "want a number"},
		{"result > 1e999", "want a number"},
		{"foo > 1", "want a number"},
		{"(result > 1", `want ")"`},
		{"isNaN(", "want a number"},
		{"default(result[0]) > 1", `want ","`},
		{"result > '1'", "want a number"},
		{"höher > 1", "want a number"},
		{strings.Repeat("(", 5000), "want at most 1,000 bytes"},
		{strings.Repeat("!", 500) + "true", "less nesting"},
		{strings.Repeat("-", 500) + "1 > 2", "less nesting"},
	} {
		_, err := ParseCondition(tt.text)
		var ce *ConditionError
		if !errors.As(err, &ce) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.40q: %v, want %q in it", tt.text, err, tt.want)
		}
	}
	if c, err := ParseCondition("  "); err != nil || !c.IsZero() {
		t.Errorf("no text: %v, %v", c, err)
	}
	defer func() {
		if recover() == nil {
			t.Error("MustCondition did not panic")
		}
	}()
	MustCondition("?")
}

func FuzzParseCondition(f *testing.F) {
	for _, s := range []string{"result[0] >= 0.95", "all(result, {# < 5})", "!(len(result) > 0 && isNaN(result[0]))", "default(result,-1.5e-3)==.5", "any(result, #!=asInt(1))"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCondition(text)
		if err != nil {
			_ = err.Error() // it quotes the text, and must be able to
			return
		}
		for _, values := range [][]float64{nil, {1}, {math.NaN(), math.Inf(-1)}} {
			first, err := c.Holds(values)
			again, err2 := MustCondition(c.String()).Holds(values)
			if first != again || (err == nil) != (err2 == nil) {
				t.Fatalf("%q of %v: %v, %v and then %v, %v", text, values, first, err, again, err2)
			}
		}
	})
}
