package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Identity is the caller as the server knows it.
type Identity struct {
	Actor
	// Signed reports whether the caller has signed in. Without that, only loopback may read.
	Signed bool `json:"signed_in"`
	// Actions are the actions that the caller may carry out, by target. "" stands for actions
	// without a target. What makes sense now is in [State.Commands].
	Actions map[string][]string `json:"actions"`
}

// Target is what rollouts are of.
type Target struct {
	Name string `json:"name"`
	// State is the state of its newest rollout, active or not. Nil means that it never had
	// one, or that it cannot be read: Problem says why.
	State   *State `json:"state,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// Rollout is a rollout as it is stored. It changes only when something happens to it: what
// was measured is in [State] and [Judgement].
type Rollout struct {
	ID     string `json:"id"` // "chat/17"
	Target string `json:"target"`
	// Changed is the number of the event that has changed the rollout last, for
	// [Order.IfSeq]. The ETag of the rollout is this number in quotes.
	Changed   uint64    `json:"changed"`
	Baseline  Release   `json:"baseline"`
	Candidate Release   `json:"candidate"`
	Rivals    []Release `json:"rivals,omitempty"`
	// Phase is such as "baking", or the outcome; see Outcome.
	Phase string `json:"phase"`
	// Stage is the index of the stage, from 0.
	Stage  int     `json:"stage"`
	Stages []Stage `json:"stages"`
	Paused bool    `json:"paused,omitempty"`
	// Outcome is "promoted", "rolled back", "aborted", "superseded" or "failed"; empty while
	// the rollout is active.
	Outcome string `json:"outcome,omitempty"`
	Reason  string `json:"reason"`
	// Digest identifies the plan and its checks, for [Order.OfPlan].
	Digest  string   `json:"digest"`
	Votes   []Vote   `json:"votes,omitempty"`
	Winner  string   `json:"winner,omitempty"`
	Dropped []string `json:"dropped,omitempty"`
	// Started and By are when and by which actor the rollout was started; they are zero if
	// the event is no longer in the store. ChangedAt and ChangedBy are about Changed.
	Started   time.Time `json:"started,omitzero"`
	By        Actor     `json:"by,omitzero"`
	ChangedAt time.Time `json:"changed_at,omitzero"`
	ChangedBy Actor     `json:"changed_by,omitzero"`
	// Ended is zero while the rollout is active.
	Ended time.Time `json:"ended,omitzero"`
}

// Stage is a stage of a plan.
type Stage struct {
	Name string `json:"name"`
	// Share is the candidate's, copies included.
	Share      Share    `json:"share"`
	Bake       Duration `json:"bake,omitzero"`
	Limit      Duration `json:"limit,omitzero"`
	MinSamples int      `json:"min_samples,omitempty"`
	Before     []string `json:"before,omitempty"`
	After      []string `json:"after,omitempty"`
	// Approve says what approval is needed before the stage; empty means no approval.
	Approve string `json:"approve,omitempty"`
	// MFA is how old a voter's second factor may be; zero asks for no factor.
	MFA Duration `json:"mfa,omitzero"`
}

// Vote is the vote of a person on the stage that waits for approval.
type Vote struct {
	By     Actor     `json:"by"`
	At     time.Time `json:"at"`
	Reject bool      `json:"reject,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

// State is how a rollout stands now: what people look at. It has at most 4 KiB in JSON, since
// texts and lists in it are cut.
type State struct {
	ID        string    `json:"id"`
	Target    string    `json:"target"`
	At        time.Time `json:"at"`      // when the server has read it
	Changed   uint64    `json:"changed"` // as in [Rollout]
	Baseline  string    `json:"baseline"`
	Candidate string    `json:"candidate"`
	Phase     string    `json:"phase"`
	Outcome   string    `json:"outcome,omitempty"`
	Stage     int       `json:"stage"`
	StageName string    `json:"stage_name,omitempty"`
	Paused    bool      `json:"paused,omitempty"`
	// Situation names what kind of state it is, such as "quiet", "harming" or "approval".
	// Urgency is "rest", "moving", "person" for what waits for a person, or "alarm".
	Situation string `json:"situation"`
	Urgency   string `json:"urgency"`
	// Glyph is one character for the situation, and Sentence is the state in one sentence, with
	// times in UTC. Next says what happens by itself, and when.
	Glyph    string `json:"glyph"`
	Sentence string `json:"sentence"`
	Next     string `json:"next,omitempty"`
	// Since is when the situation began, and By the name of its cause: "serin" for the engine. Both
	// are empty if that is not known.
	Since time.Time `json:"since,omitzero"`
	By    string    `json:"by,omitempty"`
	// Reason says why the rollout is where it is, and Waiting what it waits for.
	Reason  string `json:"reason"`
	Waiting string `json:"waiting,omitempty"`
	// Arms is the split that is in force in the server. Lowered says why it gives the
	// candidate less than what is stored. SettledBy is when it is in force everywhere.
	Arms      []Arm     `json:"arms"`
	Lowered   string    `json:"lowered,omitempty"`
	SettledBy time.Time `json:"settled_by,omitzero"`
	// Baked is the time served in the stage, of Bake. Samples are the candidate's requests in
	// the stage, of MinSamples, and Exposed its requests in
	// the whole rollout.
	Baked      Duration `json:"baked,omitzero"`
	Bake       Duration `json:"bake,omitzero"`
	Samples    int      `json:"samples"`
	MinSamples int      `json:"min_samples,omitempty"`
	Exposed    int      `json:"exposed"`
	// Verdict is "continue", "harmed", "safe", "no evidence", "unmeasurable" or "incident",
	// and Harm the evidence of all metrics together that the candidate is worse.
	Verdict string `json:"verdict"`
	Harm    Proof  `json:"harm"`
	// Tiles are the first metrics, the most harmful first.
	Tiles []Tile `json:"tiles,omitempty"`
	// Commands are the commands that make sense now, whatever the caller may do.
	Commands []string `json:"commands,omitempty"`
}

// Tile is a metric in short.
type Tile struct {
	Metric    string `json:"metric"`
	Baseline  string `json:"baseline"` // value with its unit
	Candidate string `json:"candidate"`
	N         int    `json:"n"` // requests of the candidate that have a value
	Verdict   string `json:"verdict"`
	Harm      Proof  `json:"harm"`
}

// Filter selects rollouts.
type Filter struct {
	// Target, Outcome and By are compared as a whole; empty selects all. By is the name or
	// the subject of the actor who has started the rollout.
	Target  string
	Outcome string
	By      string
	// Limit is the number of rollouts that one request asks for, 1 to 200. Default 50.
	Limit int
}

// WhoAmI returns the caller as the server knows it.
func (c *Client) WhoAmI(ctx context.Context) (Identity, error) {
	var out Identity
	_, err := c.do(ctx, get("whoami"), &out)
	return out, err
}

// Targets returns the targets that the caller may read, sorted by name.
func (c *Client) Targets(ctx context.Context) ([]Target, error) {
	var out struct{ Targets []Target }
	_, err := c.do(ctx, get("targets"), &out)
	return out.Targets, err
}

// Target returns one target.
func (c *Client) Target(ctx context.Context, name string) (Target, error) {
	var out Target
	_, err := c.do(ctx, get("targets", name), &out)
	return out, err
}

// Rollouts yields the rollouts that f selects, newest first, page by page. It yields each
// rollout once, also while others are started. After an error it yields nothing more.
func (c *Client) Rollouts(ctx context.Context, f Filter) iter.Seq2[Rollout, error] {
	return func(yield func(Rollout, error) bool) {
		q := url.Values{}
		for name, v := range map[string]string{"target": f.Target, "outcome": f.Outcome, "by": f.By} {
			if v != "" {
				q.Set(name, v)
			}
		}
		if f.Limit != 0 {
			q.Set("limit", strconv.Itoa(f.Limit))
		}
		for {
			in := get("rollouts")
			in.query = q
			var page struct {
				Rollouts []Rollout
				Next     string
			}
			if _, err := c.do(ctx, in, &page); err != nil {
				yield(Rollout{}, err)
				return
			}
			for _, r := range page.Rollouts {
				if !yield(r, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			q.Set("before", page.Next)
		}
	}
}

// Rollout returns a rollout. If its [Rollout.Changed] is still known, which is not 0, the
// server sends nothing, and ok is false without an error.
func (c *Client) Rollout(ctx context.Context, id string, known uint64) (r Rollout, ok bool, err error) {
	in := get(segments(id)...)
	if known != 0 {
		in.header = http.Header{"If-None-Match": {tag(known)}}
	}
	resp, err := c.do(ctx, in, &r)
	return r, err == nil && resp.StatusCode != http.StatusNotModified, err
}

// tag is the ETag of a rollout.
func tag(changed uint64) string { return fmt.Sprintf("%q", strconv.FormatUint(changed, 10)) }

// State returns how a rollout stands now. id may be the name of a target, which stands for
// its newest rollout.
func (c *Client) State(ctx context.Context, id string) (State, error) {
	if !strings.Contains(id, "/") {
		t, err := c.Target(ctx, id)
		switch {
		case err != nil:
			return State{}, err
		case t.State == nil:
			return State{}, &Problem{Type: "/problems/" + NotFound, Title: "Not found", Status: http.StatusNotFound, Detail: "the target " + id + " never had a rollout"}
		}
		return *t.State, nil
	}
	var out State
	_, err := c.do(ctx, get(segments(id, "state")...), &out)
	return out, err
}

// Plan returns the plan of a rollout as a plan file in YAML.
func (c *Client) Plan(ctx context.Context, id string) ([]byte, error) {
	in := get(segments(id, "plan")...)
	in.header = http.Header{"Accept": {"application/yaml"}}
	var out []byte
	_, err := c.do(ctx, in, &out)
	return out, err
}
