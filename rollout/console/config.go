package console

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/checks/health"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/console/api"
	"github.com/serin-go/serin/rollout/ledger"
)

// Config configures a [Console]. Engine and Store are required.
type Config struct {
	// Engine starts, commands and reads rollouts, and Store is its store, for audit trails.
	Engine api.Engine    `env:", noinit"`
	Store  rollout.Store `env:", noinit"`
	// Who, an authenticator, finds the actor of a request. If nil, requests from this machine
	// may read, all others are refused, and no request changes anything.
	Who access.Authenticator `env:", noinit"`
	// May decides which caller may carry out which of [access.Actions]. If nil, all identified
	// callers may read, and do nothing else.
	May rollout.Authorizer `env:", noinit"`
	// Factor verifies the second factor that an approval asks for. If nil, a person proves it
	// elsewhere.
	Factor access.Factor `env:", noinit"`
	// Proved is called when a person has proved the second factor on a page, such as to let
	// the proof count for the person's tokens too. It must not block. Nil calls nothing: the
	// proof counts for the form, and for the session of the person.
	Proved func(by rollout.Actor, at time.Time) `env:", noinit"`
	// Sessions keep people signed in. If set, people sign in on a page with a token that Who
	// knows, and a second factor is noted in the session. Who must ask Sessions too.
	Sessions *access.Sessions `env:", noinit"`
	// Lists are the checklists, by name, and Ledger keeps votes and waivers.
	Lists  map[string]*checklist.List `env:", noinit"`
	Ledger *ledger.Ledger             `env:", noinit"`
	Alerts *alert.Manager             `env:", noinit"`
	// Tokens are what people issue to programs, by ctl token or the API; /me lists them. If set,
	// Who must ask Tokens too, and May should be wrapped by their Authorize, which keeps each
	// token to its targets.
	Tokens *access.Tokens  `env:", noinit"`
	Health *health.Monitor `env:", noinit"`
	// Panels are further pages, such as cost, load tests and versions.
	Panels []Panel `env:", noinit"`
	// Plans has plan files, in YAML or JSON, that can be started from a page.
	Plans fs.FS `env:", noinit"`
	// Call returns who is on call for a target, and the address of the runbook. It must not
	// block. Either may be empty; nil returns neither.
	Call func(target string) (who, runbook string) `env:", noinit"`
	// Origins are the public origins of the console, such as "https://serin.example.com",
	// where a proxy changes Host.
	Origins []string `env:"ORIGINS"`
	// Prefix is the path of the console, such as "/serin". Default "", the root.
	Prefix string `env:"PREFIX"`
	// Title is the name of the service. Default "rollouts".
	Title string `env:"TITLE"`
	// Zone is the zone of the times on the pages; their titles have UTC. Nil means UTC.
	Zone *time.Location `env:", noinit"`
	// Refused is called for each request that the console refuses for a lack of rights or of
	// credentials; what the engine refuses goes to rollout.Config.Refused. It must not block.
	// Nil calls nothing.
	Refused func(context.Context, rollout.Refusal) `env:", noinit"`
	// Limits bounds what callers of the API can ask for.
	Limits api.Limits `env:", prefix=LIMIT_"`
	// Logger logs faults. Nil discards all.
	Logger *slog.Logger `env:", noinit"`
}

// Panel is a further page. The same data is in the API under the same name.
type Panel struct {
	// Name names the page in its path: a-z, 0-9 and '-', such as "cost". Title is its
	// heading. Default Name.
	Name, Title string
	// Data returns what the page shows. id is what follows the name in the path, or empty.
	// An error that wraps [rollout.ErrNotFound] means that there is no such thing.
	Data func(ctx context.Context, id string) (any, error)
	// Template is the content of the page as an html/template, executed with the data. Empty
	// shows the data as JSON.
	Template string
}

var (
	prefixForm = regexp.MustCompile(`^(/[a-z0-9._-]+)*$`)
	panelForm  = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
)

// reserved are the first parts of paths that no target and no panel can have.
var reserved = []string{"alerts", "api", "approvals", "assets", "checklists", "find", "health", "help", "me", "plans", "sign-in", "sign-out"}

// Validate reports everything that is wrong with c, joined; each problem is a
// [*checks.InvalidError].
func (c Config) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "console", Field: "Config." + field, Value: value, Want: want})
	}
	if err := c.api().Validate(); err != nil {
		errs = append(errs, checks.Within(err, "console", "Config", "Config"))
	}
	if !prefixForm.MatchString(c.Prefix) {
		bad("Prefix", fmt.Sprintf("%q", c.Prefix), `"" or a path such as "/serin", without a slash at the end`)
	}
	for i, p := range c.Panels {
		field := fmt.Sprintf("Panels[%d].", i)
		if !panelForm.MatchString(p.Name) || slices.Contains(reserved, p.Name) {
			bad(field+"Name", fmt.Sprintf("%q", p.Name), "a name of a-z, 0-9 and '-' that no page has")
		}
		if slices.ContainsFunc(c.Panels[:i], func(o Panel) bool { return o.Name == p.Name }) {
			bad(field+"Name", p.Name, "a name of its own")
		}
		if _, err := template.New(p.Name).Parse(p.Template); err != nil {
			bad(field+"Template", err.Error(), "an html/template")
		}
	}
	if e, ok := c.Engine.(interface{ Targets() []string }); ok && e != nil {
		for _, name := range e.Targets() {
			if slices.Contains(reserved, name) || slices.ContainsFunc(c.Panels, func(p Panel) bool { return p.Name == name }) {
				bad("Engine", fmt.Sprintf("a target %q", name), "targets without the names of pages")
			}
		}
	}
	if c.Sessions != nil && c.Who == nil {
		bad("Who", nil, "an authenticator that asks Sessions")
	}
	return errors.Join(errs...)
}

// api returns the configuration of the API.
func (c Config) api() api.Config {
	panels := make(map[string]func(ctx context.Context, id string) (any, error))
	for _, p := range c.Panels {
		panels[p.Name] = p.Data
	}
	return api.Config{
		Engine: c.Engine, Store: c.Store, Who: c.Who, May: c.May, Lists: c.Lists, Ledger: c.Ledger, Alerts: c.Alerts, Tokens: c.Tokens, Health: c.Health,
		Panels: panels, Origins: c.Origins, Refused: c.Refused, Limits: c.Limits, Logger: c.Logger,
	}
}

// withDefaults fills in what is not set.
func (c Config) withDefaults() Config {
	if c.Title == "" {
		c.Title = "rollouts"
	}
	if c.Zone == nil {
		c.Zone = time.UTC
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// security are the headers of each answer.
var security = map[string]string{
	"Content-Security-Policy":      "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'",
	"X-Content-Type-Options":       "nosniff",
	"Referrer-Policy":              "no-referrer",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
}

func secure(h http.Header) {
	for name, value := range security {
		h.Set(name, value)
	}
}
