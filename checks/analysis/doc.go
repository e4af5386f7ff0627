// Package analysis provides statistical canary analysis of live LLM traffic by
// anytime-valid tests (e-values): is the candidate worse than the baseline?
//
// A [Recorder] follows requests from their assignment to their end: who assigns a
// request says so with [Recorder.Begin], and ends the [Flight] with the outcome, an
// [Observation]. [Recorder.Expect] says what share of the requests each version (arm)
// is meant to have. A [Comparison] turns what is known by now into a [Judgement]: a
// [Verdict], the reason in words, and for each [Metric] both arms' values with the
// evidence for harm and for safety.
//
//	rec, err := analysis.NewRecorder(analysis.Plan{}, "1.4.0", "1.5.0")
//	cmp, err := rec.Comparison("1.5.0")
//	err = rec.Expect(1, map[string]float64{"1.4.0": 0.95, "1.5.0": 0.05})
//	...
//	flight := rec.Begin(analysis.Assigned{Arm: "1.5.0", Unit: user, Generation: 1})
//	... // for each request, from any goroutine
//	flight.Done(observation)
//	...
//	judgement := cmp.Judge(time.Now()) // every second, say
//
// # What a verdict is worth
//
// The only thing that is known for sure is the assignment: a unit belongs to a slot
// of the split, and chance has given the slot to an arm with a known share. So every
// number in a test is a score of an assigned request at an age. If versions are equal
// the score does not depend on the arm, and the tests rest on nothing else. Three
// consequences:
//
//   - What is counted is what was assigned, under the share that was in force then.
//   - Both arms are looked at at the same age. What has not ended by that age is known
//     not to have: that is a value, not a gap.
//   - What shapes a score, such as the rate to be expected, is taken from the past.
//
// Harmed is wrong with a probability of at most [Plan.AlphaRollback], over all
// metrics together, however often one looks, while the split changes, while the
// base rate drifts, while incidents hit both arms, however long answers take, and
// whatever the requests of one user have in common. Safe is wrong with a probability
// of at most [Plan.AlphaPromote] for a candidate that is beyond a gate's margin.
//
//   - The first event of each slot, such as a failure, hits an arm with its share
//     (Joag-Dev and Proschan, Ann. Statist. 11, 1983, for slots that are not drawn
//     twice). That test is
//     exact. It sees nothing new once all slots have had one.
//   - Sums of scores by groups of slots are centred (Delyon, Electron. J. Probab. 14,
//     2009; Bercu and Touati, Ann. Appl. Probab. 18, 2008). That test is never blind,
//     and exact in the limit of many groups: it speaks from twelve effective ones on.
//   - An amount, such as a latency, counts by how far the request has climbed the
//     stairs of the baseline's past quantiles; its tail by the requests beyond the
//     past p95, p99 and p99.9.
//   - TTFT, latency and cost count as of the usual prompt: what the length of the prompt
//     explains of them, by a ridge regression on the past of both arms, is taken out.
//   - Harm in any metric is the weighted average of their e-values; safety needs every
//     gate to be proven within its margin, in this stage, by what is known now.
//   - Each test runs since the rollout began and since two later moments, so that a
//     long good time is no debt.
//   - Harm must last ([Plan.Persist]), and sums that vary from second to second more
//     than chance explains count for less: trouble of some seconds is no harm.
//
// What it does not promise:
//
//   - Lasting trouble of one arm's machines is the candidate's trouble. Two fleets of
//     unequal size at equal load are not equal: the smaller one waits longer. Give a
//     canary head-room, not its share.
//   - Equal fleets near saturation, each with a queue of its own, differ for minutes:
//     at a utilisation of 85 % they are rolled back in some 10 %, at 95 % in most.
//   - A version that is worse at peak hours alone, or that becomes slower over days, is
//     within its margins for a while. A bake that covers a peak, and a [Monitor], see it.
//   - With fewer than eight users of each arm nothing can be proven.
//   - Failures that take long on the baseline and come immediately on the candidate, at
//     equal rates, look like harm until twenty of the baseline are known.
//
// # Zones
//
// Within [Metric.Tolerance] of the baseline a candidate is promoted, beyond
// [Metric.Margin] it is never proven, and between the two either may happen.
// [Plan.Outlook] says how long each takes, and how probable it is before a limit. A
// [Metric.Ceiling] limits a rate whatever the baseline does.
//
// # Satisfaction
//
// Ratings come with the request or later. [FromThumb] and [FromStars] make
// scores of them; [ThumbsUp], [Stars] and [Satisfaction] are the metrics of
// thumbs, of one to five stars and of grades from 0 to 1. [Recorder.Feedback]
// joins a score by its request's ID to the arm that served it, and reports the
// outcome. A score that is repeated, late or about a forgotten request changes nothing.
//
// # Is traffic split as intended?
//
// If not, no comparison of the arms proves anything. When the assignments are not
// what [Recorder.Expect] says, beyond what chance explains, the verdict cannot be Safe
// any more; it is Unmeasurable, unless there is harm, for which ten times the evidence
// is asked then. Each unit counts once, with its first assignment. Shares may change as
// often as they like.
//
// # Incidents
//
// When a provider is down, both arms fail and neither is to blame. The past shows
// it: the first 200 values of each metric of the baseline are its profile,
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
// Harm may begin later, when there is nothing left to compare with. A [Monitor]
// holds the promoted version against what the baseline was, by the same tests in
// the form of e-detectors. A monitor has no end by which it could have erred with
// some probability, so it errs at a rate: [Plan.MonitorRunLength] states how many
// looks it runs on average until a false alarm.
//
// # Several replicas
//
// Each replica records and compares what it serves itself. [Plan.Merge] adds up
// their [Evidence], which is plain data, and [Plan.Judge] judges the sum: a user of
// several replicas counts once. Nothing has to be sent for each request.
//
// # Cost
//
// With all default metrics, on one core of a shared server in 2026 (medians of 6 runs):
//
//	Record                               0.20 µs, nothing allocated
//	Record, 16 goroutines on 2 cores     0.36 µs of each
//	Begin, First and Done                0.31 µs, nothing allocated, with the judging between
//	Assign                               0.04 µs, nothing allocated
//	Judge, 100 new requests              0.3 ms
//	recorder                             1.0 MB at most, and 20 KB for each amount and arm
//	evidence of 24,000 requests          39 KB in binary form, 57 KB as JSON
//
//	go test ./checks/analysis -run '^$' -bench 'Record$|16Gor|Flight|Assign|Judge|Evidence' -count 6
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
//   - A clock that jumps ages no request: each has begun after the look before it was
//     met, whatever its clock says. A clock that goes back gives no time back, and one
//     that jumps ahead makes what is in flight late on both arms alike.
//   - Requests under a generation that nothing was said of are counted, and compared
//     with nothing: the verdict is Unmeasurable.
//   - A plan of its own metrics still finds failures: without the error rate and
//     unanswered requests it gets both as guards.
//   - An unknown arm is counted in [Recorder.Unknown]; an arm that nothing is
//     recorded of makes the verdict NoEvidence or Unmeasurable.
//   - All errors on both sides prove nothing: NoEvidence, or Incident if there was
//     a better past.
//   - Amounts without variance are compared like others; what differs by no more
//     than rounding is equal.
//   - Evidence of another plan is refused, by [Comparison.Restore],
//     [Recorder.Monitor] and [Plan.Judge] with an [*checks.InvalidError], by [Plan.Merge]
//     with a [*PlanError].
package analysis
