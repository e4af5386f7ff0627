package traffic

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/strategies"
)

// Defaults of [Config].
const (
	DefaultMaxBody    = 8 << 20
	DefaultBodyMemory = 1 << 30
	// DefaultFirstByteTimeout is for requests that ask for a stream, and
	// DefaultDocumentTimeout for all others: as long as the clients of OpenAI and
	// Anthropic wait.
	DefaultFirstByteTimeout = time.Minute
	DefaultDocumentTimeout  = 10 * time.Minute
	DefaultPatience         = 10
	DefaultStall            = time.Minute
	DefaultContentStall     = 5 * time.Minute
	DefaultRequestStall     = 10 * time.Second
	DefaultPeekTimeout      = 2 * time.Second
	DefaultFallbackRatio    = 0.2
)

// UnitHeader is the request header that names the unit of assignment unless
// [Config].Unit says otherwise.
const UnitHeader = "Serin-Unit"

// Former holds environment variables under the names of earlier versions. go-envconfig
// reads them with the prefix of the [Config]. A field of the Config that is not zero counts
// before its former name.
type Former struct {
	HoldBack    time.Duration `env:"HOLD_BACK"`    // Config.PeekTimeout
	RescueRatio float64       `env:"RESCUE_RATIO"` // Config.FallbackRatio
	NoRescue    bool          `env:"NO_RESCUE"`    // Config.NoFallback
}

// Config says what a [Router] is made of. Only Arms is required. New does not
// keep the map.
type Config struct {
	// Arms holds the backend of each version, by its name in splits.
	Arms map[string]Backend

	// Split is in force until [Router.SetSplit] brings another one. The zero
	// Split gives all traffic to the only arm; with several arms it is an error,
	// as no order of names says which of them is to be trusted.
	Split strategies.Split

	// Unit returns the unit that a request is assigned by: equal units see equal
	// arms. It may read the body of a request that is no larger than MaxBody; what
	// it reads is sent on nevertheless. "" assigns the request by itself, at random.
	//
	// Nil means what [WithUnit] has put into the context, or the header Serin-Unit, and
	// at random without either. It is not the
	// Authorization header: one key often stands for a whole service, which would
	// then move between versions as one. A caller that sets the header picks the
	// slot; where callers are not trusted with that, say what the unit is.
	Unit func(*http.Request) string

	// Tenant and Conversation say what else a request is about, for rules about
	// units: such a rule holds if it names the unit, the tenant or the
	// conversation. Where names of different kinds may be equal, let them have
	// prefixes. Tenant is called for each request, as observations name the tenant;
	// Conversation only while the split has such a rule. Nil means what [WithTenant]
	// and [WithConversation] have put into the context.
	Tenant, Conversation func(*http.Request) string

	// MayForce says whether a request may choose its arm by the header Serin-Arm,
	// any arm of the split that has a backend, whatever its weight. It is asked
	// only about requests with the header and an arm that exists; where it says
	// no, the header has no effect. If nil, no request may choose.
	MayForce func(r *http.Request, arm string) bool

	// Layers keep units from candidates: holdouts, and rollouts that exclude each
	// other. All of them have to admit a unit. None means that all units are
	// admitted.
	Layers []Layer

	// Sticky remembers the arms of units, where a hash of them is not enough. Nil
	// remembers nothing: equal units still have equal arms, as long as the weights
	// stay the same.
	Sticky Sticky

	// Pins remembers which arm made an id: of a file, a batch, a conversation or a
	// response. Requests about one go to the arm that made it, and requests about one
	// that is not known to the baseline; see the package comment. Ids are given to it
	// as "pin:" and 32 hexadecimal digits, with generation 0. Let several processes
	// share one that keeps them for two days. Nil means a table in memory: 100,000
	// ids, for 48 hours, in at most 4 MiB; the oldest go first.
	Pins Sticky

	// Mirror says how copies of requests are made, if a split asks for them.
	Mirror Mirroring

	// Observe, if not nil, receives the observation of each request when it has
	// ended, as the recorder of [Router.Measure] does. It is called from many
	// goroutines and must not block.
	Observe func(analysis.Observation)

	// Exposed, if not nil, receives for each request that has ended who met which
	// arm, and why; see [Exposure] and [OnceEach]. It is called from many goroutines
	// and must not block.
	Exposed func(Exposure)

	// Charged, if not nil, receives what each attempt has cost that has reached a
	// server: first ones, retries, fallbacks and copies alike. It is called from many
	// goroutines and must not block; see [Charge]. Observe receives the cost of first
	// attempts alone, so that arms compare.
	Charged func(Charge)

	// Cached says by its header whether an answer came from a cache. It is counted
	// and observed, but says nothing about the arm: it is not compared, and costs
	// nothing. Nil means that the header Serin-Cache is "hit"; see package cache.
	Cached func(http.Header) bool

	// TrustedProxies are the addresses of proxies before this process. X-Forwarded-For,
	// X-Forwarded-Proto, X-Forwarded-Host and Forwarded (RFC 7239) of a request that
	// comes from them are sent on to versions, with their address added to the lists.
	// A Proto and a Host that they set stay. From all other peers the four are replaced;
	// Forwarded is sent only where the request has it. A Handler of your own gets them
	// in the same way if there are trusted proxies or the request has one of them, and
	// should not add to them. What a service sends through the RoundTripper stays. Nil
	// trusts no peer. See [Router.ClientIP].
	TrustedProxies []netip.Prefix `env:"TRUSTED_PROXIES"`

	// MaxBody is the largest request body, in bytes, that is held in memory while
	// its request is served. Larger ones are streamed, and cannot fall back. 0
	// means [DefaultMaxBody].
	MaxBody int64 `env:"MAX_BODY"`

	// BodyMemory is how much memory the bodies of all requests may take together, in
	// bytes: bodies that are held, that are changed for an arm, and that belong to
	// copies for mirrors. A request that finds no room gets a 503 with Retry-After, or
	// is a [*BodyMemoryError] of the RoundTripper; a copy is dropped. A body whose
	// length is unknown takes up to a quarter more than it has. 0 means
	// [DefaultBodyMemory].
	BodyMemory int64 `env:"BODY_MEMORY"`

	// Routes says what a request to a path is about, if it knows. Paths that it does
	// not know, all if it is nil, are looked up in the table of [answer.RouteOf]; an
	// answer on a route that is in neither is [analysis.Unread]. It is called from
	// many goroutines.
	Routes func(method, path string) (answer.Route, bool)

	// Classify may change Class and Why of an answer that has ended. head holds its
	// first 4 KiB if it is Unread or Invalid. It cannot turn an answer that was
	// broken off, or that came too late, or whose caller left, into a success. Nil
	// changes nothing. It is called from many goroutines and must not block.
	Classify func(ask answer.Ask, head []byte, o *answer.Outcome)

	// FinishReasons says what finish reasons mean that [answer.EndOf] does not know,
	// or knows otherwise. They are compared as they are.
	FinishReasons map[string]answer.End

	// FirstByteTimeout is how long an arm may take to send the first byte of an
	// answer's body before it counts as hanging: the baseline serves the request, or
	// the caller gets a 504. 0 means [DefaultFirstByteTimeout] for requests that ask
	// for a stream and [DefaultDocumentTimeout] for all others. Negative means no
	// limit.
	FirstByteTimeout time.Duration `env:"FIRST_BYTE_TIMEOUT"`

	// Patience bounds how long a candidate may take to its first byte while the
	// baseline could serve instead: this many times the 99th percentile of the
	// baseline's own times on the same interface over the last 15 minutes, at least
	// five seconds, once 200 answers are known. 0 means [DefaultPatience]; negative
	// turns it off.
	Patience float64 `env:"PATIENCE"`

	// Stall is how long an answer that has begun may be without a byte, and
	// ContentStall how long a stream may go on with pings and comments but without
	// content. A document may go on for as long as its first byte may take, if that
	// is longer. Then the attempt is given up: the baseline serves the request if no
	// content has come yet, and otherwise the caller's connection is cut. 0 means
	// [DefaultStall] and [DefaultContentStall]; negative means no limit.
	Stall        time.Duration `env:"STALL"`
	ContentStall time.Duration `env:"CONTENT_STALL"`

	// RequestStall is how long the body of a request may be without a byte; all of
	// it must come within six times as long and a second more for each MiB. The
	// caller of one that does not gets a 408, and no arm is charged. 0 means
	// [DefaultRequestStall]; negative means no limit.
	RequestStall time.Duration `env:"REQUEST_STALL"`

	// PeekTimeout is how long the beginning of a candidate's answer may be held back,
	// counted from its first byte: of a stream until it bears content, since some
	// servers begin a stream before they know whether there will be an answer, and
	// of a document until its end. Until then the baseline can serve the request
	// instead. What was held is passed on with the first bytes after that time, or
	// beyond 64 KiB of a stream or 1 MiB of a document. 0 means [DefaultPeekTimeout];
	// negative holds nothing back but the header.
	// See [Former] for its former name as a variable.
	PeekTimeout time.Duration `env:"PEEK_TIMEOUT"`

	// FallbackRatio bounds the load that fallbacks may add to the baseline: in ten
	// seconds 100 requests, and this many for each that it serves anyway. Beyond
	// that callers see the candidate's failures. 0 means [DefaultFallbackRatio].
	// It is finite. See [Former] for its former name as a variable.
	FallbackRatio float64 `env:"FALLBACK_RATIO"`

	// Drain is how long an arm may go on with the requests that it is serving when
	// a split takes all its traffic away. Those that have not ended by then are
	// broken off, which their callers see as an error, and count as cancelled. 0
	// means as long as they take; negative means no time at all.
	Drain time.Duration `env:"DRAIN"`

	// NoFallback lets the failures of candidates reach the callers.
	// See [Former] for its former name as a variable.
	NoFallback bool `env:"NO_FALLBACK"`

	// Former holds variables of earlier versions. The zero value holds none.
	Former Former

	// NoSecondOpinion lets a candidate reject requests by a status from 400 to 499
	// without asking the baseline whether it would. With a second opinion, a request
	// that the baseline answers counts as an error of the candidate.
	NoSecondOpinion bool `env:"NO_SECOND_OPINION"`

	// AskUsage asks for a usage report where a caller of chat completions or
	// completions wants a stream without one: stream_options.include_usage is added
	// to the request, and the event that reports the usage is taken out of the answer
	// again. What such streams cost is then reported by the server, not estimated. A
	// version that refuses the option with a 400 or 422 is asked again without it, as
	// are its requests of the next 10 minutes. Members "usage":null that servers add
	// to other events stay. An answer with a content coding passes as it is, and its
	// version is not asked for 10 minutes either. A request stays as it came if it has an
	// Idempotency-Key, or continuous_usage_stats in its stream_options.
	AskUsage bool `env:"ASK_USAGE"`

	// AllowControl lets callers of the Handler use routes that change how a server
	// works, such as POST /sleep of vLLM or DELETE /api/delete of Ollama. They get a
	// 403 otherwise. What a service sends through the RoundTripper is its own doing.
	AllowControl bool `env:"ALLOW_CONTROL"`

	// Logger logs fallbacks and panics in handlers, at most once a second
	// for each arm. Nil discards.
	Logger *slog.Logger `env:", noinit"`
}

// Backend says how one version is reached. Which fields it needs depends on the
// shape that is used: ServeHTTP needs Handler or URL, RoundTripper needs URL,
// and Assign needs none.
type Backend struct {
	// Handler serves the requests of this arm in ServeHTTP. It must return soon
	// after the context of its request has ended. Nil means [Proxy] to URL.
	Handler http.Handler
	// URL is where the version is served: scheme, host and possibly a path that
	// is put before the path of requests.
	URL string
	// Transport carries the requests to URL, such as one that balances between
	// several servers (package replicas) or remembers answers (package cache). Nil
	// means the client of this module, with the settings of [Proxy], and [NetHTTP]
	// one of net/http with the same settings; see the package comment.
	Transport http.RoundTripper
	// Model, if not empty, is the name of the model that this version is asked for,
	// in place of the caller's: in JSON bodies, in forms, and in the paths of Azure,
	// Gemini, Vertex AI and Bedrock. Everything else of a request stays byte for byte.
	// Models goes before it, by the name that the caller asked for. A request in which
	// the name cannot be set goes to the baseline, or gets a 413; see [ShapeError].
	Model  string
	Models map[string]string
	// Header is set on each request to this version; an empty value removes the
	// caller's. A credential in it replaces all credentials of the caller. It may be
	// changed only through [Router.SetBackend].
	Header http.Header
	// Credentials says whether the caller's credentials are sent on. Zero means
	// [Auto]. They are the headers Authorization, Proxy-Authorization, Cookie,
	// X-Api-Key, Api-Key, X-Goog-Api-Key, Ocp-Apim-Subscription-Key,
	// X-Amz-Security-Token, X-Forwarded-Access-Token, OpenAI-Organization and
	// OpenAI-Project, and the query's key. A Handler of your own gets them under Auto,
	// since it is part of this process; what it sends on is its own business.
	Credentials Credentials
	// Account names whose files, batches, conversations and responses this version
	// has. Versions with equal accounts share their ids, and no id decides between them.
	// Default: the scheme and the host of URL together with the
	// credential in Header; without a URL, the version has an account of its own. It is
	// never logged.
	Account string
	// Provider names who serves the models, for metrics: at most 64 letters, digits and
	// characters of "._-". The OpenTelemetry conventions have names such as
	// azure.ai.openai. Default: the provider to which the host of URL belongs, or else
	// the provider whose interface a request uses.
	Provider string
	// Price is what the version's tokens cost. The zero Price is unknown.
	Price Price
	// PriceOf returns the price of the model that an answer names, "" if it names
	// none, and whether it is known; see package cost. It takes the place of Price.
	PriceOf func(model string) (Price, bool)
}

// Headers of responses.
const (
	VersionHeader = "Serin-Version"
	RequestHeader = "Serin-Request-Id"
	CacheHeader   = "Serin-Cache"
)

// NoBackendError says that a split gives traffic to an arm that the router has
// no backend for. The split that was in force stays in force.
type NoBackendError struct{ Arm string }

func (e *NoBackendError) Error() string {
	return fmt.Sprintf("traffic: arm %q has traffic but no backend; add it with SetBackend first", e.Arm)
}

// InUseError says that a backend cannot be removed, because the split in force
// gives traffic to it or names it as the baseline.
type InUseError struct{ Arm string }

func (e *InUseError) Error() string {
	return fmt.Sprintf("traffic: arm %q is in use by the split in force", e.Arm)
}

// withDefaults fills in what cfg leaves open.
func (cfg Config) withDefaults() Config {
	if len(cfg.Split.Arms) == 0 && len(cfg.Arms) == 1 {
		for name := range cfg.Arms {
			cfg.Split.Arms = []strategies.Arm{{Name: name, Weight: strategies.Full}}
		}
	}
	cfg.PeekTimeout = cmp.Or(cfg.PeekTimeout, cfg.Former.HoldBack)
	cfg.FallbackRatio = cmp.Or(cfg.FallbackRatio, cfg.Former.RescueRatio)
	cfg.NoFallback = cfg.NoFallback || cfg.Former.NoRescue
	if cfg.Unit == nil {
		cfg.Unit = UnitOf
	}
	if cfg.Tenant == nil {
		cfg.Tenant = from(tenantKey)
	}
	if cfg.Conversation == nil {
		cfg.Conversation = from(conversationKey)
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = DefaultMaxBody
	}
	if cfg.BodyMemory == 0 {
		cfg.BodyMemory = DefaultBodyMemory
	}
	if cfg.Patience == 0 {
		cfg.Patience = DefaultPatience
	}
	for _, f := range []struct {
		to        *time.Duration
		otherwise time.Duration
	}{
		{&cfg.Stall, DefaultStall}, {&cfg.ContentStall, DefaultContentStall}, {&cfg.RequestStall, DefaultRequestStall}, {&cfg.PeekTimeout, DefaultPeekTimeout},
	} {
		if *f.to == 0 {
			*f.to = f.otherwise
		}
	}
	if cfg.FallbackRatio == 0 {
		cfg.FallbackRatio = DefaultFallbackRatio
	}
	if cfg.Cached == nil {
		cfg.Cached = func(h http.Header) bool { v := h[CacheHeader]; return len(v) > 0 && v[0] == "hit" }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg
}

// validateFields reports what is wrong with the fields of cfg themselves. Validate reports
// what is wrong with its backends and its split too.
func (cfg Config) validateFields() error {
	var errs []error
	if len(cfg.Arms) == 0 {
		errs = append(errs, &checks.InvalidError{Package: "traffic", Field: "Config.Arms", Value: "empty", Want: "at least one arm"})
	}
	if cfg.MaxBody < 0 {
		errs = append(errs, &checks.InvalidError{Package: "traffic", Field: "Config.MaxBody", Value: cfg.MaxBody, Want: "a number of bytes, or 0 for the default"})
	}
	if cfg.BodyMemory < 0 {
		errs = append(errs, &checks.InvalidError{Package: "traffic", Field: "Config.BodyMemory", Value: cfg.BodyMemory, Want: "a number of bytes, or 0 for the default"})
	}
	if math.IsNaN(cfg.Patience) || math.IsInf(cfg.Patience, 0) {
		errs = append(errs, &checks.InvalidError{Package: "traffic", Field: "Config.Patience", Value: cfg.Patience, Want: "a finite factor, 0 for the default, or a negative number for none"})
	}
	if !(cfg.FallbackRatio >= 0) || math.IsInf(cfg.FallbackRatio, 0) {
		errs = append(errs, &checks.InvalidError{Package: "traffic", Field: "Config.FallbackRatio", Value: cfg.FallbackRatio, Want: "a finite number > 0, or 0 for the default"})
	}
	if len(cfg.Split.Arms) == 0 && len(cfg.Arms) > 1 {
		errs = append(errs, &checks.InvalidError{
			Package: "traffic", Field: "Config.Split", Value: "zero",
			Want: fmt.Sprintf("a split between %q, since there are several", slices.Sorted(maps.Keys(cfg.Arms))),
		})
	}
	return errors.Join(errs...)
}

// validate reports everything that is wrong with the backend of an arm.
func (b Backend) validate(name string) error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "traffic", Field: fmt.Sprintf("Config.Arms[%q]%s", name, field), Value: value, Want: want})
	}
	if name == "" {
		bad("", `""`, "a name that is not empty")
	}
	if b.URL != "" {
		if _, err := parseTarget(b.URL); err != nil {
			bad(".URL", fmt.Sprintf("%q", b.URL), "an absolute http or https URL with a host, without query or fragment")
		}
	} else if b.Transport != nil && b.Handler == nil {
		bad(".URL", `""`, "a URL, since there is a Transport")
	}
	for name, values := range b.Header {
		if !headerName(name) {
			bad(".Header", fmt.Sprintf("%q", name), "names of HTTP headers")
		}
		for _, v := range values {
			if strings.ContainsAny(v, "\r\n\x00") {
				bad(fmt.Sprintf(".Header[%q]", name), "a value with a line end or NUL", "a value of one line") // which may be a secret
			}
		}
	}
	if !providerName(b.Provider) {
		bad(".Provider", fmt.Sprintf("%.80q", b.Provider), "at most 64 letters, digits and characters of \"._-\"")
	}
	if b.Credentials > Drop {
		bad(".Credentials", b.Credentials, "Auto, Pass or Drop")
	}
	errs = append(errs, b.Price.Validate(fmt.Sprintf("Config.Arms[%q].Price", name))...)
	return errors.Join(errs...)
}

// headerName reports whether name is a token (RFC 9110, section 5.6.2).
func headerName(name string) bool {
	for i := range len(name) {
		ch := name[i]
		if ch <= ' ' || ch >= 0x7F || strings.IndexByte("\"(),/:;<=>?@[\\]{}", ch) >= 0 {
			return false
		}
	}
	return name != ""
}

// parseTarget parses the URL of a backend.
func parseTarget(target string) (*url.URL, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("not an absolute http or https URL")
	}
	return u, nil
}
