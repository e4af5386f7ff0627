package traffic

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// logRescue tells of a rescue. An arm that fails every request would fill the
// log, so it is heard once a second; Stats has the numbers.
func (r *Router) logRescue(ctx context.Context, x *exchange, e ending) {
	if !x.arm.stats.mayLog(time.Now()) {
		return
	}
	reason := fmt.Sprintf("status %d", x.status)
	switch {
	case e.expired:
		reason = errFirstByte.Error()
	case e.broken != nil:
		reason = e.broken.Error()
	}
	r.logger.LogAttrs(ctx, slog.LevelWarn, "traffic: the baseline serves in place of an arm that failed",
		slog.String("arm", x.arm.name), slog.String("reason", reason), slog.String("request", x.id),
		slog.Uint64("rescued_before", x.arm.stats.rescued.Load()))
}

// logPanic tells of a handler that panicked.
func (r *Router) logPanic(ctx context.Context, a *arm, p any, stack []byte) {
	r.logger.LogAttrs(ctx, slog.LevelError, "traffic: a handler panicked",
		slog.String("arm", a.name), slog.Any("panic", p), slog.String("stack", string(stack)))
}
