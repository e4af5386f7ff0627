package rollout

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/strategies"
)

// history is everything that was ever committed, and the laws that hold for it.
// The numbers are those of the invariants that the engine promises.
type history struct {
	commits  []commit
	byKey    map[string]commit // newest of each target
	nonces   map[string]bool
	owners   map[uint64]string // who drives under an epoch
	generate map[uint64]bool   // generations that were committed
	promoted map[uint64]bool   // those of rollouts that ended with a new version for all
	foreign  map[string]bool   // keys of the audit trail that hold something else
	breaches []string
	requests int
}

type commit struct {
	doc  *document
	hash string
	at   time.Time
}

func (h *history) init() {
	h.byKey, h.nonces = make(map[string]commit), make(map[string]bool)
	h.foreign = make(map[string]bool)
	h.owners, h.generate, h.promoted = make(map[uint64]string), make(map[uint64]bool), make(map[uint64]bool)
}

func (h *history) broken(format string, args ...any) {
	h.breaches = append(h.breaches, fmt.Sprintf(format, args...))
}

// wrote is called for every value that enters the store.
func (h *history) wrote(key string, value []byte) {
	target, isDoc := strings.CutPrefix(key, "rollout/")
	if !isDoc {
		return
	}
	doc, hash, err := decodeDocument(target, value)
	if err != nil {
		h.broken("what was committed cannot be read: %v", err)
		return
	}
	now := commit{doc: doc, hash: hash, at: time.Now()}
	prev, any := h.byKey[key]
	if any {
		h.succession(prev, now)
	}
	h.byKey[key] = now
	h.commits = append(h.commits, now)
	h.generate[doc.Split.Generation] = true
	if doc.Phase == strategies.Promoted {
		h.promoted[doc.Split.Generation] = true
	}
	if h.nonces[doc.Nonce] {
		h.broken("24: %s #%d was written twice", doc.ID, doc.Seq)
	}
	h.nonces[doc.Nonce] = true
	if err := doc.Split.Validate(); err != nil {
		h.broken("12: %s #%d: %v", doc.ID, doc.Seq, err)
	}
	if len(value) > 256<<10 {
		h.broken("21: the document of %s has %d bytes", doc.ID, len(value))
	}
}

// removed is called for every value that leaves the store.
func (h *history) removed(key string) {
	rest, ok := strings.CutPrefix(key, "evidence/chat/")
	number, _, _ := strings.Cut(rest, "/")
	n, err := strconv.ParseUint(number, 10, 64)
	now := h.byKey["rollout/chat"].doc
	if !ok || err != nil || now == nil || n > now.Number || n == now.Number && !now.Phase.Terminal() {
		h.broken("30: %s was deleted", key)
	}
}

// succession checks that b may follow a.
func (h *history) succession(a, b commit) {
	p, n := a.doc, b.doc
	if n.Epoch < p.Epoch {
		h.broken("2: epoch %d after %d", n.Epoch, p.Epoch)
	}
	if n.ID != p.ID {
		if !p.Phase.Terminal() || n.Number != p.Number+1 || n.Seq != 1 {
			h.broken("one at a time: %s #%d follows %s #%d (%v)", n.ID, n.Seq, p.ID, p.Seq, p.Phase)
		}
		return
	}
	who := fmt.Sprintf("%s #%d (%s, %s, by %s)", n.ID, n.Seq, n.Last.Kind, n.Last.Rule, n.Last.By.Name)
	if n.commits() != p.commits()+1 || n.Before != a.hash {
		h.broken("1: %s does not follow #%d", who, p.Seq)
	}
	if n.Note != nil {
		h.checkpoint(p, n, who)
	} else if n.Last.Kind == Measured && !n.Last.Urgent && b.at.Sub(h.evented(n.ID)) < signOfLife {
		h.broken("29: %s tells of nothing, %v after the event before it", who, b.at.Sub(h.evented(n.ID)))
	}
	h.leadership(p, n, who)
	for _, arm := range []string{n.Plan.Baseline.Arm(), n.Plan.Candidate.Arm()} {
		if was, is := p.Evidence.Requests(arm), n.Evidence.Requests(arm); is < was {
			h.broken("evidence: %s knows of %d requests of %s, after %d", who, is, arm, was)
		}
	}
	if n.Note == nil {
		h.progress(a, b, who)
	}
	if n.Note == nil && n.Last.Rule == strategies.RuleStanding && (n.Last.Checks != nil && n.Last.Checks.Status.Opens() || n.Last.Kind != Paused && n.Phase != strategies.RolledBack) {
		h.broken("33: %s without a check that fails", who)
	}
	cand := n.Plan.Candidate.Arm()
	if w, was := n.Split.Weight(cand), p.Split.Weight(cand); w > was {
		entering := n.Phase == strategies.Baking && n.Last.Kind == PhaseEntered || n.Phase == strategies.Monitoring || n.Phase == strategies.Promoted
		if p.Phase.Terminal() || p.Phase == strategies.RampingDown || !entering {
			h.broken("6: %s raises the candidate from %v to %v after %v", who, was, w, p.Phase)
		}
	}
	if p.Phase.Terminal() {
		h.broken("6: %s comes after the end, %v", who, p.Phase)
	}
	if n.Phase.Terminal() && n.Phase != strategies.Promoted && n.Split.Reaches(cand) {
		h.broken("6: %s ends with %v for the candidate", who, n.Split.Weight(cand))
	}
}

// leadership checks that what the engine decides is written by who drives.
func (h *history) leadership(p, n *document, who string) {
	if n.Last.By.Name != engineActor.Name && n.Note == nil {
		return
	}
	local := n.Last.Rule == "harm" && n.Note == nil // any process may stop the candidate
	owner, known := h.owners[n.Epoch]
	switch {
	case local:
	case !known:
		h.owners[n.Epoch] = n.Writer
	case owner != n.Writer:
		h.broken("3: %s was written by %s, but %s drives under epoch %d", who, n.Writer, owner, n.Epoch)
	}
	if n.Epoch != p.Epoch && (n.Last.Kind != Continued || n.Note != nil) {
		h.broken("3: %s changes the epoch without a claim", who)
	}
}

// checkpoint checks that a commit without an event has decided and changed nothing.
func (h *history) checkpoint(p, n *document, who string) {
	decided := func(d *document) string {
		return fmt.Sprint(d.Seq, string(d.lastRaw), d.Epoch, d.Phase, d.Stage, d.Step, d.Paused, d.Reason, d.Changed, d.Votes, d.Served,
			d.Split, d.Entered, d.Dropped, d.Winner, d.Digest, d.Moved)
	}
	if was, is := decided(p), decided(n); was != is {
		h.broken("29: checkpoint %d of %s has no event, and changes\n%s\nto\n%s", n.Notes, who, was, is)
	}
}

// evented returns when the newest event of a rollout was committed.
func (h *history) evented(id ID) time.Time {
	for i := len(h.commits) - 1; i >= 0; i-- {
		if c := h.commits[i]; c.doc.ID == id && c.doc.Note == nil {
			return c.at
		}
	}
	return time.Time{}
}

// progress checks gates, bakes and the order of stages.
func (h *history) progress(a, b commit, who string) {
	p, n := a.doc, b.doc
	onward := n.Last.Kind == PhaseEntered && n.Phase != strategies.RampingDown
	byHand := n.Last.Rule == "command"
	if n.Stage < p.Stage || onward && n.Stage > p.Stage+1 && !byHand {
		h.broken("4: %s goes from stage %d to %d", who, p.Stage, n.Stage)
	}
	if !onward {
		return
	}
	if p.Phase.Checking() && !byHand && (n.Last.Checks == nil || !opens(n.Last)) {
		h.broken("gate: %s leaves %v without a result that opens it", who, p.Phase)
	}
	for _, f := range n.Plan.Freezes { // by the clock of the process that has decided
		if at := n.Last.At; n.Phase == strategies.Baking && !at.Before(f.From) && at.Before(f.To) {
			h.broken("32: %s begins a stage in a freeze", who)
		}
	}
	stage := n.Plan.Stages[n.Stage]
	if p.Phase == strategies.Approving && n.Stage == p.Stage && stage.Approve != nil {
		if got, why := stage.Approve.Judge(p.Votes, p.Starter.Name); got != strategies.Granted {
			h.broken("5: %s passes an approval with %s", who, why)
		}
	}
	asked := p.Stage == n.Stage && (p.Phase == strategies.Approving || p.Phase == strategies.BeforeStage && n.Phase == strategies.Baking)
	if (n.Phase == strategies.Baking || n.Phase == strategies.BeforeStage) && stage.Approve != nil && !asked {
		h.broken("5: %s goes on to a stage that nobody has approved", who)
	}
	if n.Phase == strategies.Baking && len(stage.Before) > 0 && p.Phase != strategies.BeforeStage {
		h.broken("gate: %s begins a stage whose checks have not run", who)
	}
	if p.Phase == strategies.Baking && !byHand {
		left := n.Plan.Stages[p.Stage]
		since := h.entered(n.ID, p.Stage)
		if b.at.Sub(since) < left.Bake {
			h.broken("9: %s leaves stage %d after %v, its bake is %v", who, p.Stage, b.at.Sub(since), left.Bake)
		}
		if n.Last.Rule == "evidence" && n.Last.Judgement == nil {
			h.broken("11: %s goes on without a judgement", who)
		}
		if got := n.Evidence.Requests(n.Plan.Candidate.Arm()) - p.Entered; n.Last.Rule == "evidence" && got < left.MinSamples {
			h.broken("11: %s goes on after %d requests, want %d", who, got, left.MinSamples)
		}
	}
}

// opens reports whether the checks of an event open a gate.
func opens(ev Event) bool {
	s := ev.Checks.Status.String()
	return s == "pass" || s == "warn"
}

// entered returns when the stage's split was committed.
func (h *history) entered(id ID, stage int) time.Time {
	for i := len(h.commits) - 1; i >= 0; i-- {
		c := h.commits[i]
		if c.doc.ID == id && c.doc.Stage == stage && c.doc.Phase == strategies.Baking && c.doc.Last.Kind == PhaseEntered && c.doc.Note == nil {
			return c.at
		}
	}
	return time.Time{}
}

// served checks one request: the arm must have been due to have traffic by a
// commit that was the newest no longer ago than a split is valid.
func (h *history) served(process, arm string, split strategies.Split) {
	h.requests++
	if !h.generate[split.Generation] {
		h.broken("7: %s serves by generation %d, which was never committed", process, split.Generation)
	}
	// A process that is cut off holds on to what was promoted: that is what it
	// knows to be good, whatever has begun since.
	if arm == split.Baseline() || h.promoted[split.Generation] {
		return
	}
	const validity = 2*time.Second + 50*time.Millisecond
	now := time.Now()
	for i := len(h.commits) - 1; i >= 0; i-- {
		c := h.commits[i]
		if c.doc.Split.Weight(arm) > 0 {
			return
		}
		if now.Sub(c.at) > validity {
			break // c was the newest for longer than that
		}
	}
	last := h.commits[len(h.commits)-1]
	h.broken("7, 8, 19: %s serves by %s, %v after %s #%d (%v) was committed", process, arm, now.Sub(last.at), last.doc.ID, last.doc.Seq, last.doc.Phase)
}

// committed reports whether the event is that of a commit.
func (h *history) committed(ev Event) bool {
	for i := len(h.commits) - 1; i >= 0; i-- {
		if c := h.commits[i].doc; c.ID == ev.Rollout && c.Seq == ev.Seq {
			return c.Last.Hash == ev.Hash
		}
	}
	return false
}

// audited checks that the audit trail tells of every commit, and of nothing else.
func (w *world) audited() {
	prev := make(map[ID]Event)
	late, quarantined, events := 0, 0, 0
	for _, c := range w.commits {
		if c.doc.Note != nil {
			continue
		}
		events++
		id := c.doc.ID
		var ev Event
		entry, written := w.data[auditKey(id, c.doc.Seq)]
		if kept, ok := w.data[quarantinedKey(id, c.doc.Seq)]; ok && (!written || w.foreign[entry.Key]) {
			entry, written = kept, true
			quarantined++
		} else if w.foreign[entry.Key] {
			written = false
		}
		if !written && time.Since(c.at) < time.Second {
			late++ // it is on its way
			continue
		}
		if err := json.Unmarshal(entry.Value, &ev); err != nil {
			w.broken("18: %s #%d is not in the audit trail", id, c.doc.Seq)
			continue
		}
		if ev.Hash != c.doc.Last.Hash {
			w.broken("18: the audit trail has another %s #%d than was committed", id, c.doc.Seq)
		}
		if err := ev.Verify(prev[id]); err != nil {
			w.broken("18: %v", err)
		}
		prev[id] = ev
	}
	n := 0
	for key := range w.data {
		if strings.HasPrefix(key, "audit/") && !w.foreign[key] {
			n++
		}
	}
	if n += quarantined; n != events-late {
		w.broken("18: %d audit entries for %d events", n, events)
	}
}

// settled checks, when there have been no faults for a while, that everything
// has come to rest.
func (w *world) settled() {
	w.audited()
	final := w.byKey["rollout/chat"].doc
	if final == nil {
		w.broken("no rollout was ever started")
		return
	}
	waits := final.Phase.Terminal() || final.Paused || final.Phase == strategies.Approving
	if !waits {
		w.broken("26: %s is %v and waits for nobody: %s", final.ID, final.Phase, final.Reason)
	}
	fresh := time.Since(w.byKey["rollout/chat"].at) < time.Second // not everybody has to know yet
	leaders := 0
	for name, p := range w.alive {
		d := p.engine.current("chat")
		if d == nil || d.id != final.ID || d.commits() != final.commits() && !fresh {
			w.broken("28: %s does not know %s #%d", name, final.ID, final.Seq)
			continue
		}
		if d.leads() {
			leaders++
		}
		if s := p.target.split.Load(); !s.Equal(final.Split) && !fresh {
			w.broken("28: %s serves by %v, committed is %v", name, s.Arms, final.Split.Arms)
		}
	}
	if leaders != 1 {
		w.broken("25: %d processes lead", leaders)
	}
	for _, c := range w.commits {
		if ev := c.doc.Last; ev.Kind != Measured && w.told[ev.Key()] == 0 && time.Since(c.at) > 10*time.Second {
			if w.data[deadKey("pager", ev.Rollout, ev.Seq)].Value == nil {
				w.broken("15, 27: the pager was never told of %s", ev)
			}
		}
	}
	for _, a := range w.acts {
		w.acknowledged(a)
	}
	for _, c := range w.commits {
		if c.doc.Phase == strategies.Promoted && bad[c.doc.Plan.Candidate.Arm()] && !w.pushed(c.doc.ID) {
			var seen string
			if j := c.doc.Last.Judgement; j != nil {
				seen = fmt.Sprintf("%d requests of it against %d, %s", j.Candidate.Requests, j.Baseline.Requests, j.Reason)
			}
			w.broken("10: %s promoted a version that fails most of its requests: %s", c.doc.ID, seen)
		}
	}
}

// pushed reports whether somebody has pushed the rollout on by hand.
func (h *history) pushed(id ID) bool {
	for _, c := range h.commits {
		if ev := c.doc.Last; c.doc.ID == id && ev.Rule == "command" && ev.Kind == PhaseEntered {
			return true
		}
	}
	return false
}

// acknowledged checks that what somebody was told is done is in the record, and
// that an abort was the end.
func (w *world) acknowledged(a act) {
	var last *document
	seen := false
	for _, c := range w.commits {
		if c.doc.ID == a.id {
			last = c.doc
			seen = seen || c.doc.Last.By.Name == a.by
		}
	}
	if !seen {
		w.broken("17: %v by %s on %s was acknowledged, but is not in the record", a.cmd, a.by, a.id)
	}
	if a.cmd == strategies.Abort && last.Phase != strategies.Aborted {
		w.broken("16: an abort of %s was acknowledged, but it is %v", a.id, last.Phase)
	}
}
