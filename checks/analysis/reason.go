package analysis

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// harmed words why the candidate is judged worse.
func (j *Judgement) harmed() string {
	f := j.blamed()
	if f == nil {
		return "worse"
	}
	s := fmt.Sprintf("%s is worse: %s, e-value %s of %s after %s requests",
		f.Metric, f.worse(), short(j.Harm.E), short(j.Harm.Limit), thousands(max(j.Candidate.Requests, f.CandidateN)))
	var also []string
	for _, g := range j.Metrics {
		if g.Verdict == Harmed && g.Metric != f.Metric && g.Role != Report {
			also = append(also, g.Metric)
		}
	}
	if len(also) > 0 {
		s += "; so is " + strings.Join(also, ", ")
	}
	return s
}

// safe words what has been proven.
func (j *Judgement) safe() string {
	var names []string
	for _, f := range j.Metrics {
		if f.Role == Gate && f.Verdict == Safe {
			names = append(names, f.Metric)
		}
	}
	return fmt.Sprintf("no worse than %s within the margins in %s, after %s requests",
		j.Baseline.Arm, strings.Join(names, ", "), thousands(j.Candidate.Requests))
}

// mismatched words why nothing can be compared.
func (j *Judgement) mismatched() string {
	s := j.Split
	return fmt.Sprintf("traffic is not split as intended: %s of %s assignments to %s, where %s were meant, e-value %s of %s; nothing can be concluded from it",
		thousands(s.Candidate), thousands(s.Baseline+s.Candidate), j.Candidate.Arm, thousands(int(math.Round(s.Expected))),
		short(s.Mismatch.E), short(s.Mismatch.Limit))
}

// incident words what both arms suffer from.
func (j *Judgement) incident() string {
	var names []string
	for _, f := range j.Metrics {
		if f.Incident {
			names = append(names, f.Metric)
		}
	}
	return fmt.Sprintf("incident: %s and %s are both worse than %s was before, in %s; the candidate is not what is wrong",
		j.Baseline.Arm, j.Candidate.Arm, j.Baseline.Arm, strings.Join(names, ", "))
}

// unserved words why nothing is known of an arm.
func (a armEvidence) unserved() string {
	if a.counted() > 0 {
		return fmt.Sprintf("no request of %s was answered well: all %s that were counted have failed", a.Arm, thousands(a.counted()))
	}
	s := "no request of " + a.Arm + " could be counted"
	var left []string
	for c := range NumClasses {
		if n := a.Classes[c]; n > 0 {
			left = append(left, thousands(n)+" "+c.String())
		}
	}
	if len(left) > 0 {
		s += ": " + strings.Join(left, ", ")
	}
	return s
}

// collecting words how many requests are still missing.
func (j *Judgement) collecting(p Plan) string {
	have := func(a ArmCount) string {
		return fmt.Sprintf("%d of %d answers of %s", min(a.Served, p.MinSamples), p.MinSamples, a.Arm)
	}
	return "collecting: " + have(j.Candidate) + ", " + have(j.Baseline)
}

// troubled words that the baseline is worse than it was: to be no worse than it proves
// nothing. It is "" if the baseline is not.
func (e Evidence) troubled() string {
	for _, m := range e.Metrics {
		if m.Drift[0].Alarm {
			return fmt.Sprintf("no harm seen; %s of %s is worse than it was, so that no worse than it proves nothing", m.Name, e.Baseline.Arm)
		}
	}
	return ""
}

// fewUnits reports whether so few units make all the traffic that nothing can be
// proven.
func (e Evidence) fewUnits() bool { return e.Units != nil && min(e.Units[0], e.Units[1]) < fewUnits }

// tooFew words that no number of requests of so few units proves anything.
func (e Evidence) tooFew(u Unit) string {
	arm, n := e.Candidate.Arm, e.Units[1]
	if e.Units[0] < n {
		arm, n = e.Baseline.Arm, e.Units[0]
	}
	return fmt.Sprintf("cannot tell: %d %ss on %s, where %d are needed; a finer unit would help", n, u, arm, fewUnits)
}

// uncompared words why requests take no part in any test.
func (e Evidence) uncompared() string {
	arm := e.Candidate.Arm
	if e.Compared[1] > 0 {
		arm = e.Baseline.Arm
	}
	return "no request of " + arm + " was assigned while both arms had a share that is known, so there is nothing to compare; see Recorder.Expect"
}

func unmeasurable(blind []Finding) string {
	reasons := make([]string, len(blind))
	for i, f := range blind {
		reasons[i] = f.Metric + " is " + f.Reason
	}
	return strings.Join(reasons, "; ")
}

func (j *Judgement) unproven(open []Finding, warming bool) string {
	if len(open) == 0 {
		return "no harm seen, but nothing that gates could be measured"
	}
	if warming {
		return "warming up: times of " + j.Candidate.Arm + " do not count yet"
	}
	names := make([]string, len(open))
	for i, f := range open {
		names[i] = fmt.Sprintf("%s (e-value %s of %s)", f.Metric, short(f.Safe.E), short(f.Safe.Limit))
		if f.Safe.Reached() && !f.Ceiling.below() {
			names[i] = fmt.Sprintf("%s below %s (e-value %s)", f.Metric, percent(f.Ceiling.Rate), f.Ceiling.Below.of())
		}
	}
	return "no harm seen; still to be proven: " + strings.Join(names, ", ")
}

// reason words the finding. It is called for each metric at each look, so it
// does without fmt.
func (f *Finding) reason() string {
	both := "candidate " + f.show(f.Candidate) + " against " + f.show(f.Baseline) + f.where()
	switch f.Verdict {
	case Harmed:
		if f.exceeded() {
			return f.over()
		}
		return "worse: " + f.worse() + ", e-value " + f.Harm.of()
	case Safe:
		if !f.within() {
			both = "in this stage"
		}
		return "no worse within " + f.Margin.String() + ": " + both + ", e-value " + f.Safe.of()
	case NoEvidence:
		return "measured on neither arm"
	case Unmeasurable:
		if f.BaselineN == 0 {
			return "measured on the candidate alone"
		}
		return "measured on the baseline alone"
	}
	return "open: " + both + ", e-value for harm " + f.Harm.of() + ", for safety " + f.Safe.of()
}

// worse words in what the candidate is worse, by the numbers that the evidence rests on. The
// evidence compares requests of one slot, one share and one age, so numbers of all
// requests can look different; then it says so.
func (f *Finding) worse() string {
	b, c := f.show(f.Baseline), f.show(f.Candidate)
	worse := f.isWorse(f.Baseline, f.Candidate)
	if base, cand := f.Counted[0], f.Counted[1]; f.Kind == Rate && base.N > 0 && cand.N > 0 {
		if f.Better == Higher { // what was counted is the others
			base.Events, cand.Events = base.N-base.Events, cand.N-cand.Events
		}
		was, is := float64(base.Events)/float64(base.N), float64(cand.Events)/float64(cand.N)
		b, c, worse = percent(was), percent(is), f.isWorse(was, is)
		if worse && b != c {
			return fmt.Sprintf("%s of %s requests of the candidate (%s) against %s of %s (%s)",
				thousands(cand.Events), thousands(cand.N), c, thousands(base.Events), thousands(base.N), b)
		}
	}
	switch {
	case worse && b != c:
		return "candidate " + c + " against " + b + f.where()
	case f.Kind == Amount && f.Unit == "s":
		return "slow or unfinished requests of the candidate, not its median of " + c + " against " + b
	case f.Kind == Amount:
		return "single requests of the candidate, not its median of " + c + " against " + b
	}
	value := "mean"
	if f.Kind == Rate {
		value = "rate"
	}
	return "more requests of the candidate than its share of the traffic explains, not its " + value + " of " + c + " against " + b
}

// isWorse reports whether the candidate's value is worse than the baseline's.
func (f *Finding) isWorse(baseline, candidate float64) bool {
	switch f.Better {
	case Higher:
		return candidate < baseline
	case Same:
		return candidate != baseline
	}
	return candidate > baseline
}

// within reports whether the values of all requests are within the margin. A proof rests on
// its stage alone, so it can be complete when they are not.
func (f *Finding) within() bool {
	b, c := f.Baseline, f.Candidate
	switch {
	case f.Kind == Amount:
		k := factor(f.Margin)
		return (f.Better == Higher || c <= k*b) && (f.Better == Lower || c*k >= b)
	case f.Better == Higher:
		b, c = 1-b, 1-c
	}
	if f.Kind == Score {
		return c <= b+f.Margin.points(0)
	}
	return c <= b+f.Margin.points(b)
}

// of words an e-value against its limit.
func (p Proof) of() string { return short(p.E) + " of " + short(p.Limit) }

// where says which statistic the values are, where that needs saying.
func (f *Finding) where() string {
	switch f.Kind {
	case Amount:
		return " at the median"
	case Score:
		return " on average"
	}
	return ""
}

// show formats a value of the metric.
func (f *Finding) show(v float64) string { return FormatValue(v, f.Kind, f.Unit) }

// FormatValue formats a value of a metric for people, in three significant
// digits: rates as "1.5 %", amounts in "s" as a duration such as "208 ms",
// scores in "stars" on a scale such as "4.2 of 5", others with their unit.
func FormatValue(v float64, k Kind, unit string) string {
	switch {
	case k == Rate:
		return percent(v)
	case unit == "s":
		return duration(v)
	case k == Score && unit == unitStars:
		return digits(1+4*v) + " of 5"
	case unit == "":
		return digits(v)
	}
	return digits(v) + " " + unit
}

func percent(v float64) string { return digits(100*v) + " %" }

// duration formats seconds.
func duration(s float64) string {
	switch {
	case s == 0:
		return "0 s"
	case s < 1e-3:
		return digits(s*1e6) + " µs"
	case s < 0.9995:
		return digits(s*1e3) + " ms"
	case s < 600 || s > math.MaxInt64/1e9:
		return digits(s) + " s"
	}
	return time.Duration(s * 1e9).Round(time.Second).String()
}

// digits formats v with three significant digits, whole numbers in full.
func digits(v float64) string {
	if math.Abs(v) >= 100 && math.Abs(v) < 1e9 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// short formats an e-value.
func short(e float64) string {
	switch {
	case e >= 1e6:
		return "over a million"
	case e >= 99.5:
		return thousands(int(math.Round(e)))
	case e >= 9.95 || e == math.Trunc(e):
		return strconv.FormatFloat(e, 'f', 0, 64)
	}
	return strconv.FormatFloat(e, 'f', 1, 64)
}

// thousands formats n in groups of three digits.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
