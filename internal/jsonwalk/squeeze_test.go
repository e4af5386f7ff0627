package jsonwalk_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/serin-go/serin/internal/jsonwalk"
)

func squeezer() *jsonwalk.Squeezer {
	return &jsonwalk.Squeezer{
		Keep: func(top, name []byte, depth int) bool { return len(name) < 3 },
		Cut:  func(top []byte) int { return 4 },
	}
}

// squeeze feeds document in pieces of n bytes.
func squeeze(document string, n int) string {
	s, in := squeezer(), []byte(document)
	out := in[:0] // in place
	for len(in) > 0 {
		k := min(n, len(in))
		out = s.Feed(out, in[:k])
		in = in[k:]
	}
	return string(s.End(out))
}

func TestSqueezer(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`{}`, `{}`},
		{` { "a" : 1 , "long" : [ 1 , {"a":2} ] , "b" : "x" } `, `{"a":1,"b":"x"}`},
		{`{"long":1}`, `{}`},
		{`{"long":{"a":"}"},"a":"\"]"}`, `{"a":"\"]"}`},
		{`{"a":[1,2.5,-3e7,true,"s",null]}`, `{"a":[0,true,"s",null]}`},
		{`{"a":"abcdefgh"}`, `{"a":"abcd"}`},
		{`{"a":"abc\u00e9gh"}`, `{"a":"abc\u00e9"}`},
		{`{"a":"\\\\\\\\x"}`, `{"a":"\\\\"}`},
		{`{"\u0061":"\u00e9\n"}`, `{"\u0061":"\u00e9"}`},
		{`[[1,2],[3,4],[]]`, `[[0],[0],[]]`},
		{`[{"a":1,"long":2},{"long":3,"b":4}]`, `[{"a":1},{"b":4}]`},
		{`"top"`, `"top"`},
		{`17`, `17`},
		{`null`, `null`},
		{`{"a":1}{"b":2}`, `{"a":1}{"b":2}`},
		{`{"a":NaN}`, `{"a":!`},
		{`{"a":[0.1,NaN]}`, `{"a":[0!`},
		{`{"long":[NaN]}`, `{!`},
		{`{"long":[1,2}`, `{!`},
		{`{"a" 1}`, `{!`},
		{`{"a":1,}`, `{"a":1!`},
		{`{"a":"x`, `{"a":"x`},
		{`{"a":tr`, `{"a":!`},
	} {
		for n := 1; n <= len(tt.in); n++ {
			if got := squeeze(tt.in, n); got != tt.want {
				t.Errorf("%s in pieces of %d: %s, want %s", tt.in, n, got, tt.want)
				break
			}
		}
	}
	deep := strings.Repeat("[", 1000) + strings.Repeat("]", 1000)
	if got := squeeze(deep, 7); json.Valid([]byte(got)) {
		t.Error("a document nested 1,000 deep passes for one that can be read")
	}
}

func TestCursor(t *testing.T) {
	for _, tt := range []struct {
		in         string
		bad, short bool
	}{
		{`{"a":[1,2,{"b":null}],"c":"\"","d":-0.5e+7}`, false, false},
		{`[]`, false, false}, {`"x"`, false, false}, {`0`, false, false}, {`[{},[]]`, false, false},
		{`{"a":1`, true, true}, {`{"a"`, true, true}, {`"x`, true, true}, {`[1,`, true, true}, {`tru`, true, true}, {`{`, true, true}, {``, true, true}, {`[-`, true, true}, {`1.`, true, true},
		{`{"a":1,}`, true, false}, {`[1 2]`, true, false}, {`[1}`, true, false}, {`{"a":NaN}`, true, false}, {`[01]`, true, false},
		{`[+1]`, true, false}, {`[.5]`, true, false}, {`{a:1}`, true, false}, {`nul,`, true, false}, {`[,1]`, true, false}, {`<html>`, true, false},
	} {
		c := jsonwalk.Cursor{B: []byte(tt.in)}
		c.Skip()
		if c.Bad != tt.bad || c.Short != tt.short {
			t.Errorf("%s: bad %t, short %t; want %t, %t", tt.in, c.Bad, c.Short, tt.bad, tt.short)
		}
	}
	for in, want := range map[string]int{`3`: 3, `3.0`: 3, `3e0`: 3, `30e-1`: 3, `-5`: -1, `3.5`: -1, `1e300`: -1, `"3"`: -1, `null`: -1, `2e12`: -1, `99999999999999999999`: -1} {
		c := jsonwalk.Cursor{B: []byte(in)}
		if n, ok := c.Number(); ok != (want >= 0) || ok && n != want {
			t.Errorf("%s is %d, %t; want %d", in, n, ok, want)
		}
	}
}

// FuzzSkip compares what the cursor takes for a document with encoding/json.
func FuzzSkip(f *testing.F) {
	for _, s := range []string{`{"a":[1,2,{"b":null}]}`, `[1,]`, `{"a":NaN}`, `"\u00e9"`, `[[[]]]`, `{"a":1}x`} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, in []byte, n int) {
		c := jsonwalk.Cursor{B: in}
		c.Skip()
		c.Peek()
		good := !c.Bad && c.I == len(in)
		if json.Valid(in) && !good && !deep(in) {
			t.Fatalf("valid, and refused: %q", in)
		}
		if n < 1 {
			return
		}
		out := []byte(squeeze(string(in), n))
		if len(out) > len(in) {
			t.Fatalf("%q grew to %q", in, out)
		}
		if json.Valid(in) && !json.Valid(out) && !deep(in) {
			t.Fatalf("%q became %q", in, out)
		}
	})
}

// deep reports whether a document may be nested too deep.
func deep(in []byte) bool {
	return strings.Count(string(in), "[")+strings.Count(string(in), "{") > 256
}
