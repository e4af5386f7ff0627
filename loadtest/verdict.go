package loadtest

import (
	"fmt"
	"strings"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/units"
)

// verdict is what a run shows of the server.
type verdict struct {
	// Mood is "good", "bad", "open" if the run shows nothing, or "" without thresholds.
	Mood string
	Text string
}

// verdict returns the verdict in one sentence. Thresholds count as in
// [Report.Verdict].
func (r *Report) verdict() verdict {
	open := func(format string, args ...any) verdict {
		return verdict{"open", "not conclusive: " + fmt.Sprintf(format, args...)}
	}
	good, refusals := r.Classes[analysis.OK], ""
	if n := r.Classes[analysis.Refused]; n > 0 {
		refusals = fmt.Sprintf("%s of %s were refused", units.Grouped(n), units.Grouped(r.Sent))
	}
	v := r.Verdict()
	switch {
	case r.Generator.Bottleneck:
		return open("the generator was the bottleneck: %s", r.Generator.reason())
	case v.Status == checks.Fail:
		return verdict{"bad", "server bad: threshold breached: " + r.breaches()}
	case len(r.Judged) > 0 && v.Status == checks.Pass && (good > 0 || refusals == ""):
		text := "server good"
		if r.few() {
			text += " as far as " + showing(r.Sent)
		}
		text += ": " + r.holding()
		if refusals != "" {
			text += "; " + refusals
		}
		return verdict{"good", text}
	case r.Incomplete != "":
		return open("the results are incomplete: %s", r.Incomplete)
	case r.Sent == 0:
		return open("no request was sent")
	case good == 0 && refusals != "":
		return open("no request succeeded: %s", refusals)
	case good == 0:
		return open("no request succeeded, of %s", units.Grouped(r.Sent))
	case len(r.Judged) > 0 && !r.Interrupted && r.Missing == 0:
		return open("not enough evidence: %s", v.Summary)
	case r.Interrupted:
		return open("the run was interrupted after %s requests", units.Grouped(r.Sent))
	case r.Missing > 0:
		return open("%s requests are missing", units.Grouped(r.Missing))
	}
	text := fmt.Sprintf("no thresholds to judge by; %s of %s requests succeeded", units.Grouped(good), units.Grouped(r.Sent))
	if refusals != "" {
		text += "; " + refusals
	}
	return verdict{"", text}
}

// breaches returns the summaries of the thresholds that are breached.
func (r *Report) breaches() string {
	var all []string
	for _, j := range r.Judged {
		if j.Result.Status == checks.Fail {
			all = append(all, j.Result.Summary)
		}
	}
	if len(all) == 0 {
		return strings.TrimPrefix(r.Aborted, "loadtest: threshold breached: ")
	}
	return strings.Join(all, "; ")
}

// holding describes the thresholds of a run that keeps all of them.
func (r *Report) holding() string {
	if len(r.Judged) == 1 {
		return r.Judged[0].Result.Summary
	}
	return fmt.Sprintf("all %d thresholds hold", len(r.Judged))
}

// showing names the requests that show something.
func showing(n int) string {
	if n == 1 {
		return "1 request shows"
	}
	return units.Grouped(n) + " requests show"
}
