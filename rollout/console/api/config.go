package api

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"net/http"
	"regexp"
	"slices"

	"golang.org/x/mod/sumdb/note"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/checks/health"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/strategies"
)

// Engine starts, commands and reads rollouts. [*rollout.Engine] and [*rollout.StoreCommander]
// are engines. It must have a method Targets() []string or Targets(context.Context)
// ([]string, error).
//
// Optional methods are Changed(target string) <-chan struct{}, without which states are read
// each second while they are watched; Redeliver(ctx, sink, key string) error, without which dead
// letters cannot be delivered; and MayStart(ctx, plan, actor) error, without which no plan can be
// judged as a start would be.
type Engine interface {
	Start(ctx context.Context, p rollout.Plan, by rollout.Actor, opts ...rollout.Option) (rollout.ID, error)
	Do(ctx context.Context, id rollout.ID, c strategies.Command, by rollout.Actor, opts ...rollout.Option) error
	Retry(ctx context.Context, id rollout.ID, by rollout.Actor, opts ...rollout.Option) (rollout.ID, error)
	Newest(ctx context.Context, target string) (rollout.Status, error)
	Status(ctx context.Context, id rollout.ID) (rollout.Status, error)
	Rollouts(ctx context.Context, target string, before rollout.ID, n int) ([]rollout.Status, error)
	Read(ctx context.Context, id rollout.ID, from uint64, n int) ([]rollout.Event, error)
	Events(ctx context.Context, id rollout.ID, from uint64) iter.Seq2[rollout.Event, error]
}

var (
	_ Engine = (*rollout.Engine)(nil)
	_ Engine = (*rollout.StoreCommander)(nil)
)

// Config configures a [Server]. Engine and Store are required.
type Config struct {
	Engine Engine        `env:", noinit"`
	Store  rollout.Store `env:", noinit"`
	// Who, an authenticator, finds the actor of a request. If nil, requests from this machine
	// may read, all others are refused, and no request changes anything.
	Who access.Authenticator `env:", noinit"`
	// May decides who may do what: the actions of [access.Actions], such as "read". If nil,
	// every caller that Who knows may read, and no one may do anything else.
	May rollout.Authorizer `env:", noinit"`
	// Lists are the checklists, by name, and Ledger keeps their votes and waivers. Without
	// Ledger nothing can be vouched for.
	Lists  map[string]*checklist.List `env:", noinit"`
	Ledger *ledger.Ledger             `env:", noinit"`
	Alerts *alert.Manager             `env:", noinit"`
	// Tokens are what people issue to programs. If set, Who must ask Tokens too, and May
	// should be wrapped by their Authorize, which keeps each token to its targets.
	Tokens *access.Tokens  `env:", noinit"`
	Health *health.Monitor `env:", noinit"`
	// Panels returns data that marshals to JSON, by names such as "versions", "cost",
	// "feedback" and "load". The id is what follows the name in the path, or empty. An error
	// that wraps [rollout.ErrNotFound] means that there is no such thing.
	Panels map[string]func(ctx context.Context, id string) (any, error) `env:", noinit"`
	// Signer signs checkpoints of audit trails. If nil, the server has no checkpoints.
	Signer note.Signer `env:", noinit"`
	// Origins are origins of pages that may send requests with an effect, such as
	// "https://serin.example.com", where a proxy changes Host. The origin of the request's
	// Host always may.
	Origins []string `env:"ORIGINS"`
	// Refused is called for each request that the server refuses for a lack of rights or of
	// credentials; what the engine refuses goes to rollout.Config.Refused. It must not
	// block. Nil calls nothing.
	Refused func(context.Context, rollout.Refusal) `env:", noinit"`
	// Limits bounds what callers can ask for.
	Limits Limits `env:", prefix=LIMIT_"`
	// Logger logs faults. Nil discards all.
	Logger *slog.Logger `env:", noinit"`
}

// Limits bounds what callers can ask for. Fields that are 0 have their defaults.
type Limits struct {
	// Streams is the number of streams, default 500, and PersonStreams of one person, default
	// 8.
	Streams       int `env:"STREAMS"`
	PersonStreams int `env:"PERSON_STREAMS"`
	// Changes is the number of requests with an effect that one person may send in a second.
	// Default 10. Aborts and ramp-downs are not counted.
	Changes int `env:"CHANGES"`
}

// panelName is what a panel can be called.
var panelName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// Validate reports everything that is wrong with c, joined; each problem is a
// [*checks.InvalidError].
func (c Config) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "api", Field: "Config." + field, Value: value, Want: want})
	}
	if c.Engine == nil {
		bad("Engine", nil, "an engine")
	} else if !hasTargets(c.Engine) {
		bad("Engine", fmt.Sprintf("%T", c.Engine), "an engine with a method Targets")
	}
	if c.Store == nil {
		bad("Store", nil, "the store of the engine")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Lists)) {
		if c.Lists[name] == nil || name == "" {
			bad(fmt.Sprintf("Lists[%q]", name), c.Lists[name], "a checklist with a name")
		}
	}
	taken := make(map[string]bool)
	for _, rt := range routes {
		taken[rt.first()] = true
	}
	for _, name := range slices.Sorted(maps.Keys(c.Panels)) {
		field := fmt.Sprintf("Panels[%q]", name)
		if !panelName.MatchString(name) || taken[name] {
			bad(field, name, "a name of a-z, 0-9 and '-' that no route of the API has")
		}
		if c.Panels[name] == nil {
			bad(field, nil, "a function")
		}
	}
	for i, o := range c.Origins {
		if err := http.NewCrossOriginProtection().AddTrustedOrigin(o); err != nil {
			bad(fmt.Sprintf("Origins[%d]", i), o, "an origin such as https://serin.example.com")
		}
	}
	for _, l := range []struct {
		field string
		n     int
	}{{"Streams", c.Limits.Streams}, {"PersonStreams", c.Limits.PersonStreams}, {"Changes", c.Limits.Changes}} {
		if l.n < 0 {
			bad("Limits."+l.field, l.n, "a number above 0, or 0 for the default")
		}
	}
	return errors.Join(errs...)
}

// withDefaults fills in what is not set.
func (c Config) withDefaults() Config {
	set := func(n *int, zero int) {
		if *n == 0 {
			*n = zero
		}
	}
	set(&c.Limits.Streams, 500)
	set(&c.Limits.PersonStreams, 8)
	set(&c.Limits.Changes, 10)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// The two forms of Targets.
type (
	listed  interface{ Targets() []string }
	scanned interface {
		Targets(ctx context.Context) ([]string, error)
	}
)

func hasTargets(e Engine) bool {
	switch e.(type) {
	case listed, scanned:
		return true
	}
	return false
}

// targets returns the names of all targets, sorted.
func (s *Server) targets(ctx context.Context) ([]string, error) {
	switch e := s.cfg.Engine.(type) {
	case listed:
		return e.Targets(), nil
	case scanned:
		return e.Targets(ctx)
	}
	return nil, nil
}
