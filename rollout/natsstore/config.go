package natsstore

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"

	"github.com/nats-io/nats.go"
	"github.com/serin-go/serin/checks"
)

// ErrNoLeader means that a server is connected, but JetStream does not answer: its
// cluster has no leader, as when half of its servers or more are down.
var ErrNoLeader = errors.New("JetStream has no leader")

// Config says where the store is. URL or Conn is required.
type Config struct {
	// URL names the servers, separated by commas: "nats://n1:4222,nats://n2:4222".
	URL string `env:"NATS_URL"`
	// Options go with URL: credentials, certificates.
	Options []nats.Option `env:", noinit"`
	// Conn is used instead of URL. Close leaves it open. Give it
	// nats.ReconnectBufSize(-1), as URL does: a Put then fails immediately while there
	// is no connection. Otherwise a write that has failed may be sent later.
	Conn *nats.Conn `env:", noinit"`
	// Bucket holds the documents. It is created if it is not there. Empty means
	// "serin".
	Bucket string `env:"SERIN_BUCKET"`
	// Replicas is how many servers hold a bucket that is created. Zero means 3.
	Replicas int `env:"SERIN_BUCKET_REPLICAS"`

	// Monitor names the monitoring endpoint of each server that may hold the bucket,
	// such as "http://n1:8222". Only this endpoint shows whether a server syncs each
	// write to the disk. Without endpoints, SyncAlways states that all servers do.
	Monitor    []string `env:"NATS_MONITOR"`
	SyncAlways bool     `env:"NATS_SYNC_ALWAYS"`
	// DangerouslyAllowUnsafe works with a bucket that may lose or hide what was
	// written, such as one on a single server. What is wrong is in [Store.Unsafe].
	DangerouslyAllowUnsafe bool `env:"DANGEROUSLY_ALLOW_UNSAFE"`
}

var bucketName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// Validate reports everything that is wrong with c, joined; each problem is an
// [*checks.InvalidError].
func (c Config) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "natsstore", Field: "Config." + field, Value: value, Want: want})
	}
	if (c.URL == "") == (c.Conn == nil) {
		bad("URL", fmt.Sprintf("%q, with a Conn: %t", c.URL, c.Conn != nil), "the address of a server, or a Conn, and not both")
	}
	if !bucketName.MatchString(c.Bucket) && c.Bucket != "" {
		bad("Bucket", fmt.Sprintf("%q", c.Bucket), "a name that matches "+bucketName.String())
	}
	if c.Replicas < 0 || c.Replicas > 5 || c.Replicas > 0 && c.Replicas%2 == 0 {
		bad("Replicas", c.Replicas, "1, 3 or 5, or 0 for 3")
	}
	for i, m := range c.Monitor {
		if u, err := url.Parse(m); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			bad(fmt.Sprintf("Monitor[%d]", i), fmt.Sprintf("%q", m), "the URL of a monitoring endpoint, such as http://n1:8222")
		}
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.Bucket == "" {
		c.Bucket = "serin"
	}
	if c.Replicas == 0 {
		c.Replicas = 3
	}
	return c
}

// UnsafeError says which of the conditions for what the package promises is not
// met.
type UnsafeError struct {
	Condition string // what was looked at: "bucket serin: replicas"
	Got, Want string
}

func (e *UnsafeError) Error() string {
	return fmt.Sprintf("natsstore: %s is %s, want %s", e.Condition, e.Got, e.Want)
}
