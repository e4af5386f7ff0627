package modeltest

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/serin-go/serin/checks"
)

// Config sets the speed and the faults of a [Server]. The zero Config is a
// healthy model that answers without delay. The tags are for go-envconfig.
//
// Rates are shares of requests from 0 to 1. Whether a request meets a fault
// depends on Seed and the order of arrival.
type Config struct {
	// Models are the names that requests may ask for. Default [DefaultModel].
	Models []string `env:"MODELS"`
	// Seed makes a server repeatable. Two servers with one seed give the same
	// text for the same request, and the same fault to the same arrival.
	Seed uint64 `env:"SEED"`
	// Length is the mean number of tokens of an answer. Default 48.
	Length int `env:"LENGTH"`
	// MaxBody is the largest request body in bytes. Default 1 MiB.
	MaxBody int64 `env:"MAX_BODY"`

	// TTFT is the mean time from a request to the first token.
	TTFT time.Duration `env:"TTFT"`
	// TimePerToken is the mean time between tokens.
	TimePerToken time.Duration `env:"TIME_PER_TOKEN"`
	// Jitter is the coefficient of variation of TTFT and TimePerToken, which
	// are drawn from log-normal distributions. Zero makes both constant.
	Jitter float64 `env:"JITTER"`
	// TokensPerChunk is the number of tokens in one chunk of a stream. Default 1.
	TokensPerChunk int `env:"TOKENS_PER_CHUNK"`

	// ErrorRate is the share of requests that fail with HTTP status 500 before
	// the first token.
	ErrorRate float64 `env:"ERROR_RATE"`
	// StreamErrorRate is the share of streams that end in an error event after
	// status 200 has been sent. Whole answers fail with status 500 instead.
	StreamErrorRate float64 `env:"STREAM_ERROR_RATE"`
	// RefusalRate is the share of requests that the model declines. Half of them
	// have a text in the refusal field. The other half end early with the finish
	// reason content_filter.
	RefusalRate float64 `env:"REFUSAL_RATE"`
	// StallRate is the share of answers that halt for StallFor at one token.
	StallRate float64       `env:"STALL_RATE"`
	StallFor  time.Duration `env:"STALL_FOR"`
	// TruncateRate is the share of answers whose connection is closed midway.
	TruncateRate float64 `env:"TRUNCATE_RATE"`
}

// DefaultModel is the model's name when [Config].Models is empty.
const DefaultModel = "tinylm"

const (
	defaultLength  = 48
	defaultMaxBody = 1 << 20
	maxLength      = 100_000 // tokens; bounds the work of one request
	maxChunk       = 1_000   // tokens
)

// Validate returns an error that joins a [*checks.InvalidError] for each invalid
// field.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, field string, value any, want string) {
		if !ok {
			errs = append(errs, &checks.InvalidError{Package: "modeltest", Field: "Config." + field, Value: value, Want: want})
		}
	}
	for i, name := range c.Models {
		check(name != "", fmt.Sprintf("Models[%d]", i), name, "a name that is not empty")
	}
	check(c.Length >= 0 && c.Length <= maxLength, "Length", c.Length, fmt.Sprintf("0 to %d tokens", maxLength))
	check(c.MaxBody >= 0, "MaxBody", c.MaxBody, "at least 0 bytes")
	check(c.TokensPerChunk >= 0 && c.TokensPerChunk <= maxChunk, "TokensPerChunk", c.TokensPerChunk, fmt.Sprintf("0 to %d tokens", maxChunk))
	check(c.TTFT >= 0, "TTFT", c.TTFT, "at least 0")
	check(c.TimePerToken >= 0, "TimePerToken", c.TimePerToken, "at least 0")
	check(c.StallFor >= 0, "StallFor", c.StallFor, "at least 0")
	check(c.Jitter >= 0 && c.Jitter <= math.MaxFloat32, "Jitter", c.Jitter, "a finite number >= 0")
	for _, rate := range []struct {
		field string
		value float64
	}{
		{"ErrorRate", c.ErrorRate}, {"StreamErrorRate", c.StreamErrorRate}, {"RefusalRate", c.RefusalRate},
		{"StallRate", c.StallRate}, {"TruncateRate", c.TruncateRate},
	} {
		check(rate.value >= 0 && rate.value <= 1, rate.field, rate.value, "a share from 0 to 1")
	}
	return errors.Join(errs...)
}

// withDefaults returns c with its zero fields filled in.
func (c Config) withDefaults() Config {
	if len(c.Models) == 0 {
		c.Models = []string{DefaultModel}
	}
	if c.Length == 0 {
		c.Length = defaultLength
	}
	if c.MaxBody == 0 {
		c.MaxBody = defaultMaxBody
	}
	if c.TokensPerChunk == 0 {
		c.TokensPerChunk = 1
	}
	return c
}
