package natsstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/serin-go/serin/rollout"
)

// Store is a [rollout.Store] in a bucket of JetStream. It may be used
// concurrently, and by any number of processes.
type Store struct {
	conn   *nats.Conn
	own    bool // conn is to be closed
	js     jetstream.JetStream
	stream jetstream.Stream
	prefix string // of subjects
	unsafe error
	closed atomic.Bool
	ctx    context.Context // ends with Close
	stop   context.CancelFunc
}

var (
	_ rollout.Store  = (*Store)(nil)
	_ rollout.Sharer = (*Store)(nil)
)

// Open connects, creates the bucket if it is not there, and checks the conditions
// of the package comment. Errors: [*checks.InvalidError] or [*UnsafeError] values,
// joined, or what the server said.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	s := &Store{conn: cfg.Conn, prefix: "$KV." + cfg.Bucket + "."}
	s.ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	if s.conn == nil {
		options := append([]nats.Option{
			nats.Name("serin"),
			nats.MaxReconnects(-1),    // reconnect for as long as it takes
			nats.ReconnectBufSize(-1), // a write that has failed must not be sent later
			nats.ErrorHandler(ignore), // the default prints; callers get the errors
		}, cfg.Options...)
		conn, err := nats.Connect(cfg.URL, options...)
		if err != nil {
			return nil, fmt.Errorf("natsstore: %w", err)
		}
		s.conn, s.own = conn, true
	}
	if err := s.prepare(ctx, cfg); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func ignore(*nats.Conn, *nats.Subscription, error) {}

// prepare opens the bucket and checks it.
func (s *Store) prepare(ctx context.Context, cfg Config) (err error) {
	if s.js, err = jetstream.New(s.conn); err != nil {
		return fmt.Errorf("natsstore: %w", err)
	}
	want := cfg.bucket()
	s.stream, err = s.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s.stream, err = s.create(ctx, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // by another process, just now
			s.stream, err = s.js.Stream(ctx, want.Name)
		}
	}
	if errors.Is(err, context.DeadlineExceeded) && s.conn.IsConnected() {
		// A server without JetStream refuses; one that has no leader is silent.
		return fmt.Errorf("natsstore: bucket %s: server %s: %w: %w", cfg.Bucket, s.conn.ConnectedServerName(), ErrNoLeader, err)
	}
	if err != nil {
		return fmt.Errorf("natsstore: bucket %s: %w", cfg.Bucket, err)
	}
	s.unsafe = errors.Join(slices.Concat(
		unsafe(cfg.Bucket, s.stream.CachedInfo().Config),
		unsafeServer(s.conn.ConnectedServerName(), s.conn.ConnectedServerVersion()),
		unsafePayload(s.conn.ConnectedServerName(), s.conn.MaxPayload()),
		cfg.unsafeServers(ctx),
	)...)
	if s.unsafe != nil && !cfg.DangerouslyAllowUnsafe {
		return s.unsafe
	}
	return nil
}

// create creates the stream. A server that has just started can fail to make its files, so that
// three failures of a server, 200 ms apart, make an error.
func (s *Store) create(ctx context.Context, want jetstream.StreamConfig) (stream jetstream.Stream, err error) {
	for try := 1; ; try++ {
		stream, err = s.js.CreateStream(ctx, want)
		var failed *jetstream.APIError
		if try == 3 || !errors.As(err, &failed) || failed.Code != http.StatusInternalServerError {
			return stream, err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err())
		}
	}
}

// Unsafe returns the conditions that were not met when the store was opened,
// joined, each an [*UnsafeError]; nil if all were.
func (s *Store) Unsafe() error { return s.unsafe }

// Shared implements [rollout.Sharer].
func (s *Store) Shared() bool { return true }

// Keys become subjects: a slash separates tokens, which must not be empty. What
// keys cannot hold, capital letters, stands for what subjects cannot.
var (
	toToken   = strings.NewReplacer(".", "D")
	fromToken = strings.NewReplacer("D", ".", "E", "")
)

// ErrKey says that a key is not one that a [rollout.Store] takes: one that matches
// [a-z0-9/._-]{1,200}. Others could stand for the subject of another key.
var ErrKey = errors.New("not a key: want one that matches " + validKey.String())

var validKey = regexp.MustCompile(`^[a-z0-9/._-]{1,200}$`)

// ready says whether the value of a key can be asked for or written.
func (s *Store) ready(key string) error {
	switch {
	case s.closed.Load():
		return s.wrap(key, rollout.ErrClosed)
	case !validKey.MatchString(key):
		return fmt.Errorf("natsstore: %q: %w", key, ErrKey)
	}
	return nil
}

func subject(key string) string {
	tokens := strings.Split(key, "/")
	for i, t := range tokens {
		if tokens[i] = toToken.Replace(t); t == "" {
			tokens[i] = "E"
		}
	}
	return strings.Join(tokens, ".")
}

func key(subject string) string {
	return fromToken.Replace(strings.ReplaceAll(subject, ".", "/"))
}

// below returns the narrowest filter of subjects that all keys with the prefix
// pass.
func (s *Store) below(prefix string) string {
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		return s.prefix + subject(prefix[:i]) + ".>"
	}
	return s.prefix + ">"
}

// Get implements [rollout.Store]. The bucket's leader answers.
func (s *Store) Get(ctx context.Context, key string) (rollout.Entry, error) {
	if err := s.ready(key); err != nil {
		return rollout.Entry{}, err
	}
	m, err := s.last(ctx, key)
	if err != nil {
		return rollout.Entry{}, err
	}
	if m == nil || deleted(m) {
		return rollout.Entry{}, fmt.Errorf("natsstore: %s: %w", key, rollout.ErrNotFound)
	}
	return rollout.Entry{Key: key, Value: append([]byte{}, m.Data...), Revision: revision(m.Sequence)}, nil
}

// last returns the newest message of a key, or nil if it never had one.
func (s *Store) last(ctx context.Context, key string) (*jetstream.RawStreamMsg, error) {
	m, err := s.stream.GetLastMsgForSubject(ctx, s.prefix+subject(key))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, s.wrap(key, err)
	}
	return m, nil
}

// The header of a message that stands for a key that was deleted. It is what a
// key-value bucket of JetStream uses.
const (
	operationHeader = "KV-Operation"
	operationDelete = "DEL"
)

// deleted reports whether m stands for a key that was deleted.
func deleted(m *jetstream.RawStreamMsg) bool { return m.Header.Get(operationHeader) == operationDelete }

// Put implements [rollout.Store].
func (s *Store) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
	if err := s.ready(key); err != nil {
		return "", err
	}
	if len(value) > rollout.MaxValue {
		return "", &rollout.ValueSizeError{Key: key, Size: len(value)}
	}
	m := &nats.Msg{Subject: s.prefix + subject(key), Data: value}
	if prev != "" {
		last, err := sequence(key, prev)
		if err != nil {
			return "", err
		}
		return s.publish(ctx, key, m, last)
	}
	rev, err := s.publish(ctx, key, m, 0)
	if !errors.Is(err, rollout.ErrConflict) {
		return rev, err
	}
	// It may have been deleted: then the message that says so is the last one.
	there, getErr := s.last(ctx, key)
	if getErr != nil || there == nil || !deleted(there) {
		return "", err
	}
	return s.publish(ctx, key, m, there.Sequence)
}

// Delete implements [rollout.Store]. A message of some hundred bytes stays in the
// bucket and says that the key was deleted, since no message can be removed from it.
func (s *Store) Delete(ctx context.Context, key string, prev rollout.Revision) error {
	if err := s.ready(key); err != nil {
		return err
	}
	last, err := sequence(key, prev)
	if err != nil {
		return err
	}
	m := &nats.Msg{Subject: s.prefix + subject(key), Header: nats.Header{operationHeader: {operationDelete}}}
	_, err = s.publish(ctx, key, m, last)
	return err
}

// sequence returns the number of the message that has given a key its revision.
func sequence(key string, rev rollout.Revision) (uint64, error) {
	n, err := strconv.ParseUint(string(rev), 10, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("natsstore: %s: revision %q was never given out: %w", key, rev, rollout.ErrConflict)
	}
	return n, nil
}

// publish stores a message if the last one of its key has the number last, 0 for a key
// that never had one.
func (s *Store) publish(ctx context.Context, key string, m *nats.Msg, last uint64) (rollout.Revision, error) {
	for wait := time.Millisecond; ; wait *= 2 {
		// One attempt: a second one would meet what the first one may have written.
		ack, err := s.js.PublishMsg(ctx, m, jetstream.WithExpectLastSequencePerSubject(last), jetstream.WithRetryAttempts(0))
		if err == nil {
			return revision(ack.Sequence), nil
		}
		code := codeOf(err)
		if code != jetstream.JSErrCodeStreamWrongLastSequence && code != jetstream.JSErrCodeStreamWrongLastSequenceConstant {
			return "", s.wrap(key, err)
		}
		// With the second code a replicated bucket refuses what comes while another
		// message of the key is under way. That may be one that it has acknowledged
		// just now, and which is the one that was expected. So it is asked again, until
		// it says which one is the last.
		if code == jetstream.JSErrCodeStreamWrongLastSequence || wait > longestWait || !sleep(ctx, wait) {
			return "", fmt.Errorf("natsstore: %s: %w", key, rollout.ErrConflict)
		}
	}
}

// longestWait is the last of the waits for a message that is under way, each twice
// as long as the one before: a quarter of a second in all.
const longestWait = 128 * time.Millisecond

// sleep reports whether ctx has lasted as long as d.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// codeOf returns the code of what a server has said, 0 if err is of another kind.
func codeOf(err error) jetstream.ErrorCode {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.ErrorCode
	}
	return 0
}

func revision(sequence uint64) rollout.Revision {
	return rollout.Revision(strconv.FormatUint(sequence, 10))
}

// List implements [rollout.Store]. The leader names the keys, and each value is
// read from it: a consumer would read from some replica.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[rollout.Entry, error] {
	return func(yield func(rollout.Entry, error) bool) {
		if s.closed.Load() {
			yield(rollout.Entry{}, s.wrap(prefix, rollout.ErrClosed))
			return
		}
		info, err := s.stream.Info(ctx, jetstream.WithSubjectFilter(s.below(prefix)))
		if err != nil {
			yield(rollout.Entry{}, s.wrap(prefix, err))
			return
		}
		var keys []string
		for subject := range info.State.Subjects {
			if k := key(strings.TrimPrefix(subject, s.prefix)); strings.HasPrefix(k, prefix) {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		for _, k := range keys {
			e, err := s.Get(ctx, k)
			if errors.Is(err, rollout.ErrNotFound) { // it was deleted
				continue
			}
			if err != nil {
				yield(rollout.Entry{}, err)
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Watch implements [rollout.Store]. The server sends each change. Watch continues by
// itself after the connection was lost.
func (s *Store) Watch(ctx context.Context, prefix string) (<-chan struct{}, error) {
	if s.closed.Load() {
		return nil, s.wrap("watch", rollout.ErrClosed)
	}
	consumer, err := s.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{s.below(prefix)}, DeliverPolicy: jetstream.DeliverNewPolicy, HeadersOnly: true,
	})
	if err != nil {
		return nil, s.wrap("watch", err)
	}
	changed := make(chan struct{}, 1)
	hint := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	listening, err := consumer.Consume(func(m jetstream.Msg) {
		if strings.HasPrefix(key(strings.TrimPrefix(m.Subject(), s.prefix)), prefix) {
			hint()
		}
	}, jetstream.ConsumeErrHandler(func(jetstream.ConsumeContext, error) {
		hint() // something may have been missed
	}))
	if err != nil {
		return nil, s.wrap("watch", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	context.AfterFunc(s.ctx, cancel)
	context.AfterFunc(ctx, func() {
		cancel()
		listening.Stop()
	})
	return changed, nil
}

// Close implements [rollout.Store].
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.stop()
	if s.own {
		s.conn.Close()
	}
	return nil
}

// wrap says what an error is about. An outcome that is unknown stays unknown.
func (s *Store) wrap(what string, err error) error {
	if s.closed.Load() {
		return fmt.Errorf("natsstore: %s: %w", what, rollout.ErrClosed)
	}
	return fmt.Errorf("natsstore: %s: %w", what, err)
}
