// Package drill provides rehearsals of the infrastructure, the access control and the data
// protection of a rollout as checks: does the autoscaler scale, does the load balancer follow
// its weights, does a dead replica go unnoticed, is the previous version still warm, does the
// cache keep versions and tenants apart, is every guarded call refused to the roles that may
// not make it, is the store encrypted at rest, does personal data in a prompt stay out of logs
// and caches.
// Package drill provides rehearsals of the infrastructure and the access control of a rollout
// as checks: does the autoscaler scale, does the load balancer follow its weights, does a
// dead replica go unnoticed, is the previous version still warm, does the cache keep versions
// and tenants apart, is every guarded call refused to the roles that may not make it, do alerts
// reach people.
//
//	suite["load balancer"] = drill.Balance(drill.BalanceOptions{
//		Send:    func(ctx context.Context, _ int) (server string, err error) { return ask(ctx, pool) },
//		Weights: map[string]int{"10.0.0.1:8000": 1, "10.0.0.2:8000": 2, "10.0.0.3:8000": 1},
//	})
//	report := checks.Run(ctx, suite) // pass, or which server answers too often
//
// A drill sends requests, adds load and stops servers. Therefore it never runs on what
// serves users. It runs on a twin: a copy of the service with the same configuration and
// no users. The options name the twin by functions, so a drill does nothing else than to
// call them. AlertPath alone runs on the service itself.
//
// # Results
//
// Pass means that the rehearsal was carried out and went well, and Fail that it was carried
// out and found a problem. Everything else is Unknown, with the reason in Err: invalid
// options, a twin that does not answer, a context that ended. Evidence has the measured
// numbers.
//
// Invalid options are reported when the check runs. The error joins one
// [*checks.InvalidError] for each problem.
//
// # Runs
//
// The checks of this package are safe for concurrent use. One run of a check is in flight at
// a time. Another call waits for it to end, and returns Unknown with [ErrBusy] if its own
// context ends before. A run lasts as long as its options say, up to many minutes. Give a
// rollout the cached result: see [checks.Cached].
//
// Drills of one twin disturb each other: a server that DeadReplica has stopped gets less than
// its share. Run them one after the other. [checks.Run] runs its checks concurrently.
//
// A run ends what it started, also if its context ends or a function of the options panics:
// requests are cancelled, and a server that was stopped is started again. The functions must
// return soon after their context has ended. If one does not return within a second, the run
// ends as Unknown without it, and the next run is refused until it has returned.
//
// Each check implements [checks.Digester]. The digest depends on the numbers and names of
// the options. It does not depend on functions and credentials.
//
// Errors of the functions appear in results without user names, passwords and queries of URLs
// and without the values of names such as password, token and api_key, and at most 512 bytes
// of each.
//
// # Dependencies
//
// Package autoscale brings xxhash. Everything else is the standard library.
package drill
