package analysis

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// held fills the places of a table with light values.
func held(t *valueTable) {
	for i := range heldValues {
		t.number(fmt.Sprintf("light%02d", i))
	}
}

// Space-Saving counts each value with more than a sixteenth of the requests, and errs
// upwards by at most what it says.
func TestContendersAreCounted(t *testing.T) {
	for seed := range uint64(20) {
		var table valueTable
		held(&table)
		rng := rand.New(rand.NewPCG(seed, 1))
		want := map[string]uint32{}
		const n = 20_000
		for range n {
			s := fmt.Sprint("rare", rng.IntN(3000))
			if x := rng.IntN(10); x < 4 {
				s = fmt.Sprint("frequent", x)
			}
			if got := table.number(s); got != otherValue {
				t.Fatalf("%s has the number %d, want the number of the rest", s, got)
			}
			table.contend(s)
			want[s]++
		}
		if table.counted != heldValues {
			t.Fatalf("%d contenders are counted", table.counted)
		}
		sum := uint32(0)
		for s, n := range want {
			i := table.contender(hashOf(s) | 1)
			switch {
			case i < 0 && n > 20_000/heldValues:
				t.Errorf("%s, with %d requests, is not counted", s, n)
			case i >= 0:
				c := table.others[i]
				if n > c.count || n < c.count-c.err {
					t.Errorf("%s has %d requests, counted as %d to %d", s, n, c.count-c.err, c.count)
				}
				sum += c.count
			}
		}
		if sum != n {
			t.Errorf("counts add up to %d, want %d", sum, n)
		}
	}
}

// A value that is surely twice as heavy as the lightest one takes its place, under
// another number; the others keep theirs.
func TestContenderTakesOver(t *testing.T) {
	var v values
	v.on[ByTenant] = true
	table := &v.tables[ByTenant]
	held(table)
	old := table.number("light03")
	counts := new([numValues]uint32)
	for i := 1; i <= heldValues; i++ {
		counts[i] = 100
	}
	counts[old] = 40
	table.settle(counts)
	for i := range 2*40 + valueLead {
		table.contend("heavy")
		if i < 2*40+valueLead-1 {
			table.settle(new([numValues]uint32))
			if table.rising != 0 {
				t.Fatalf("after %d requests it is heavy enough", i+1)
			}
		}
	}
	table.settle(new([numValues]uint32))
	table.contend("light03") // it is held, and contends by mistake: it takes over nothing
	if got := table.number("heavy"); got != otherValue {
		t.Fatalf("heavy has the number %d before its next request", got)
	}
	table.contend("heavy")
	number := table.number("heavy")
	if number&placeMask != old || number == old {
		t.Errorf("heavy has the number %#x, want the place %d under a new number", number, old)
	}
	if got := table.number("light03"); got != otherValue {
		t.Errorf("light03 has the number %d, want the number of the rest", got)
	}
	if _, ok := v.name(ByTenant, old); ok {
		t.Error("the old number still has a name")
	}
	if got, ok := v.name(ByTenant, number); got != "heavy" || !ok {
		t.Errorf("the new number is %q", got)
	}
	for i := range heldValues {
		if n := table.number(fmt.Sprintf("light%02d", i)); i != 3 && n != uint8(i+1) {
			t.Errorf("light%02d has the number %d", i, n)
		}
	}
}

// However many values come, and whatever they are, sixteen are held, and all of them can
// be shown.
func TestValuesAreBounded(t *testing.T) {
	var table valueTable
	bad := []string{"a\x00b", "line\nbreak", strings.Repeat("x", maxLabelLen+1), "\xff", "other"}
	for i := range 5000 {
		for _, s := range bad {
			if n := table.number(s); n != otherValue {
				t.Fatalf("%q has the number %d", s, n)
			}
			table.contend(s) // as the heaviest of all
		}
		table.number(strings.Repeat("y", i%maxLabelLen+1))
		if i%100 == 0 {
			table.settle(new([numValues]uint32))
		}
	}
	x := table.index.Load()
	if len(x.names) != heldValues || table.counted > heldValues {
		t.Errorf("%d values and %d contenders", len(x.names), table.counted)
	}
	for i, s := range x.names {
		if !isLabel(s) || s == otherLabel || x.find(s) != x.numbers[i] {
			t.Errorf("%q is held under %d", s, x.find(s))
		}
	}
	if n := table.number(""); n != emptyValue {
		t.Errorf("no value has the number %d", n)
	}
}

func TestPromptValues(t *testing.T) {
	var v values
	for tokens, want := range map[int]string{-1: "", 0: "", 1: "under 1k tokens", 999: "under 1k tokens", 1000: "under 8k tokens", 7999: "under 8k tokens", 8000: "8k tokens or more", 1 << 40: "8k tokens or more"} {
		if got, ok := v.name(ByPrompt, promptValue(tokens)); got != want || !ok {
			t.Errorf("%d tokens are %q, want %q", tokens, got, want)
		}
	}
}

func BenchmarkValues(b *testing.B) {
	for _, n := range []int{0, 1, 10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var v values
			v.on = [numStrata]bool{true, true, true, true}
			list := []string{""}
			for i := range n {
				if list = append(list, fmt.Sprintf("8f14e45f-ceea-467f-a0e6-%012d", i)); i == 0 {
					list = list[1:]
				}
			}
			model, route := "gpt-oss-120b", "POST /v1/chat/completions"
			if n == 0 {
				model, route = "", ""
			}
			b.ReportAllocs()
			for i := range b.N {
				s := list[i%len(list)]
				x := v.numbers(s, route, model, i)
				v.contend(&x, s, route, model)
			}
		})
	}
}
