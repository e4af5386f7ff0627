// Package situation puts the state of a rollout into one sentence for a person who was
// woken: is it burning, is it the candidate, what happens by itself and when, when did it
// begin and which person began it. Pages, the API and command lines show the same words.
//
// It is pure: equal statuses and facts give equal words. What happens next comes from
// strategies.Next, so that it is what the engine does. Texts from outside are shown with
// visible characters only; a caller that writes them into HTML must escape them.
//
// What belongs here: words about one rollout. Numbers by metric, tables and rights do not.
// It needs only the standard library and packages of this module.
package situation

import (
	"time"

	"github.com/serin-go/serin/internal/visible"
	"github.com/serin-go/serin/rollout"
)

// Kind is the kind of a situation. Its values are part of the API and never change.
type Kind string

// The kinds of situations.
const (
	Idle        Kind = "idle"         // the target never had a rollout
	Checking    Kind = "checking"     // checks are running, and the split waits for them
	Shadow      Kind = "shadow"       // the candidate gets copies of requests only
	Quiet       Kind = "quiet"        // the candidate is measured, and nothing is wrong
	Blind       Kind = "blind"        // the candidate cannot be judged
	Harming     Kind = "harming"      // the candidate is worse, or seems to be
	Incident    Kind = "incident"     // both versions are failing
	Paused      Kind = "paused"       // a person has paused the rollout, or it is not known who has
	Held        Kind = "held"         // the engine has paused it, and a person must decide
	Approval    Kind = "approval"     // a stage waits for people
	Window      Kind = "window"       // a stage waits for a window or the end of a freeze
	RampingDown Kind = "ramping-down" // the candidate's share is reduced in steps
	Monitoring  Kind = "monitoring"   // all stages are complete
	Promoted    Kind = "promoted"
	RolledBack  Kind = "rolled-back"
	Aborted     Kind = "aborted"
	Superseded  Kind = "superseded"
	Shut        Kind = "shut" // checks kept the candidate out, and no traffic has moved
	Away        Kind = "away" // the state cannot be read
)

// Kinds returns all kinds.
func Kinds() []Kind {
	return []Kind{Idle, Checking, Shadow, Quiet, Blind, Harming, Incident, Paused, Held, Approval, Window, RampingDown, Monitoring, Promoted, RolledBack, Aborted, Superseded, Shut, Away}
}

// Urgency is how much a situation asks of people.
type Urgency int

// The urgencies, in rising order.
const (
	Rest   Urgency = iota // nothing is under way
	Moving                // it goes on by itself
	Person                // it waits for a person
	Alarm                 // something is wrong
)

// Situation is the state of a rollout in words. It is plain data. No text has characters
// that do not show.
type Situation struct {
	Kind    Kind
	Urgency Urgency
	// Glyph is one character for the kind.
	Glyph string
	// Sentence is the state in one sentence, and Short in one or two words.
	Sentence, Short string
	// Next says what happens by itself, and when.
	Next string
	// Since is when the situation began, and By the name of its cause: "serin" for the engine. Both
	// are zero if that is not known.
	Since time.Time
	By    string
}

// Facts is what a [rollout.Status] does not say.
type Facts struct {
	// Now is the time at which the words are read. The zero time means Status.At.
	Now time.Time
	// Zone is the zone of the times in the words. Nil means UTC.
	Zone *time.Location
	// Changed is the event with the number Status.Changed. The zero event means that it is
	// not known.
	Changed rollout.Event
}

// looks are the glyph, the urgency and the short words of each kind.
var looks = map[Kind]struct {
	glyph   string
	urgency Urgency
	short   string
}{
	Idle:        {"·", Rest, "idle"},
	Checking:    {"…", Moving, "checking"},
	Shadow:      {"◌", Moving, "shadow"},
	Quiet:       {"▶", Moving, "quiet"},
	Blind:       {"?", Alarm, "cannot judge"},
	Harming:     {"✗", Alarm, "harming"},
	Incident:    {"!", Alarm, "incident"},
	Paused:      {"‖", Person, "paused"},
	Held:        {"‖", Alarm, "held"},
	Approval:    {"☐", Person, "needs approval"},
	Window:      {"◷", Moving, "waits for a window"},
	RampingDown: {"↘", Moving, "ramping down"},
	Monitoring:  {"▶", Moving, "monitoring"},
	Promoted:    {"✓", Rest, "promoted"},
	RolledBack:  {"↺", Rest, "rolled back"},
	Aborted:     {"■", Rest, "aborted"},
	Superseded:  {"»", Rest, "superseded"},
	Shut:        {"⊘", Rest, "kept out"},
	Away:        {"?", Alarm, "unknown"},
}

// Look returns the glyph, the short words and the urgency of a kind.
func Look(k Kind) (glyph, short string, u Urgency) {
	l := looks[k]
	return l.glyph, l.short, l.urgency
}

// made returns a situation with its looks.
func made(k Kind, sentence, next string) Situation {
	l := looks[k]
	return Situation{Kind: k, Urgency: l.urgency, Glyph: l.glyph, Short: l.short, Sentence: visible.Line(sentence), Next: visible.Line(next)}
}

// Never returns the situation of a target that never had a rollout.
func Never(target string) Situation {
	return made(Idle, "idle: "+target+" never had a rollout", "nothing moves until a rollout is started")
}

// Unread returns the situation of a target whose state cannot be read, with the reason.
// last is what was read before, or the zero Status.
func Unread(target string, err error, last rollout.Status, f Facts) Situation {
	why := "for an unknown reason"
	if err != nil {
		why = err.Error()
	}
	w := words{st: last, now: f.Now, zone: f.Zone}
	next := "while processes cannot read it either, the baseline takes all traffic"
	if last.ID != "" {
		next = "at " + w.clock(last.At) + " it was: " + Of(last, Facts{Now: last.At, Zone: f.Zone}).Sentence + "; " + next
	}
	s := made(Away, "the state of "+target+" cannot be read: "+why, next)
	s.Since = last.At
	return s
}
