package rollout

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"
)

// maxSweep bounds what one turn deletes.
const maxSweep = 64

// sweep deletes the evidence that processes have published of a rollout that has ended, and
// of the target's earlier rollouts. No decision needs it any more, and the document holds
// the sum. It reports whether that is done; a failure delays it.
func (d *driver) sweep(ctx context.Context) (done bool) {
	now := time.Now()
	switch {
	case d.swept || d.unaudited:
		return d.swept
	case d.sweepAt.IsZero():
		// A process that has not heard of the end may still publish.
		if d.sweepAt = now; d.e.shared() {
			d.sweepAt = now.Add(2 * d.e.cfg.Validity)
		}
	}
	if now.Before(d.sweepAt) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, d.e.cfg.Lease/2)
	defer cancel()
	prefix, left := "evidence/"+d.target+"/", maxSweep
	for entry, err := range d.e.cfg.Store.List(ctx, prefix) {
		number, _, _ := strings.Cut(strings.TrimPrefix(entry.Key, prefix), "/")
		if n, badly := strconv.ParseUint(number, 10, 64); err == nil && (badly != nil || n > d.doc.Number) {
			continue // of a newer rollout, or not ours
		}
		if left--; err == nil && left < 0 {
			return false // the rest in the next turn
		}
		if err == nil {
			err = d.e.cfg.Store.Delete(ctx, entry.Key, entry.Revision)
		}
		if err != nil && !errors.Is(err, ErrConflict) {
			d.sweepAt = now.Add(max(time.Minute, d.e.cfg.Tick))
			d.e.cfg.Logger.WarnContext(ctx, "evidence not deleted yet", "rollout", d.id, "error", err)
			return false
		}
	}
	d.swept = true
	return true
}
