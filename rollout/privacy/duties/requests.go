package duties

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/privacy"
)

// Kind is what a person asks for.
type Kind string

// The kinds of requests.
const (
	Access      Kind = "access"      // GDPR 15, CCPA 1798.110
	Portability Kind = "portability" // GDPR 20
	Erasure     Kind = "erasure"     // GDPR 17, CCPA 1798.105
	Objection   Kind = "objection"   // GDPR 21
	DoNotSell   Kind = "do-not-sell" // CCPA 1798.120
)

// Law says by when a request must be done.
type Law string

// The laws.
const (
	GDPR Law = "gdpr" // one month; article 12(3), and regulation 1182/71 for months
	CCPA Law = "ccpa" // 45 days; 1798.130(a)(2)
)

// Due returns the end of the time for a request.
func (l Law) Due(received time.Time) time.Time {
	if l == CCPA {
		return received.AddDate(0, 0, 45)
	}
	due := received.AddDate(0, 1, 0)
	if due.Day() != received.Day() { // the next month is shorter: its last day
		due = due.AddDate(0, 0, -due.Day())
	}
	return due
}

// Request is a request of a person. It has nothing of the person but the pseudonym.
type Request struct {
	ID       string    `json:"id"` // unique, 1 to 64 of a-z, A-Z, 0-9, '.', '_', '/' and '-'
	Kind     Kind      `json:"kind"`
	Law      Law       `json:"law"`
	Person   string    `json:"person"` // the pseudonym
	Received time.Time `json:"received"`
	Due      time.Time `json:"due"`
	// Done is when it was done, zero while it is open, and Outcome what came of it.
	Done    time.Time `json:"done,omitzero"`
	Outcome string    `json:"outcome,omitempty"`
}

// ErrUnknownPerson means that a request is about a person who is not known.
var ErrUnknownPerson = errors.New("duties: the person of the request is not known")

// Requests keeps the requests of people and their clocks in a record. Make one with
// [OpenRequests]. It is safe for concurrent use, and several processes may use one record.
type Requests struct {
	notes      privacy.Notes
	pseudonyms *privacy.Pseudonyms
	known      func(ctx context.Context, person string) (bool, error)

	mu   sync.Mutex
	read uint64
	all  []Request
}

// OpenRequests reads the requests of a record. known reports whether there is data of a
// person; a request about another person is refused. If known is nil, every person is known.
func OpenRequests(ctx context.Context, n privacy.Notes, p *privacy.Pseudonyms, known func(ctx context.Context, person string) (bool, error)) (*Requests, error) {
	if n == nil || p == nil {
		return nil, invalid("OpenRequests", nil, "notes and pseudonyms")
	}
	r := &Requests{notes: n, pseudonyms: p, known: known}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r, r.refresh(ctx)
}

var requestID = regexp.MustCompile(`^[A-Za-z0-9._/-]{1,64}$`)

func invalid(field string, value any, want string) error {
	return &checks.InvalidError{Package: "duties", Field: field, Value: value, Want: want}
}

// noteRequest is the name of entries with requests, new or done.
const noteRequest = "request"

// refresh reads what was written since. The caller holds r.mu.
func (r *Requests) refresh(ctx context.Context) error {
	err := r.notes.Notes(ctx, r.read, func(seq uint64, name string, what json.RawMessage) error {
		r.read = max(r.read, seq)
		if name != noteRequest {
			return nil
		}
		var q Request
		if err := json.Unmarshal(what, &q); err != nil {
			return fmt.Errorf("request of entry %d: %w", seq, err)
		}
		switch i := r.index(q.ID); {
		case i < 0:
			r.all = append(r.all, q)
		case r.all[i].Done.IsZero():
			r.all[i].Done, r.all[i].Outcome = q.Done, q.Outcome
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("duties: requests: %w", err)
	}
	return nil
}

func (r *Requests) index(id string) int {
	return slices.IndexFunc(r.all, func(q Request) bool { return q.ID == id })
}

// Receive records a request. Of q, the fields ID, Kind, Law and Received count; a zero
// Received is now. A second request with an ID is refused, also if another process records one
// at the same time: the first one in the record counts. For a person who is not known, the
// error wraps [ErrUnknownPerson].
func (r *Requests) Receive(ctx context.Context, person string, q Request) (Request, error) {
	now := time.Now().UTC()
	if q.Received.IsZero() {
		q.Received = now
	}
	var errs []error
	if !requestID.MatchString(q.ID) {
		errs = append(errs, invalid("Request.ID", q.ID, "1 to 64 of a-z, A-Z, 0-9, '.', '_', '/' and '-'"))
	}
	if !slices.Contains([]Kind{Access, Portability, Erasure, Objection, DoNotSell}, q.Kind) {
		errs = append(errs, invalid("Request.Kind", string(q.Kind), "access, portability, erasure, objection or do-not-sell"))
	}
	if q.Law != GDPR && q.Law != CCPA {
		errs = append(errs, invalid("Request.Law", string(q.Law), "gdpr or ccpa"))
	}
	if q.Received.After(now.Add(2 * time.Minute)) {
		errs = append(errs, invalid("Request.Received", q.Received, "a time that is not in the future"))
	}
	if person == "" || len(person) > 1024 {
		errs = append(errs, invalid("person", fmt.Sprintf("%d bytes", len(person)), "1 to 1,024 bytes"))
	} else if strings.Contains(q.ID, person) {
		errs = append(errs, invalid("Request.ID", "the person", "an ID without the person, since it is kept"))
	}
	if err := errors.Join(errs...); err != nil {
		return q, err
	}
	if r.known != nil {
		known, err := r.known(ctx, person)
		if err != nil {
			return q, fmt.Errorf("duties: person of request %s: %w", q.ID, err)
		}
		if !known {
			return q, fmt.Errorf("%w: request %s", ErrUnknownPerson, q.ID)
		}
	}
	q.Person, q.Due, q.Done, q.Outcome = r.pseudonyms.Of("", person), q.Law.Due(q.Received), time.Time{}, ""
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refresh(ctx); err != nil {
		return q, err
	}
	if r.index(q.ID) >= 0 {
		return q, invalid("Request.ID", q.ID, "an ID that no other request has")
	}
	if err := r.notes.Note(ctx, noteRequest, q); err != nil {
		return q, fmt.Errorf("duties: request %s: %w", q.ID, err)
	}
	if err := r.refresh(ctx); err != nil {
		return q, err
	}
	switch i := r.index(q.ID); {
	case i < 0:
		return q, fmt.Errorf("duties: request %s: it was not recorded", q.ID)
	case !r.all[i].same(q): // another process was faster
		return q, invalid("Request.ID", q.ID, "an ID that no other request has")
	}
	return q, nil
}

// same reports whether two requests ask for the same.
func (q Request) same(o Request) bool {
	return q.Kind == o.Kind && q.Law == o.Law && q.Person == o.Person && q.Received.Equal(o.Received)
}

// Finish records that a request was done. outcome says what came of it, and must not have the
// name of the person.
func (r *Requests) Finish(ctx context.Context, id, outcome string) (Request, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refresh(ctx); err != nil {
		return Request{}, err
	}
	i := r.index(id)
	if i < 0 || !r.all[i].Done.IsZero() {
		return Request{}, invalid("id", id, "the ID of a request that is open")
	}
	if strings.TrimSpace(outcome) == "" || len(outcome) > 1024 {
		return Request{}, invalid("outcome", outcome, "1 to 1,024 bytes")
	}
	q := r.all[i]
	q.Done, q.Outcome = time.Now().UTC(), outcome
	if err := r.notes.Note(ctx, noteRequest, q); err != nil {
		return Request{}, fmt.Errorf("duties: request %s: %w", id, err)
	}
	if err := r.refresh(ctx); err != nil {
		return Request{}, err
	}
	return r.all[i], nil
}

// All returns all requests, in the order in which they were recorded.
func (r *Requests) All(ctx context.Context) ([]Request, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refresh(ctx); err != nil {
		return nil, err
	}
	return slices.Clone(r.all), nil
}

// warnBefore is how long before the end of its time an open request is a warning.
const warnBefore = 5

// Check returns a check that fails if an open request is overdue, and warns from five days
// before. A legal hold does not stop the clock.
func (r *Requests) Check() checks.Check {
	return checks.Func(func(ctx context.Context) checks.Result {
		all, err := r.All(ctx)
		if err != nil {
			return checks.Result{Err: err}
		}
		now := time.Now()
		open := 0
		var late, soon []string
		for _, q := range all {
			switch text := fmt.Sprintf("%s (%s, due %s)", q.ID, q.Kind, q.Due.UTC().Format(time.DateOnly)); {
			case !q.Done.IsZero():
				continue
			case now.After(q.Due):
				late = append(late, text)
			case !now.Before(q.Due.AddDate(0, 0, -warnBefore)):
				soon = append(soon, text)
			}
			open++
		}
		res := checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("%d open requests of people, none is due soon", open),
			Evidence: map[string]string{"open": fmt.Sprint(open), "overdue": fmt.Sprint(len(late)), "due soon": fmt.Sprint(len(soon))}}
		shown := func(all []string) string { return strings.Join(all[:min(len(all), 5)], ", ") }
		switch {
		case len(late) > 0:
			res.Status, res.Summary = checks.Fail, fmt.Sprintf("%d overdue requests of people: %s", len(late), shown(late))
		case len(soon) > 0:
			res.Status, res.Summary = checks.Warn, fmt.Sprintf("%d requests of people are due within %d days: %s", len(soon), warnBefore, shown(soon))
		}
		return res
	})
}
