// Package people checks the people behind a deployment: is the on-call roster without a
// hole, are approvers and people on call trained, and does the escalation contact answer.
//
//	roster := people.Roster{Shifts: pager.Shifts, Zone: vienna}
//	ready := checks.All(
//		people.Awake(people.AwakeOptions{Roster: roster, Roles: []string{"sre", "privacy"}}),
//		people.Trained(people.TrainedOptions{
//			Course: "llm-incident", Records: academy.Records, Approvers: directory.Approvers, Need: 3, Roster: roster,
//		}),
//		people.Reachable(people.ReachableOptions{Contact: checklist.Person{Name: "lea"}, Calls: pager.TestCalls}),
//	)
//
// Rosters, training records and test calls come from functions, and so from any on-call
// system. Each function of this package returns a [checks.Check] for a gate of a rollout or
// an item of a checklist, and never fails: options that are invalid make every result
// Unknown, with one [*checks.InvalidError] for each mistake.
//
// # Results
//
// Pass means that the requirement is met. Fail means that it is not, and the summary names
// the people and the times. Unknown means that it could not be looked at: a source returns
// an error or more than 10,000 entries, panics or does not return within 10 seconds, or the
// end of the rollout is not known. Errors of sources appear without user names, passwords and
// queries of URLs and without the values of names such as password, token and api_key, and
// at most 512 bytes of them.
//
// Two entries are one person if they have the same Subject or, if one of them has none, the
// same Name regardless of case and surrounding space. An entry without a Subject may match
// several people of its name. Then it counts for each of them.
//
// All checks are safe for concurrent use, and have a digest of their requirements
// ([checks.Digester]). This package uses only the standard library.
package people
