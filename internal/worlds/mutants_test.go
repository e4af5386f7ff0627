package worlds_test

import (
	"flag"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/serin-go/serin/internal/mutanttest"
	"github.com/serin-go/serin/internal/worlds"
)

var mutate = flag.Bool("mutants", false, "plant bugs in the analysis and see that the battery finds each")

const analysisDir = "../../checks/analysis/"

// Patches are short, so that they outlive changes around them.
func inScoring(from, to string) mutanttest.Patch { return patch(analysisDir+"scoring.go", from, to) }
func inTests(from, to string) mutanttest.Patch   { return patch(analysisDir+"tests.go", from, to) }
func inEpoch(from, to string) mutanttest.Patch   { return patch(analysisDir+"epoch.go", from, to) }

// inPlayer changes what a router says of requests.
func inPlayer(from, to string) mutanttest.Patch { return patch("player_test.go", from, to) }

func patch(file, from, to string) mutanttest.Patch {
	return mutanttest.Patch{File: file, Old: from, New: to}
}

// endedAlone makes a request count when it has ended, and not before.
var endedAlone = []mutanttest.Patch{
	inScoring("	return d.age <= f.age || d.what == provable && r.alone\n", "	return r.ended\n"),
}

// mutants are the mistakes that the tests of an analysis can make about assignments, each
// with the world and the claim that must fail then. The worlds are worth something only
// as long as they find them.
var mutants = []struct {
	name  string
	world string // as the flag of that name has it
	runs  int
	claim string
	bug   []mutanttest.Patch
}{
	{
		"times that count when their requests have ended", "^07 .*answers of 30 s, times x1.5", 24, "harmed median <= 1375", endedAlone,
	},
	{
		"events that count when their requests have ended", "^08 .*30 % never answered, patient callers, 20 a second", 12, "harmed >= 0.99", endedAlone,
	},
	{
		"the share that is in force now", "^06 .*answers of 30 s, 200 a second, 1 %; 60 looks on a ramp", 6, "harmed <= 0.05",
		[]mutanttest.Patch{inTests("	return t.cache.number, t.cache.known", "	return len(t.shares) - 1, t.cache.known")},
	},
	{
		"times as of a prompt that knows the arm", "^21 .*TTFT x1.1", 20, "harmed median <= 400",
		[]mutanttest.Patch{inScoring("	r.snap = s.r.past.snap\n", "	r.snap = s.r.past.snap\n	r.prompt.stream = r.arm != 0\n")},
	},
	{
		"a proof by first events", "^26 .*100 users, errors 2 -> 4 %", 100, "safe <= 0.05",
		[]mutanttest.Patch{
			inEpoch("	theta float64\n", "	theta, times float64\n	met          [slots]bool\n	hits         evalue.Moments\n"),
			inEpoch("	if p.theta == 0 {\n", "	p.times = 1 + points/rate\n	if p.theta == 0 {\n"),
			inEpoch("	p.groups.Add(l.group, l.fixed(y))\n", "	p.groups.Add(l.group, l.fixed(y))\n	if p.times > 0 && y > 0 && !p.met[l.slot] {\n		p.met[l.slot] = true\n"+
				"		hit := [2]float64{1, 0}\n		if l.candidate {\n			hit = [2]float64{0, 1}\n		}\n		p.hits.Add(1-l.share, 1/p.times, hit[0], hit[1])\n	}\n"),
			inEpoch("		p.logE = evalue.RateProof(d, v, p.theta)\n", "		p.logE = p.hits.LogE()\n"),
		},
	},
	{
		"a proof whose variance has no floor", "^17 .* 0.01 % -> 0.31 %; 400 a second at 5 %", 40, "safe <= 0.05",
		[]mutanttest.Patch{inEpoch("max(s.QQ, p.floor)", "s.QQ")},
	},
	{
		"users who stay are left out where their slot has moved", "^27 .*errors x2", 20, "safe <= 0.05",
		[]mutanttest.Patch{inPlayer("Generation: r.Generation, Unrandomised: r.Forced,", "Generation: p.splits[len(p.splits)-1].generation, Unrandomised: r.Forced || r.Arm != r.Due,")},
	},
	{
		"forced requests are left out where their slot is of the other arm", "^28 .*a fifth of them fail; 60 x 200 at 50/50", 8, "harmed <= 0.05",
		[]mutanttest.Patch{inPlayer("Unrandomised: r.Forced,", "Unrandomised: r.Forced && r.Arm != r.Due,")},
	},
	{
		"slots are marked as met by arms of the pair alone", "^29 .*half of all slots go to the candidate", 14, "harmed <= 0.05",
		[]mutanttest.Patch{inTests("				e.meet(l.slot)\n", "				_ = l.slot\n")},
	},
	{
		"the loudest block is taken from first events", "^30 .*no breaker", 30, "harmed >= 0.9 within 200",
		[]mutanttest.Patch{inEpoch("	e.note(m, keep)\n", "	n := len(e.marks)\n	e.note(m, keep)\n	if len(e.marks) == n {\n		return\n	}\n")},
	},
}

// TestMutants plants each mistake in a copy of the source and demands that a claim of its
// world fails, and that it holds without.
//
//	go test ./internal/worlds -run Mutants -mutants
func TestMutants(t *testing.T) {
	alone(t)
	for _, m := range mutants {
		mutanttest.Fits(t, m.name, m.bug...)
	}
	if !*mutate || t.Failed() {
		t.Skip("planting the mistakes takes a minute; ask for it with -mutants")
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			list := chosen(t, m.world, m.runs)
			if len(list) != 1 || !slices.ContainsFunc(list[0].Claims, func(c worlds.Claim) bool { return c.String() == m.claim }) {
				t.Fatalf("%d worlds match %q, want one, with the claim %q", len(list), m.world, m.claim)
			}
			fresh := math.NaN()
			try(t, &list[0], &fresh)
			out, passed := mutanttest.Run(t, m.bug, "-timeout", "10m", ".", "-run", "^TestWorlds$", "-world", m.world, "-runs", fmt.Sprint(m.runs))
			_, measured, found := strings.Cut(out, m.claim+": measured ")
			switch {
			case passed:
				t.Error("the battery does not find it")
			case !found:
				t.Errorf("failed otherwise than by the claim %q:\n%s", m.claim, out)
			default:
				measured, _, _ = strings.Cut(measured, "\n")
				t.Logf("%s: measured %s with the mistake", m.claim, measured)
			}
		})
	}
}
