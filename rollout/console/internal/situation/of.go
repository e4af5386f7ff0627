package situation

import (
	"fmt"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/visible"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// suspicion is the part of the evidence for a rollback from which on a candidate is said
// to be harming users: at half of it, chance alone goes that far in one rollout of ten.
const suspicion = 0.5

// Of returns the situation of a rollout.
func Of(st rollout.Status, f Facts) Situation {
	w := words{st: st, changed: f.Changed, now: f.Now, zone: f.Zone}
	if w.now.IsZero() {
		w.now = st.At
	}
	if w.changed.Rollout != st.ID || w.changed.Seq != st.Changed {
		w.changed = rollout.Event{}
	}
	s := w.situation()
	if w.changed.Seq > 0 {
		s.Since, s.By = w.changed.At, visible.Line(w.changed.By.Name)
	}
	if st.Lowered != "" && !st.Phase.Terminal() {
		s.Next = visible.Line("here " + w.candidate() + " already has less than is stored: " + st.Lowered + "; " + s.Next)
	}
	return s
}

func (w words) situation() Situation {
	st := w.st
	switch {
	case st.Phase.Terminal():
		return w.ended()
	case st.Phase == strategies.RampingDown:
		return made(RampingDown, "ramping down: "+w.candidate()+" has "+w.share()+w.by()+w.since("since"),
			"its share falls step by step to 0 % by itself, then the rollout ends as aborted")
	case w.harming():
		return w.harm()
	case st.Judgement.Verdict == analysis.Incident && w.serves():
		return made(Incident, "both versions are failing: an incident, not "+w.candidate()+w.values(),
			"nothing moves until the incident ends; "+w.evidence())
	case st.Paused:
		return w.paused()
	case st.Phase == strategies.Approving:
		return w.approval()
	}
	next := strategies.Next(st.Plan.Stages, st.State)
	switch {
	case next.Rule == "frozen":
		return made(Window, "waiting for a window: "+w.candidate()+" keeps "+w.share(), st.State.Frozen+"; then it goes to "+w.goesTo()+w.guard())
	case st.Phase.Checking():
		return w.checking()
	case st.Phase == strategies.Monitoring:
		return w.monitoring()
	}
	return w.baking(next)
}

// serves reports whether the candidate has traffic.
func (w words) serves() bool {
	return len(w.st.Split.Arms) > 0 && w.st.Split.Weight(w.baseline()) < strategies.Full
}

// mirrored reports whether the candidate gets copies.
func (w words) mirrored() bool { return !w.serves() && len(w.st.Split.Mirrors) > 0 }

func (w words) harming() bool {
	j := w.st.Judgement
	if w.st.State.Verdict == analysis.Harmed {
		return true // the monitor may know more than the judgement
	}
	return (w.serves() || w.mirrored()) && j.Verdict != analysis.Incident && j.Harm.Limit > 0 && j.Harm.Now >= suspicion*j.Harm.Limit
}

func (w words) values() string {
	if s := compared(worst(w.st.Judgement)); s != "" {
		return " (" + s + ")"
	}
	return ""
}

func (w words) harm() Situation {
	st, name := w.st, w.candidate()
	what := compared(worst(st.Judgement))
	sentence := name + " is harming users: " + orElse(what, st.Judgement.Reason)
	next := w.evidence()
	switch {
	case st.State.Verdict == analysis.Harmed:
		sentence = name + " is harming users: " + orElse(st.State.VerdictReason, what)
		next = "rolls back now"
	case w.mirrored():
		sentence = name + " answers copies worse: " + orElse(what, st.Judgement.Reason) + "; no user sees it"
	}
	return made(Harming, sentence, next)
}

func (w words) paused() Situation {
	keeps := w.candidate() + " keeps " + w.share()
	reason := strings.TrimSuffix(w.st.Reason, "; a person must resume, promote or abort")
	// Without the event it is not known whether a person or the engine has paused it.
	if w.changed.Seq == 0 || w.changed.Kind == rollout.Paused && w.changed.Rule == "command" {
		reason = strings.TrimPrefix(strings.TrimPrefix(reason, "paused"), ": ")
		if reason != "" {
			reason = ": " + reason
		}
		return made(Paused, "paused"+w.by()+w.since("since")+reason+"; "+keeps, "nothing moves until a person resumes, promotes or aborts"+w.guard())
	}
	return made(Held, "held"+w.since("since")+": "+reason+"; "+keeps, "nothing moves until a person resumes, promotes or aborts"+w.guard())
}

// guard says that harm still rolls back, if there can be any.
func (w words) guard() string {
	if !w.serves() {
		return ""
	}
	return "; " + w.evidence()
}

func (w words) approval() Situation {
	stage := w.stage(w.st.Stage)
	sentence := "waits for approval of " + w.raised(stage) + w.since("since")
	if r := w.st.State.ConsentReason; r != "" {
		if _, people, ok := strings.Cut(r, ": "); ok {
			r = people // who they are says how many
		}
		sentence += ": " + r
	}
	next := "nothing moves"
	if a := stage.Approve; a != nil {
		patience := a.Timeout
		if patience == 0 {
			patience = strategies.DefaultPatience
		}
		left := patience - w.st.State.Waited
		next = fmt.Sprintf("nothing moves; without approval it %s in %s, at %s", orContinue(a.OnTimeout), Span(left), w.clock(w.now.Add(left)))
	}
	return made(Approval, sentence, next+w.guard())
}

func orContinue(a strategies.Action) string {
	if a == strategies.ActionContinue {
		return "counts as approved"
	}
	return action(a)
}

func (w words) checking() Situation {
	var names []string
	if p := w.st.Plan; w.st.Phase == strategies.Preflight {
		names = p.Preflight
	} else if w.st.Phase == strategies.Postflight {
		names = p.Postflight
	} else if w.st.Phase == strategies.BeforeStage {
		names = w.stage(w.st.Stage).Before
	} else {
		names = w.stage(w.st.Stage).After
	}
	list := ""
	if len(names) > 0 {
		list = ": " + strings.Join(names, ", ")
	}
	keeps := w.candidate() + " keeps " + w.share()
	if !w.serves() {
		keeps = w.candidate() + " has no traffic"
	}
	bad := "ends without traffic"
	if w.serves() {
		bad = "rolls back"
	}
	return made(Checking, "checks are running"+w.since("since")+list+"; "+keeps, "goes to "+w.goesTo()+" if they pass, "+bad+" if one does not"+w.guard())
}

// goesTo words what comes after the phase.
func (w words) goesTo() string {
	i := w.st.Stage
	switch w.st.Phase {
	case strategies.Baking, strategies.AfterStage:
		i++
	case strategies.Monitoring, strategies.Postflight:
		i = len(w.st.Plan.Stages)
	}
	if i < len(w.st.Plan.Stages) {
		return w.raised(w.stage(i))
	}
	if w.st.Phase == strategies.Baking && w.st.Plan.Monitor > 0 {
		return "monitoring"
	}
	return "promoted"
}

func (w words) monitoring() Situation {
	left := w.st.Plan.Monitor - w.st.State.Waited
	return made(Monitoring, "monitoring: "+w.candidate()+" has "+w.share()+", nothing to decide",
		fmt.Sprintf("promoted in %s, at %s, if no harm is seen%s", Span(left), w.clock(w.now.Add(left)), w.guard()))
}

func (w words) baking(next strategies.Decision) Situation {
	st, stage := w.st, w.stage(w.st.Stage)
	then := w.then(stage, next)
	n := fmt.Sprintf(", %d requests so far", st.Samples)
	switch v := st.Judgement.Verdict; {
	case w.mirrored():
		return made(Shadow, "shadow: "+w.candidate()+" answers copies"+n+", no user sees it", then)
	case (v == analysis.Unmeasurable || v == analysis.NoEvidence && st.Samples == 0) && w.serves() && st.State.Baked >= max(stage.Bake, time.Minute):
		return made(Blind, w.candidate()+" has "+w.share()+" and cannot be judged: "+orElse(st.Judgement.Reason, v.String()), then)
	}
	return made(Quiet, "quiet: "+w.candidate()+" has "+w.share()+", nothing to decide"+n, then)
}

// then says what ends the stage, and what happens otherwise.
func (w words) then(stage strategies.Stage, next strategies.Decision) string {
	st := w.st
	to, goal := w.goesTo(), "no harm is seen"
	if stage.Until == strategies.UntilSafe {
		goal = "proven no worse"
	}
	approve := ""
	if n := w.stage(st.Stage + 1); n.Approve != nil {
		approve = ", when people have approved"
	}
	limit := stage.Limit
	if limit == 0 {
		limit = strategies.DefaultLimit
	}
	late := limit - st.State.Waited
	otherwise := fmt.Sprintf("; without that it %s in %s, at %s", action(stage.OnLimit), Span(late), w.clock(w.now.Add(late)))
	if left := stage.Bake - st.Baked; left > 0 {
		return fmt.Sprintf("goes to %s in %s, at %s, if %s%s%s", to, Span(left), w.clock(w.now.Add(left)), goal, approve, w.guard())
	}
	switch {
	case stage.Until == strategies.UntilSafe && st.Judgement.Verdict != analysis.Safe:
		more := ""
		if st.Judgement.Needed > 0 {
			more = fmt.Sprintf(", about %d more requests", st.Judgement.Needed)
		}
		return "goes to " + to + " when proven no worse" + more + approve + otherwise + w.guard()
	case next.Do == strategies.DoStay:
		return "goes to " + to + " after " + strings.TrimPrefix(next.Reason, "waiting for ") + approve + otherwise + w.guard()
	}
	return "goes to " + to + " now" + approve + w.guard()
}

// ended returns the situation of a rollout that is over.
func (w words) ended() Situation {
	st := w.st
	reason := orElse(st.Reason, st.Phase.String())
	force := "; " + w.baseline() + " has all traffic" + w.inForce()
	if st.Phase == strategies.Promoted {
		return made(Promoted, "promoted"+w.since("at")+": "+w.candidate()+" has all traffic"+w.inForce(), "nothing moves: "+reason)
	}
	switch st.Phase {
	case strategies.RolledBack:
		return made(RolledBack, "rolled back by itself"+w.since("at")+force, "nothing moves; the reason: "+reason)
	case strategies.Superseded:
		return made(Superseded, "superseded by a newer rollout"+w.since("at")+w.by(), "nothing moves here; see the newer rollout")
	case strategies.Failed:
		return made(Shut, w.candidate()+" was kept out"+w.since("at")+": "+reason, "nothing moves; no traffic has reached "+w.candidate())
	}
	who := w.by()
	if w.changed.Rule == "approval" {
		who = " by a rejection"
	}
	return made(Aborted, "aborted"+who+w.since("at")+force, "nothing moves; the reason: "+reason)
}

// inForce says since when a split is in force everywhere.
func (w words) inForce() string {
	at := w.st.SettledBy
	switch {
	case w.st.Lowered != "":
		return " here; " + w.st.Lowered
	case at.IsZero():
		return ""
	case at.After(w.now):
		return ", in force everywhere by " + w.clock(at)
	}
	return ", in force everywhere since " + w.clock(at)
}
