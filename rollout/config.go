package rollout

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

// Splitter puts a split in force: traffic.Router in this process, or whatever
// else divides a target's traffic.
//
// SetSplit takes effect for the requests that come after it has returned.
// Setting the split that is in force already changes nothing. On an error the
// split before it stays in force. An engine calls it for one target at a time.
type Splitter interface {
	SetSplit(ctx context.Context, s strategies.Split) error
}

// Measurer is an optional interface for a [Splitter] that measures requests. Measure makes
// it send each finished request's observation to r from now on; nil ends that. The engine
// calls it before the first split of a rollout and after the last.
type Measurer interface {
	Measure(r *analysis.Recorder)
}

// Expirer is an optional interface for a [Splitter] of an engine that shares its store.
// From the given moment on the splitter gives every request to the baseline. It compares
// the time at each request. The zero time means that the split does not expire.
type Expirer interface {
	Expire(at time.Time)
}

// UnitAssigner is an optional interface for a [Splitter]. AssignsUnits returns whether
// the splitter keeps the requests of one unit together, such as a user; otherwise it
// assigns each request by itself. If implemented, a plan that names no unit takes the
// splitter's, and a plan that counts users or sessions needs a splitter that returns true.
type UnitAssigner interface {
	AssignsUnits() bool
}

// Prober is an optional interface for a [Splitter]. CanSplit reports, without changing
// anything, whether the splitter could put a split in force. A plan with a split that it
// could not is refused before it begins.
type Prober interface {
	CanSplit(s strategies.Split) error
}

// Config configures an [Engine]. Store is required.
type Config struct {
	// Store keeps the rollouts. The engine does not close it.
	Store Store
	// Targets holds what can be rolled out, by name. An engine without targets leads
	// nothing: it reads, and gives commands, as a [StoreCommander] does.
	Targets map[string]Splitter
	// Checks binds the names that plans use to checks.
	Checks map[string]checks.Check
	// Metrics binds the custom metrics of plans: their functions are not
	// stored, and are found here by name after a restart.
	Metrics []analysis.Metric
	// Observer receives every event. If nil, events are discarded.
	Observer Observer
	// Logger receives what the engine could not do. A trouble that lasts is logged once,
	// and again after a minute and longer and longer pauses, up to an hour. Nil discards
	// all.
	Logger *slog.Logger `env:", noinit"`

	// Authorize decides which actor may do what. If nil, every actor with a name may do
	// everything.
	Authorize Authorizer
	// Roles are the roles that people can have. A plan whose approvals ask for another one,
	// such as a misspelt one, is refused: the approval could never be given. Empty means
	// that any role is possible.
	Roles []string `env:"ROLES"`
	// Refused is called for everything that the engine refuses, by [Config.Authorize], by
	// a condition, or by the state of the rollout. It cannot stop anything, must not
	// block, and must be safe for concurrent use. A panic is logged. Nil calls nothing;
	// the Logger receives each refusal in either case.
	Refused func(context.Context, Refusal)
	// Demands returns what a target asks of every plan, which no plan can loosen: Start
	// and Retry refuse one that is weaker with a [*WeakPlanError]. Demands that have
	// changed when a rollout is taken up pause it. It must be safe for concurrent use and
	// must not block. A panic, or a demand that is not valid, refuses every plan. Nil
	// demands nothing.
	Demands func(target string) Demand
	// Sinks receive every event at least once, by name; see [Sink].
	Sinks map[string]Sink

	// Retain says how long the records of rollouts that have ended stay in the Store. The
	// zero value keeps everything.
	Retain Retain `env:", prefix=RETAIN_"`

	// LastResort keeps, outside of the Store, which rollouts this process has ended
	// while the Store could not take that, so that a restart does not bring their
	// candidates back; see [LastResortFile]. Nil keeps nothing: a restart then gives
	// the candidate nothing until the Store takes a write, and judges it again.
	LastResort LastResort

	// LastKnown keeps, outside of the Store, the last committed split of each target, so
	// that this process can start while the Store does not answer; see [LastKnownFile].
	// If nil, a target keeps its splitter's own split until the Store answers.
	LastKnown LastKnown
	// Anchor knows heads of audit trails from another place than the Store. It is asked
	// when a target is taken up: a document that is older than the anchor's head, or does
	// not lead there, is not followed; see [OvertakenError]. While the anchor does not
	// answer, the target is not followed either. If nil, the trail in the Store alone is
	// compared.
	Anchor Anchor

	// Replica names this process among those that share the store; it is unique
	// among them, and better the same after a restart. Empty means that no other
	// process uses the store, as with a file of one's own; a store that others
	// may use makes up a name. See the package comment.
	Replica string `env:"REPLICA"`
	// Lease is how long a leader may be silent before
	// another one takes over, Poll how often each looks into the store, and
	// Validity how long a split is relied on without a word from the store.
	// Zero means 5 s, 500 ms and 5 s. They mean nothing without Replica. With it, Lease is
	// at least Poll. Where the
	// store gives hints and there are more than 20 processes, each looks less often
	// than Poll, but within Validity while a rollout is active.
	Lease    time.Duration `env:"LEASE"`
	Poll     time.Duration `env:"POLL"`
	Validity time.Duration `env:"VALIDITY"`

	// Tick is the time between two judgements. Zero means 1 s.
	Tick time.Duration `env:"TICK"`
	// Checkpoint is the time between two writings of the evidence; a crash
	// loses at most that much of evidence and bake time. It adds nothing to the audit
	// trail. Zero means 10 s. More than 20 processes that share the store write it no
	// more often than every 300 ms for each of them, or every 5 min, since all of them
	// read it.
	Checkpoint time.Duration `env:"CHECKPOINT"`
	// CheckTimeout bounds the checks of one phase together; what has not
	// finished by then is unknown, which opens no gate. Zero means 10 min.
	CheckTimeout time.Duration `env:"CHECK_TIMEOUT"`
	// CheckValid is how old the results of the checks before a stage may be when it
	// begins. The preflight checks are before the first one. Older results are
	// looked at again, such as when a window opens or an approval comes. Zero means
	// 10 min.
	CheckValid time.Duration `env:"CHECK_VALID"`

	// wall returns the time of day, which is stored and compared with windows. Durations
	// are measured by the monotonic clock of time.Now, which does not jump. Nil means
	// time.Now.
	wall func() time.Time
}

// Validate reports everything that is wrong with c, joined; each problem is an
// [*checks.InvalidError].
func (c Config) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "rollout", Field: "Config." + field, Value: value, Want: want})
	}
	if c.Store == nil {
		bad("Store", nil, "a store, such as one that boltstore.Open returns")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Targets)) {
		s := c.Targets[name]
		if !targetName.MatchString(name) {
			bad("Targets", fmt.Sprintf("%q", name), "names that match "+targetName.String())
		}
		if s == nil {
			bad(fmt.Sprintf("Targets[%q]", name), nil, "a splitter")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Checks)) {
		if c.Checks[name] == nil {
			bad(fmt.Sprintf("Checks[%q]", name), nil, "a check")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Sinks)) {
		s := c.Sinks[name]
		if s == nil || !sinkName.MatchString(name) {
			bad(fmt.Sprintf("Sinks[%q]", name), s, "a sink under a name that matches "+sinkName.String())
		}
	}
	if c.Replica != "" && !targetName.MatchString(c.Replica) {
		bad("Replica", fmt.Sprintf("%q", c.Replica), "a name that matches "+targetName.String())
	}
	for _, f := range []struct {
		name string
		d    time.Duration
	}{{"Tick", c.Tick}, {"Checkpoint", c.Checkpoint}, {"CheckTimeout", c.CheckTimeout}, {"CheckValid", c.CheckValid}, {"Lease", c.Lease}, {"Poll", c.Poll}, {"Validity", c.Validity}} {
		if f.d < 0 {
			bad(f.name, f.d, "a duration >= 0")
		}
	}
	if lease, poll := cmp.Or(c.Lease, defaultLease), cmp.Or(c.Poll, defaultPoll); c.shared() && 0 < lease && lease < poll {
		bad("Lease", lease, fmt.Sprintf("at least Poll, %v: a leader shows that it is alive at each look", poll))
	}
	c.Retain.validate(bad)
	return errors.Join(errs...)
}

const (
	defaultLease = 5 * time.Second
	defaultPoll  = 500 * time.Millisecond
)

// shared reports whether other processes may use the store.
func (c Config) shared() bool {
	s, ok := c.Store.(Sharer)
	return c.Replica != "" || ok && s.Shared()
}

func (c Config) withDefaults() Config {
	orElse := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	orElse(&c.Tick, time.Second)
	orElse(&c.Checkpoint, 10*time.Second)
	orElse(&c.CheckTimeout, 10*time.Minute)
	orElse(&c.CheckValid, 10*time.Minute)
	orElse(&c.Lease, defaultLease)
	orElse(&c.Poll, defaultPoll)
	orElse(&c.Validity, 5*time.Second)
	if c.Replica == "" && c.shared() {
		c.Replica = strings.ToLower(rand.Text())
	}
	c.Store = &patient{Store: c.Store}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Logger = slog.New(newQuiet(c.Logger.Handler()))
	if c.wall == nil {
		c.wall = time.Now
	}
	return c
}
