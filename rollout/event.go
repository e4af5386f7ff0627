package rollout

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/visible"
	"github.com/serin-go/serin/strategies"
)

// Kind says what happened. Its values are stored and never change.
type Kind string

const (
	Started      Kind = "started"       // the rollout was accepted; no traffic has moved
	Continued    Kind = "continued"     // an engine took the rollout up again after a restart
	PhaseEntered Kind = "phase entered" // checks begin, or a stage's split is in force
	Measured     Kind = "measured"      // nothing else has happened for an hour; with the evidence so far
	Paused       Kind = "paused"        // waits for Resume
	Resumed      Kind = "resumed"
	Voted        Kind = "voted"      // an actor approved or rejected
	Disowned     Kind = "disowned"   // a person's vote was taken back; see Engine.Disown
	Dropped      Kind = "dropped"    // one of several candidates is out
	Rebalanced   Kind = "rebalanced" // the shares of a contest changed
	Ended        Kind = "ended"      // Phase is the outcome
)

// Event is one thing that happened to a rollout: one entry of its audit trail, and
// one commit of its document. A checkpoint ([Config.Checkpoint]) commits the evidence
// without an event. While nothing happens, an event of kind [Measured] is added every
// hour. The events of a rollout are numbered without
// gaps from 1, and each carries the hash of the one before it.
//
// It is plain data; its JSON form is the audit format.
type Event struct {
	// Format is the number of the form that the event was written in. Zero is the
	// first one.
	Format  int       `json:"format,omitempty"`
	Rollout ID        `json:"rollout"`
	Seq     uint64    `json:"seq"`
	At      time.Time `json:"at"` // wall clock, UTC, for people; nothing is decided by it
	Kind    Kind      `json:"kind"`
	By      Actor     `json:"by"`
	Reason  string    `json:"reason"`
	// Rule names the rule that decided, in stable words, such as "harm" or
	// "command"; empty for what nothing decided. Urgent says that people should
	// be woken. Epoch grows whenever another engine takes the rollout over.
	Rule   string `json:"rule,omitempty"`
	Urgent bool   `json:"urgent,omitempty"`
	Epoch  uint64 `json:"epoch"`

	// The state after the event.
	Phase  strategies.Phase `json:"phase"`
	Stage  int              `json:"stage"` // index into the plan's stages
	Name   string           `json:"name"`  // name of that stage
	Paused bool             `json:"paused,omitempty"`
	Split  strategies.Split `json:"split"`
	Baked  time.Duration    `json:"baked_ns"`

	// What the decision was made from, where there was any.
	Judgement *analysis.Judgement `json:"judgement,omitempty"`
	Checks    *checks.Report      `json:"checks,omitempty"`
	// Others are the judgements of further candidates while they compete.
	Others []analysis.Judgement `json:"others,omitempty"`
	// Monitor is there where a candidate that had all traffic became worse than
	// the baseline had been.
	Monitor *analysis.MonitorReport `json:"monitor,omitempty"`

	// Prev is the Hash of the event before, empty for the first. Hash is the
	// SHA-256, in hex, of this event's JSON with Hash left empty; see [VerifyEntry].
	Prev string `json:"prev,omitempty"`
	Hash string `json:"hash,omitempty"`
}

// UnmarshalText implements [encoding.TextUnmarshaler]. It reads the kinds of earlier
// versions too.
func (k *Kind) UnmarshalText(text []byte) error {
	if *k = Kind(text); *k == "reweighed" {
		*k = Rebalanced
	}
	return nil
}

// UnmarshalJSON implements [json.Unmarshaler]. It reads events of earlier versions too.
// Members that it does not know, as of later versions, are ignored.
func (e *Event) UnmarshalJSON(data []byte) error {
	type plain Event
	read := struct {
		*plain
		Watch *analysis.MonitorReport `json:"watch"` // Monitor in formats before 2
	}{plain: (*plain)(e)}
	if err := json.Unmarshal(data, &read); err != nil {
		return err
	}
	if e.Format < 2 && e.Monitor == nil {
		e.Monitor = read.Watch
	}
	return nil
}

// eventFormat is the number of the form in which events are written.
const eventFormat = 2

// String words the event in one line. Characters that do not show are replaced by
// visible ones.
func (e Event) String() string {
	return visible.Line(fmt.Sprintf("%s #%d %s (%s, %s): %s", e.Rollout, e.Seq, e.Kind, e.Phase, e.Name, e.Reason))
}

// formerNames pairs what format 2 has renamed with what the formats before it say.
var formerNames = strings.NewReplacer(
	`,"kind":"rebalanced",`, `,"kind":"reweighed",`,
	`,"phase":"monitoring",`, `,"phase":"watching",`,
	`,"monitor":{`, `,"watch":{`,
)

// marshal returns e as JSON, in the format that e was written in: its hash is about that.
func (e Event) marshal() ([]byte, error) {
	body, err := json.Marshal(e)
	if err == nil && e.Format < 2 {
		body = []byte(formerNames.Replace(string(body)))
	}
	return body, err
}

// sealed returns e as it is read back, with its hash filled in, and its JSON.
func (e Event) sealed() (Event, []byte, error) {
	e.Hash = ""
	body, err := e.marshal()
	if err == nil && bytes.Contains(body, []byte(`\ufffd`)) {
		// Something in it was not UTF-8, which JSON writes in one way and reads in
		// another. What is hashed is what will be read.
		var read Event
		if err = json.Unmarshal(body, &read); err == nil {
			e = read
			body, err = e.marshal()
		}
	}
	if err != nil {
		return e, nil, fmt.Errorf("rollout: event %s #%d: %w", e.Rollout, e.Seq, err)
	}
	sum := sha256.Sum256(body)
	e.Hash = hex.EncodeToString(sum[:])
	body, err = e.marshal()
	return e, body, err
}

// Verify reports whether e is what was sealed and follows the event before it.
// prev is the zero Event for the first. The error names what does not fit. An
// event that another version of this package has written is verified by its bytes
// alone, see [VerifyEntry].
func (e Event) Verify(prev Event) error {
	again, _, err := e.sealed()
	if err != nil {
		return err
	}
	return e.verify(again.Hash, prev)
}

func (e Event) verify(hash string, prev Event) error {
	switch {
	case hash != e.Hash:
		return fmt.Errorf("rollout: event %s #%d was altered: its content has hash %s, it says %s", e.Rollout, e.Seq, hash, e.Hash)
	case e.Seq != prev.Seq+1 || e.Prev != prev.Hash || prev.Seq > 0 && e.Rollout != prev.Rollout:
		return fmt.Errorf("rollout: event %s #%d does not follow %s #%d", e.Rollout, e.Seq, prev.Rollout, prev.Seq)
	}
	return nil
}

// VerifyEntry reads an entry of the audit trail and verifies it as [Event.Verify]
// does, by the bytes that were stored: the hash covers the entry without its last
// member, which is the hash itself. So entries of every format verify, whatever this
// version makes of them. The event is returned with an error of the chain, too.
func VerifyEntry(entry []byte, prev Event) (Event, error) {
	var e Event
	if err := unmarshalEvent(entry, &e); err != nil {
		return Event{}, err
	}
	tail := `,"hash":"` + e.Hash + `"}`
	body, ok := bytes.CutSuffix(entry, []byte(tail))
	if !ok {
		return e, fmt.Errorf("rollout: event %s #%d does not end with its hash", e.Rollout, e.Seq)
	}
	return e, e.verify(hashOf(append(bytes.Clone(body), '}')), prev)
}

// Observer receives every event after it has been committed and has taken effect. For each
// rollout, one goroutine at a time calls Observe, in order of Seq. Observe must not block
// for long, and it cannot stop the rollout. After a crash the last event before it may be
// missing or repeated. Use [Engine.Events] or a [Sink] for what must not be missed.
type Observer interface {
	Observe(ctx context.Context, e Event)
}

// ObserverFunc is a function as an [Observer].
type ObserverFunc func(ctx context.Context, e Event)

// Observe implements [Observer].
func (f ObserverFunc) Observe(ctx context.Context, e Event) { f(ctx, e) }

// Tee returns an Observer that calls each of os in order.
func Tee(os ...Observer) Observer {
	return ObserverFunc(func(ctx context.Context, e Event) {
		for _, o := range os {
			o.Observe(ctx, e)
		}
	})
}

// Log returns an Observer that writes one record per event to l, at level Info,
// Warn for pauses and for endings other than Promoted, and Debug for evidence.
func Log(l *slog.Logger) Observer {
	return ObserverFunc(func(ctx context.Context, e Event) {
		level := slog.LevelInfo
		switch {
		case e.Kind == Measured:
			level = slog.LevelDebug
		case e.Urgent:
			level = slog.LevelError
		case e.Kind == Paused, e.Kind == Ended && e.Phase != strategies.Promoted:
			level = slog.LevelWarn
		}
		l.LogAttrs(ctx, level, "rollout "+string(e.Kind),
			slog.String("rollout", string(e.Rollout)), slog.Uint64("seq", e.Seq),
			slog.String("phase", e.Phase.String()), slog.String("stage", e.Name),
			slog.String("by", e.By.Name), slog.String("reason", e.Reason))
	})
}
