package analysis

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// corrupt replaces one value in v, which is decoded JSON, by an odd one: it goes
// down at random until it finds one without parts.
func corrupt(v any, rng *rand.Rand) any {
	switch v := v.(type) {
	case map[string]any:
		if n := len(v); n > 0 && rng.IntN(20) > 0 {
			stop := rng.IntN(n)
			for key := range v {
				if stop--; stop < 0 {
					v[key] = corrupt(v[key], rng)
					return v
				}
			}
		}
	case []any:
		if n := len(v); n > 0 && rng.IntN(10) > 0 {
			i := rng.IntN(n)
			v[i] = corrupt(v[i], rng)
			return v
		} else if n > 0 {
			return v[:rng.IntN(n)]
		}
	case float64:
		return []any{0.0, -1.0, 1.0, -v, min(max(v*1e12, -1e300), 1e300), v / 1e12, 1e300, -1e300, 1e18, 4.9e-324}[rng.IntN(10)]
	case string:
		return []any{"", "AQ==", v + v, "\u0000"}[rng.IntN(4)]
	}
	return nil
}

// Whatever evidence is read from a store, using it is an error or gives
// something that can be stored again; it never panics, and corrupt numbers do
// not hang it.
func TestCorruptEvidence(t *testing.T) {
	c, l := compare(t, mergePlan), newLoad(1, 0.5)
	l.run(c, 1500)
	good, err := json.Marshal(c.Evidence())
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1e9, 0)
	encode := func(what string, v any) {
		if _, err := json.Marshal(v); err != nil {
			t.Errorf("no JSON of %s: %v", what, err)
		}
	}
	used := 0
	for seed := range 20 * uint64(*runs) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var tree any
		if err := json.Unmarshal(good, &tree); err != nil {
			t.Fatal(err)
		}
		for range 1 + rng.IntN(3) {
			tree = corrupt(tree, rng)
		}
		bad, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		var e Evidence
		if json.Unmarshal(bad, &e) != nil {
			continue
		}
		e.Plan = c.digest // or everything is refused for the same reason
		judged, err := mergePlan.Judge(e, at)
		if err != nil {
			continue
		}
		used++
		encode("the judgement", judged)
		merged, err := mergePlan.Merge(e, e)
		if err == nil {
			encode("the sum", merged.KeepPeaks(e))
		} else if got := invalidFields(err); len(got) == 0 || !strings.HasPrefix(got[0], "Evidence.Tests") { // what a judgement does not need
			t.Errorf("judged, but not merged: %v", err)
		}
		fresh := compare(t, mergePlan)
		if fresh.Restore(e) == nil {
			encode("what followed", sideBySide(fresh, 30, -1, always(ok(time.Second/10)), always(ok(time.Second/10))))
			encode("its evidence", fresh.Evidence())
		}
		if w, err := fresh.r.Monitor(cand, e); err == nil {
			feed(fresh, cand, 3, ok(time.Second))
			encode("the monitor", w.Look(at))
			encode("its state", w.State())
		}
		if t.Failed() {
			t.Fatalf("seed %d: %s", seed, bad)
		}
	}
	if used < 2**runs {
		t.Errorf("only %d of %d corruptions are used at all; the test is no test", used, 20**runs)
	}
}
