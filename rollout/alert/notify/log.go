package notify

import (
	"context"
	"log/slog"

	"github.com/serin-go/serin/rollout/alert"
)

// Log returns a notifier that writes one record for each alert to l: at level Info for Info and
// for what has ended, Warn for Warning, and Error for Error and Critical. If l is nil, it is
// [slog.Default].
func Log(l *slog.Logger) alert.Notifier {
	return alert.NotifierFunc(func(ctx context.Context, n alert.Notification) error {
		log := l
		if log == nil {
			log = slog.Default()
		}
		for _, a := range n.Alerts {
			level := slog.LevelInfo
			switch {
			case !a.Ended.IsZero() || n.Test:
			case a.Severity >= alert.Error:
				level = slog.LevelError
			case a.Severity == alert.Warning:
				level = slog.LevelWarn
			}
			log.LogAttrs(ctx, level, "alert "+mark(a), slog.String("alert", a.Name), slog.String("key", a.Key()), slog.String("group", n.Group),
				slog.String("summary", a.Summary), slog.Time("began", a.Began), slog.Int("more", n.More), slog.Bool("test", n.Test))
		}
		return nil
	})
}
