package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/rollout"
)

// Kind is the kind of an [Entry]: a [checklist.Kind], or one of these.
type Kind string

// The further kinds of entries.
const (
	Noted    Kind = "note"     // a security event, an erasure, a change of configuration
	Reviewed Kind = "review"   // a person has reviewed a range of the record
	Refusals Kind = "refusals" // how often an engine has refused an actor
)

// Entry is one line of the ledger. It is plain data.
type Entry struct {
	// Seq is the number of the entry, from 1. Prev is the hash of the entry before it, ""
	// for the first.
	Seq  uint64    `json:"seq"`
	Prev string    `json:"prev"`
	At   time.Time `json:"at"`
	Kind Kind      `json:"kind"`
	// By is who acted. It is the engine for results of checks.
	By rollout.Actor `json:"by"`
	// Record is set for the kinds of package checklist.
	Record *checklist.Record `json:"record,omitempty"`
	// Name and Note are set for [Noted]: what happened, and details.
	Name string          `json:"name,omitempty"`
	Note json.RawMessage `json:"note,omitempty"`
	// Review is set for [Reviewed].
	Review *Review `json:"review,omitempty"`
	// Refused is set for [Refusals].
	Refused *Refused `json:"refused,omitempty"`
	// Hash is the SHA-256 of the line without this member, in hexadecimal digits.
	Hash string `json:"hash,omitempty"`
}

// Refused counts what an engine has refused.
type Refused struct {
	Action  rollout.Action `json:"action"`
	Rule    string         `json:"rule"`
	Targets []string       `json:"targets"`
	// Reason is the reason of the first one.
	Reason string `json:"reason"`
	// Count is their number, between From and To.
	Count int       `json:"count"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
}

// TamperError means that an entry is not what was written.
type TamperError struct {
	Seq    uint64 // of the entry
	Reason string
}

func (e *TamperError) Error() string { return fmt.Sprintf("ledger: entry %d: %s", e.Seq, e.Reason) }

// seal returns the line of e, and sets its hash.
func (e *Entry) seal() ([]byte, error) {
	e.Hash = ""
	line, err := json.Marshal(e)
	if err == nil && bytes.Contains(line, []byte(`\ufffd`)) {
		// It was not UTF-8, which JSON writes in one way and reads in another.
		var read Entry
		if err = json.Unmarshal(line, &read); err == nil {
			*e = read
			line, err = json.Marshal(e)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	sum := sha256.Sum256(line)
	e.Hash = hex.EncodeToString(sum[:])
	line = append(line[:len(line)-1], `,"hash":"`+e.Hash+`"}`...)
	return line, nil
}

// tail is the size of the last member of a line.
const tail = len(`,"hash":"`) + 2*sha256.Size + len(`"}`)

// verify checks by its bytes that a line is what was sealed, with the given number and
// after the given hash. It returns the hash of the line.
func verify(line []byte, seq uint64, prev string) (string, error) {
	bad := func(format string, args ...any) (string, error) {
		return "", &TamperError{Seq: seq, Reason: fmt.Sprintf(format, args...)}
	}
	head := make([]byte, 0, 128)
	head = append(head, `{"seq":`...)
	head = strconv.AppendUint(head, seq, 10)
	head = append(head, `,"prev":"`...)
	if !bytes.HasPrefix(line, head) {
		return bad("it does not have this number")
	}
	head = append(append(head, prev...), `",`...)
	if !bytes.HasPrefix(line, head) {
		return bad("it does not follow the entry before it")
	}
	if len(line) < len(head)+tail || line[len(line)-1] != '}' {
		return bad("it does not end with its hash")
	}
	body := len(line) - tail
	h := sha256.New()
	h.Write(line[:body])
	h.Write([]byte{'}'})
	var digits [2 * sha256.Size]byte
	hex.Encode(digits[:], h.Sum(nil))
	if string(line[body:]) != `,"hash":"`+string(digits[:])+`"}` {
		return bad("it was altered: its content has hash %s", digits[:])
	}
	return string(digits[:]), nil
}
