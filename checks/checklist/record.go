package checklist

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
)

// Kind is the kind of a [Record]. A record of another kind proves nothing.
type Kind string

// The kinds of records.
const (
	Vote       Kind = "vote"       // a person vouches for an item, or rejects it
	Waiver     Kind = "waiver"     // an item that does not hold is accepted for a time
	Withdrawal Kind = "withdrawal" // takes back the record Of
	Looked     Kind = "result"     // the result of the item's check
)

// Person identifies a person. The program that writes records authenticates them.
type Person struct {
	// Subject identifies the person permanently, such as issuer and subject of an identity
	// provider. If it is empty, the name does, regardless of case and surrounding space.
	Subject string `json:"subject,omitempty"`
	// Name is for people.
	Name  string   `json:"name,omitempty"`
	Roles []string `json:"roles,omitempty"`
	// Proved is the time of the last multi-factor authentication, or zero.
	Proved time.Time `json:"proved,omitzero"`
}

// Record is one piece of evidence. It is plain data.
type Record struct {
	// Seq is the position in the source, from 1. Later records have greater ones.
	Seq  uint64 `json:"seq,omitempty"`
	Kind Kind   `json:"kind"`
	// Item is the ID of the item, and Subject what the record is about.
	Item    string         `json:"item"`
	Subject checks.Subject `json:"subject,omitzero"`
	// By is who vouches, waives or withdraws. It is zero for a result of a check.
	By Person `json:"by,omitzero"`
	// Check identifies the list and the check of a result. Results of another list or of a
	// check with other requirements do not count.
	Check string `json:"check,omitempty"`
	// The record counts from At until Until. Until is required for a waiver. Votes and
	// results without it count as long as the item says.
	At    time.Time `json:"at"`
	Until time.Time `json:"until,omitzero"`
	// Result is the result of a check. Of a vote, its Status is Pass to vouch and Fail to
	// reject.
	Result checks.Result `json:"result,omitzero"`
	// Reason is the reason in words. A waiver has one. Link and Sum are the proof: an
	// address, and "sha256:" with the digest of what is there, in hexadecimal digits.
	Reason string `json:"reason,omitempty"`
	Link   string `json:"link,omitempty"`
	Sum    string `json:"sum,omitempty"`
	// Of is the Seq of the record that a withdrawal takes back.
	Of uint64 `json:"of,omitempty"`
}

// Source holds records. Its methods are safe for concurrent use.
type Source interface {
	// Records returns all records about an item, in the order of Seq.
	Records(ctx context.Context, item string) ([]Record, error)
	// Keep stores the result of a check, and sets its Seq. If it returns an error, the
	// result does not count.
	Keep(ctx context.Context, r Record) error
}

// Memory is a [Source] in memory, for tests and small programs. The zero Memory is empty
// and ready to use. It is safe for concurrent use, and must not be copied.
type Memory struct {
	mu  sync.Mutex
	seq uint64
	all map[string][]Record
}

// Records implements [Source]. It never returns an error.
func (m *Memory) Records(_ context.Context, item string) ([]Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.all[item]), nil // evaluations do not change what a record refers to
}

// Keep implements [Source]. It takes records of all kinds, and never returns an error.
func (m *Memory) Keep(_ context.Context, r Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil {
		m.all = make(map[string][]Record)
	}
	m.seq++
	r.Seq = m.seq
	m.all[r.Item] = append(m.all[r.Item], r)
	return nil
}
