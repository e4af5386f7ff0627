package corpus

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// label returns what must be the same for a row and its mutations.
func label(r Row) Row {
	r.Name, r.Header, r.Chunks, r.After = "", nil, nil, nil
	return r
}

// delivered returns the bytes that are sent before the answer ends early.
func delivered(r Row) []byte {
	if r.After != nil {
		r.Chunks = r.Chunks[:r.After.Chunk+1]
	}
	return r.Body()
}

func TestMutations(t *testing.T) {
	counts := map[string]int{}
	for i, r := range Rows() {
		before, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		ms := Mutations(r, rand.New(rand.NewPCG(1, uint64(i))))
		if again := Mutations(r, rand.New(rand.NewPCG(1, uint64(i)))); !reflect.DeepEqual(ms, again) {
			t.Errorf("%s: equal random numbers gave other mutations", r.Name)
		}
		if after, _ := json.Marshal(r); !bytes.Equal(before, after) {
			t.Errorf("%s was changed", r.Name)
		}
		if len(ms) == 0 && len(r.Header) > 0 {
			t.Errorf("%s: no mutations", r.Name)
		}
		names := map[string]bool{}
		for _, m := range ms {
			what, ok := strings.CutPrefix(m.Name, r.Name+": ")
			if !ok || names[what] {
				t.Errorf("name %q of a mutation of %q", m.Name, r.Name)
			}
			names[what] = true
			counts[what]++
			if !reflect.DeepEqual(label(m), label(r)) {
				t.Errorf("%s: another label or request", m.Name)
			}
			want, got := r.HTTPHeader(), m.HTTPHeader()
			switch what {
			case "member order", "white space":
				if !sameJSON(t, r.Body(), m.Body()) {
					t.Errorf("%s: body %s, was %s", m.Name, m.Body(), r.Body())
				}
				if l := got.Get("Content-Length"); l != "" && l != strconv.Itoa(len(m.Body())) {
					t.Errorf("%s: Content-Length %s of %d bytes", m.Name, l, len(m.Body()))
				}
				want.Del("Content-Length")
				got.Del("Content-Length")
			default:
				if !bytes.Equal(r.Body(), m.Body()) || !bytes.Equal(delivered(r), delivered(m)) {
					t.Errorf("%s: another body", m.Name)
				}
			}
			if what == "charset" {
				if c := got.Get("Content-Type"); !strings.HasPrefix(c, want.Get("Content-Type")+";") {
					t.Errorf("%s: Content-Type %q", m.Name, c)
				}
				want.Del("Content-Type")
				got.Del("Content-Type")
			}
			if !reflect.DeepEqual(want, got) {
				t.Errorf("%s: header %v, was %v", m.Name, got, want)
			}
			if (r.After == nil) != (m.After == nil) || r.After != nil && (m.After.What != r.After.What || m.After.Chunk >= len(m.Chunks)) {
				t.Errorf("%s: after %+v, was %+v", m.Name, m.After, r.After)
			}
		}
	}
	for _, what := range []string{"random chunks", "one chunk", "byte chunks", "header case", "charset", "member order", "white space"} {
		if counts[what] < 100 {
			t.Errorf("%d mutations are %s", counts[what], what)
		}
		t.Logf("%-14s%5d", what, counts[what])
	}
}

// sameJSON reports whether two documents have the same values, numbers compared
// as they are written.
func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var vs [2]any
	for i, doc := range [][]byte{a, b} {
		d := json.NewDecoder(bytes.NewReader(doc))
		d.UseNumber()
		if err := d.Decode(&vs[i]); err != nil {
			t.Errorf("%v in %s", err, doc)
		}
	}
	return reflect.DeepEqual(vs[0], vs[1])
}

func TestShuffle(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for in, ok := range map[string]bool{
		`{"a":1,"b":[1,{"c":","}]}`:       true,
		" {\n\"\\u0061\" : 1 , \"b\":2 }": true,
		`{"a":1,"a":2}`:                   false,
		`{"a":1,"\u0061":2}`:              false,
		`{"a":1}`:                         false,
		`{}`:                              false,
		`[1,2]`:                           false,
		`3`:                               false,
	} {
		out, got := shuffle([]byte(in), rng)
		if got != ok || ok && !sameJSON(t, []byte(in), out) {
			t.Errorf("%s: %s, %v", in, out, got)
		}
	}
	orders := map[string]bool{}
	for range 100 {
		out, _ := shuffle([]byte(`{"a":1,"b":2,"c":3}`), rng)
		orders[string(out)] = true
	}
	if len(orders) != 6 {
		t.Errorf("%d orders of three members in 100 attempts", len(orders))
	}
}

func TestSpread(t *testing.T) {
	in := []byte(`{"a\"{":"x\\","b":[1,-2.5e3,true,null,"[,]"]}`)
	for i := range 100 {
		if out := spread(in, rand.New(rand.NewPCG(2, uint64(i)))); !sameJSON(t, in, out) {
			t.Errorf("%s", out)
		}
	}
}
