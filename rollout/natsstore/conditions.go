package natsstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// bucket is the stream as it has to be.
func (c Config) bucket() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              "KV_" + c.Bucket,
		Description:       "rollouts of Serin; not to be written by anybody else",
		Subjects:          []string{"$KV." + c.Bucket + ".>"},
		Storage:           jetstream.FileStorage,
		Replicas:          c.Replicas,
		MaxMsgsPerSubject: 1,
		MaxMsgs:           -1, MaxBytes: -1,
		Discard:    jetstream.DiscardNew,
		DenyDelete: true,
		DenyPurge:  true,
	}
}

// unsafe returns what about a bucket is not as it has to be.
func unsafe(name string, have jetstream.StreamConfig) (errs []error) {
	check := func(ok bool, what string, got any, want string) {
		if !ok {
			errs = append(errs, &UnsafeError{Condition: "bucket " + name + ": " + what, Got: fmt.Sprint(got), Want: want})
		}
	}
	check(have.Replicas >= 3, "replicas", have.Replicas, "3 or more")
	check(have.Storage == jetstream.FileStorage, "storage", have.Storage, "file")
	check(!have.AllowDirect, "direct reads", "on", "off, as any replica would answer, also with what is old")
	check(have.MaxAge == 0, "max age", have.MaxAge, "none: nothing may expire")
	check(have.MaxMsgs <= 0, "max messages", have.MaxMsgs, "none: nothing may be dropped")
	check(have.MaxBytes <= 0 || have.Discard == jetstream.DiscardNew, "discard", have.Discard, "new, as there is a limit in bytes: nothing may be dropped")
	check(have.MaxMsgsPerSubject == 1, "history", have.MaxMsgsPerSubject, "1")
	check(have.MaxMsgSize <= 0 || have.MaxMsgSize >= maxValue, "max message size", have.MaxMsgSize, "none, or "+strconv.Itoa(maxValue)+" bytes")
	check(have.Retention == jetstream.LimitsPolicy, "retention", have.Retention, "limits")
	check(have.DenyDelete, "deny delete", have.DenyDelete, "true")
	check(have.DenyPurge, "deny purge", have.DenyPurge, "true")
	check(!have.AllowRollup, "rollup", "allowed", "off: one message would remove all others")
	check(have.Mirror == nil && len(have.Sources) == 0, "origin", "another stream", "what is written to it alone")
	check(!have.AllowMsgTTL, "message TTL", "allowed", "off: nothing may expire")
	return errs
}

// maxValue is the size of the largest value, with room for the header.
const maxValue = 256<<10 + 1024

// unsafePayload returns what is wrong with the size of the messages that a server
// takes.
func unsafePayload(name string, size int64) []error {
	if size >= maxValue {
		return nil
	}
	return []error{&UnsafeError{Condition: "max payload of server " + name, Got: strconv.FormatInt(size, 10), Want: strconv.Itoa(maxValue) + " bytes or more"}}
}

// oldest is the first version of the server without known ways past its
// permissions.
var oldest = [3]int{2, 12, 7}

// unsafeServer returns what is wrong with the version of a server.
func unsafeServer(name, version string) []error {
	var v [3]int
	core, _, _ := strings.Cut(version, "-")
	for i, part := range strings.SplitN(core, ".", 3) {
		v[i], _ = strconv.Atoi(part)
	}
	for i := range v {
		if v[i] != oldest[i] {
			if v[i] > oldest[i] {
				return nil
			}
			return []error{&UnsafeError{Condition: "version of server " + name, Got: version, Want: fmt.Sprintf("%d.%d.%d or later", oldest[0], oldest[1], oldest[2])}}
		}
	}
	return nil
}

// unsafeServers asks the monitoring endpoints.
func (c Config) unsafeServers(ctx context.Context) (errs []error) {
	if len(c.Monitor) == 0 {
		if !c.SyncAlways {
			errs = append(errs, &UnsafeError{Condition: "sync_interval", Got: "not known", Want: "always: name the servers in Config.Monitor, or set Config.SyncAlways"})
		}
		return errs
	}
	for _, m := range c.Monitor {
		v, err := askMonitor(ctx, m)
		if err != nil {
			errs = append(errs, &UnsafeError{Condition: "sync_interval of " + m, Got: "not known: " + err.Error(), Want: "always"})
			continue
		}
		if !v.JetStream.Config.SyncAlways {
			errs = append(errs, &UnsafeError{Condition: "sync_interval of " + m, Got: v.JetStream.Config.SyncInterval.String(), Want: "always"})
		}
		errs = append(errs, unsafeServer(m, v.Version)...)
	}
	return errs
}

// varz has the fields of a monitoring endpoint's answer that matter here.
type varz struct {
	Version   string `json:"version"`
	JetStream struct {
		Config struct {
			SyncInterval time.Duration `json:"sync_interval"`
			SyncAlways   bool          `json:"sync_always"`
		} `json:"config"`
	} `json:"jetstream"`
}

func askMonitor(ctx context.Context, endpoint string) (v varz, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(endpoint, "/")+"/varz", nil)
	if err != nil {
		return v, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return v, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return v, errors.New(resp.Status)
	}
	return v, json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&v)
}
