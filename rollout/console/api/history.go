package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/strategies"
)

const (
	// defaultPage and maxPage are numbers of rollouts or events of a page.
	defaultPage, maxPage = 50, 200
	// maxExamined bounds the rollouts that are read for one page, whatever the filter.
	maxExamined = 1_000
	// maxCursor bounds a cursor, in bytes.
	maxCursor = 16 << 10
)

// limit returns the size of a page.
func limit(q url.Values) (int, error) {
	v := q.Get("limit")
	if v == "" {
		return defaultPage, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > maxPage {
		return 0, invalid("limit", "", fmt.Sprintf("%q", v), fmt.Sprintf("1 to %d", maxPage))
	}
	return n, nil
}

// cursor says up to where each target has been listed: the rollout that was listed last, ""
// for none yet. A target that is not in it is listed no more. So rollouts and targets that are
// added meanwhile change nothing about the pages that follow.
type cursor map[string]rollout.ID

func (c cursor) String() string {
	body, err := json.Marshal(c)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(body)
}

func parseCursor(text string) (cursor, error) {
	bad := invalid("before", "", "it is no cursor of this API", "the cursor of the page before, as it was given")
	if len(text) > maxCursor {
		return nil, bad
	}
	body, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, bad
	}
	var c cursor
	if err := json.Unmarshal(body, &c); err != nil || len(c) == 0 {
		return nil, bad
	}
	for target, id := range c {
		if id != "" && id.Target() != target {
			return nil, bad
		}
	}
	return c, nil
}

// outcomes are the values of the parameter outcome. "active" selects rollouts without one.
var outcomes = []string{
	strategies.Promoted.String(), strategies.RolledBack.String(), strategies.Aborted.String(), strategies.Superseded.String(), strategies.Failed.String(), "active",
}

// history answers GET /rollouts.
func (s *Server) history(r *request) (*answer, error) {
	q := r.query
	n, err := limit(q)
	if err != nil {
		return nil, err
	}
	if o := q.Get("outcome"); o != "" && !slices.Contains(outcomes, o) {
		return nil, invalid("outcome", "", fmt.Sprintf("%q", o), fmt.Sprintf("one of %q", outcomes))
	}
	at, err := s.begin(r, q)
	if err != nil {
		return nil, err
	}
	page, next, err := s.page(r.Context(), at, n, func(ro client.Rollout) bool {
		by, outcome := q.Get("by"), q.Get("outcome")
		return (by == "" || by == ro.By.Name || by == ro.By.Subject) &&
			(outcome == "" || outcome == ro.Outcome || outcome == "active" && ro.Outcome == "")
	})
	if err != nil {
		return nil, err
	}
	out := struct {
		Rollouts []client.Rollout `json:"rollouts"`
		Next     string           `json:"next,omitempty"`
	}{Rollouts: page}
	a := &answer{header: http.Header{}}
	if len(next) > 0 {
		out.Next = next.String()
		q.Set("before", out.Next)
		a.header.Set("Link", fmt.Sprintf("<?%s>; rel=\"next\"", q.Encode()))
	}
	a.body = out
	return a, nil
}

// begin returns the cursor of a request: the given one, or the beginning of the targets that
// it asks for, as far as the caller may read them.
func (s *Server) begin(r *request, q url.Values) (cursor, error) {
	at := cursor{}
	if text := q.Get("before"); text != "" {
		given, err := parseCursor(text)
		if err != nil {
			return nil, err
		}
		at = given
		maps.DeleteFunc(at, func(t string, _ rollout.ID) bool { return !s.may(r, actionRead, t) })
	} else if t := q.Get("target"); t == "" {
		names, err := s.readableTargets(r)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			at[name] = ""
		}
	}
	if t := q.Get("target"); t != "" {
		if err := s.readable(r, t); err != nil {
			return nil, err
		}
		at = cursor{t: at[t]}
	}
	return at, nil
}

// lane is one target on its way into a page: the rollouts that were read and not listed yet.
type lane struct {
	target string
	after  rollout.ID
	read   []client.Rollout
	done   bool
}

// page merges the rollouts of several targets, newest first.
func (s *Server) page(ctx context.Context, at cursor, n int, want func(client.Rollout) bool) ([]client.Rollout, cursor, error) {
	var lanes []*lane
	for _, t := range slices.Sorted(maps.Keys(at)) {
		lanes = append(lanes, &lane{target: t, after: at[t]})
	}
	chunk := n
	if len(lanes) > 1 {
		chunk = min(n, 4)
	}
	page := []client.Rollout{}
	for examined := 0; len(page) < n && examined < maxExamined; examined++ {
		var first *lane
		for _, l := range lanes {
			if err := s.fill(ctx, l, chunk); err != nil {
				return nil, nil, err
			}
			if len(l.read) > 0 && (first == nil || l.read[0].Started.After(first.read[0].Started)) {
				first = l
			}
		}
		if first == nil {
			return page, nil, nil
		}
		ro := first.read[0]
		first.read, first.after = first.read[1:], rollout.ID(ro.ID)
		if want(ro) {
			page = append(page, ro)
		}
	}
	next := cursor{}
	for _, l := range lanes {
		if !l.done || len(l.read) > 0 {
			next[l.target] = l.after
		}
	}
	return page, next, nil
}

// fill reads the next rollouts of a lane that has no more of them.
func (s *Server) fill(ctx context.Context, l *lane, n int) error {
	if l.done || len(l.read) > 0 {
		return nil
	}
	all, err := s.cfg.Engine.Rollouts(ctx, l.target, l.after, n)
	if err != nil && len(all) == 0 {
		return err
	}
	l.done = err == nil && len(all) < n
	for _, st := range all {
		ro, _ := s.rollout(ctx, st)
		l.read = append(l.read, ro)
	}
	return nil
}
