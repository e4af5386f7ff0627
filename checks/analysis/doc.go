// Package analysis answers: what was seen on live traffic, and is the candidate
// worse?
//
// A [Recorder] counts one [Observation] per request under the version (arm)
// that served it. A [Comparison] turns what has been recorded since the last
// look into a [Judgement]: a [Verdict], the reason in words, and for each
// [Metric] both arms' values with the evidence for harm and for safety.
//
//	rec, err := analysis.NewRecorder(analysis.Plan{}, "1.4.0", "1.5.0")
//	cmp, err := rec.Comparison("1.5.0")
//	...
//	rec.Record(observation) // for each request, from any goroutine
//	...
//	judgement := cmp.Judge(time.Now()) // every second, say
//
// # What a verdict is worth
//
// Harmed is wrong with a probability of at most [Plan.AlphaRollback], over all
// metrics together, however often one looks, while the split changes, while the
// base rate drifts and while incidents hit both arms. Safe is wrong with a
// probability of at most [Plan.AlphaPromote]. The tests are e-processes; see
// Turner, Ly and Grünwald on 2x2 tables and Ramdas et al., "Game-theoretic
// statistics and safe anytime-valid inference".
//
//   - A rate is compared by 2x2 blocks, one for each look.
//   - An amount, such as a latency, is compared request by request: pairs of
//     the same time, whose is larger; and in its tail, by the shares beyond the
//     95th percentile of the baseline's past.
//   - A score is compared by betting on the differences of pairs.
//   - Harm in any metric is the weighted average of their e-values; safety
//     needs every gate to be proven within its margin.
//
// This holds if what is counted is assigned to the arms at random and
// independently. Where a split is sticky and one user sends many requests that
// share a fate, requests are not: set [Plan.Unit], and users or sessions are
// counted in their place.
//
// # Satisfaction
//
// Ratings come with the request or later. [FromThumb] and [FromStars] make
// scores of them; [ThumbsUp], [Stars] and [Satisfaction] are the metrics of
// thumbs, of one to five stars and of grades from 0 to 1. [Recorder.Feedback]
// joins a score by its request's ID to the arm that served it, and says what
// became of it; what comes twice, late or for a request that nobody remembers
// changes nothing.
//
// # Is traffic split as intended?
//
// If not, no comparison of the arms means anything. Who assigns requests says
// so with [Recorder.Assign], and who decides on the split says with
// [Recorder.Expect] what it is meant to be. When the assignments are not what
// was meant, beyond what chance explains, the verdict is Unmeasurable and stays
// so, whatever else was seen; only breakers still act. Shares may change as
// often as they like.
//
// # Incidents
//
// When a provider is down, both arms fail and neither is to blame. An arm's past
// tells: the first 200 values of each metric of the baseline are its profile,
// and once the errors of both arms exceed twice its rate plus two points, or
// the 95th percentile of both has more than doubled, beyond what chance
// explains, the verdict is Incident: hold, alert, and do not roll back. It ends
// when the arms are back. A candidate that is worse than the baseline is Harmed
// during an incident too.
//
// # Before a rollout
//
// [Plan.Outlook] says what a plan can do with given traffic: after how many
// requests and how long it will find named regressions, and prove an equal
// candidate safe. A stage that is shorter than that cannot do its work.
//
// # After a promotion
//
// Harm may begin later, when there is nothing left to compare with. A [Watch]
// holds the promoted version against what the baseline was, by the same tests in
// the form of e-detectors. A watch has no end by which it could have erred with
// some probability, so it errs at a rate: [Plan.WatchRunLength] states how many
// looks it runs on average until a false alarm.
//
// # Several replicas
//
// Each replica records and compares what it serves itself. [Plan.Merge] adds up
// their [Evidence], which is plain data, and [Plan.Judge] judges the sum. That
// is as good as one process that has seen everything, and nothing has to be
// sent per request.
//
// # Failing closed
//
// Nothing but proof makes a candidate Safe. No traffic is NoEvidence, traffic
// that cannot be compared is Unmeasurable, and neither is success.
//
//   - Values that no request can have (NaN, infinite, a negative duration, a
//     score above 1) are counted in [Summary.Invalid] and left out. An unknown
//     class is an error.
//   - Each request has exactly one [Class]. The zero value is Unread: a request of
//     which nothing was said proves nothing.
//   - Cancelled requests count in no metric. Unread, rejected and abandoned ones
//     are neither successes nor failures, but a candidate that has more of them
//     than the baseline is Harmed by [Unanswered].
//   - A candidate of which no request was answered, OK or Refused, is at best
//     NoEvidence, whatever else was seen of it.
//   - Where more than half of the baseline's answers on an [Observation.Route] are
//     unread or invalid, the verdict is Unmeasurable, and its reason names the
//     route and [Observation.Why].
//   - A clock that jumps moves nothing but [Plan.Window].
//   - An unknown arm is counted in [Recorder.Unknown]; an arm that nothing is
//     recorded of makes the verdict NoEvidence or Unmeasurable.
//   - All errors on both sides prove nothing: NoEvidence, or Incident if there was
//     a better past.
//   - Amounts without variance are compared like others; what differs by no more
//     than rounding is equal.
//   - Evidence of another plan is refused, by [Comparison.Restore],
//     [Recorder.Watch] and [Plan.Judge] with an [*InvalidError], by [Plan.Merge]
//     with a [*PlanError].
package analysis
