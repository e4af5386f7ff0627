package traffic

import "github.com/serin-go/serin/checks/analysis"

// Feedback passes on the score of a user or a judge for the answer to the request with
// the given ID, which the answer carried in the header Serin-Request-Id. The score is
// from 0 to 1; see [analysis.FromThumb] and [analysis.FromStars]. It goes to the
// recorder of the rollout under way ([Router.Measure]), which counts it for the arm
// that served the request; without one it is unknown.
func (r *Router) Feedback(id string, score float64) analysis.FeedbackResult {
	if rec := r.recorder.Load(); rec != nil {
		return rec.Feedback(id, score)
	}
	return analysis.FeedbackUnknown
}
