package console

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/serin-go/serin/rollout/access"
)

// verify verifies a code of the caller's second factor, and notes the proof in the session.
// It returns what is wrong with the code, or "".
func (v *visit) verify(ctx context.Context, code string) (wrong string) {
	if v.cfg.Factor == nil || !v.signed {
		return "a second factor cannot be verified here"
	}
	proved, err := v.cfg.Factor.Verify(ctx, cmp.Or(v.by.Subject, v.by.Name), strings.TrimSpace(code))
	var paused *access.PausedError
	switch {
	case errors.As(err, &paused):
		return "too many wrong codes; try again at " + paused.Until.UTC().Format("15:04:05") + " UTC"
	case errors.Is(err, access.ErrCode):
		return "the code is wrong or was used before"
	case errors.Is(err, access.ErrNotEnrolled):
		return "you have no second factor yet"
	case err != nil:
		v.cfg.Logger.ErrorContext(ctx, "second factor cannot be verified", "error", err)
		return "the second factor cannot be verified now"
	}
	v.by.Proved = proved
	if v.cfg.Sessions != nil && v.r.Header.Get("Cookie") != "" {
		if err := v.cfg.Sessions.StepUp(v.w, v.r, proved); err != nil && !errors.Is(err, access.ErrNoCredentials) {
			v.cfg.Logger.WarnContext(ctx, "second factor not noted in the session", "by", v.by.Name, "error", err)
		}
	}
	if v.cfg.Proved != nil {
		v.cfg.Proved(v.by, proved)
	}
	return ""
}
