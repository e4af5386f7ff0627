package analysis

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tenants names one of ten tenants; the candidate fails the first one more often.
func (l *load) tenants(bad float64) func(int) Observation {
	return func(int) Observation {
		n := l.rng.IntN(10)
		errors := l.errors[cand]
		if n == 0 {
			l.errors[cand] = bad
		}
		o := l.next()
		l.errors[cand] = errors
		o.Tenant = "tenant" + strconv.Itoa(n)
		return o
	}
}

func harmedStrata(j Judgement) (names []string) {
	for _, s := range j.Strata {
		if s.Verdict == Harmed {
			names = append(names, s.Kind.String()+" "+s.Value)
		}
	}
	return names
}

// A candidate that is no worse for any of ten tenants is named for one no more often than
// promised, and the whole and its parts together stay within it.
func TestEqualTenantsAreNotNamed(t *testing.T) {
	n := *runs
	named, harmed := 0, 0
	for seed := range n {
		c, l := compare(t, Plan{}), newLoad(uint64(seed), .5)
		l.second = 100
		j := l.play(c, 4000, l.tenants(.01), func(j Judgement) bool { return j.Verdict == Harmed })
		if len(harmedStrata(j)) > 0 {
			named++
		}
		if j.Verdict == Harmed {
			harmed++
		}
	}
	t.Logf("of %d rollouts %d name a tenant, %d are harmed", n, named, harmed)
	limit := .05 + 3*math.Sqrt(.05*.95/float64(n))
	if float64(named) > limit*float64(n) || float64(harmed) > limit*float64(n) {
		t.Errorf("of %d rollouts %d name a tenant, %d are harmed, want at most %.3f", n, named, harmed, limit)
	}
}

// What is worse for one tenant is found there, and it is said of no other.
func TestOneTenantIsNamed(t *testing.T) {
	found := 0
	for seed := range 10 {
		c, l := compare(t, Plan{}), newLoad(uint64(seed), .5)
		l.play(c, 200, l.tenants(.01), nil)
		j := l.play(c, 6000, l.tenants(.2), func(j Judgement) bool { return len(harmedStrata(j)) > 0 })
		names := harmedStrata(j)
		if diff := differences([]string{"tenant tenant0"}, names); len(names) > 0 && diff != "" {
			t.Errorf("named (-want +got):\n%s", diff)
		}
		if len(names) == 0 {
			continue
		}
		found++
		s := c.Evidence().Strata[0]
		want := fmt.Sprintf("worse for tenant tenant0: %s: ", s.Metric)
		if !j.harmShown() && (!strings.HasPrefix(j.Reason, want) || !strings.Contains(j.Reason, fmt.Sprintf(" of %s assigned against ", thousands(s.Assigned[1])))) {
			t.Errorf("%s, want %s", j.Reason, want)
		}
		if seed == 0 {
			t.Log(j.Reason)
		}
		for _, f := range j.Strata {
			if min(f.Baseline, f.Candidate) == 0 || f.Harm.Limit < 40 {
				t.Errorf("%+v", f)
			}
		}
		if _, err := json.Marshal(j); err != nil {
			t.Error(err)
		}
	}
	if found < 8 {
		t.Errorf("named in %d of 10 rollouts", found)
	}
}

// Where all requests have the same properties nothing is compared apart, and the whole
// has all the risk: every judgement is what it is without strata.
func TestOneValueChangesNothing(t *testing.T) {
	for _, errors := range []float64{.01, .05} {
		var last [2]Judgement
		for i, p := range []Plan{{}, {Strata: []Stratum{}}} {
			c, l := compare(t, p), newLoad(1, .5)
			l.errors[cand] = errors
			last[i] = l.play(c, 1500, func(int) Observation {
				o := l.next()
				o.Tenant, o.Route, o.Model = "acme", "POST /v1/chat/completions", "gpt-oss-120b"
				return o
			}, nil)
			if e := c.Evidence(); len(e.Strata) > 0 || c.tests.strata.divided {
				t.Errorf("strata: %v", e.Strata)
			}
			c.tests.strata.all(func(x *stratum) { t.Errorf("%s %q has a state of its own", x.kind, x.value) })
		}
		if diff := differences(last[1], last[0]); diff != "" {
			t.Errorf("with one value of each kind (-without strata +with):\n%s", diff)
		}
	}
}

// The whole gives up half of its e-value when a second value has been assigned often
// enough, whatever became of the requests.
func TestWholeIsDividedByAssignments(t *testing.T) {
	for _, errors := range []float64{0, .2} {
		c, l := compare(t, Plan{Breakers: []Breaker{}}), newLoad(1, .5)
		l.errors[base], l.errors[cand] = errors, errors
		at := -1
		seen := 0
		for i := range 200 {
			tenant := "acme"
			if i%5 == 4 {
				tenant, seen = "umbrella", seen+1
			}
			l.second = 1
			l.play(c, 1, func(int) Observation { o := l.next(); o.Tenant = tenant; return o }, nil)
			if c.tests.strata.divided && at < 0 {
				at = seen
			}
		}
		if at != minStratum {
			t.Errorf("with %v errors it is divided after %d requests of the second value, want %d", errors, at, minStratum)
		}
		sum := c.tests.strata.left
		c.tests.strata.all(func(x *stratum) { sum += x.weight })
		if !(c.tests.strata.left > 0 && sum <= 1+1e-9) {
			t.Errorf("parts add up to %v, with %v left", sum, c.tests.strata.left)
		}
	}
}

// A burst of errors of one tenant is no harm, and errors that last are.
func TestStratumNeedsLastingHarm(t *testing.T) {
	for _, tt := range []struct {
		name        string
		from, until int
		bad         float64
		want        bool
	}{{"one second", 20, 21, .6, false}, {"for good", 2, 60, .1, true}} {
		c, l := compare(t, Plan{Breakers: []Breaker{}}), newLoad(3, .5)
		l.second = 200
		named := false
		for second := range 60 {
			bad := .01
			if second >= tt.from && second < tt.until {
				bad = tt.bad
			}
			j := l.play(c, l.second, l.tenants(bad), nil)
			named = named || len(harmedStrata(j)) > 0
		}
		if named != tt.want {
			t.Errorf("%s: named is %t", tt.name, named)
		}
	}
}

// A value that takes over the place of another one has tests of its own, and requests of
// the other one do not count in them.
func TestTakenPlaceBeginsAgain(t *testing.T) {
	c := even(t, compare(t, Plan{Strata: []Stratum{ByTenant}, Breakers: []Breaker{}}))
	at := time.Unix(1e9, 0)
	begin := func(i int, tenant string) Flight {
		arm := base
		if i%2 == 1 {
			arm = cand
		}
		return c.r.Begin(Assigned{Arm: arm, Unit: tenant + strconv.Itoa(i), Tenant: tenant, At: at})
	}
	look := func() { at = at.Add(time.Second); c.Judge(at) }
	var late []Flight // of a value that loses its place
	for i := range 40 {
		for k := range heldValues {
			switch {
			case k > 0:
				begin(i, "light"+strconv.Itoa(k)).Done(Observation{Class: OK, At: at, Latency: time.Millisecond})
			case i%4 == 0: // the lightest of all
				late = append(late, begin(i, "light0"))
			}
		}
		if i%10 == 9 {
			look()
		}
	}
	for range 5 {
		for i := range 200 {
			begin(i, "heavy").Done(Observation{Class: OK, At: at, Latency: time.Millisecond})
		}
		look()
	}
	place := -1
	for i, name := range c.r.values.tables[ByTenant].index.Load().names {
		if name == "heavy" {
			place = i + 1
		}
	}
	if place < 0 {
		t.Fatal("heavy has not taken over a place")
	}
	x := c.tests.strata.list[ByTenant][place]
	if x == nil || x.value != "heavy" || x.size() == 0 || x.size() > 1000 {
		t.Fatalf("the place has %+v", x)
	}
	if place != 1 {
		t.Fatalf("heavy has place %d, want 1, which the lightest had", place)
	}
	for _, f := range late {
		f.Done(Observation{Class: Error, At: at, Latency: time.Second})
	}
	look()
	if x.rates[partErrors].events != [2]float64{} || len(x.rates[partErrors].marks) > 0 {
		t.Errorf("errors of another value count: %v", x.rates[partErrors].events)
	}
	if sum := c.tests.strata.wealth(); sum > 1 {
		t.Errorf("parts are worth %v", sum)
	}
}

// Requests that are only recorded are compared by what they say at their end.
func TestRecordedRequestsHaveStrata(t *testing.T) {
	for _, assign := range []bool{false, true} {
		c := even(t, compare(t, Plan{}))
		at := time.Unix(1e9, 0)
		for i := range 600 {
			o := Observation{Arm: base, Class: OK, Unit: strconv.Itoa(i), Tenant: []string{"acme", "umbrella"}[i%2], Latency: time.Second, TTFT: time.Second / 2, At: at.Add(time.Second)}
			if mix(uint64(i))&1 == 1 {
				o.Arm = cand
			}
			if assign {
				c.r.Assign(o.Arm, o.Unit, 0)
				if i%20 == 19 {
					c.Judge(at.Add(time.Second / 2))
				}
			}
			c.r.Record(o)
			if i%20 == 19 {
				at = at.Add(time.Second)
				c.Judge(at)
			}
		}
		j := c.Judge(at.Add(2 * time.Second))
		n := 0
		for _, s := range j.Strata {
			if s.Kind == ByTenant {
				n += s.Baseline + s.Candidate
			}
		}
		if n < 500 || n > 600 {
			t.Errorf("assigned %t: %d requests in strata, want almost 600: %+v", assign, n, j.Strata)
		}
	}
}

// Harm that was shown in a stratum stays, over a restart and over further merges, and
// what is stored gives the judgement that was given.
func TestStrataAreKept(t *testing.T) {
	c, l := compare(t, Plan{Breakers: []Breaker{}}), newLoad(2, .5)
	j := l.play(c, 9000, l.tenants(.3), func(j Judgement) bool { return len(harmedStrata(j)) > 0 })
	if diff := differences([]string{"tenant tenant0"}, harmedStrata(j)); diff != "" {
		t.Fatal(diff)
	}
	e := viaJSON(t, c.Evidence())
	stored, err := c.r.plan.Judge(e, j.At)
	if err != nil {
		t.Fatal(err)
	}
	if diff := differences(j, stored); diff != "" {
		t.Errorf("(-given +stored):\n%s", diff)
	}
	d := compare(t, Plan{Breakers: []Breaker{}})
	if err := d.Restore(e); err != nil {
		t.Fatal(err)
	}
	l.told = nil
	j = l.play(d, 400, l.tenants(.01), nil)
	if diff := differences([]string{"tenant tenant0"}, harmedStrata(j)); diff != "" || j.Verdict != Harmed {
		t.Errorf("after a restart %s (%s)", j.Verdict, diff)
	}
	if !d.tests.strata.divided {
		t.Error("after a restart the whole has all the risk again")
	}
	fresh := compare(t, Plan{Breakers: []Breaker{}})
	fl := newLoad(5, .5)
	fl.play(fresh, 400, fl.tenants(.01), nil)
	kept := fresh.Evidence().KeepPeaks(e)
	j, err = c.r.plan.Judge(kept, j.At)
	if diff := differences([]string{"tenant tenant0"}, harmedStrata(j)); err != nil || diff != "" {
		t.Errorf("after a merge %s, %v", diff, err)
	}
}

// Replicas that each see a part name a tenant together, in whichever order.
func TestStrataMerge(t *testing.T) {
	p := Plan{Breakers: []Breaker{}}
	var parts []Evidence
	for seed := range uint64(2) {
		c, l := compare(t, p), newLoad(seed, .5)
		l.play(c, 6000, l.tenants(.3), nil)
		parts = append(parts, c.Evidence())
	}
	quiet, l := compare(t, p), newLoad(7, .5)
	l.run(quiet, 400)
	parts = append(parts, quiet.Evidence())
	sum, err := p.Merge(parts...)
	if err != nil {
		t.Fatal(err)
	}
	back, err := p.Merge(parts[2], parts[1], parts[0])
	if err != nil {
		t.Fatal(err)
	}
	if diff := differences(sum.Strata, back.Strata); diff != "" {
		t.Errorf("order matters:\n%s", diff)
	}
	j, err := p.Judge(sum, time.Unix(1e9, 0))
	if err != nil {
		t.Fatal(err)
	}
	if diff := differences([]string{"tenant tenant0"}, harmedStrata(j)); diff != "" {
		t.Error(diff)
	}
	total := 0.0
	for _, s := range sum.Strata {
		total += s.Weight
		for side := range s.Assigned {
			want := 0
			for _, e := range parts {
				for _, x := range e.Strata {
					if x.same(s) {
						want += x.Assigned[side]
					}
				}
			}
			if s.Assigned[side] != want {
				t.Errorf("%s %s has %d requests, want %d", s.Kind, s.Value, s.Assigned[side], want)
			}
		}
		if s.Value != "tenant1" {
			continue
		}
		// The mean of the e-values by their parts.
		mean := 0.0
		for _, e := range parts {
			for _, x := range e.Strata {
				if x.same(s) {
					mean += x.Weight * math.Exp(x.Harm.LogE) / 3
				}
			}
		}
		if got := s.Weight * math.Exp(s.Harm.LogE); math.Abs(got-mean) > 1e-9*mean {
			t.Errorf("tenant1: %v, want %v", got, mean)
		}
	}
	if total > 1 {
		t.Errorf("parts add up to %v", total)
	}
	again := compare(t, p)
	if err := again.Restore(viaJSON(t, sum)); err != nil {
		t.Fatal(err)
	}
}

func TestStrataEvidenceIsChecked(t *testing.T) {
	c, l := compare(t, Plan{}), newLoad(1, .5)
	l.play(c, 1000, l.tenants(.01), nil)
	good := c.Evidence()
	if len(good.Strata) < 2 {
		t.Fatalf("%d strata", len(good.Strata))
	}
	for name, spoil := range map[string]func(s []stratumEvidence){
		"kind": func(s []stratumEvidence) { s[0].Kind = numStrata }, "negative kind": func(s []stratumEvidence) { s[0].Kind = -1 },
		"value": func(s []stratumEvidence) { s[0].Value = "a\nb" }, "twice": func(s []stratumEvidence) { s[1].Kind, s[1].Value = s[0].Kind, s[0].Value },
		"count": func(s []stratumEvidence) { s[0].Errors[1] = -1 }, "no part": func(s []stratumEvidence) { s[0].Weight = 0 },
		"part": func(s []stratumEvidence) { s[0].Weight = math.NaN() }, "metric": func(s []stratumEvidence) { s[0].Metric = "cost" },
		"harm": func(s []stratumEvidence) { s[0].Harm.Peak = math.Inf(1) }, "named": func(s []stratumEvidence) { s[0].Named = -1 },
	} {
		e := good
		e.Strata = append([]stratumEvidence(nil), good.Strata...)
		spoil(e.Strata)
		if err := compare(t, Plan{}).Restore(e); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	e := good
	for len(e.Strata) <= maxFindings {
		s := good.Strata[0]
		s.Value = "x" + strconv.Itoa(len(e.Strata))
		e.Strata = append(e.Strata[:len(e.Strata):len(e.Strata)], s)
	}
	if err := compare(t, Plan{}).Restore(e); err == nil {
		t.Error("too many: accepted")
	}
}

func TestStratumText(t *testing.T) {
	p := viaJSON(t, Plan{Strata: []Stratum{ByModel, ByPrompt}})
	if diff := differences([]Stratum{ByModel, ByPrompt}, p.Strata); diff != "" {
		t.Error(diff)
	}
	if p := viaJSON(t, Plan{Strata: []Stratum{}}); p.Strata == nil {
		t.Error("no strata have become all")
	}
	if (Plan{}).digest() == (Plan{Strata: []Stratum{}}).digest() || (Plan{}).digest() != (Plan{Strata: []Stratum{ByTenant, ByRoute, ByModel, ByPrompt}}).digest() {
		t.Error("the digest does not know the strata")
	}
	if err := (Plan{Strata: []Stratum{7}}).Validate(); err == nil {
		t.Error("an unknown stratum is accepted")
	}
	var s Stratum
	if err := s.UnmarshalText([]byte("country")); err == nil {
		t.Error("an unknown name is accepted")
	}
}

// Requests of known and of ever new tenants allocate nothing.
func TestStrataAllocateNothing(t *testing.T) {
	c := even(t, compare(t, Plan{}))
	at := time.Unix(1e9, 0)
	names := make([]string, 2000)
	for i := range names {
		names[i] = "tenant" + strconv.Itoa(i)
	}
	i := 0
	request := func() {
		f := c.r.Begin(Assigned{Arm: cand, Tenant: names[i%len(names)], Route: "POST /v1", Model: "m", InputTokens: i, At: at})
		f.First(at)
		f.Done(Observation{Class: OK, At: at})
		i++
	}
	for range heldValues {
		request() // they are held
	}
	if n := testing.AllocsPerRun(1000, request); n != 0 {
		t.Errorf("a request allocates %v times", n)
	}
}

// What a comparison has before there are strata, and what each of them takes.
func TestStrataMemory(t *testing.T) {
	c, l := compare(t, Plan{}), newLoad(1, .5)
	l.run(c, 200)
	c.tests.strata.all(func(x *stratum) { t.Errorf("%s %q exists", x.kind, x.value) })
	size := sizeOf[strata]() + sizeOf[values]() + int(numStrata)*sizeOf[valueIndex]()
	t.Logf("%d bytes before there are strata, then %d for each", size, sizeOf[stratum]()+sizeOf[stratumTimes]()+2*stratumSlots*sizeOf[mark]())
	if size > 24<<10 {
		t.Errorf("%d bytes, want at most 24 KB", size)
	}
}

func sizeOf[T any]() int { return int(reflect.TypeFor[T]().Size()) }
