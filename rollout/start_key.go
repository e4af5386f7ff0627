package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/serin-go/serin/checks"
)

// maxStarts is the number of starts whose idempotency keys a target remembers.
const maxStarts = 16

// startOrder returns the order of a start or a retry. Of the options only Key and Replayed have
// a meaning for it.
func startOrder(by Actor, opts []Option) (order, error) {
	o := order{by: by}
	for _, opt := range opts {
		opt(&o)
	}
	if o.replayed != nil {
		*o.replayed = false
	}
	switch {
	case o.seq != 0 || o.why != "" || o.plan != "":
		return o, &checks.InvalidError{Package: "rollout", Field: "Option", Value: "IfSeq, Because or OfPlan", Want: "Key and Replayed alone, for a start"}
	case !plainName(o.key):
		return o, &checks.InvalidError{Package: "rollout", Field: "Key", Value: fmt.Sprintf("%q", bound(o.key, maxNameSize)), Want: wantName}
	}
	return o, nil
}

// startMark returns what a target's documents keep of the order's key: the key, and what was
// asked for under it. of is the digest of the plan, or the rollout to retry.
func (o order) startMark(what Action, of string) string {
	if o.key == "" {
		return ""
	}
	return o.key + keyEnd + hashOf([]byte(string(what) + keyEnd + o.by.person() + keyEnd + of))[:16] + keyEnd
}

// startedBy returns the rollout that was started under a mark, or "". If its key was used for
// another start, the error says so.
func (d *document) startedBy(mark string) (ID, error) {
	key, _, _ := strings.Cut(mark, keyEnd)
	for _, s := range d.Starts {
		if mark == "" || !strings.HasPrefix(s, key+keyEnd) {
			continue
		}
		number, same := strings.CutPrefix(s, mark)
		n, err := strconv.ParseUint(s[strings.LastIndex(s, keyEnd)+1:], 10, 64)
		if err != nil {
			continue
		}
		id := numbered(d.ID.Target(), n)
		if !same || number == "" {
			return "", &KeyReusedError{Rollout: id, Key: key}
		}
		return id, nil
	}
	return "", nil
}

// started returns the marks of a target's starts, with the one of a further rollout.
func started(before []string, mark string, number uint64) []string {
	if mark == "" {
		return before
	}
	all := append(slices.Clone(before), mark+strconv.FormatUint(number, 10))
	return all[max(0, len(all)-maxStarts):]
}

// errStarted says that a rollout was started under the same key.
var errStarted = errors.New("started before under this key")

// keyed starts a rollout unless that was done before under the order's key. It looks before the
// start, for an answer in any state of the target, and again after a start that has failed.
func (e *Engine) keyed(ctx context.Context, target string, o order, mark string, start func() (ID, error)) (ID, error) {
	if mark == "" {
		return start()
	}
	before := func() (ID, error) {
		entry, err := e.cfg.Store.Get(ctx, documentKey(target))
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrDamaged) {
			return "", nil // a start is how a target goes on after damage
		} else if err != nil {
			return "", err
		}
		doc, _, err := decodeDocument(target, entry.Value)
		if err != nil {
			return "", nil
		}
		id, err := doc.startedBy(mark)
		if o.replayed != nil {
			*o.replayed = id != ""
		}
		return id, err
	}
	if id, err := before(); id != "" || err != nil {
		return id, err
	}
	id, err := start()
	if err == nil {
		return id, nil
	}
	var reused *KeyReusedError
	if id, also := before(); id != "" || errors.As(also, &reused) {
		return id, also // another process was faster, however this one has noticed
	}
	return id, err
}
