package traffic

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// logFallback logs that the baseline serves in place of an arm, at most once a
// second for each arm. Stats has the numbers.
func (r *Router) logFallback(ctx context.Context, x *exchange) {
	if !x.arm.stats.mayLog(time.Now()) {
		return
	}
	r.logger.LogAttrs(ctx, slog.LevelWarn, "traffic: the baseline serves in place of an arm that failed",
		slog.String("arm", x.arm.name), slog.String("class", x.outcome.Class.String()), slog.String("reason", x.outcome.Why),
		slog.Any("error", x.outcome.Err), slog.String("request", x.id), slog.Uint64("fallbacks_before", x.arm.stats.fallbacks.Load()))
}

// hookLog bounds how often panics of the configuration's functions are logged.
type hookLog struct{ last atomic.Int64 }

// logHook logs that a function of the configuration has panicked, at most once a
// second.
func (r *Router) logHook(ctx context.Context, hook string, p any) {
	now, last := time.Now().UnixNano(), r.hooks.last.Load()
	if now-last < int64(time.Second) || !r.hooks.last.CompareAndSwap(last, now) {
		return
	}
	r.logger.LogAttrs(ctx, slog.LevelError, "traffic: a function of the configuration panicked; its result is not used",
		slog.String("function", hook), slog.Any("panic", p), stack())
}

// logPanic logs that a handler has panicked.
func (r *Router) logPanic(ctx context.Context, a *arm, p any, stack []byte) {
	r.logger.LogAttrs(ctx, slog.LevelError, "traffic: a handler panicked",
		slog.String("arm", a.name), slog.Any("panic", p), slog.String("stack", string(stack)))
}
