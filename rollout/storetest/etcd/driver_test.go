package etcd_test

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"sync/atomic"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/serin-go/serin/rollout"
)

// store is a rollout.Store in etcd, below a prefix of its own. What etcd calls the
// revision of a key's last change is ours.
type store struct {
	*clientv3.Client
	below  string
	closed atomic.Bool
}

func (s *store) Shared() bool { return true }

func (s *store) Get(ctx context.Context, key string) (rollout.Entry, error) {
	r, err := s.Client.Get(ctx, s.below+key)
	if err != nil {
		return rollout.Entry{}, s.wrap(key, err)
	}
	if len(r.Kvs) == 0 {
		return rollout.Entry{}, fmt.Errorf("etcd: %s: %w", key, rollout.ErrNotFound)
	}
	return rollout.Entry{Key: key, Value: r.Kvs[0].Value, Revision: revision(r.Kvs[0].ModRevision)}, nil
}

func (s *store) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
	if len(value) > rollout.MaxValue {
		return "", &rollout.ValueSizeError{Key: key, Size: len(value)}
	}
	var was int64 // of a key that does not exist
	if prev != "" {
		var err error
		if was, err = strconv.ParseInt(string(prev), 10, 64); err != nil {
			return "", fmt.Errorf("etcd: %s: revision %q was never given out: %w", key, prev, rollout.ErrConflict)
		}
	}
	r, err := s.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(s.below+key), "=", was)).
		Then(clientv3.OpPut(s.below+key, string(value))).
		Commit()
	if err != nil {
		return "", s.wrap(key, err)
	}
	if !r.Succeeded {
		return "", fmt.Errorf("etcd: %s: %w", key, rollout.ErrConflict)
	}
	return revision(r.Header.Revision), nil
}

func (s *store) Delete(ctx context.Context, key string, prev rollout.Revision) error {
	was, err := strconv.ParseInt(string(prev), 10, 64)
	if err != nil || was == 0 {
		return fmt.Errorf("etcd: %s: revision %q was never given out: %w", key, prev, rollout.ErrConflict)
	}
	r, err := s.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(s.below+key), "=", was)).
		Then(clientv3.OpDelete(s.below + key)).
		Commit()
	if err != nil {
		return s.wrap(key, err)
	}
	if !r.Succeeded {
		return fmt.Errorf("etcd: %s: %w", key, rollout.ErrConflict)
	}
	return nil
}

func (s *store) List(ctx context.Context, prefix string) iter.Seq2[rollout.Entry, error] {
	return func(yield func(rollout.Entry, error) bool) {
		r, err := s.Client.Get(ctx, s.below+prefix, clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByKey, clientv3.SortAscend))
		if err != nil {
			yield(rollout.Entry{}, s.wrap(prefix, err))
			return
		}
		for _, kv := range r.Kvs {
			if !yield(rollout.Entry{Key: string(kv.Key[len(s.below):]), Value: kv.Value, Revision: revision(kv.ModRevision)}, nil) {
				return
			}
		}
	}
}

func (s *store) Watch(ctx context.Context, prefix string) (<-chan struct{}, error) {
	changes := s.Client.Watch(ctx, s.below+prefix, clientv3.WithPrefix())
	hints := make(chan struct{}, 1)
	go func() {
		for range changes {
			select {
			case hints <- struct{}{}:
			default: // a hint is waiting already
			}
		}
	}()
	return hints, nil
}

func (s *store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	return s.Client.Close()
}

func (s *store) wrap(what string, err error) error {
	if s.closed.Load() {
		err = rollout.ErrClosed
	}
	return fmt.Errorf("etcd: %s: %w", what, err)
}

func revision(n int64) rollout.Revision { return rollout.Revision(strconv.FormatInt(n, 10)) }
